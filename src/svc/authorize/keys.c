/*
 * Condition keys: finding one by name, and the global ones (aws:...) of the caller, the connection and the resource. A key is read when a condition asks for it: only then does it cost a look at a record. One that
 * has no value here is absent, which conditions tell from empty. No state; runs on the thread of the call.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "svc/authorize/internal.h"
#include "svc/organization.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

static void add(const struct asking *asking, struct texts *values, const char *text)
{
	if (text)
		*ARENA_APPEND(asking->arena, values->items, values->count) = text;
}

static void add_boolean(const struct asking *asking, struct texts *values, bool value)
{
	add(asking, values, value ? "true" : "false");
}

static void add_time(const struct asking *asking, struct texts *values, int64_t ms)
{
	char text[32];
	add(asking, values, arena_strdup(asking->arena, clock_format_iso8601(ms, text)));
}

#define READER(reader) \
	static int reader(const struct asking *asking, const struct key *key, const char *name, \
		struct texts *values, struct error *err)

/* ---- the connection ---- */

READER(read_source_ip)
{
	add(asking, values, asking->call ? asking->call->source_ip : NULL);
	return 0;
}

READER(read_user_agent)
{
	add(asking, values, asking->call ? asking->call->user_agent : NULL);
	return 0;
}

READER(read_referer)
{
	add(asking, values, asking->call ? asking->call->referer : NULL);
	return 0;
}

READER(read_secure)
{
	if (asking->call)
		add_boolean(asking, values, asking->call->secure);
	return 0;
}

READER(read_region)
{
	add(asking, values, asking->call ? asking->call->region : NULL);
	return 0;
}

READER(read_now)
{
	add_time(asking, values, clock_now_ms());
	return 0;
}

READER(read_epoch)
{
	add(asking, values, arena_printf(asking->arena, "%lld", (long long)(clock_now_ms() / 1000)));
	return 0;
}

/* No service of amid calls another with its caller's credentials. */
READER(read_false)
{
	add(asking, values, "false");
	return 0;
}

/* ---- the caller ---- */

READER(read_principal_arn)
{
	const struct principal *principal = asking->principal;
	add(asking, values,
		principal->type == PRINCIPAL_ROLE_SESSION && principal->issuer_arn ? principal->issuer_arn
										   : principal->arn);
	return 0;
}

READER(read_principal_account)
{
	add(asking, values, asking->principal->account);
	return 0;
}

READER(read_principal_type)
{
	static const char *const names[] = { [PRINCIPAL_ROOT] = "Account",
		[PRINCIPAL_USER] = "User",
		[PRINCIPAL_ROLE_SESSION] = "AssumedRole",
		[PRINCIPAL_FEDERATED_USER] = "FederatedUser",
		[PRINCIPAL_SERVICE] = "Service" };
	add(asking, values, names[asking->principal->type]);
	return 0;
}

READER(read_principal_is_service)
{
	add_boolean(asking, values, asking->principal->type == PRINCIPAL_SERVICE);
	return 0;
}

READER(read_userid)
{
	add(asking, values, asking->principal->id);
	return 0;
}

READER(read_username)
{
	add(asking, values, asking->principal->user_name);
	return 0;
}

READER(read_source_identity)
{
	add(asking, values, asking->principal->source_identity);
	return 0;
}

READER(read_token_time)
{
	if (asking->principal->temporary)
		add_time(asking, values, asking->principal->issued_ms);
	return 0;
}

/* Long-lived credentials do not have these two. */
READER(read_mfa)
{
	if (asking->principal->temporary)
		add_boolean(asking, values, asking->principal->mfa);
	return 0;
}

READER(read_mfa_age)
{
	const struct principal *principal = asking->principal;
	if (principal->temporary && principal->mfa)
		add(asking, values,
			arena_printf(asking->arena, "%lld",
				(long long)((clock_now_ms() - principal->issued_ms) / 1000)));
	return 0;
}

/* Where an instance's own credentials were given out. */
READER(read_source_instance)
{
	const struct principal_instance *instance = asking->principal->instance;
	if (instance)
		add(asking, values,
			strcmp(key->member, "vpc") == 0                ? instance->vpc
				: strcmp(key->member, "address") == 0  ? instance->private_address
				: strcmp(key->member, "delivery") == 0 ? instance->delivery
								       : instance->arn);
	return 0;
}

