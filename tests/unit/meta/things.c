/* The kinds to test with, and the scratch store each test gets. */
#include "things.h"

#include <sqlite3.h>
#include <unistd.h>

#include "base/file.h"

#define MEMBER(type, field, of) \
	{ \
		.name = #field, .wire_name = #field, .shape = &of, .offset = offsetof(struct type, field) \
	}
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct shape_member part_members[] = { MEMBER(part, disk, shape_string),
	MEMBER(part, size, shape_long) };
static const struct shape part_shape = { .name = "part",
	.kind = SHAPE_STRUCTURE,
	.size = sizeof(struct part),
	.members = part_members,
	.member_count = COUNT(part_members) };
static const struct shape parts_shape = {
	.name = "parts", .kind = SHAPE_LIST, .size = sizeof(struct part), .element = &part_shape
};
static const struct shape labels_shape = {
	.name = "labels", .kind = SHAPE_LIST, .size = sizeof(const char *), .element = &shape_string
};
static const struct shape_member thing_members[] = { MEMBER(thing_record, name, shape_string),
	MEMBER(thing_record, state, shape_string), MEMBER(thing_record, number, shape_long),
	MEMBER(thing_record, flag, shape_boolean), MEMBER(thing_record, time, shape_timestamp),
	MEMBER(thing_record, bytes, shape_blob), MEMBER(thing_record, origin, part_shape),
	MEMBER(thing_record, parts, parts_shape), MEMBER(thing_record, labels, labels_shape) };
static const struct shape thing_shape = { .name = "thing",
	.kind = SHAPE_STRUCTURE,
	.size = sizeof(struct thing_record),
	.members = thing_members,
	.member_count = COUNT(thing_members) };
static const struct record_index thing_indexes[] = { { "name", "name", true }, { "state", "state", false },
	{ "number", "number", false }, { "flag", "flag", false }, { "time", "time", false },
	{ "origin", "origin.disk", false }, { "disk", "parts.disk", false }, { "label", "labels", false } };
const struct record_kind record_thing = { "thing", &thing_shape, thing_indexes, COUNT(thing_indexes) };
static const struct record_index thing_indexes_before[] = { { "name", "name", false } };
const struct record_kind record_thing_before = { "thing", &thing_shape, thing_indexes_before, 1 };

static const struct shape_member note_members[] = { MEMBER(note_record, text, shape_string) };
static const struct shape note_shape = { .name = "note",
	.kind = SHAPE_STRUCTURE,
	.size = sizeof(struct note_record),
	.members = note_members,
	.member_count = 1 };
const struct record_kind record_note = { "note", &note_shape, NULL, 0 };

const struct record_kind *const record_kinds[] = { &record_thing, &record_note, NULL };

int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof *scratch);
	snprintf(scratch->folder, sizeof scratch->folder, "/tmp/meta-test-XXXXXX");
	if (!mkdtemp(scratch->folder))
		return -1;
	snprintf(scratch->path, sizeof scratch->path, "%s/metadata.db", scratch->folder);
	scratch->arena = arena_create();
	*state = scratch;
	return meta_open(scratch->path, &scratch->meta, &scratch->err);
}

int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;
	meta_close(scratch->meta);
	arena_destroy(scratch->arena);
	int result = file_remove_tree(scratch->folder, NULL);
	free(scratch);
	return result;
}

void scratch_reopen(struct scratch *scratch)
{
	meta_close(scratch->meta);
	scratch->meta = NULL;
	assert_done(meta_open(scratch->path, &scratch->meta, &scratch->err), scratch->err);
}

static int keep_first(void *context, int count, char **values, char **names)
{
	int64_t *number = context;
	if (count && values[0])
		*number = strtoll(values[0], NULL, 10);
	return 0;
}

int64_t scratch_sql(struct scratch *scratch, const char *sql)
{
	sqlite3 *handle;
	char *why = NULL;
	int64_t number = 0;
	assert_int_equal(sqlite3_open(scratch->path, &handle), SQLITE_OK);
	sqlite3_busy_timeout(handle, 5000);
	if (sqlite3_exec(handle, sql, keep_first, &number, &why))
		fail_msg("%s: %s", sql, why);
	sqlite3_close(handle);
	return number;
}

struct thing_record *thing_create(
	struct scratch *scratch, const char *id, const char *name, const char *state)
{
	struct thing_record *thing = arena_alloc(scratch->arena, sizeof *thing);
	thing->record = (struct record){ "1", "r", id, 0 };
	thing->name = name;
	thing->state = state;
	return thing;
}

enum error_code thing_put(struct scratch *scratch, const struct thing_record *thing)
{
	struct meta_batch *batch = meta_batch_create(scratch->meta, scratch->arena);
	meta_batch_put(batch, &record_thing, thing);
	return meta_commit(scratch->meta, batch, &scratch->err) ? scratch->err.code : ERROR_NONE;
}

struct thing_record *thing_get(struct scratch *scratch, const char *id)
{
	struct thing_record *thing;
	assert_done(
		meta_get(scratch->meta, &record_thing, "1", "r", id, scratch->arena, &thing, &scratch->err),
		scratch->err);
	return thing;
}

const char *thing_ids(struct scratch *scratch, const struct meta_query *query)
{
	struct meta_rows rows;
	assert_done(meta_list(scratch->meta, &record_thing, query, scratch->arena, &rows, &scratch->err),
		scratch->err);
	const char *ids = "";
	for (size_t i = 0; i < rows.count; i++)
		ids = arena_printf(
			scratch->arena, "%s%s ", ids, ((struct thing_record *)rows.items[i])->record.id);
	return ids;
}

static void print_line(void *context, const char *line)
{
	print_message("check: %s\n", line);
}

uint64_t scratch_faults(struct scratch *scratch)
{
	uint64_t faults;
	assert_done(meta_check(scratch->meta, print_line, NULL, &faults, &scratch->err), scratch->err);
	return faults;
}
