/*
 * Metadata: commits of several records each, with checkpoints and reopenings between them; and the same file taken to a newer schema.
 *
 * Commit number k writes k into some of a few records, in one batch. So what must be found follows from which commits took place: all that returned, perhaps the one under way, and each of them whole.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meta/database.h"
#include "meta/meta.h"
#include "meta/meta_internal.h"
#include "sqlite_shim.h"
#include "torture.h"
#include "base/banned.h"

enum { COMMITS = 14, ITEMS = 6, PADDING = 3000 };
static const uint64_t NEVER = UINT64_MAX;

struct item_record {
	struct record record;
	const char *number;
	const char *padding;
};

static const struct shape_member item_members[] = { { .name = "number",
							    .wire_name = "number",
							    .shape = &shape_string,
							    .offset = offsetof(struct item_record, number) },
	{ .name = "padding",
		.wire_name = "padding",
		.shape = &shape_string,
		.offset = offsetof(struct item_record, padding) } };
static const struct shape item_shape = { .name = "item",
	.kind = SHAPE_STRUCTURE,
	.size = sizeof(struct item_record),
	.members = item_members,
	.member_count = sizeof item_members / sizeof *item_members };
static const struct record_index item_indexes[] = { { "number", "number", false } };
static const struct record_kind record_item = { "item", &item_shape, item_indexes, 1 };
const struct record_kind *const record_kinds[] = { &record_item, NULL };

struct commit {
	uint64_t begun, end;
	unsigned items;        /* a bit for each that it writes; none if it failed and did not take place */
	unsigned failed_items; /* what it would have written then */
};

struct metadata {
	char path[300];
	uint64_t seed;
	struct meta *meta;
	struct commit commits[COMMITS];
	unsigned commit_count;
	bool unknown; /* the last one failed, and it is not known whether it took place */
	uint64_t migrated;
};

static const char *item_id(unsigned item)
{
	static const char *const ids[ITEMS] = { "item-0", "item-1", "item-2", "item-3", "item-4", "item-5" };
	return ids[item];
}

static int write_item(struct meta *meta, struct meta_batch *batch, unsigned item, unsigned number,
	struct arena *arena, struct error *err)
{
	struct item_record *found;
	if (meta_get(meta, &record_item, "1", "r", item_id(item), arena, &found, err))
		return -1;
	struct item_record *next = arena_alloc(arena, sizeof *next);
	*next = (struct item_record){ .record = {
					      "1", "r", item_id(item), found ? found->record.version : 0 } };
	char *padding = arena_alloc(arena, PADDING + 1);
	memset(padding, 'a' + (int)(number % 26), PADDING);
	padding[number * 211 % PADDING] = '\0';
	next->number = arena_printf(arena, "%u", number);
	next->padding = padding;
	meta_batch_put(batch, &record_item, next);
	return 0;
}

static int commit(struct meta *meta, unsigned items, unsigned number, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_batch *batch = meta_batch_create(meta, arena);
	for (unsigned i = 0; i < ITEMS; i++)
		if (items >> i & 1 && write_item(meta, batch, i, number, arena, err))
			return -1;
	return meta_commit(meta, batch, err);
}

/* The number that an item holds; 0 if there is none. */
static int read_item(struct meta *meta, unsigned item, unsigned *number, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct item_record *found;
	if (meta_get(meta, &record_item, "1", "r", item_id(item), arena, &found, err))
		return -1;
	*number = found ? (unsigned)strtoul(found->number, NULL, 10) : 0;
	return 0;
}

static int checkpoint(const struct metadata *metadata, struct error *err)
{
	struct database *database;
	if (database_open(metadata->path, DATABASE_CHECKPOINTER, &database, err))
		return -1;
	int result = database_checkpoint(database, err);
	if (!result && random_next(&(uint64_t){ metadata->seed }) % 2)
		result = database_restart_log(database, err);
	database_close(database);
	return result;
}

static int reopen(struct metadata *metadata, struct error *err)
{
	enum { TRIES = 3 };
	meta_close(metadata->meta);
	metadata->meta = NULL;
	for (int i = 0; i < TRIES; i++)
		if (!meta_open(metadata->path, &metadata->meta, err))
			return 0;
	return -1;
}

static int make_commit(struct metadata *metadata, struct error *err)
{
	struct commit *made = &metadata->commits[metadata->commit_count];
	*made = (struct commit){ .begun = simulated_disk_position(), .end = NEVER };
	made->items = 1 + (unsigned)(random_next(&metadata->seed) % ((1 << ITEMS) - 1));
	metadata->commit_count++;
	if (commit(metadata->meta, made->items, metadata->commit_count, err))
		return -1;
	made->end = simulated_disk_position();
	return 0;
}

