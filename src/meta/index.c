/*
 * The secondary indexes: which entries a record asks for, and bringing the stored ones in line with them.
 *
 * A declared path is walked through the shape tables: a dot goes into a structure; a list on the way, or at the
 * end, fans out to its elements. The entry's value is the text of the member found: a string as it is, a number
 * in decimal, a boolean as true or false, a timestamp as its milliseconds. Runs on any thread; no state.
 */
#include "meta/meta_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/banned.h"
#include "shape/utf8.h"

/* What one walk has at hand. */
struct walk {
	const struct record_kind *kind;
	const struct record_index *index;
	struct arena *arena;
	struct index_entries *entries;
};

static int add_value(const struct walk *walk, const char *value, struct error *err)
{
	if (!value || !*value)
		return 0;
	if (strlen(value) > INDEX_VALUE_LIMIT)
		return error_set(err, ERROR_INVALID, "%s: the value of %s is longer than %d bytes",
			walk->kind->name, walk->index->path, INDEX_VALUE_LIMIT);
	/* the body's JSON cannot hold such text, so entry and body would differ */
	if (!utf8_valid(value, strlen(value)))
		return error_set(err, ERROR_INVALID, "%s: the value of %s is not UTF-8", walk->kind->name,
			walk->index->path);
	struct index_entries *entries = walk->entries;
	struct index_entry *entry = ARENA_APPEND(walk->arena, entries->items, entries->count);
	*entry = (struct index_entry){
		.name = walk->index->name,
		.value = arena_strdup(walk->arena, value),
		.unique = walk->index->unique,
	};
	return 0;
}

/* The text of a plain value; NULL if absent. */
static const char *value_text(const struct walk *walk, const struct shape *shape, const void *value)
{
	switch (shape->kind) {
	case SHAPE_STRING:
		return *(const char *const *)value;
	case SHAPE_INTEGER:
	case SHAPE_LONG: {
		const struct shape_integer *integer = value;
		return integer->set ? arena_printf(walk->arena, "%" PRId64, integer->value) : NULL;
	}
	case SHAPE_BOOLEAN: {
		const struct shape_boolean *boolean = value;
		return !boolean->set ? NULL : boolean->value ? "true" : "false";
	}
	case SHAPE_TIMESTAMP: {
		const struct shape_timestamp *timestamp = value;
		return timestamp->set ? arena_printf(walk->arena, "%" PRId64, timestamp->ms) : NULL;
	}
	default:
		return NULL;
	}
}

static const struct shape_member *find_member(const struct shape *shape, const char *name, size_t size)
{
	for (unsigned i = 0; i < shape->member_count; i++) {
		const char *candidate = shape->members[i].name;
		if (!strncmp(candidate, name, size) && candidate[size] == '\0')
			return &shape->members[i];
	}
	return NULL;
}

static int walk_value(const struct walk *walk, const struct shape *shape, const void *value, const char *path,
	struct error *err);

/* `structure` points at the C struct itself; `path` is not empty. */
static int walk_structure(const struct walk *walk, const struct shape *shape, const void *structure,
	const char *path, struct error *err)
{
	size_t size = strcspn(path, ".");
	const struct shape_member *member = find_member(shape, path, size);
	if (!member)
		return error_set(err, ERROR_INTERNAL, "%s has no member for index path %s", walk->kind->name,
			walk->index->path);
	const char *rest = path[size] == '.' ? path + size + 1 : "";
	return walk_value(walk, member->shape, (const char *)structure + member->offset, rest, err);
}

static int walk_list(const struct walk *walk, const struct shape *shape, const struct shape_list *list,
	const char *path, struct error *err)
{
	const struct shape *element = shape->element;
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		/* structures lie in a list by value, behind a pointer elsewhere */
		int result = element->kind == SHAPE_STRUCTURE && *path
			? walk_structure(walk, element, item, path, err)
			: walk_value(walk, element, item, path, err);
		if (result)
			return -1;
	}
	return 0;
}

static int walk_value(const struct walk *walk, const struct shape *shape, const void *value, const char *path,
	struct error *err)
{
	if (shape->kind == SHAPE_LIST)
		return walk_list(walk, shape, value, path, err);
	if (shape->kind == SHAPE_STRUCTURE && *path) {
		const void *structure = *(const void *const *)value;
		return structure ? walk_structure(walk, shape, structure, path, err) : 0;
	}
	if (*path || shape->kind == SHAPE_STRUCTURE || shape->kind == SHAPE_MAP ||
		shape->kind == SHAPE_BLOB || shape->kind == SHAPE_FLOAT || shape->kind == SHAPE_DOUBLE)
		return error_set(err, ERROR_INTERNAL, "%s: index path %s does not end at a plain value",
			walk->kind->name, walk->index->path);
	return add_value(walk, value_text(walk, shape, value), err);
}

