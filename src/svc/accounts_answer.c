/* /_amid/accounts. Runs on the thread of the call; nothing is owned here. */
#include "svc/accounts_answer.h"

#include <stdlib.h>
#include <string.h>

#include "api/records.h"
#include "base/log.h"
#include "svc/accounts.h"
#include "svc/root_keys.h"
#include "base/banned.h"

enum { NAME_MAX_SIZE = 50, EMAIL_MAX_SIZE = 64, TRIES = 8 };

/* *owner becomes the operator's account, if its root is who calls. */
static int check_caller(struct call *call, struct account_record **owner, struct error *err)
{
	if (accounts_find_operator(call->amid, call->arena, owner, err))
		return -1;
	if (*owner && call->principal && call->principal->type == PRINCIPAL_ROOT &&
		strcmp((*owner)->record.id, call->account) == 0)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED,
		"Accounts are for the root of the operator's account only: use DATA/root-credentials.");
}

static int list(struct call *call, json_t **result, struct error *err)
{
	struct meta_rows rows;
	if (meta_list(call->amid->meta, &record_account, NULL, call->arena, &rows, err))
		return -1;
	json_t *accounts = json_array();
	for (size_t i = 0; i < rows.count; i++) {
		const struct account_record *account = rows.items[i];
		json_t *keys;
		if (root_keys_list(call, account->record.id, &keys, err)) {
			json_decref(accounts);
			return -1;
		}
		json_array_append_new(accounts,
			json_pack("{s:s, s:s?, s:s?, s:s?, s:s?, s:I, s:b, s:b, s:o}", "id",
				account->record.id, "name", account->name, "email", account->email, "alias",
				account->alias, "organization", account->organization, "created_ms",
				(json_int_t)account->created.ms, "suspended",
				boolean_or(account->suspended, false), "operator",
				boolean_or(account->is_operator, false), "root_keys", keys));
	}
	*result = json_pack("{s:o}", "accounts", accounts);
	return 0;
}

/* The name becomes that of a profile in a file of credentials. */
static bool is_name(const char *text)
{
	size_t size = strlen(text);
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~' || strchr("[]", *p))
			return false;
	return size >= 1 && size <= NAME_MAX_SIZE && text[0] != ' ' && text[size - 1] != ' ';
}

static bool is_email(const char *text)
{
	const char *at = strchr(text, '@');
	return strlen(text) <= EMAIL_MAX_SIZE && at && at > text && at[1] && !strpbrk(text, " \t\r\n");
}

static int read_plan(struct call *call, const struct http_request *http, struct account_plan *plan,
	bool *joins, struct error *err)
{
	json_t *body = json_loadb(http->body, http->body_size, 0, NULL);
	const char *name = json_string_value(json_object_get(body, "name")),
		   *email = json_string_value(json_object_get(body, "email"));
	int result = 0;
	if (!name || !is_name(name))
		result = error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The body must be {\"name\":\"...\"}: 1 to %d printable characters, no brackets, no space at the ends.",
			NAME_MAX_SIZE);
	else if (email && !is_email(email))
		result = error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "The email is no address: %.64s", email);
	*plan = (struct account_plan){ .name = arena_strdup(call->arena, name),
		.email = arena_strdup(call->arena, email),
		.root_key = true };
	*joins = json_is_true(json_object_get(body, "organization"));
	json_decref(body);
	return result;
}

/* The operator's organization, if its account is the management account of one. */
static int find_organization(struct call *call, const struct account_record *owner,
	struct organization_record **organization, struct error *err)
{
	*organization = NULL;
	if (owner->organization &&
		meta_get(call->amid->meta, &record_organization, owner->record.id, "", owner->organization,
			call->arena, organization, err))
		return -1;
	return *organization
		? 0
		: error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			  "The operator's account %s manages no organization.", owner->record.id);
}

/* As one change of the organization, if it joins that: see record organization. */
static int put_account(struct call *call, const struct account_record *owner, struct account_plan *plan,
	bool joins, struct account_made *made, struct error *err)
{
	struct organization_record *organization = NULL;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (joins && find_organization(call, owner, &organization, err))
		return -1;
	plan->organization = organization;
	if (accounts_plan(call->amid, batch, NULL, plan, call->arena, made, err))
		return -1;
	if (organization)
		meta_batch_put(batch, &record_organization, organization);
	return meta_commit(call->amid->meta, batch, err);
}

static int create(struct call *call, const struct account_record *owner, const struct http_request *http,
	json_t **result, struct error *err)
{
	struct account_plan plan;
	struct account_made made;
	bool joins;
	if (read_plan(call, http, &plan, &joins, err))
		return -1;
	for (int tries = 1; put_account(call, owner, &plan, joins, &made, err); tries++)
		if ((err->code != ERROR_DUPLICATE && err->code != ERROR_CONFLICT) || tries == TRIES)
			return -1;
	log_info("account-created", "account=%s", made.id);
	if (accounts_make_networks(call->amid, made.id, err))
		return -1;
	*result = json_pack("{s:s, s:s, s:s, s:s}", "id", made.id, "name", plan.name, "access_key_id",
		made.access_key_id, "secret_access_key", made.secret);
	return 0;
}

int accounts_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err)
{
	struct account_record *owner;
	if (check_caller(call, &owner, err))
		return -1;
	if (strcmp(http->method, "GET") == 0)
		return list(call, result, err);
	if (strcmp(http->path, ACCOUNTS_KEY_PATH) == 0)
		return root_keys_answer(call, http, result, err);
	return create(call, owner, http, result, err);
}
