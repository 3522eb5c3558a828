/*
 * What the EC2 handlers share: ids, tags, times, refusal of parameters that amid does not have.
 *
 * Nothing is owned here: every function works on its arguments and the call's arena, on the thread of the call. Tag lists keep
 * the order in which keys were first set; answers sort nothing.
 */
#include <assert.h>

#include "base/clock.h"
#include "shape/value.h"
#include "svc/ec2/common.h"
#include "base/banned.h"

enum {
	TAGS_MAX = 50,
	TAG_KEY_MAX = 127,
	TAG_VALUE_MAX = 255,
	ID_SHORT_DIGITS = 8,
	ID_LONG_DIGITS = 17,
};

int ec2_check_id(const char *id, const char *prefix, enum error_code malformed, struct error *err)
{
	size_t prefix_size = strlen(prefix);

	if (strncmp(id, prefix, prefix_size) == 0 && id[prefix_size] == '-') {
		const char *digits = id + prefix_size + 1;
		size_t count = strspn(digits, "0123456789abcdef");
		if (digits[count] == '\0' && (count == ID_SHORT_DIGITS || count == ID_LONG_DIGITS))
			return 0;
	}
	return error_set(err, malformed, "Invalid id: \"%.64s\" (expecting \"%s-...\")", id, prefix);
}

/* Characters, not bytes: AWS's limits are in Unicode code points. The door has refused what is not UTF-8. */
static size_t count_characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

int ec2_check_tag(const char *key, const char *value, struct error *err)
{
	if (!key || !*key)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "Tag key cannot be empty");
	if (count_characters(key) > TAG_KEY_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Tag key exceeds the maximum length of %d characters", TAG_KEY_MAX);
	if (strncasecmp(key, "aws:", 4) == 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Tag keys starting with 'aws:' are reserved for internal use");
	if (value && count_characters(value) > TAG_VALUE_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Tag value exceeds the maximum length of %d characters", TAG_VALUE_MAX);
	return 0;
}

static struct record_tag *find_tag(const struct record_tag_list *tags, const char *key)
{
	for (size_t i = 0; i < tags->count; i++)
		if (text_equal(tags->items[i].key, key))
			return &tags->items[i];
	return NULL;
}

const char *ec2_tags_find(const struct record_tag_list *tags, const char *key)
{
	const struct record_tag *tag = find_tag(tags, key);

	return tag ? text_or(tag->value, "") : NULL;
}

int ec2_tags_set(struct call *call, struct record_tag_list *tags, const char *key, const char *value,
	struct error *err)
{
	struct record_tag *tag = find_tag(tags, key);

	if (!tag) {
		if (tags->count >= TAGS_MAX)
			return error_set(err, ERROR_TAG_LIMIT,
				"The maximum number of Tags for a resource is %d", TAGS_MAX);
		tag = ARENA_APPEND(call->arena, tags->items, tags->count);
		tags->set = true;
		tag->key = key;
	}
	tag->value = text_or(value, "");
	return 0;
}

void ec2_tags_remove(struct record_tag_list *tags, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < tags->count; i++)
		if (!text_equal(tags->items[i].key, key))
			tags->items[kept++] = tags->items[i];
	tags->count = kept;
	tags->set = kept > 0;
}

struct ec2_TagList ec2_tags_result(struct call *call, const struct record_tag_list *tags)
{
	struct ec2_TagList list = { .set = tags->count > 0 };

	for (size_t i = 0; i < tags->count; i++) {
		struct ec2_Tag *tag = ARENA_APPEND(call->arena, list.items, list.count);
		tag->key = tags->items[i].key;
		tag->value = text_or(tags->items[i].value, "");
	}
	return list;
}

static bool is_listed(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

/* The tags of one specification: checked whether or not they are for the resource sought, so that nothing wrong is overlooked. */
static int collect_specification(struct call *call, const struct ec2_TagSpecification *specification,
	struct record_tag_list *tags, struct error *err)
{
	if (specification->tags.count == 0)
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "Tag specification must have at least one tag");
	for (size_t i = 0; i < specification->tags.count; i++) {
		const struct ec2_Tag *tag = &specification->tags.items[i];
		if (ec2_check_tag(tag->key, tag->value, err) != 0)
			return -1;
		if (find_tag(tags, tag->key))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Duplicate tag key '%s' specified.", tag->key);
		if (ec2_tags_set(call, tags, tag->key, tag->value, err) != 0)
			return -1;
	}
	return 0;
}

int ec2_tags_from_specifications(struct call *call, const struct ec2_TagSpecificationList *specifications,
	const char *resource_type, const char *const *allowed, struct record_tag_list *tags,
	struct error *err)
{
	*tags = (struct record_tag_list){ 0 };
	for (size_t i = 0; i < specifications->count; i++) {
		const struct ec2_TagSpecification *specification = &specifications->items[i];
		struct record_tag_list others = { 0 };

		if (!specification->resource_type)
			return error_set(err, ERROR_MISSING_PARAMETER,
				"The request must contain the parameter ResourceType of a tag specification");
		if (!is_listed(specification->resource_type, allowed))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"'%.64s' is not a valid taggable resource type for this operation.",
				specification->resource_type);
		bool sought = strcmp(specification->resource_type, resource_type) == 0;
		if (collect_specification(call, specification, sought ? tags : &others, err) != 0)
			return -1;
	}
	return 0;
}

const char *ec2_time_text(struct call *call, struct shape_timestamp time)
{
	char text[32];

	return time.set ? arena_strdup(call->arena, clock_format_iso8601(time.ms, text)) : NULL;
}

struct shape_timestamp ec2_now(void)
{
	return some_timestamp(clock_now_ms());
}

int ec2_refuse_members(
	const struct call *call, const void *request, const char *const *names, struct error *err)
{
	const struct shape *shape = call->operation->shape->input;

	for (; *names; names++) {
		const struct shape_member *member = shape_find_member(shape, *names);
		assert(member && "a name that the operation does not have");
		if (!shape_value_is_absent(member->shape, (const char *)request + member->offset))
			return error_set(err, ERROR_UNSUPPORTED_OPERATION,
				"The parameter %s of %s is not supported by this endpoint.", *names,
				call->operation->shape->name);
	}
	return 0;
}
