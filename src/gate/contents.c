/* Kinds of secrets, by their content. Everything is bytes: files may hold NULs, so nothing here stops at one. */
#include "gate/contents.h"

#include <string.h>

#include "base/banned.h"

enum {
	BODY_MIN = 40,     /* characters of Base64 in a row behind a key's header */
	BODY_WITHIN = 512, /* of the header: its fields (Proc-Type, DEK-Info) come between */
	AWS_ID_SIZE = 20,
	AWS_SECRET_SIZE = 40,
};

/* A stretch of the content. */
struct span {
	const char *at, *end;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_base64(char c)
{
	return is_upper(c) || is_lower(c) || is_digit(c) || c == '+' || c == '/';
}

static const char *find(struct span span, const char *text)
{
	return span.at < span.end ? memmem(span.at, (size_t)(span.end - span.at), text, strlen(text)) : NULL;
}

/* The next line without its end; false: there is none. */
static bool next_line(struct span *rest, struct span *line)
{
	if (rest->at >= rest->end)
		return false;
	const char *end = memchr(rest->at, '\n', (size_t)(rest->end - rest->at));
	*line = (struct span){ rest->at, end ? end : rest->end };
	rest->at = end ? end + 1 : rest->end;
	while (line->at < line->end && is_space(*line->at))
		line->at++;
	while (line->at < line->end && is_space(line->end[-1]))
		line->end--;
	return true;
}

bool contents_has_entry(const char *content, size_t size)
{
	struct span rest = { content, content + size }, line;
	while (next_line(&rest, &line))
		if (line.at < line.end && *line.at != '#')
			return true;
	return false;
}

/*
 * Whether a name is followed by a value: by = or : or blanks, in quotes or not, of at least `min` characters. Every occurrence is looked at.
 */
static bool has_value(const char *content, size_t size, const char *name, size_t min)
{
	struct span rest = { content, content + size };
	for (const char *at; (at = find(rest, name)); rest.at = at + 1) {
		const char *p = at + strlen(name), *end = content + size;
		if (p < end && (*p == '"' || *p == '\''))
			p++;
		const char *separator = p;
		while (p < end && (*p == ' ' || *p == '\t' || *p == '=' || *p == ':'))
			p++;
		if (p == separator)
			continue;
		while (p < end && (*p == '"' || *p == '\''))
			p++;
		size_t count = 0;
		while (p < end && !is_space(*p) && !memchr("\"',{}[]", *p, 7))
			p++, count++;
		if (count >= min)
			return true;
	}
	return false;
}

/* ---- keys ---- */

/* Whether enough Base64 in a row stands within BODY_WITHIN characters. In JSON, a line ends with \n in two characters. */
static bool has_body(struct span span)
{
	size_t run = 0;
	if (span.end - span.at > BODY_WITHIN)
		span.end = span.at + BODY_WITHIN;
	for (const char *p = span.at; p < span.end; p++) {
		run = is_base64(*p) ? run + 1 : 0;
		if (run >= BODY_MIN)
			return true;
	}
	return false;
}

static bool has_pem_key(struct span rest)
{
	static const char begin[] = "-----BEGIN ";
	static const char *const ends[] = { "PRIVATE KEY-----", "PRIVATE KEY BLOCK-----" };
	enum { LABEL_MAX = 64 };
	for (const char *at; (at = find(rest, begin)); rest.at = at + 1) {
		struct span label = { at + sizeof begin - 1, rest.end };
		if (label.end - label.at > LABEL_MAX)
			label.end = label.at + LABEL_MAX;
		const char *line_end = memchr(label.at, '\n', (size_t)(label.end - label.at));
		label.end = line_end ? line_end : label.end;
		for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
			const char *found = find(label, ends[i]);
			if (found && has_body((struct span){ found + strlen(ends[i]), rest.end }))
				return true;
		}
	}
	return false;
}

bool contents_has_private_key(const char *content, size_t size)
{
	struct span whole = { content, content + size };
	const char *putty = find(whole, "PuTTY-User-Key-File-"), *age = find(whole, "AGE-SECRET-KEY-1");
	return has_pem_key(whole) || (putty && find((struct span){ putty, whole.end }, "Private-Lines:")) ||
		(age && whole.end - age >= 74);
}

