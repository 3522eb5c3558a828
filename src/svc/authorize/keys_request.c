/*
 * Condition keys of what a request says: the tags that it brings, the attributes that it changes, whom it shares with, what it passes on. They are read from the decoded request by its shape, so they are there for every
 * operation that has such members. No state; runs on the thread of the call.
 */
#include <string.h>
#include <strings.h>

#include "shape/value.h"
#include "svc/authorize/internal.h"
#include "base/text.h"
#include "base/banned.h"

static void add(const struct asking *asking, struct texts *values, const char *text)
{
	if (text)
		*ARENA_APPEND(asking->arena, values->items, values->count) = text;
}

static const struct shape *input_shape(const struct asking *asking)
{
	return asking->list ? asking->list->operation->shape->input : NULL;
}

/* Everything at a path of the request. */
static int read_path(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	if (asking->list)
		walk_texts(input_shape(asking), asking->list->input, key->member, asking->arena, values);
	return 0;
}

/* ---- tags ---- */

struct tags {
	struct texts keys, values; /* as many of these, or none */
};

static void add_tags(const struct asking *asking, const struct shape *shape, const void *structure,
	const char *list, struct tags *tags)
{
	const struct shape *list_shape;
	const struct shape_list *items = walk_field(shape, structure, list, &list_shape);
	if (!items || list_shape->kind != SHAPE_LIST || list_shape->element->kind != SHAPE_STRUCTURE)
		return;
	for (size_t i = 0; i < items->count; i++) {
		const char *item = (const char *)items->items + i * list_shape->size;
		const char *key = walk_text(list_shape->element, item, "Key", asking->arena);
		const char *value = walk_text(list_shape->element, item, "Value", asking->arena);
		if (!key)
			continue;
		add(asking, &tags->keys, key);
		add(asking, &tags->values, value ? value : "");
	}
}

/* Tags of TagSpecifications are of what is made and has that type; those of plain Tags are of all that the call acts on. */
static void collect_tags(const struct asking *asking, struct tags *tags)
{
	const struct shape *shape = input_shape(asking), *list_shape;
	if (!shape)
		return;
	add_tags(asking, shape, asking->list->input, "Tags", tags);
	const struct shape_list *list =
		walk_field(shape, asking->list->input, "TagSpecifications", &list_shape);
	if (!list || (asking->target && asking->target->id))
		return;
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * list_shape->size;
		const char *type = walk_text(list_shape->element, item, "ResourceType", asking->arena);
		if (!asking->target || !type ||
			strcmp(type, resource_kinds[asking->target->type].name) == 0 ||
			asking->target->type == RESOURCE_ANY)
			add_tags(asking, list_shape->element, item, "Tags", tags);
	}
}

static int read_request_tag(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	struct tags tags = { 0 };
	collect_tags(asking, &tags);
	for (size_t i = 0; i < tags.keys.count; i++)
		if (strcasecmp(tags.keys.items[i], name) == 0) {
			add(asking, values, tags.values.items[i]);
			break;
		}
	return 0;
}

static int read_tag_keys(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	struct tags tags = { 0 };
	collect_tags(asking, &tags);
	for (size_t i = 0; i < tags.keys.count; i++)
		add(asking, values, tags.keys.items[i]);
	/* Untag... */
	return read_path(asking, &(struct key){ .member = "TagKeys" }, name, values, err);
}

static int read_create_action(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	add(asking, values, asking->target ? asking->target->create_action : NULL);
	return 0;
}

static int read_passed_to(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	add(asking, values, asking->target ? asking->target->passed_to : NULL);
	return 0;
}

/* ---- attributes ---- */

/* What says which thing and how, and changes nothing. */
static bool is_attribute(const struct shape_member *member)
{
	static const char *const others[] = { "DryRun", "Attribute", "Value", "OperationType", "UserIds",
		"UserGroups", "GroupNames", "ClientToken", "OrganizationArns", "OrganizationalUnitArns" };
	size_t size = strlen(member->name);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(others[i], member->name) == 0)
			return false;
	return member->shape->kind != SHAPE_STRING || size < 2 || strcmp(member->name + size - 2, "Id") != 0;
}

/* Attributes have their names with a capital letter in policies, whatever the older form of the request says. */
static const char *capitalize(const struct asking *asking, const char *name)
{
	char *result = arena_strdup(asking->arena, name);
	if (result && *result >= 'a' && *result <= 'z')
		*result = (char)(*result - 'a' + 'A');
	return result;
}

