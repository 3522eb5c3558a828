/*
 * From an operation's rules and its decoded request to the resources that it acts on. Their records are read when something asks for them, at most once; only what an ARN is made of is read at once (names of
 * key pairs, paths of IAM's entities). Runs on the thread of the call.
 */
#include <stdlib.h>
#include <string.h>
#include <ctype.h>

#include "svc/authorize/internal.h"
#include "svc/sharing.h"
#include "base/text.h"
#include "base/banned.h"

enum { TARGETS_MAX = 2000 }; /* no request names more; one that does is refused */

char *target_make_arn(
	struct call *call, enum resource_type type, const char *region, const char *owner, const char *id)
{
	const struct resource_kind *kind = &resource_kinds[type];
	if (type == RESOURCE_ANY)
		return arena_strdup(call->arena, "*");
	return arena_printf(call->arena, "arn:aws:%s:%s:%s:%s/%s", kind->service,
		kind->global     ? ""
			: region ? region
				 : call->region,
		kind->public_arn ? ""
			: owner  ? owner
				 : call->account,
		kind->name, id ? id : "*");
}

struct target *target_add(
	struct target_list *list, enum resource_type type, const char *id, const void *record)
{
	struct call *call = list->call;
	struct target *target = ARENA_APPEND(call->arena, list->items, list->count);
	*target = (struct target){
		.action = arena_printf(call->arena, "%s:%s", list->service, list->operation->shape->name),
		.type = type,
		.id = id,
		.arn = target_make_arn(call, type, NULL, NULL, id),
		.loaded = !id || record,
		.record = record,
	};
	return target;
}

/* "/dept/" and "bob" make dept/bob. */
static const char *join_path(struct call *call, const char *path, const char *name)
{
	if (!path || !*path || strcmp(path, "/") == 0)
		return name;
	return arena_printf(call->arena, "%s%s", path + (*path == '/'), name);
}

static const char *lower(struct call *call, const char *text)
{
	char *result = arena_strdup(call->arena, text);
	for (char *c = result; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return result;
}

static int find_by_name(struct call *call, const struct resource_kind *kind, const char *name,
	const void **record, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account,
		.region = kind->global ? "" : call->region,
		.index = kind->index,
		.value = kind->global ? lower(call, name) : name,
	};
	*record = NULL;
	if (meta_list(call->amid->meta, kind->record, &query, call->arena, &rows, err))
		return -1;
	if (rows.count)
		*record = rows.items[0];
	return 0;
}

/* What the ARN of something that has a name ends with. */
static const char *arn_end(
	struct call *call, const struct resource_kind *kind, const void *record, const char *name)
{
	if (!kind->arn_member)
		return record ? ((const struct record *)record)->id : name;
	if (!record)
		return name;
	name = walk_text(kind->record->shape, record, "name", call->arena);
	if (strcmp(kind->arn_member, "path") != 0)
		return name;
	return join_path(call, walk_text(kind->record->shape, record, "path", call->arena), name);
}

int target_add_name(struct target_list *list, enum resource_type type, const char *name, struct error *err)
{
	const struct resource_kind *kind = &resource_kinds[type];
	const void *record;
	if (find_by_name(list->call, kind, name, &record, err))
		return -1;
	struct target *target = target_add(list, type, name, record);
	target->arn = target_make_arn(list->call, type, NULL, NULL, arn_end(list->call, kind, record, name));
	target->loaded = true;
	return 0;
}

/* What another account does not share is not there, for conditions either: else denials would tell of it. */
static int hide_unshared(
	struct call *call, enum resource_type type, const char *region, void **found, struct error *err)
{
	struct sharing *view;
	enum sharing_way way = SHARING_NONE;
	if (!*found || strcmp(((const struct record *)*found)->account, call->account) == 0)
		return 0;
	if (sharing_open(call->amid, call->account, region, call->arena, &view, err))
		return -1;
	if (type == RESOURCE_IMAGE)
		way = sharing_image_way(view, *found);
	else if (sharing_snapshot_way(view, *found, &way, err))
		return -1;
	if (way == SHARING_NONE)
		*found = NULL;
	return 0;
}

int target_load(struct call *call, struct target *target, struct error *err)
{
	const struct resource_kind *kind = &resource_kinds[target->type];
	if (target->loaded || !kind->record)
		return 0;
	/* images and snapshots may be others' that are shared: who may see them is the handler's question, what they are this one's */
	void *found = NULL;
	const char *region = target->region ? target->region : call->region;
	int result = kind->public_arn
		? meta_get_any(call->amid->meta, kind->record, region, target->id, call->arena, &found, err)
		: meta_get(call->amid->meta, kind->record, call->account, region, target->id, call->arena,
			  &found, err);
	if (result == 0 && kind->public_arn)
		result = hide_unshared(call, target->type, region, &found, err);
	target->record = found;
	target->loaded = result == 0;
	return result;
}

const char *target_owner(struct call *call, const struct target *target)
{
	if (target->type == RESOURCE_ANY)
		return NULL;
	if (!target->id || !resource_kinds[target->type].public_arn)
		return call->account;
	return target->record ? ((const struct record *)target->record)->account : NULL;
}

/* An existing one by its id; key pairs have their name in the ARN. */
static int add_id(struct target_list *list, enum resource_type type, const char *id, struct error *err)
{
	struct target *target = target_add(list, type, id, NULL);
	if (!resource_kinds[type].arn_member)
		return 0;
	if (target_load(list->call, target, err))
		return -1;
	target->arn = target_make_arn(
		list->call, type, NULL, NULL, arn_end(list->call, &resource_kinds[type], target->record, id));
	return 0;
}