static int compare_entries(const void *a, const void *b)
{
	const struct index_entry *left = a, *right = b;
	int order = strcmp(left->name, right->name);
	return order ? order : strcmp(left->value, right->value);
}

int meta_index_entries(const struct record_kind *kind, const void *record, struct arena *arena,
	struct index_entries *entries, struct error *err)
{
	*entries = (struct index_entries){ 0 };
	for (unsigned i = 0; i < kind->index_count; i++) {
		struct walk walk = { kind, &kind->indexes[i], arena, entries };
		if (walk_structure(&walk, kind->shape, record, walk.index->path, err))
			return -1;
	}
	if (!entries->count)
		return 0;
	qsort(entries->items, entries->count, sizeof *entries->items, compare_entries);
	size_t kept = 1;
	for (size_t i = 1; i < entries->count; i++)
		if (compare_entries(&entries->items[kept - 1], &entries->items[i]))
			entries->items[kept++] = entries->items[i];
	entries->count = kept;
	return 0;
}

int meta_index_insert(struct database *database, const struct batch_change *change, struct error *err)
{
	for (size_t i = 0; i < change->entries.count; i++) {
		const struct index_entry *entry = &change->entries.items[i];
		if (entry->stored)
			continue;
		int64_t inserted;
		if (database_run(database, INDEX_INSERT,
			    ARGUMENTS(text_argument(change->kind), text_argument(entry->name),
				    text_argument(entry->value), text_argument(change->account),
				    text_argument(change->region), text_argument(change->id),
				    number_argument(entry->unique)),
			    &inserted, err))
			return -1;
		if (!inserted)
			return error_set(err, ERROR_DUPLICATE, "there is already another %s with %s %s",
				change->kind, entry->name, entry->value);
	}
	return 0;
}

static int delete_entry(struct database *database, const struct batch_change *change,
	const struct index_entry *entry, struct error *err)
{
	return database_run(database, INDEX_DELETE,
		ARGUMENTS(text_argument(change->kind), text_argument(entry->name),
			text_argument(entry->value), text_argument(change->account),
			text_argument(change->region), text_argument(change->id)),
		NULL, err);
}

static int read_stored(struct database *database, const struct batch_change *change, struct arena *arena,
	struct index_entries *stored, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(database, INDEX_OF_RECORD,
		    ARGUMENTS(text_argument(change->kind), text_argument(change->account),
			    text_argument(change->region), text_argument(change->id)),
		    &rows, err))
		return -1;
	int more;
	while ((more = cursor_next(&rows, err)) > 0) {
		struct index_entry *entry = ARENA_APPEND(arena, stored->items, stored->count);
		entry->name = arena_strdup(arena, cursor_text(&rows, 0));
		entry->value = arena_strdup(arena, cursor_text(&rows, 1));
		entry->unique = cursor_number(&rows, 2);
	}
	return more;
}

/* Both are in the same order, so one pass over the two finds what is stale. */
int meta_index_reconcile(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err)
{
	struct index_entries stored = { 0 };
	if (read_stored(database, change, arena, &stored, err))
		return -1;
	struct index_entry *wanted = change->entries.items;
	size_t next = 0;
	for (size_t i = 0; i < stored.count; i++) {
		struct index_entry *entry = &stored.items[i];
		while (next < change->entries.count && compare_entries(&wanted[next], entry) < 0)
			next++;
		bool same = next < change->entries.count && !compare_entries(&wanted[next], entry) &&
			wanted[next].unique == entry->unique;
		if (same) {
			wanted[next].stored = true;
			continue;
		}
		if (delete_entry(database, change, entry, err))
			return -1;
		*ARENA_APPEND(arena, change->lost.items, change->lost.count) = *entry;
	}
	return 0;
}

int meta_index_forget(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err)
{
	if (read_stored(database, change, arena, &change->lost, err))
		return -1;
	return database_run(database, INDEX_DELETE_RECORD,
		ARGUMENTS(text_argument(change->kind), text_argument(change->account),
			text_argument(change->region), text_argument(change->id)),
		NULL, err);
}