/* Only calls that change attributes have these. */
static bool changes_attributes(const struct asking *asking)
{
	return asking->list && text_starts_with(asking->list->operation->shape->name, "Modify") &&
		asking->target && asking->target->id;
}

static int read_attributes(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	if (!changes_attributes(asking))
		return 0;
	const struct shape *shape = input_shape(asking);
	const char *older = walk_text(shape, asking->list->input, "Attribute", asking->arena);
	add(asking, values, capitalize(asking, older));
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		if (is_attribute(member) &&
			!shape_value_is_absent(
				member->shape, (const char *)asking->list->input + member->offset))
			add(asking, values, member->name);
	}
	return 0;
}

static int read_attribute(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	if (!changes_attributes(asking))
		return 0;
	const struct shape *shape = input_shape(asking);
	const char *older = walk_text(shape, asking->list->input, "Attribute", asking->arena);
	if (older && strcasecmp(older, name) == 0)
		walk_texts(shape, asking->list->input, "Value", asking->arena, values);
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		if (strcasecmp(member->name, name) != 0 || !is_attribute(member))
			continue;
		walk_texts(shape, asking->list->input, member->name, asking->arena, values);
		walk_texts(shape, asking->list->input, arena_printf(asking->arena, "%s.Value", member->name),
			asking->arena, values);
	}
	return 0;
}

/* ---- whom an image or snapshot is shared with ---- */

/* member: "Add" or "Remove", of the structures; the older form names users and groups beside OperationType. */
static int read_shared(const struct asking *asking, const struct key *key, const char *name,
	struct texts *values, struct error *err)
{
	static const struct {
		const char *name, *structured, *older;
	} what[] = {
		{ "userId", "UserId", "UserIds" },
		{ "group", "Group", "UserGroups" },
		{ "group", "Group", "GroupNames" },
		{ "organizationArn", "OrganizationArn", "OrganizationArns" },
		{ "organizationalUnitArn", "OrganizationalUnitArn", "OrganizationalUnitArns" },
	};
	static const char *const structures[] = { "LaunchPermission", "CreateVolumePermission" };
	if (!changes_attributes(asking))
		return 0;
	const struct shape *shape = input_shape(asking);
	const void *input = asking->list->input;
	const char *operation = walk_text(shape, input, "OperationType", asking->arena);
	struct texts found = { 0 };
	for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
		if (strcasecmp(what[i].name, name) != 0)
			continue;
		for (size_t j = 0; j < sizeof structures / sizeof *structures && !found.count; j++)
			walk_texts(shape, input,
				arena_printf(asking->arena, "%s.%s.%s", structures[j], key->member,
					what[i].structured),
				asking->arena, &found);
		if (operation && strcasecmp(operation, key->member) == 0)
			walk_texts(shape, input, what[i].older, asking->arena, &found);
	}
	for (size_t i = 0; i < found.count; i++)
		add(asking, values, found.items[i]);
	return 0;
}

#define SHARED_TYPES (ON(IMAGE) | ON(SNAPSHOT))

const struct key keys_request[] = {
	{ "aws:RequestTag/", 0, read_request_tag },
	{ "aws:TagKeys", 0, read_tag_keys },
	{ "ec2:CreateAction", 0, read_create_action },
	{ "ec2:Attribute", 0, read_attributes },
	{ "ec2:Attribute/", 0, read_attribute },
	{ "ec2:Add/", SHARED_TYPES, read_shared, "Add" },
	{ "ec2:Remove/", SHARED_TYPES, read_shared, "Remove" },
	{ "ec2:SnapshotLockDuration", ON(SNAPSHOT), read_path, "LockDuration" },
	{ "ec2:SnapshotCoolOffPeriod", ON(SNAPSHOT), read_path, "CoolOffPeriod" },
	{ "ec2:TargetStorageTier", ON(SNAPSHOT), read_path, "StorageTier" },
	{ "ebs:Description", ON(SNAPSHOT), read_path, "Description" },
	{ "ebs:ParentSnapshot", ON(SNAPSHOT), read_path, "ParentSnapshotId" },
	{ "ebs:VolumeSize", ON(SNAPSHOT), read_path, "VolumeSize" },
	{ "rbin:Request/ResourceType", ON(RETENTION_RULE), read_path, "ResourceType" },
	{ "iam:PolicyARN", 0, read_path, "PolicyArn" },
	{ "iam:PermissionsBoundary", 0, read_path, "PermissionsBoundary" },
	{ "iam:AWSServiceName", 0, read_path, "AWSServiceName" },
	{ "iam:PassedToService", 0, read_passed_to },
	{ NULL },
};