/* An ARN as it was given; of a kind whose ARN ends with its id the record can be found by it. */
static void add_arn(struct target_list *list, enum resource_type type, const char *arn)
{
	const char *slash = strrchr(arn, '/');
	struct target *target = target_add(list, type, slash ? slash + 1 : arn, NULL);
	target->arn = arn;
	target->loaded = resource_kinds[type].arn_member != NULL;
}

static int add_tagged(struct target_list *list, const char *id, struct error *err)
{
	enum resource_type type = resource_type_of_id(id);
	if (type != RESOURCE_ANY)
		return add_id(list, type, id, err);
	/* what kind it is nobody knows: only a policy for everything allows that; the handler will say that there is no such thing */
	target_add(list, RESOURCE_ANY, NULL, NULL);
	return 0;
}

static void add_new_named(struct target_list *list, const struct rule *rule, const char *name)
{
	const struct shape *shape = list->operation->shape->input;
	const char *path = walk_text(shape, list->input, "Path", list->call->arena);
	struct target *target = target_add(list, rule->type, NULL, NULL);
	target->arn = target_make_arn(list->call, rule->type, NULL, NULL, join_path(list->call, path, name));
}

/* ... of the rules that look at a member. */
static int add_value(struct target_list *list, const struct rule *rule, const char *value, struct error *err)
{
	switch (rule->how) {
	case RULE_NAME:
	case RULE_NAME_OR_SELF:
		return target_add_name(list, rule->type, value, err);
	case RULE_ARN:
		add_arn(list, rule->type, value);
		return 0;
	case RULE_NEW_NAMED:
		add_new_named(list, rule, value);
		return 0;
	case RULE_TAGGED:
		return add_tagged(list, value, err);
	default:
		return add_id(list, rule->type, value, err);
	}
}

/* The same action on other resources than before. */
static void add_action(struct target_list *list, const char *action, const char *create_action)
{
	for (size_t i = 0, count = list->count; i < count; i++) {
		struct target other = list->items[i];
		if (other.id)
			continue; /* only what is made is tagged */
		other.action = action;
		other.create_action = create_action;
		*ARENA_APPEND(list->call->arena, list->items, list->count) = other;
	}
}

static int apply_member(struct target_list *list, const struct rule *rule, struct error *err)
{
	struct texts values = { 0 };
	const struct principal *principal = list->call->principal;
	walk_texts(list->operation->shape->input, list->input, rule->member, list->call->arena, &values);
	if (values.count == 0 && rule->how == RULE_NAME_OR_SELF && principal->user_name)
		return target_add_name(list, RESOURCE_USER, principal->user_name, err);
	if (values.count == 0 && rule->how == RULE_ID_OR_EVERY)
		target_add(list, rule->type, NULL, NULL);
	if (values.count > TARGETS_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "The request names too many resources.");
	for (size_t i = 0; i < values.count; i++) {
		size_t first = list->count;
		if (add_value(list, rule, values.items[i], err))
			return -1;
		for (size_t j = first; rule->action && j < list->count; j++)
			list->items[j].action = rule->action;
	}
	return 0;
}

static int apply(struct target_list *list, const struct rule *rule, struct error *err)
{
	const struct shape *shape = list->operation->shape->input;
	const struct shape *tags;
	switch (rule->how) {
	case RULE_NEW:
	case RULE_EVERY:
		target_add(list, rule->type, NULL, NULL);
		return 0;
	case RULE_FIND:
		return rule->find(list, err);
	case RULE_TAGS_WITH:
		if (walk_field(shape, list->input, rule->member, &tags))
			add_action(list, rule->action, list->operation->shape->name);
		return 0;
	case RULE_END:
	case RULE_FREE:
	case RULE_BY_HANDLER:
		return 0;
	default:
		return apply_member(list, rule, err);
	}
}

/* Tags that come with something new: ec2:CreateTags on it, with the operation as ec2:CreateAction. */
static void add_tag_specifications(struct target_list *list)
{
	struct call *call = list->call;
	struct texts types = { 0 };
	walk_texts(list->operation->shape->input, list->input, "TagSpecifications.ResourceType", call->arena,
		&types);
	for (size_t i = 0; i < types.count; i++) {
		enum resource_type type = resource_type_of_name(types.items[i]);
		const void *record = NULL;
		const char *arn = NULL;
		for (size_t j = 0; j < list->count && type != RESOURCE_ANY; j++)
			if (list->items[j].type == type && !list->items[j].id) {
				record = list->items[j].record;
				arn = list->items[j].arn;
			}
		struct target *target = target_add(list, type, NULL, record);
		target->action = "ec2:CreateTags";
		target->create_action = list->operation->shape->name;
		if (arn)
			target->arn = arn;
	}
}

static bool needs_nothing(const struct rule *rules)
{
	return rules->how == RULE_FREE || rules->how == RULE_BY_HANDLER;
}

int targets_collect(struct target_list *list, const struct table_row *row, struct error *err)
{
	if (needs_nothing(row->rules))
		return 0;
	for (const struct rule *rule = row->rules; rule->how != RULE_END; rule++)
		if (apply(list, rule, err))
			return -1;
	/* nothing is named that the operation needs: the handler will say so to those who may call it at all */
	if (list->count == 0)
		target_add(list, row->rules->type, NULL, NULL);
	add_tag_specifications(list);
	return 0;
}