/* ---- AWS ---- */

bool contents_has_aws_secret(const char *content, size_t size)
{
	static const char *const names[] = { "aws_secret_access_key", "AWS_SECRET_ACCESS_KEY",
		"aws_session_token", "SecretAccessKey", "secret_key", "accessToken" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (has_value(content, size, names[i], 16))
			return true;
	return false;
}

/* AKIA or ASIA and 16 capitals or digits, alone; those of the documentation end in EXAMPLE. */
static bool is_aws_id(const char *run, size_t size)
{
	if (size != AWS_ID_SIZE || (memcmp(run, "AKIA", 4) != 0 && memcmp(run, "ASIA", 4) != 0))
		return false;
	for (size_t i = 4; i < size; i++)
		if (!is_upper(run[i]) && !is_digit(run[i]))
			return false;
	return memcmp(run + size - 7, "EXAMPLE", 7) != 0;
}

/* 40 characters with capitals, small letters and digits: a SHA-1 in hexadecimal has no such mixture. */
static bool is_aws_secret(const char *run, size_t size)
{
	bool upper = false, lower = false, digit = false;
	if (size != AWS_SECRET_SIZE || memcmp(run + size - 10, "EXAMPLEKEY", 10) == 0)
		return false;
	for (size_t i = 0; i < size; i++) {
		upper |= is_upper(run[i]);
		lower |= is_lower(run[i]);
		digit |= is_digit(run[i]);
	}
	return upper && lower && digit;
}

bool contents_has_aws_key_pair(const char *content, size_t size)
{
	bool id = false, secret = false;
	for (size_t i = 0; i < size && !(id && secret);) {
		size_t run = 0;
		while (i + run < size && is_base64(content[i + run]))
			run++;
		id |= is_aws_id(content + i, run);
		secret |= is_aws_secret(content + i, run);
		i += run + 1;
	}
	return id && secret;
}

/* ---- others ---- */

bool contents_has_password(const char *content, size_t size)
{
	return has_value(content, size, "password", 1) || has_value(content, size, "passwd", 1);
}

bool contents_has_url_password(const char *content, size_t size)
{
	struct span rest = { content, content + size }, line;
	while (next_line(&rest, &line)) {
		const char *scheme = find(line, "://");
		if (!scheme)
			continue;
		struct span user = { scheme + 3, line.end };
		const char *at = find(user, "@"), *colon = find(user, ":");
		if (at && colon && colon < at && at > colon + 1)
			return true;
	}
	return false;
}

bool contents_has_docker_auth(const char *content, size_t size)
{
	return has_value(content, size, "\"auth\"", 4) || has_value(content, size, "\"identitytoken\"", 4) ||
		has_value(content, size, "\"registrytoken\"", 4);
}

bool contents_has_kubernetes_secret(const char *content, size_t size)
{
	return has_value(content, size, "client-key-data", 16) || has_value(content, size, "token", 16) ||
		has_value(content, size, "password", 1) || has_value(content, size, "\"auth\"", 4);
}

bool contents_has_registry_token(const char *content, size_t size)
{
	static const char *const names[] = { "_authToken", "_auth", "_password", "password", "token",
		"rubygems_api_key", "oauth_token" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (has_value(content, size, names[i], 8))
			return true;
	return false;
}

bool contents_has_password_hash(const char *content, size_t size)
{
	enum { DES_SIZE = 13 /* crypt(3)'s oldest, and shortest */ };
	struct span rest = { content, content + size }, line;
	while (next_line(&rest, &line)) {
		const char *field = memchr(line.at, ':', (size_t)(line.end - line.at));
		if (!field)
			continue;
		struct span hash = { field + 1, line.end };
		const char *end = find(hash, ":");
		hash.end = end ? end : hash.end;
		if (hash.end - hash.at >= DES_SIZE && *hash.at != '!' && *hash.at != '*')
			return true;
	}
	return false;
}

bool contents_has_user_data(const char *content, size_t size)
{
	struct span rest = { content, content + size }, line;
	while (next_line(&rest, &line))
		if (line.at < line.end && (*line.at != '#' || find(line, "#!") == line.at))
			return true;
	return false;
}
