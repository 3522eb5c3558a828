/* Credentials: environment first, then the ini file. Everything found lies in the arena. */
#include "cli/credentials.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/banned.h"

enum { FILE_MAX = 1024 * 1024 };

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t size = strlen(text);
	while (size && isspace((unsigned char)text[size - 1]))
		text[--size] = '\0';
	return text;
}

static void read_setting(char *line, struct sign_credentials *credentials)
{
	char *value = strchr(line, '=');
	if (!value)
		return;
	*value++ = '\0';
	const char *name = trim(line);
	if (strcmp(name, "aws_access_key_id") == 0)
		credentials->access_key_id = trim(value);
	else if (strcmp(name, "aws_secret_access_key") == 0)
		credentials->secret = trim(value);
	else if (strcmp(name, "aws_session_token") == 0)
		credentials->session_token = trim(value);
}

int credentials_read_profile(
	char *text, const char *profile, struct sign_credentials *credentials, struct error *err)
{
	bool ours = false;
	size_t size = strlen(profile);
	for (char *next = text; next;) {
		char *line = next;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line = trim(line);
		if (*line == '[')
			ours = strncmp(line + 1, profile, size) == 0 && line[size + 1] == ']';
		else if (ours && *line != '#' && *line != ';')
			read_setting(line, credentials);
	}
	if (!credentials->access_key_id || !credentials->secret)
		return error_set(err, ERROR_NOT_FOUND,
			"profile [%s] has no aws_access_key_id and aws_secret_access_key", profile);
	return 0;
}

static int read_file(struct arena *arena, struct sign_credentials *credentials, struct error *err)
{
	const char *path = environment("AWS_SHARED_CREDENTIALS_FILE"), *home = environment("HOME"),
		   *profile = environment("AWS_PROFILE");
	char *text;
	size_t size;
	if (!path)
		path = arena_printf(arena, "%s/.aws/credentials", home ? home : "");
	if (file_read(path, FILE_MAX, arena, &text, &size, err)) {
		if (err->code != ERROR_NOT_FOUND)
			return -1;
		return error_set(err, ERROR_NOT_FOUND,
			"no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE (there is no %s)",
			path);
	}
	if (credentials_read_profile(text, profile ? profile : "default", credentials, err))
		return error_prefix(err, "%s", path);
	return 0;
}

int credentials_find(struct arena *arena, struct sign_credentials *credentials, struct error *err)
{
	*credentials = (struct sign_credentials){
		.access_key_id = environment("AWS_ACCESS_KEY_ID"),
		.secret = environment("AWS_SECRET_ACCESS_KEY"),
		.session_token = environment("AWS_SESSION_TOKEN"),
		.region = environment("AWS_REGION"),
	};
	if (!credentials->region)
		credentials->region = environment("AWS_DEFAULT_REGION");
	if (!credentials->region)
		credentials->region = "us-east-1";
	if (credentials->access_key_id && credentials->secret)
		return 0;
	credentials->access_key_id = credentials->secret = credentials->session_token = NULL;
	return read_file(arena, credentials, err);
}
