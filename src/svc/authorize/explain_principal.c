/* Principals by their ARNs. No state; runs on the thread of the call. */
#include "svc/authorize/explain_principal.h"

#include <ctype.h>
#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "base/banned.h"

enum { ACCOUNT_DIGITS = 12 };
static const char session_name[] = "explain";

struct parsed {
	const char *account;
	const char *what; /* "root", "user", "role", "assumed-role" */
	const char *name; /* of the user or role, without its path; NULL: none */
	const char *session;
};

static int refuse(const char *arn, const char *why, struct error *err)
{
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "The principal %.200s %s.", arn, why);
}

/* arn:aws:iam::ACCOUNT:WHAT/PATH/NAME, arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION */
static int parse(const char *arn, struct arena *arena, struct parsed *parsed, struct error *err)
{
	static const char no_arn[] =
		"is not the ARN of a user, a role, a role's session or an account's root";
	size_t count;
	char **parts = text_split(arena, arn, ':', &count);
	if (count != 6 || strcmp(parts[0], "arn") != 0 || strcmp(parts[1], "aws") != 0 ||
		strlen(parts[4]) != ACCOUNT_DIGITS)
		return refuse(arn, no_arn, err);
	*parsed = (struct parsed){ .account = parts[4] };
	char **names = text_split(arena, parts[5], '/', &count);
	parsed->what = names[0];
	bool sts = strcmp(parts[2], "sts") == 0;
	if (sts && strcmp(parsed->what, "assumed-role") == 0 && count == 3) {
		parsed->name = names[1];
		parsed->session = names[2];
		return 0;
	}
	if (sts || strcmp(parts[2], "iam") != 0)
		return refuse(arn, no_arn, err);
	if (count > 1)
		parsed->name = names[count - 1];
	bool root = strcmp(parsed->what, "root") == 0;
	bool entity = strcmp(parsed->what, "user") == 0 || strcmp(parsed->what, "role") == 0;
	return root == !parsed->name && (root || entity) ? 0 : refuse(arn, no_arn, err);
}

static int find(struct amid *amid, const struct record_kind *kind, const struct parsed *parsed,
	struct arena *arena, void **record, struct error *err)
{
	char *key = arena_strdup(arena, parsed->name);
	struct meta_rows rows;
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	struct meta_query query = { .account = parsed->account, .region = "", .index = "key", .value = key };
	if (meta_list(amid->meta, kind, &query, arena, &rows, err))
		return -1;
	*record = rows.count ? rows.items[0] : NULL;
	return 0;
}

static int find_user(struct amid *amid, const char *arn, const struct parsed *parsed, struct arena *arena,
	struct principal *principal, struct error *err)
{
	void *found;
	if (find(amid, &record_iam_user, parsed, arena, &found, err))
		return -1;
	const struct iam_user_record *user = found;
	if (!user)
		return refuse(arn, "is nobody here", err);
	principal->type = PRINCIPAL_USER;
	principal->id = user->record.id;
	principal->user_name = user->name;
	principal->arn = arena_printf(arena, "arn:aws:iam::%s:user%s%s", parsed->account,
		user->path ? user->path : "/", user->name);
	return 0;
}

static int find_role(struct amid *amid, const char *arn, const struct parsed *parsed, struct arena *arena,
	struct principal *principal, struct error *err)
{
	void *found;
	if (find(amid, &record_iam_role, parsed, arena, &found, err))
		return -1;
	const struct iam_role_record *role = found;
	if (!role)
		return refuse(arn, "is nobody here", err);
	principal->type = PRINCIPAL_ROLE_SESSION;
	principal->session_name = parsed->session ? parsed->session : session_name;
	principal->temporary = true;
	principal->issuer_id = role->record.id;
	principal->issuer_arn = arena_printf(arena, "arn:aws:iam::%s:role%s%s", parsed->account,
		role->path ? role->path : "/", role->name);
	principal->id = arena_printf(arena, "%s:%s", role->record.id, principal->session_name);
	principal->arn = arena_printf(arena, "arn:aws:sts::%s:assumed-role/%s/%s", parsed->account,
		role->name, principal->session_name);
	return 0;
}

static int find_root(struct amid *amid, const char *arn, const struct parsed *parsed, struct arena *arena,
	struct principal *principal, struct error *err)
{
	struct account_record *account;
	if (meta_get(amid->meta, &record_account, "", "", parsed->account, arena, &account, err))
		return -1;
	if (!account)
		return refuse(arn, "is nobody here", err);
	principal->type = PRINCIPAL_ROOT;
	principal->id = parsed->account;
	principal->arn = arn;
	return 0;
}

int explain_find_principal(struct amid *amid, const char *arn, struct arena *arena,
	const struct principal **principal, struct error *err)
{
	struct parsed parsed;
	struct principal *made = arena_alloc(arena, sizeof *made);
	*principal = made;
	if (parse(arn, arena, &parsed, err))
		return -1;
	made->account = parsed.account;
	if (!parsed.name)
		return find_root(amid, arn, &parsed, arena, made, err);
	return strcmp(parsed.what, "user") == 0 ? find_user(amid, arn, &parsed, arena, made, err)
						: find_role(amid, arn, &parsed, arena, made, err);
}