/* The caller's user or role; NULL: it has none. */
static int read_entity(const struct asking *asking, const struct record_tag_list **tags, struct error *err)
{
	const struct principal *principal = asking->principal;
	bool role = principal->type == PRINCIPAL_ROLE_SESSION;
	const char *id = role                                 ? principal->issuer_id
		: principal->type == PRINCIPAL_USER           ? principal->id
		: principal->type == PRINCIPAL_FEDERATED_USER ? principal->issuer_id
							      : NULL;
	void *record = NULL;
	*tags = NULL;
	if (!id)
		return 0;
	if (meta_get(asking->amid->meta, role ? &record_iam_role : &record_iam_user, principal->account, "",
		    id, asking->arena, &record, err))
		return -1;
	if (record)
		*tags = role ? &((struct iam_role_record *)record)->tags
			     : &((struct iam_user_record *)record)->tags;
	return 0;
}

/* Tags of the session go before those of the user or role. */
READER(read_principal_tag)
{
	const struct principal *principal = asking->principal;
	const struct record_tag_list *tags;
	for (size_t i = 0; i < principal->session_tag_count; i++)
		if (strcasecmp(principal->session_tags[i].key, name) == 0) {
			add(asking, values, principal->session_tags[i].value);
			return 0;
		}
	if (read_entity(asking, &tags, err))
		return -1;
	for (size_t i = 0; tags && i < tags->count; i++)
		if (strcasecmp(tags->items[i].key, name) == 0) {
			add(asking, values, tags->items[i].value ? tags->items[i].value : "");
			return 0;
		}
	return 0;
}

/* ---- organizations ---- */

static int add_organization(
	const struct asking *asking, const char *account, bool path, struct texts *values, struct error *err)
{
	struct organization_path found;
	if (!account)
		return 0;
	if (organizations_path(asking->amid, account, asking->arena, &found, err))
		return -1;
	if (found.organization)
		add(asking, values, path ? found.path : found.organization);
	return 0;
}

READER(read_principal_organization)
{
	return add_organization(asking, asking->principal->account, key->member, values, err);
}

/* ---- the resource ---- */

/* Loads the target, so that its owner and tags are known. */
static int load(const struct asking *asking, struct error *err)
{
	return asking->call && asking->target ? target_load(asking->call, asking->target, err) : 0;
}

static int find_owner(const struct asking *asking, const char **owner, struct error *err)
{
	if (load(asking, err))
		return -1;
	*owner = asking->target && asking->call ? target_owner(asking->call, asking->target)
						: asking->resource_account;
	return 0;
}

READER(read_resource_account)
{
	const char *owner;
	if (find_owner(asking, &owner, err))
		return -1;
	add(asking, values, owner);
	return 0;
}

READER(read_resource_organization)
{
	const char *owner;
	if (find_owner(asking, &owner, err))
		return -1;
	return add_organization(asking, owner, key->member, values, err);
}

/* Tags are their owner's: those that another account has put on what it shares say nothing here. Tags of something that is to be made are the request's. */
READER(read_resource_tag)
{
	const struct target *target = asking->target;
	if (load(asking, err))
		return -1;
	if (!target || !target->id || !target->record ||
		strcmp(((const struct record *)target->record)->account, asking->principal->account) != 0)
		return 0;
	const struct shape *shape;
	const struct record_tag_list *tags =
		walk_field(resource_kinds[target->type].record->shape, target->record, "tags", &shape);
	for (size_t i = 0; tags && i < tags->count; i++)
		if (strcasecmp(tags->items[i].key, name) == 0) {
			add(asking, values, tags->items[i].value ? tags->items[i].value : "");
			return 0;
		}
	return 0;
}

const struct key keys_global[] = {
	{ "aws:SourceIp", 0, read_source_ip },
	{ "aws:UserAgent", 0, read_user_agent },
	{ "aws:Referer", 0, read_referer },
	{ "aws:SecureTransport", 0, read_secure },
	{ "aws:RequestedRegion", 0, read_region },
	{ "aws:CurrentTime", 0, read_now },
	{ "aws:EpochTime", 0, read_epoch },
	{ "aws:ViaAWSService", 0, read_false },
	{ "aws:PrincipalArn", 0, read_principal_arn },
	{ "aws:PrincipalAccount", 0, read_principal_account },
	{ "aws:PrincipalType", 0, read_principal_type },
	{ "aws:PrincipalIsAWSService", 0, read_principal_is_service },
	{ "aws:PrincipalOrgID", 0, read_principal_organization },
	{ "aws:PrincipalOrgPaths", 0, read_principal_organization, "path" },
	{ "aws:PrincipalTag/", 0, read_principal_tag },
	{ "aws:userid", 0, read_userid },
	{ "aws:username", 0, read_username },
	{ "aws:SourceIdentity", 0, read_source_identity },
	{ "aws:TokenIssueTime", 0, read_token_time },
	{ "aws:MultiFactorAuthPresent", 0, read_mfa },
	{ "aws:MultiFactorAuthAge", 0, read_mfa_age },
	{ "aws:Ec2InstanceSourceVpc", 0, read_source_instance, "vpc" },
	{ "aws:Ec2InstanceSourcePrivateIPv4", 0, read_source_instance, "address" },
	{ "ec2:SourceInstanceARN", 0, read_source_instance, "arn" },
	{ "ec2:RoleDelivery", 0, read_source_instance, "delivery" },
	{ "aws:ResourceAccount", 0, read_resource_account },
	{ "aws:ResourceOrgID", 0, read_resource_organization },
	{ "aws:ResourceOrgPaths", 0, read_resource_organization, "path" },
	{ "aws:ResourceTag/", 0, read_resource_tag },
	{ "ec2:ResourceTag/", 0, read_resource_tag },
	{ "iam:ResourceTag/", 0, read_resource_tag },
	{ NULL },
};

