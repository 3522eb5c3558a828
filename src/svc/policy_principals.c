/* Walks the AWS principals of a document (Principal and NotPrincipal of each statement) and writes it anew if one changes. Runs on the thread of a call. */
#include "svc/policy_principals.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "svc/amid.h"
#include "base/banned.h"

enum { ACCOUNT_DIGITS = 12 };

struct walk {
	struct amid *amid;
	struct arena *arena;
	struct error *err;
	int (*map)(struct walk *walk, const char *text, const char **mapped);
	bool changed;
};

/* A new reference in *mapped: the text, or what it becomes. */
static int map_text(struct walk *walk, json_t *text, json_t **mapped)
{
	const char *result = json_string_value(text);
	if (!result)
		return error_set(walk->err, ERROR_MALFORMED_POLICY_DOCUMENT, "A principal is not a string.");
	const char *before = result;
	if (walk->map(walk, before, &result))
		return -1;
	walk->changed |= result != before;
	*mapped = json_string(result);
	return 0;
}

static int map_names(struct walk *walk, json_t *principal)
{
	json_t *names = json_object_get(principal, "AWS"), *mapped;
	if (!names)
		return 0;
	if (!json_is_array(names)) {
		if (map_text(walk, names, &mapped))
			return -1;
		json_object_set_new(principal, "AWS", mapped);
		return 0;
	}
	for (size_t i = 0; i < json_array_size(names); i++) {
		if (map_text(walk, json_array_get(names, i), &mapped))
			return -1;
		json_array_set_new(names, i, mapped);
	}
	return 0;
}

static int map_statement(struct walk *walk, json_t *statement)
{
	return map_names(walk, json_object_get(statement, "Principal")) ||
			map_names(walk, json_object_get(statement, "NotPrincipal"))
		? -1
		: 0;
}

static int map_statements(struct walk *walk, json_t *statements)
{
	if (!json_is_array(statements))
		return map_statement(walk, statements);
	for (size_t i = 0; i < json_array_size(statements); i++)
		if (map_statement(walk, json_array_get(statements, i)))
			return -1;
	return 0;
}

static int map_document(struct walk *walk, const char *document, const char **mapped)
{
	json_t *root = json_loads(document, 0, NULL);
	*mapped = document;
	if (!root)
		return error_set(walk->err, ERROR_MALFORMED_POLICY_DOCUMENT, "The document is not JSON.");
	int failed = map_statements(walk, json_object_get(root, "Statement"));
	if (!failed && walk->changed) {
		char *text = json_dumps(root, JSON_COMPACT);
		*mapped = arena_strdup(walk->arena, text);
		free(text);
	}
	json_decref(root);
	return failed;
}

/* ---- from ARNs to ids ---- */

/* What a user's or role's ARN consists of. */
struct parsed {
	const struct record_kind *kind;
	const char *account, *path, *name;
};

/* "arn:aws:iam::111122223333:user/path/name"; false: something else. */
static bool parse(struct arena *arena, const char *arn, struct parsed *parsed)
{
	static const char prefix[] = "arn:aws:iam::";
	if (!text_starts_with(arn, prefix) || strlen(arn) < sizeof prefix + ACCOUNT_DIGITS)
		return false;
	const char *account = arn + sizeof prefix - 1, *rest = account + ACCOUNT_DIGITS;
	bool user = text_starts_with(rest, ":user/"), role = text_starts_with(rest, ":role/");
	if (!user && !role)
		return false;
	const char *path = strchr(rest, '/'), *name = strrchr(rest, '/') + 1;
	*parsed = (struct parsed){ .kind = user ? &record_iam_user : &record_iam_role,
		.account = arena_strndup(arena, account, ACCOUNT_DIGITS),
		.path = arena_strndup(arena, path, (size_t)(name - path)),
		.name = name };
	return true;
}

static const char *small_letters(struct arena *arena, const char *text)
{
	char *small = arena_strdup(arena, text);
	for (char *c = small; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return small;
}

static bool is_at(const struct record_kind *kind, const void *record, const struct parsed *parsed)
{
	const struct iam_user_record *user = record;
	const struct iam_role_record *role = record;
	return kind == &record_iam_user
		? strcmp(user->name, parsed->name) == 0 && strcmp(user->path, parsed->path) == 0
		: strcmp(role->name, parsed->name) == 0 && strcmp(role->path, parsed->path) == 0;
}

int policy_principal_id(
	struct amid *amid, struct arena *arena, const char *arn, const char **id, struct error *err)
{
	struct parsed parsed;
	struct meta_rows rows = { 0 };
	*id = NULL;
	if (!parse(arena, arn, &parsed))
		return 0;
	struct meta_query query = { .account = parsed.account,
		.region = "",
		.index = "key",
		.value = small_letters(arena, parsed.name),
		.limit = 1 };
	if (meta_list(amid->meta, parsed.kind, &query, arena, &rows, err))
		return -1;
	if (rows.count && is_at(parsed.kind, rows.items[0], &parsed))
		*id = ((struct record *)rows.items[0])->id;
	return 0;
}

static int to_id(struct walk *walk, const char *text, const char **id)
{
	struct parsed parsed;
	struct account_record *account;
	const char *found;
	if (!parse(walk->arena, text, &parsed))
		return 0;
	if (meta_get(walk->amid->meta, &record_account, "", "", parsed.account, walk->arena, &account,
		    walk->err))
		return -1;
	if (!account)
		return 0;
	if (policy_principal_id(walk->amid, walk->arena, text, &found, walk->err))
		return -1;
	if (!found)
		return error_set(walk->err, ERROR_MALFORMED_POLICY_DOCUMENT,
			"Invalid principal in policy: \"AWS\":\"%.300s\"", text);
	*id = found;
	return 0;
}

int policy_principals_keep(
	struct amid *amid, struct arena *arena, const char *document, const char **kept, struct error *err)
{
	struct walk walk = { .amid = amid, .arena = arena, .err = err, .map = to_id };
	return map_document(&walk, document, kept);
}

/* ---- and back ---- */

static int to_arn(struct walk *walk, const char *text, const char **arn)
{
	struct iam_user_record *user = NULL;
	struct iam_role_record *role = NULL;
	if (text_starts_with(text, "AIDA") &&
		meta_get_any(walk->amid->meta, &record_iam_user, "", text, walk->arena, &user, walk->err))
		return -1;
	if (text_starts_with(text, "AROA") &&
		meta_get_any(walk->amid->meta, &record_iam_role, "", text, walk->arena, &role, walk->err))
		return -1;
	if (user)
		*arn = arena_printf(walk->arena, "arn:aws:iam::%s:user%s%s", user->record.account, user->path,
			user->name);
	if (role)
		*arn = arena_printf(walk->arena, "arn:aws:iam::%s:role%s%s", role->record.account, role->path,
			role->name);
	return 0;
}

int policy_principals_show(
	struct amid *amid, struct arena *arena, const char *document, const char **shown, struct error *err)
{
	struct walk walk = { .amid = amid, .arena = arena, .err = err, .map = to_arn };
	*shown = document;
	if (!strstr(document, "\"AIDA") && !strstr(document, "\"AROA"))
		return 0; /* nobody is named: as it was written */
	return map_document(&walk, document, shown);
}