/* After a commit that failed: opens again and looks whether it took place after all. */
static int find_out(struct metadata *metadata, struct error *err)
{
	enum { TRIES = 3 };
	struct commit *last = &metadata->commits[metadata->commit_count - 1];
	for (int i = 0; i < TRIES; i++) {
		unsigned item = (unsigned)__builtin_ctz(last->items), number;
		if (reopen(metadata, err) || read_item(metadata->meta, item, &number, err))
			continue;
		/* one that took place was acknowledged by nobody: it may still go, unless another one follows */
		if (number != metadata->commit_count) {
			last->failed_items = last->items;
			last->items = 0;
		}
		return 0;
	}
	metadata->unknown = true;
	return -1;
}

static struct metadata *create(const char *folder, uint64_t seed)
{
	static bool installed;
	if (!installed)
		sqlite_shim_install();
	installed = true;
	torture_set_single_threaded(false);
	struct metadata *metadata = memory_alloc(sizeof *metadata);
	memset(metadata, 0, sizeof *metadata);
	metadata->seed = seed;
	metadata->migrated = NEVER;
	snprintf(metadata->path, sizeof metadata->path, "%s/meta.db", folder);
	return metadata;
}

static void make_commits(struct metadata *metadata, unsigned count)
{
	struct error err;
	bool works = !reopen(metadata, &err);
	while (works && metadata->commit_count < count) {
		uint64_t number = random_next(&metadata->seed) % 10;
		if (make_commit(metadata, &err))
			works = !find_out(metadata, &err);
		else if (number == 0)
			works = !reopen(metadata, &err);
		else if (number < 3 && checkpoint(metadata, &err) && err.code != ERROR_NO_SPACE)
			works = !reopen(metadata, &err); /* as amid refuses commits until then */
	}
	meta_close(metadata->meta);
	metadata->meta = NULL;
}

static void *run_metadata(const char *folder, uint64_t seed)
{
	struct metadata *metadata = create(folder, seed);
	make_commits(metadata, COMMITS);
	return metadata;
}

/* What an item must hold after the first `count` commits. */
static unsigned expected_number(const struct metadata *metadata, unsigned count, unsigned item)
{
	unsigned number = 0;
	for (unsigned i = 0; i < count; i++)
		if (metadata->commits[i].items >> item & 1)
			number = i + 1;
	return number;
}

/* Of how many commits at most the effects may be there, and how many must be. */
static void count_commits(const struct metadata *metadata, uint64_t position, unsigned *least, unsigned *most)
{
	*least = *most = 0;
	for (unsigned i = 0; i < metadata->commit_count; i++) {
		const struct commit *made = &metadata->commits[i];
		if (made->end <= position || !made->items)
			*least = *most = i + 1;
		else if (made->begun < position)
			*most = i + 1;
	}
}

/*
 * A commit that failed may have reached the log, and come back with it: the log that SQLite removed at the next closing is gone for good only when the folder is synced, which the next successful commit does
 * before it returns.
 */
static bool is_late_commit(const struct metadata *metadata, const unsigned numbers[ITEMS])
{
	for (unsigned i = metadata->commit_count; i-- > 0;) {
		const struct commit *made = &metadata->commits[i];
		bool same = made->failed_items != 0;
		if (made->end != NEVER)
			return false;
		for (unsigned item = 0; item < ITEMS; item++)
			same &= numbers[item] ==
				(made->failed_items >> item & 1 ? i + 1 : expected_number(metadata, i, item));
		if (same)
			return true;
	}
	return false;
}

static int check_numbers(
	const struct metadata *metadata, uint64_t position, const unsigned numbers[ITEMS], struct error *err)
{
	unsigned least, most;
	count_commits(metadata, position, &least, &most);
	for (unsigned count = least; count <= most; count++) {
		bool same = true;
		for (unsigned i = 0; i < ITEMS; i++)
			same &= numbers[i] == expected_number(metadata, count, i);
		if (same)
			return 0;
	}
	if (is_late_commit(metadata, numbers))
		return 0;
	return error_set(err, ERROR_CORRUPT,
		"the records are those of no state after %u to %u commits: %u %u %u %u %u %u", least, most,
		numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]);
}

static int verify_metadata(void *expected, const char *folder, uint64_t position, enum crash_kind kind,
	uint64_t seed, struct error *err)
{
	const struct metadata *metadata = expected;
	struct metadata after = { .meta = NULL };
	struct error found = { .code = ERROR_NONE };
	uint64_t faults = 0;
	unsigned numbers[ITEMS];
	(void)kind;
	snprintf(after.path, sizeof after.path, "%s/meta.db", folder);
	if (meta_open(after.path, &after.meta, err))
		return -1;
	int result = meta_check(after.meta, torture_report, &found, &faults, err);
	if (!result && faults)
		result = error_set(err, ERROR_CORRUPT, "%" PRIu64 " faults: %s", faults, found.message);
	for (unsigned i = 0; !result && i < ITEMS; i++)
		result = read_item(after.meta, i, &numbers[i], err);
	result = result || check_numbers(metadata, position, numbers, err);
	/* and it goes on; not if a second crash comes, after which that would have to be expected */
	if (!result && !simulated_disk_position() && random_next(&seed) % 2)
		result = commit(after.meta, 1, 1000, err) || reopen(&after, err) ||
			read_item(after.meta, 0, &numbers[0], err) ||
			(numbers[0] != 1000 ? error_set(err, ERROR_CORRUPT, "a new commit is not there") : 0);
	meta_close(after.meta);
	return result ? -1 : 0;
}

