/*
 * Filters and pages of the Describe operations, by walking the shape tables of their answers.
 *
 * An item matches a filter if any value found at the filter's path matches any of the filter's patterns; it must match all filters. A path goes through structures and lists:
 * every element of a list is looked at. A page's token holds the key of its last item, so that pages stay right while resources come and go. Runs on the thread of a call.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "shape/value.h"
#include "svc/ec2/describe.h"
#include "base/banned.h"

enum { SCALAR_TEXT_MAX = 64 };

/* One filter of a request, made ready. */
struct test {
	const char *path;
	const char *tag_key; /* the value of this tag, instead of a path */
	const struct ec2_ValueStringList *patterns;
};

static bool matches_any(const struct test *test, const char *text)
{
	for (size_t i = 0; i < test->patterns->count; i++)
		if (test->patterns->items[i] && text_match(test->patterns->items[i], text))
			return true;
	return false;
}

/* A scalar as filters are written: numbers in decimal, true or false, times as the API shows them. */
static const char *scalar_text(const struct shape *shape, const void *field, char *room)
{
	switch (shape->kind) {
	case SHAPE_STRING:
		return *(const char *const *)field;
	case SHAPE_BOOLEAN:
		return ((const struct shape_boolean *)field)->value ? "true" : "false";
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		snprintf(room, SCALAR_TEXT_MAX, "%lld",
			(long long)((const struct shape_integer *)field)->value);
		return room;
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		snprintf(room, SCALAR_TEXT_MAX, "%g", ((const struct shape_double *)field)->value);
		return room;
	case SHAPE_TIMESTAMP:
		return clock_format_iso8601(((const struct shape_timestamp *)field)->ms, room);
	default:
		assert(!"a path must end at a scalar");
		return "";
	}
}

static bool structure_matches(
	const struct shape *shape, const void *structure, const char *path, const struct test *test);

/* Whether something at `path` below a field matches; a structure's field is its pointer, except as an element of a list. */
static bool field_matches(
	const struct shape *shape, const void *field, const char *path, const struct test *test)
{
	char room[SCALAR_TEXT_MAX];

	if (shape_value_is_absent(shape, field))
		return false;
	if (shape->kind == SHAPE_STRUCTURE)
		return structure_matches(shape, *(const void *const *)field, path, test);
	if (shape->kind != SHAPE_LIST)
		return matches_any(test, scalar_text(shape, field, room));
	const struct shape_list *list = field;
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		if (shape->element->kind == SHAPE_STRUCTURE
				? structure_matches(shape->element, item, path, test)
				: field_matches(shape->element, item, path, test))
			return true;
	}
	return false;
}

/* Finds the member that a path begins with. */
static const struct shape_member *first_member(const struct shape *shape, const char *path)
{
	char name[SCALAR_TEXT_MAX];
	size_t size = strcspn(path, ".");

	assert(size < sizeof name);
	memcpy(name, path, size);
	name[size] = '\0';
	const struct shape_member *member = shape_find_member(shape, name);
	assert(member && "a filter's path that the answer does not have");
	return member;
}

static bool structure_matches(
	const struct shape *shape, const void *structure, const char *path, const struct test *test)
{
	const struct shape_member *member = first_member(shape, path);
	const char *rest = path + strcspn(path, ".");

	return field_matches(
		member->shape, (const char *)structure + member->offset, rest + (*rest == '.'), test);
}

/* What lies at a path, of which lists hold the first element; NULL if it is not there. *shape is the shape of the item before, of what was found after. */
static const void *follow(const struct shape **shape, const void *item, const char *path)
{
	const void *at = item; /* always a structure until the path ends */

	for (;;) {
		const struct shape_member *member = first_member(*shape, path);
		const char *rest = path + strcspn(path, ".");
		const void *field = (const char *)at + member->offset;
		*shape = member->shape;
		if (!*rest)
			return field;
		if (shape_value_is_absent(*shape, field))
			return NULL;
		path = rest + 1;
		if ((*shape)->kind == SHAPE_STRUCTURE) {
			at = *(const void *const *)field;
			continue;
		}
		const struct shape_list *list = field;
		if ((*shape)->kind != SHAPE_LIST || list->count == 0)
			return NULL;
		at = list->items;
		*shape = (*shape)->element;
	}
}

static const char *tags_path(const struct describe_kind *kind)
{
	return kind->tags ? kind->tags : shape_find_member(kind->shape, "Tags") ? "Tags" : NULL;
}

static bool tag_matches(const struct describe_kind *kind, const void *item, const struct test *test)
{
	const struct shape *shape = kind->shape;
	const struct ec2_TagList *tags = follow(&shape, item, tags_path(kind));

	for (size_t i = 0; tags && i < tags->count; i++)
		if (text_equal(tags->items[i].key, test->tag_key))
			return matches_any(test, text_or(tags->items[i].value, ""));
	return false;
}

static bool item_matches(
	const struct describe_kind *kind, const struct test *tests, size_t count, const void *item)
{
	for (size_t i = 0; i < count; i++) {
		const struct test *test = &tests[i];
		if (test->tag_key ? !tag_matches(kind, item, test)
				  : !test->path || !structure_matches(kind->shape, item, test->path, test))
			return false;
	}
	return true;
}

