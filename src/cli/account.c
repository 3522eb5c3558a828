/* amid account: the accounts of a running server, for its operator. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/credentials.h"
#include "cli/options.h"
#include "base/banned.h"

static const char help[] =
	"Usage: amid account create NAME [--email ADDRESS] [--organization] [--output FILE] [OPTION...]\n"
	"       amid account key ACCOUNT [--revoke KEY] [--output FILE] [OPTION...]\n"
	"       amid account list [--json] [OPTION...]\n\n"
	"Makes an account on a running server, or lists all; `key` makes the root of one another key, in place of one that was lost, or takes one away. ACCOUNT is a number or a name. The access key of the new account's root is told this once: it is printed in the form of\n"
	"AWS_SHARED_CREDENTIALS_FILE, or with --output appended to FILE (made with mode 0600) as profile NAME.\n\n"
	"  --email ADDRESS  the account's address\n"
	"  --organization   it joins the organization that the operator's account has made\n"
	"  --revoke KEY     that key of the account's root is taken no longer\n"
	"  --output FILE    where the credentials go; then only the account's number is printed\n"
	"  --data DIR       the server's data folder: sign as the operator, with its root-credentials\n"
	"  --endpoint URL   the server (default $AWS_ENDPOINT_URL, or http://127.0.0.1:4566)\n"
	"  --json           print what the server answers\n\n"
	"Without --data the credentials in use (AWS_PROFILE, ...) must be the operator's root's.\n\n"
	"Example: amid account create vendor --data /srv/amid --output ~/.aws/credentials\n";

#define PATH "/_amid/accounts"

enum { FILE_MAX = 1024 * 1024 };

static const struct option options[] = {
	{ "email", required_argument, NULL, 'm' },
	{ "organization", no_argument, NULL, 'g' },
	{ "revoke", required_argument, NULL, 'r' },
	{ "output", required_argument, NULL, 'o' },
	{ "data", required_argument, NULL, 'd' },
	{ "endpoint", required_argument, NULL, 'e' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct request {
	const char *email, *revoke, *output, *data, *endpoint;
	bool organization, raw;
};

static const char *text(json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "-";
}

/* As the operator, whose key lies in the data folder. */
static void sign_as_operator(const char *data, struct arena *arena)
{
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_PROFILE");
	setenv("AWS_SHARED_CREDENTIALS_FILE",
		arena_printf(arena, "%s/root-credentials", options_absolute(arena, data)), 1);
}

/* The profile must not be there yet: which of two would hold is up to each client. */
static int check_output(const char *path, const char *name, struct arena *arena, struct error *err)
{
	char *content;
	size_t size;
	struct sign_credentials found = { 0 };
	struct error missing = { 0 };
	if (file_read(path, FILE_MAX, arena, &content, &size, err))
		return err->code == ERROR_NOT_FOUND ? 0 : -1;
	if (credentials_read_profile(content, name, &found, &missing) == 0)
		return error_set(err, ERROR_DUPLICATE, "%s has a profile [%s] already", path, name);
	return 0;
}

/* Opened before the account is made, so that its key has a place to go to. */
static int open_output(const char *path, struct error *err)
{
	struct stat status;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot write %s", path);
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_mode & 077) {
		close(fd);
		return error_set(err, ERROR_INVALID,
			"%s is open to others (mode %04o); keys go into files of mode 0600", path,
			(unsigned)(status.st_mode & 07777));
	}
	return fd;
}

static int write_profile(int fd, const char *profile, json_t *account, struct arena *arena, struct error *err)
{
	char *lines = arena_printf(arena,
		"[%s]\n# account %s\naws_access_key_id = %s\naws_secret_access_key = %s\n", profile,
		text(account, "id"), text(account, "access_key_id"), text(account, "secret_access_key"));
	if (file_write_full(fd, lines, strlen(lines)) || (fd != STDOUT_FILENO && fsync(fd)))
		return error_set_errno(
			err, errno, "cannot write the credentials of account %s", text(account, "id"));
	return 0;
}

/* `asked` is given away; NULL: it could not be packed. */
static int post(
	const struct request *request, const char *path, json_t *asked, json_t **answer, struct error *err)
{
	char *body = asked ? json_dumps(asked, JSON_COMPACT) : NULL;
	json_decref(asked);
	if (!body)
		return error_set(err, ERROR_INVALID, "a name is not UTF-8");
	const struct client_rest rest = {
		.service = "ec2", .method = "POST", .path = path, .body = body, .body_size = strlen(body)
	};
	int result = client_ask(request->endpoint, &rest, answer, err);
	free(body);
	return result;
}

