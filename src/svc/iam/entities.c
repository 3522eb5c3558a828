/* Users, groups, roles, policies and instance profiles as one kind of thing: found, listed, made, renamed, stored. No state; runs on the thread of the call. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "svc/iam/common.h"
#include "base/banned.h"

#define COMMON_MEMBERS(structure) \
	.name = offsetof(struct structure, name), .key = offsetof(struct structure, key), \
	.path = offsetof(struct structure, path), .created = offsetof(struct structure, created)

const struct iam_kind iam_users = { .records = &record_iam_user,
	.noun = "user",
	.parameter = "userName",
	.arn_type = "user",
	.id_prefix = "AIDA",
	COMMON_MEMBERS(iam_user_record),
	.boundary = offsetof(struct iam_user_record, boundary),
	.inline_policies = offsetof(struct iam_user_record, inline_policies),
	.attached_policies = offsetof(struct iam_user_record, attached_policies),
	.tags = offsetof(struct iam_user_record, tags),
	.in_account = 5000,
	.quota = "UsersPerAccount",
	.inline_size = 2048 };

const struct iam_kind iam_groups = { .records = &record_iam_group,
	.noun = "group",
	.parameter = "groupName",
	.arn_type = "group",
	.id_prefix = "AGPA",
	COMMON_MEMBERS(iam_group_record),
	.inline_policies = offsetof(struct iam_group_record, inline_policies),
	.attached_policies = offsetof(struct iam_group_record, attached_policies),
	.in_account = 300,
	.quota = "GroupsPerAccount",
	.inline_size = 5120 };

const struct iam_kind iam_roles = { .records = &record_iam_role,
	.noun = "role",
	.parameter = "roleName",
	.arn_type = "role",
	.id_prefix = "AROA",
	COMMON_MEMBERS(iam_role_record),
	.boundary = offsetof(struct iam_role_record, boundary),
	.inline_policies = offsetof(struct iam_role_record, inline_policies),
	.attached_policies = offsetof(struct iam_role_record, attached_policies),
	.tags = offsetof(struct iam_role_record, tags),
	.in_account = 1000,
	.quota = "RolesPerAccount",
	.inline_size = 10240 };

const struct iam_kind iam_policies = { .records = &record_iam_policy,
	.noun = "policy",
	.parameter = "policyName",
	.arn_type = "policy",
	.id_prefix = "ANPA",
	COMMON_MEMBERS(iam_policy_record),
	.tags = offsetof(struct iam_policy_record, tags),
	.in_account = 1500,
	.quota = "PoliciesPerAccount" };

const struct iam_kind iam_profiles = { .records = &record_instance_profile,
	.noun = "instance profile",
	.parameter = "instanceProfileName",
	.arn_type = "instance-profile",
	.id_prefix = "AIPA",
	COMMON_MEMBERS(instance_profile_record),
	.tags = offsetof(struct instance_profile_record, tags),
	.in_account = 1000,
	.quota = "InstanceProfilesPerAccount" };

struct iam_entity iam_entity_of(const struct iam_kind *kind, void *record)
{
	char *base = record;
#define OPTIONAL(offset) (kind->offset ? (void *)(base + kind->offset) : NULL)
	return (struct iam_entity){ .kind = kind,
		.record = record,
		.name = (void *)(base + kind->name),
		.key = (void *)(base + kind->key),
		.path = (void *)(base + kind->path),
		.created = (void *)(base + kind->created),
		.boundary = OPTIONAL(boundary),
		.inline_policies = OPTIONAL(inline_policies),
		.attached_policies = OPTIONAL(attached_policies),
		.tags = OPTIONAL(tags) };
#undef OPTIONAL
}

/* Names differ by more than the size of their letters. */
static const char *key_of(struct arena *arena, const char *name)
{
	char *key = arena_strdup(arena, name);
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return key;
}

static int find_key(
	struct call *call, const struct iam_kind *kind, const char *key, void **record, struct error *err)
{
	struct meta_rows rows = { 0 };
	struct meta_query query = {
		.account = call->account, .region = "", .index = "key", .value = key, .limit = 1
	};
	if (meta_list(call->amid->meta, kind->records, &query, call->arena, &rows, err))
		return -1;
	*record = rows.count ? rows.items[0] : NULL;
	return 0;
}

int iam_find(struct call *call, const struct iam_kind *kind, const char *name, struct iam_entity *found,
	struct error *err)
{
	void *record;
	if (iam_check_name(kind->parameter, name, err) ||
		find_key(call, kind, key_of(call->arena, name), &record, err))
		return -1;
	if (record) {
		*found = iam_entity_of(kind, record);
		if (strcmp(*found->name, name) == 0)
			return 0;
	}
	if (kind == &iam_profiles)
		return error_set(err, ERROR_NO_SUCH_ENTITY, "Instance Profile %s cannot be found.", name);
	return error_set(err, ERROR_NO_SUCH_ENTITY, "The %s with name %s cannot be found.", kind->noun, name);
}