/* Whether a path leads through a shape to a scalar: what the tables of filters must promise. */
static bool path_is_sound(const struct shape *shape, const char *path)
{
	while (shape->kind == SHAPE_LIST || shape->kind == SHAPE_STRUCTURE) {
		if (shape->kind == SHAPE_LIST) {
			shape = shape->element;
			continue;
		}
		shape = first_member(shape, path)->shape;
		path += strcspn(path, ".");
		path += *path == '.';
	}
	return *path == '\0' && shape->kind != SHAPE_MAP && shape->kind != SHAPE_BLOB;
}

/* Makes one filter ready, or refuses it. */
static int prepare_test(struct call *call, const struct describe_kind *kind, const struct ec2_Filter *filter,
	struct test *test, struct error *err)
{
	const char *name = text_or(filter->name, "null");
	const char *tags = tags_path(kind);

	*test = (struct test){ .patterns = &filter->values };
	if (filter->values.count == 0)
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "The filter '%.128s' has no values", name);
	if (tags && text_starts_with(name, "tag:") && name[4]) {
		test->tag_key = name + 4;
		return 0;
	}
	if (tags && (strcmp(name, "tag-key") == 0 || strcmp(name, "tag-value") == 0)) {
		test->path = arena_printf(call->arena, "%s.%s", tags, name[4] == 'k' ? "Key" : "Value");
		return 0;
	}
	for (const struct describe_filter *known = kind->filters; known->name; known++) {
		if (strcmp(known->name, name) == 0) {
			assert(!known->path || path_is_sound(kind->shape, known->path));
			test->path = known->path;
			return 0;
		}
	}
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "The filter '%.100s' is invalid", name);
}

static int filter_list(struct call *call, const struct describe_kind *kind,
	const struct ec2_FilterList *filters, struct shape_list *list, struct error *err)
{
	struct test *tests = arena_alloc_array(call->arena, filters->count + 1, sizeof *tests);
	size_t kept = 0, size = kind->shape->size;
	char *items = list->items;

	for (size_t i = 0; i < filters->count; i++)
		if (prepare_test(call, kind, &filters->items[i], &tests[i], err) != 0)
			return -1;
	for (size_t i = 0; i < list->count; i++) {
		if (!item_matches(kind, tests, filters->count, items + i * size))
			continue;
		if (kept != i)
			memcpy(items + kept * size, items + i * size, size);
		kept++;
	}
	list->count = kept;
	return 0;
}

static const char *text_at(const struct describe_kind *kind, const char *path, const void *item)
{
	const struct shape *shape = kind->shape;
	const char *const *text = follow(&shape, item, path);

	return text ? text_or(*text, "") : "";
}

static const char *key_of(struct call *call, const struct describe_kind *kind, const void *item)
{
	const char *key = text_at(kind, kind->key, item);

	/* A line feed sorts before whatever is in a key, so that the joined keys sort as the pairs do. */
	return kind->second_key
		? arena_printf(call->arena, "%s\n%s", key, text_at(kind, kind->second_key, item))
		: key;
}

static int cut_page(struct call *call, const struct describe_kind *kind, const struct describe_page *asked,
	struct shape_list *list, struct error *err)
{
	size_t first = 0, taken = 0, size = kind->shape->size;
	char *items = list->items;
	struct page page;

	if (page_open(call, call->amid->token_key, &kind->page_rules, asked->max_results, asked->token, &page,
		    err) != 0)
		return -1;
	while (first < list->count && !page_is_ahead(&page, key_of(call, kind, items + first * size)))
		first++;
	while (first + taken < list->count &&
		page_take(&page, key_of(call, kind, items + (first + taken) * size)))
		taken++;
	list->items = taken ? items + first * size : NULL;
	list->count = taken;
	*asked->next_token = page_close(&page);
	return 0;
}

int describe_finish(struct call *call, const struct describe_kind *kind, const struct ec2_FilterList *filters,
	const struct describe_page *page, void *list, struct error *err)
{
	struct shape_list *items = list;

	if (filter_list(call, kind, filters, items, err) != 0 ||
		(kind->key && cut_page(call, kind, page, items, err) != 0))
		return -1;
	items->set = true;
	return 0;
}

bool describe_wants(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (text_equal(names[i], name))
			return true;
	return count == 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int describe_sort_ids(struct call *call, const char *const *ids, size_t *count, const char *parameter,
	struct shape_integer max_results, const char *const **sorted, struct error *err)
{
	const char **list = arena_alloc_array(call->arena, *count + 1, sizeof *list);
	size_t kept = 0;

	if (*count && parameter && max_results.set)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The parameter %s cannot be used with the parameter maxResults", parameter);
	for (size_t i = 0; i < *count; i++)
		list[i] = text_or(ids[i], "");
	qsort(list, *count, sizeof *list, compare_texts);
	for (size_t i = 0; i < *count; i++)
		if (kept == 0 || strcmp(list[kept - 1], list[i]) != 0)
			list[kept++] = list[i];
	*count = kept;
	*sorted = list;
	return 0;
}
