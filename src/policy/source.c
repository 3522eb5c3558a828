/* Where statements stand in the text of their document. Walks it again, knowing that it is JSON; asked seldom, so nothing is kept. Safe from every thread. */
#include <string.h>

#include "policy/policy_internal.h"
#include "base/banned.h"

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && strchr(" \t\r\n,:", *at)) /* between the things looked for, these say nothing */
		at++;
	return at;
}

static const char *skip_string(const char *at, const char *end)
{
	for (at++; at < end && *at != '"'; at++)
		at += *at == '\\';
	return at < end ? at + 1 : end;
}

/* Behind the value that begins at `at`. */
static const char *skip_value(const char *at, const char *end)
{
	unsigned depth = 0;
	while (at < end) {
		if (*at == '"') {
			at = skip_string(at, end);
		} else {
			depth += *at == '{' || *at == '[';
			if (*at == '}' || *at == ']') {
				if (!depth)
					return at;
				depth--;
			} else if (!depth && strchr(", \t\r\n", *at)) {
				return at;
			}
			at++;
		}
		if (!depth && (at[-1] == '"' || at[-1] == '}' || at[-1] == ']'))
			return at;
	}
	return end;
}

/* The value of the document's Statement, or its end. */
static const char *find_statements(const char *at, const char *end)
{
	static const char name[] = "\"Statement\"";
	at = skip_space(at, end);
	for (at = skip_space(at + 1, end); at < end && *at == '"'; at = skip_space(at, end)) {
		const char *member = at;
		at = skip_space(skip_string(at, end), end);
		if ((size_t)(end - member) >= sizeof name - 1 && memcmp(member, name, sizeof name - 1) == 0)
			return at;
		at = skip_value(at, end);
	}
	return end;
}

static struct policy_position position_of(const char *document, const char *at)
{
	struct policy_position position = { 1, 1 };
	for (const char *c = document; c < at; c++) {
		position.column++;
		if (*c == '\n') {
			position.line++;
			position.column = 1;
		}
	}
	return position;
}

int policy_locate_statement(const struct policy *policy, unsigned statement, struct policy_position *start,
	struct policy_position *end)
{
	const char *document = policy->document, *behind = document + policy->document_size;
	if (statement >= policy->statement_count)
		return -1;
	const char *at = find_statements(document, behind);
	if (at < behind && *at == '[')
		at = skip_space(at + 1, behind);
	for (unsigned i = 0; i < statement && at < behind; i++)
		at = skip_space(skip_value(at, behind), behind);
	if (at >= behind)
		return -1;
	*start = position_of(document, at);
	*end = position_of(document, skip_value(at, behind));
	return 0;
}