static const char *const newer_tables[] = { "ALTER TABLE records ADD COLUMN size BIGINT NOT NULL DEFAULT 0",
	"UPDATE records SET size = length(body)",
	"CREATE TABLE torture (id TEXT NOT NULL PRIMARY KEY, size BIGINT NOT NULL)",
	"INSERT INTO torture SELECT id, size FROM records", "CREATE INDEX torture_by_size ON torture (size)",
	NULL };

/* To the version after ours. */
static int migrate(const char *path, struct error *err)
{
	struct database *database;
	struct schema_migration *migrations = memory_alloc((schema_migration_count + 1) * sizeof *migrations);
	memcpy(migrations, schema_migrations, schema_migration_count * sizeof *migrations);
	migrations[schema_migration_count] =
		(struct schema_migration){ migrations[schema_migration_count - 1].version + 1, newer_tables };
	int result = database_open(path, DATABASE_WRITER, &database, err);
	if (!result) {
		result = schema_migrate(database, migrations, schema_migration_count + 1, err);
		database_close(database);
	}
	free(migrations);
	return result;
}

static void *run_migration(const char *folder, uint64_t seed)
{
	enum { COMMITS_BEFORE = 4, TRIES = 3 };
	struct error err;
	struct metadata *metadata = create(folder, seed);
	make_commits(metadata, COMMITS_BEFORE);
	for (int i = 0; i < TRIES && metadata->migrated == NEVER && metadata->commit_count == COMMITS_BEFORE;
		i++)
		if (!migrate(metadata->path, &err))
			metadata->migrated = simulated_disk_position();
	return metadata;
}

static int query_number(struct database *database, const char *sql, int64_t *number, struct error *err)
{
	struct cursor row CURSOR_SCOPED = { 0 };
	if (database_query_text(database, sql, &row, err) || cursor_next(&row, err) < 0)
		return -1;
	*number = cursor_number(&row, 0);
	return 0;
}

static int check_migrated(
	struct database *database, const struct metadata *metadata, uint64_t position, struct error *err)
{
	struct error found = { .code = ERROR_NONE };
	uint64_t faults = 0;
	int64_t copies, wrong, value;
	unsigned numbers[ITEMS];
	if (database_check(database, torture_report, &found, &faults, err) ||
		query_number(database, "SELECT COUNT(*) FROM torture", &copies, err) ||
		query_number(database,
			"SELECT COUNT(*) FROM records LEFT JOIN torture USING (id)"
			" WHERE torture.size IS NOT records.size OR records.size != length(body)",
			&wrong, err))
		return -1;
	if (faults || wrong)
		return error_set(err, ERROR_CORRUPT, "%" PRIu64 " faults, %" PRId64 " wrong copies: %s",
			faults, wrong, found.message);
	for (unsigned i = 0; i < ITEMS; i++) {
		char sql[160];
		snprintf(sql, sizeof sql,
			"SELECT COALESCE(MAX(json_extract(body, '$.number')), 0) FROM records WHERE id = '%s'",
			item_id(i));
		if (query_number(database, sql, &value, err))
			return -1;
		numbers[i] = (unsigned)value;
	}
	return check_numbers(metadata, position, numbers, err);
}

/* When the commits are done. What may happen before is the other scenario's. */
static uint64_t first_of_migration(void *expected)
{
	const struct metadata *metadata = expected;
	uint64_t first = 0;
	for (unsigned i = 0; i < metadata->commit_count; i++)
		if (metadata->commits[i].end != NEVER)
			first = metadata->commits[i].end;
	return first;
}

static int verify_migration(void *expected, const char *folder, uint64_t position, enum crash_kind kind,
	uint64_t seed, struct error *err)
{
	const struct metadata *metadata = expected;
	char path[300];
	(void)kind;
	(void)seed;
	if (!metadata->commit_count || metadata->commits[metadata->commit_count - 1].end > position)
		return 0;
	snprintf(path, sizeof path, "%s/meta.db", folder);
	struct database *database;
	if (migrate(path, err) || database_open(path, DATABASE_READER, &database, err))
		return -1;
	int result = check_migrated(database, metadata, position, err);
	database_close(database);
	return result;
}

const struct scenario scenario_metadata = { "metadata", run_metadata, verify_metadata, free };
const struct scenario scenario_migration = { "migration", run_migration, verify_migration, free,
	first_of_migration };
