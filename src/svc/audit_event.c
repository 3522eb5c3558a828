/* Attributes of records, and the words that the index has of them. No state; safe from every thread. */
#include "svc/audit_event.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

/* FNV-1a; each text is ended by its NUL, so that no two tuples read the same. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
	const char *p = text ? text : "";
	do
		hash = (hash ^ (unsigned char)*p) * 1099511628211u;
	while (*p++);
	return hash;
}

uint64_t audit_event_word(const char *account, const char *region, const char *attribute, const char *value)
{
	uint64_t hash = 14695981039346656037u;
	hash = hash_text(hash_text(hash_text(hash_text(hash, account), region), attribute), value);
	/* the filters take slices of bits: mix them */
	hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
	hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
	return hash ^ (hash >> 33);
}

/* The attributes that have one value each; NULL: this record has none. */
static const char *value_of(const struct audit_event *event, const char *attribute)
{
	const struct {
		const char *attribute, *value;
	} values[] = {
		{ "EventId", event->id },
		{ "EventName", event->name },
		{ "ReadOnly", event->read_only ? "true" : "false" },
		{ "Username", event->username },
		{ "EventSource", event->source },
		{ "AccessKeyId", event->access_key },
	};
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (strcmp(values[i].attribute, attribute) == 0)
			return values[i].value;
	return NULL;
}

bool audit_event_has(const struct audit_event *event, const char *attribute, const char *value)
{
	const char *single = value_of(event, attribute);
	if (single)
		return strcmp(single, value) == 0;
	bool type = strcmp(attribute, "ResourceType") == 0, name = strcmp(attribute, "ResourceName") == 0;
	for (size_t i = 0; i < event->resource_count && (type || name); i++) {
		const struct audit_resource *resource = &event->resources[i];
		if (strcmp(type ? resource->type : resource->name, value) == 0 ||
			(name && text_equal(resource->arn, value)))
			return true;
	}
	return false;
}

size_t audit_event_words(const struct audit_event *event, uint64_t words[AUDIT_WORDS_MAX])
{
	static const char *const single[] = { "EventId", "EventName", "ReadOnly", "Username", "EventSource",
		"AccessKeyId" };
	_Static_assert(
		1 + sizeof single / sizeof *single + 3 * AUDIT_RESOURCES_MAX <= AUDIT_WORDS_MAX, "room");
	const char *account = event->account, *region = event->region;
	size_t count = 0;
	if (!account || !event->management)
		return 0;
	words[count++] = audit_event_word(account, region, NULL, NULL);
	for (size_t i = 0; i < sizeof single / sizeof *single; i++)
		if (value_of(event, single[i]))
			words[count++] =
				audit_event_word(account, region, single[i], value_of(event, single[i]));
	for (size_t i = 0; i < event->resource_count; i++) {
		words[count++] = audit_event_word(account, region, "ResourceType", event->resources[i].type);
		words[count++] = audit_event_word(account, region, "ResourceName", event->resources[i].name);
		if (event->resources[i].arn)
			words[count++] =
				audit_event_word(account, region, "ResourceName", event->resources[i].arn);
	}
	return count;
}

static const char *member(struct arena *arena, json_t *object, const char *name)
{
	return arena_strdup(arena, json_string_value(json_object_get(object, name)));
}

/* As the record has it: a user's name, root, or the session's name behind the role's id. */
static const char *read_username(struct arena *arena, json_t *identity)
{
	const char *name = member(arena, identity, "userName");
	const char *type = json_string_value(json_object_get(identity, "type"));
	const char *id = json_string_value(json_object_get(identity, "principalId"));
	const char *colon = id ? strchr(id, ':') : NULL;
	if (name || !type)
		return name;
	if (strcmp(type, "Root") == 0)
		return "root";
	return colon ? arena_strdup(arena, colon + 1) : NULL;
}

static void read_resources(struct arena *arena, json_t *list, struct audit_event *event)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		struct audit_resource resource = { .type = member(arena, item, "type"),
			.name = member(arena, item, "resourceName"),
			.arn = member(arena, item, "ARN") };
		if (event->resource_count < AUDIT_RESOURCES_MAX && resource.type && resource.name)
			event->resources[event->resource_count++] = resource;
	}
}

int audit_event_parse(struct arena *arena, const char *json, size_t size, struct audit_event *event)
{
	json_t *root = json_loadb(json, size, 0, NULL), *identity = json_object_get(root, "userIdentity");
	const char *time = json_string_value(json_object_get(root, "eventTime"));
	*event = (struct audit_event){
		.account = member(arena, root, "recipientAccountId"),
		.region = member(arena, root, "awsRegion"),
		.id = member(arena, root, "eventID"),
		.name = member(arena, root, "eventName"),
		.source = member(arena, root, "eventSource"),
		.username = read_username(arena, identity),
		.access_key = member(arena, identity, "accessKeyId"),
		.read_only = json_is_true(json_object_get(root, "readOnly")),
		.management = json_is_true(json_object_get(root, "managementEvent")),
	};
	read_resources(arena, json_object_get(root, "resources"), event);
	bool good = time && clock_parse_iso8601(time, &event->time_ms) == 0 && event->region && event->id &&
		event->name && event->source;
	json_decref(root);
	return good ? 0 : -1;
}

int audit_event_describe(
	const char *json, size_t size, int64_t *time_ms, uint64_t words[AUDIT_WORDS_MAX], size_t *count)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct audit_event event;
	if (audit_event_parse(arena, json, size, &event))
		return -1;
	*time_ms = event.time_ms;
	*count = audit_event_words(&event, words);
	return 0;
}