/* What is asked for is a key, which goes into the profile `name`. */
static int obtain_key(const struct request *request, const char *path, json_t *asked, const char *name,
	struct arena *arena, struct error *err)
{
	int fd FILE_SCOPED = -1;
	json_t *answer;
	if (request->output) {
		bool fits = check_output(request->output, name, arena, err) == 0;
		fd = fits ? open_output(request->output, err) : -1;
		if (fd < 0) {
			json_decref(asked);
			return -1;
		}
	}
	if (post(request, path, asked, &answer, err))
		return -1;
	int result = write_profile(fd < 0 ? STDOUT_FILENO : fd, name, answer, arena, err);
	if (result == 0 && fd >= 0)
		printf("%s\n", text(answer, "id"));
	json_decref(answer);
	return result;
}

static int create(const struct request *request, const char *name, struct arena *arena, struct error *err)
{
	json_t *asked = json_pack("{s:s, s:s*, s:b}", "name", name, "email", request->email, "organization",
		request->organization);
	return obtain_key(request, PATH, asked, name, arena, err);
}

static int ask_for_list(const struct request *request, json_t **answer, struct error *err)
{
	const struct client_rest rest = { .service = "ec2", .method = "GET", .path = PATH };
	return client_ask(request->endpoint, &rest, answer, err);
}

/* By its number, or by its name if no other has that. */
static int find_account(const struct request *request, const char *asked, struct arena *arena,
	const char **id, const char **name, struct error *err)
{
	json_t *answer, *account;
	size_t i, named = 0;
	bool numbered = false;
	if (ask_for_list(request, &answer, err))
		return -1;
	json_array_foreach(json_object_get(answer, "accounts"), i, account)
	{
		bool is_id = strcmp(text(account, "id"), asked) == 0;
		bool is_name = strcmp(text(account, "name"), asked) == 0;
		if (numbered || (!is_id && !is_name))
			continue;
		numbered = is_id;
		named += is_name;
		*id = arena_strdup(arena, text(account, "id"));
		*name = arena_strdup(arena, text(account, "name"));
	}
	json_decref(answer);
	if (numbered || named == 1)
		return 0;
	if (named)
		return error_set(
			err, ERROR_CONFLICT, "%zu accounts are named %s: say the number", named, asked);
	return error_set(err, ERROR_NOT_FOUND, "there is no account %s", asked);
}

static int key(const struct request *request, const char *asked, struct arena *arena, struct error *err)
{
	const char *id = NULL, *name = NULL;
	json_t *answer;
	if (find_account(request, asked, arena, &id, &name, err))
		return -1;
	if (!request->revoke)
		return obtain_key(request, PATH "/key", json_pack("{s:s}", "account", id), name, arena, err);
	if (post(request, PATH "/key", json_pack("{s:s, s:s}", "account", id, "revoke", request->revoke),
		    &answer, err))
		return -1;
	printf("%s\n", text(answer, "revoked"));
	json_decref(answer);
	return 0;
}

static int list(const struct request *request, struct error *err)
{
	json_t *answer, *account;
	size_t i;
	if (ask_for_list(request, &answer, err))
		return -1;
	if (request->raw) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		printf("%-12s  %-10s  %-34s  %s\n", "id", "state", "organization", "name");
		json_array_foreach(json_object_get(answer, "accounts"), i, account)
			printf("%-12s  %-10s  %-34s  %s%s\n", text(account, "id"),
				json_is_true(json_object_get(account, "suspended")) ? "suspended" : "active",
				text(account, "organization"), text(account, "name"),
				json_is_true(json_object_get(account, "operator")) ? " (operator)" : "");
	}
	json_decref(answer);
	return 0;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct request *request)
{
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (option) {
		case 'm':
			request->email = optarg;
			break;
		case 'g':
			request->organization = true;
			break;
		case 'r':
			request->revoke = optarg;
			break;
		case 'o':
			request->output = optarg;
			break;
		case 'd':
			request->data = optarg;
			break;
		case 'e':
			request->endpoint = optarg;
			break;
		case 'j':
			request->raw = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return 2;
		}
	return -1;
}

int command_account(int argc, char **argv)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct request request = { 0 };
	struct error err = { 0 };
	int result = read_options(argc, argv, &request);
	if (result >= 0)
		return result;
	const char *verb = optind < argc ? argv[optind] : "";
	bool creates = strcmp(verb, "create") == 0, lists = strcmp(verb, "list") == 0,
	     keys = strcmp(verb, "key") == 0;
	if ((!creates && !keys && !lists) || argc - optind != (lists ? 1 : 2) || (request.revoke && !keys))
		return options_fail(
			"account", 2, "say create NAME, key ACCOUNT or list; see amid account --help");
	if (request.data)
		sign_as_operator(request.data, arena);
	result = creates ? create(&request, argv[optind + 1], arena, &err)
		: keys   ? key(&request, argv[optind + 1], arena, &err)
			 : list(&request, &err);
	return result ? options_fail("account", 1, err.message) : 0;
}