/* ---- finding them ---- */

/* Whether a key is the one asked for; *rest is what stands behind its /. */
static bool is_key(const struct key *key, const char *asked, const char **rest)
{
	size_t size = strlen(key->name);
	*rest = asked + size;
	return key->name[size - 1] == '/' ? strncasecmp(key->name, asked, size) == 0 && asked[size]
					  : strcasecmp(key->name, asked) == 0;
}

static bool is_about(const struct key *key, const struct target *target)
{
	return !key->types || (target && key->types & 1U << target->type);
}

static const struct key *const tables[] = { keys_global, keys_request, keys_ec2 };

int keys_read(const struct asking *asking, const char *name, struct texts *values, struct error *err)
{
	for (size_t i = 0; i < asking->given_count; i++)
		if (strcasecmp(asking->given[i].name, name) == 0) {
			for (size_t j = 0; j < asking->given[i].value_count; j++)
				add(asking, values, asking->given[i].values[j]);
			return 0;
		}
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct key *key = tables[i]; key->name; key++) {
			const char *rest;
			if (is_key(key, name, &rest) && is_about(key, asking->target))
				return key->read(asking, key, rest, values, err);
		}
	return 0;
}

static void add_key(const struct asking *asking, const char *name, const struct texts *values,
	struct policy_context_key **context, size_t *count)
{
	if (values->count)
		*ARENA_APPEND(asking->arena, *context, *count) = (struct policy_context_key){
			.name = name, .values = values->items, .value_count = values->count
		};
}

int keys_context(const struct asking *asking, const struct texts *names, struct policy_context_key **context,
	size_t *count, struct error *err)
{
	*context = NULL;
	*count = 0;
	for (size_t i = 0; i < names->count; i++) {
		struct texts values = { 0 };
		if (keys_read(asking, names->items[i], &values, err))
			return -1;
		add_key(asking, names->items[i], &values, context, count);
	}
	return 0;
}

/* Names of keys that have a name behind them are those of the tags that there are. */
static int add_tag_keys(const struct asking *asking, const char *prefix, const struct texts *names,
	struct policy_context_key **context, size_t *count, struct error *err)
{
	for (size_t i = 0; i < names->count; i++) {
		struct texts values = { 0 };
		const char *name = arena_printf(asking->arena, "%s%s", prefix, names->items[i]);
		if (keys_read(asking, name, &values, err))
			return -1;
		add_key(asking, name, &values, context, count);
	}
	return 0;
}

int keys_context_all(
	const struct asking *asking, struct policy_context_key **context, size_t *count, struct error *err)
{
	struct texts names = { 0 }, tags = { 0 }, sent = { 0 };
	for (size_t i = 0; i < asking->given_count; i++)
		add(asking, &names, asking->given[i].name);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct key *key = tables[i]; key->name; key++)
			if (key->name[strlen(key->name) - 1] != '/' && is_about(key, asking->target))
				add(asking, &names, key->name);
	if (keys_context(asking, &names, context, count, err) || load(asking, err) ||
		keys_read(asking, "aws:TagKeys", &sent, err))
		return -1;
	if (asking->target && asking->target->id && asking->target->record)
		walk_texts(resource_kinds[asking->target->type].record->shape, asking->target->record,
			"tags.key", asking->arena, &tags);
	return add_tag_keys(asking, "aws:ResourceTag/", &tags, context, count, err) ||
			add_tag_keys(asking, "aws:RequestTag/", &sent, context, count, err)
		? -1
		: 0;
}