int iam_find_id(struct call *call, const struct iam_kind *kind, const char *id, struct iam_entity *found,
	struct error *err)
{
	void *record;
	*found = (struct iam_entity){ .kind = kind };
	if (meta_get(call->amid->meta, kind->records, call->account, "", id, call->arena, &record, err))
		return -1;
	if (record)
		*found = iam_entity_of(kind, record);
	return 0;
}

static int compare_keys(const void *a, const void *b, void *context)
{
	const struct iam_kind *kind = context;
	struct iam_entity left = iam_entity_of(kind, *(void *const *)a),
			  right = iam_entity_of(kind, *(void *const *)b);
	return strcmp(*left.key, *right.key);
}

int iam_list(struct call *call, const struct iam_kind *kind, const char *index, const char *value,
	struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = "", .index = index, .value = value };
	*rows = (struct meta_rows){ 0 };
	if (meta_list(call->amid->meta, kind->records, &query, call->arena, rows, err))
		return -1;
	if (rows->count)
		qsort_r(rows->items, rows->count, sizeof *rows->items, compare_keys, (void *)kind);
	return 0;
}

char *iam_make_id(struct arena *arena, const char *prefix)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	char random[17 + 1] = "";
	text_random_bytes(random, sizeof random - 1);
	for (size_t i = 0; i < sizeof random - 1; i++)
		random[i] = letters[(unsigned char)random[i] % 32];
	return arena_printf(arena, "%s%s", prefix, random);
}

static int check_free(
	struct call *call, const struct iam_kind *kind, const char *name, const char *id, struct error *err)
{
	void *record;
	if (find_key(call, kind, key_of(call->arena, name), &record, err))
		return -1;
	if (!record || strcmp(((struct record *)record)->id, id) == 0)
		return 0;
	if (kind == &iam_policies)
		return error_set(err, ERROR_ENTITY_EXISTS,
			"A policy called %s already exists. Duplicate names are not allowed.", name);
	if (kind == &iam_profiles)
		return error_set(err, ERROR_ENTITY_EXISTS, "Instance Profile %s already exists.", name);
	return error_set(err, ERROR_ENTITY_EXISTS, "%c%s with name %s already exists.",
		toupper((unsigned char)kind->noun[0]), kind->noun + 1, name);
}

/* Two calls at once may pass it by one: the quota protects the server, not a promise. */
static int check_quota(struct call *call, const struct iam_kind *kind, struct error *err)
{
	struct meta_rows rows = { 0 };
	struct meta_query query = { .account = call->account, .region = "" };
	if (meta_list(call->amid->meta, kind->records, &query, call->arena, &rows, err))
		return -1;
	if (rows.count < kind->in_account)
		return 0;
	return error_set(
		err, ERROR_LIMIT_EXCEEDED, "Cannot exceed quota for %s: %u", kind->quota, kind->in_account);
}

int iam_begin(struct call *call, const struct iam_kind *kind, const char *name, const char *path,
	void *record, struct error *err)
{
	struct iam_entity made = iam_entity_of(kind, record);
	if (iam_check_name(kind->parameter, name, err) || (path && iam_check_path(path, err)) ||
		check_free(call, kind, name, "", err) || check_quota(call, kind, err))
		return -1;
	*made.record = (struct record){
		.account = call->account, .region = "", .id = iam_make_id(call->arena, kind->id_prefix)
	};
	*made.name = name;
	*made.key = key_of(call->arena, name);
	*made.path = path ? path : "/";
	*made.created = some_timestamp(clock_now_ms() / 1000 * 1000);
	return 0;
}

int iam_rename(
	struct call *call, struct iam_entity *entity, const char *name, const char *path, struct error *err)
{
	if ((name &&
		    (iam_check_name(entity->kind->parameter, name, err) ||
			    check_free(call, entity->kind, name, entity->record->id, err))) ||
		(path && iam_check_path(path, err)))
		return -1;
	if (name) {
		*entity->name = name;
		*entity->key = key_of(call->arena, name);
	}
	if (path)
		*entity->path = path;
	return 0;
}

const char *iam_arn(struct call *call, const struct iam_entity *entity)
{
	return arena_printf(call->arena, "arn:aws:iam::%s:%s%s%s", entity->record->account,
		entity->kind->arn_type, *entity->path, *entity->name);
}

struct meta_batch *iam_batch(struct call *call)
{
	return meta_batch_create(call->amid->meta, call->arena);
}

void iam_touch(struct meta_batch *batch, const struct iam_entity *entity)
{
	meta_batch_put(batch, entity->kind->records, entity->record);
}

int iam_commit(struct call *call, struct meta_batch *batch, struct error *err)
{
	if (meta_commit(call->amid->meta, batch, err) == 0)
		return 0;
	if (err->code == ERROR_DUPLICATE)
		err->code = ERROR_CONFLICT;
	return -1;
}

int iam_store(struct call *call, const struct iam_entity *entity, struct error *err)
{
	struct meta_batch *batch = iam_batch(call);
	iam_touch(batch, entity);
	return iam_commit(call, batch, err);
}
