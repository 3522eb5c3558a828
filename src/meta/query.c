/*
 * Reading: each call takes a connection of the pool and runs one statement, so it sees one state of the database:
 * all that was committed before it began. Rows are decoded as they come, into the caller's arena. Any thread.
 */
#include "meta/meta_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/banned.h"

/* All rows of a statement that yields records, decoded. */
static int read_records(struct meta *meta, const struct record_kind *kind, enum statement id,
	const struct argument *arguments, size_t count, struct arena *arena, struct meta_rows *rows,
	struct error *err)
{
	struct database *database = readers_acquire(meta->readers, err);
	if (!database)
		return -1;
	struct cursor cursor;
	int more = database_query(database, id, arguments, count, &cursor, err);
	while (!more && (more = cursor_next(&cursor, err)) > 0) {
		void *record;
		more = meta_record_read(kind, &cursor, arena, &record, err);
		if (!more)
			*ARENA_APPEND(arena, rows->items, rows->count) = record;
	}
	cursor_close(&cursor);
	readers_release(meta->readers, database);
	return more;
}

/* `found` points at a pointer of the kind's own type. */
static void set_found(void *found, const void *record)
{
	memcpy(found, &record, sizeof record);
}

int meta_get(struct meta *meta, const struct record_kind *kind, const char *account, const char *region,
	const char *id, struct arena *arena, void *found, struct error *err)
{
	set_found(found, NULL);
	struct meta_rows rows = { 0 };
	if (read_records(meta, kind, RECORD_GET,
		    ARGUMENTS(text_argument(kind->name), text_argument(account), text_argument(region),
			    text_argument(id)),
		    arena, &rows, err))
		return -1;
	set_found(found, rows.count ? rows.items[0] : NULL);
	return 0;
}

int meta_get_any(struct meta *meta, const struct record_kind *kind, const char *region, const char *id,
	struct arena *arena, void *found, struct error *err)
{
	set_found(found, NULL);
	struct argument arguments[] = { text_argument(kind->name), text_argument(id),
		text_argument(region ? region : "") };
	struct meta_rows rows = { 0 };
	if (read_records(meta, kind, region ? RECORD_GET_ANY_IN_REGION : RECORD_GET_ANY, arguments,
		    region ? 3 : 2, arena, &rows, err))
		return -1;
	/* picking one of several would hand out somebody else's record */
	if (rows.count > 1)
		return error_set(err, ERROR_INTERNAL, "there are several records: %s %s", kind->name, id);
	set_found(found, rows.count ? rows.items[0] : NULL);
	return 0;
}

static bool has_index(const struct record_kind *kind, const char *name)
{
	for (unsigned i = 0; i < kind->index_count; i++)
		if (!strcmp(kind->indexes[i].name, name))
			return true;
	return false;
}

int meta_list(struct meta *meta, const struct record_kind *kind, const struct meta_query *query,
	struct arena *arena, struct meta_rows *rows, struct error *err)
{
	static const struct meta_query everything;
	if (!query)
		query = &everything;
	*rows = (struct meta_rows){ 0 };
	if (!query->index != !query->value || (query->index && !has_index(kind, query->index)))
		return error_set(err, ERROR_INTERNAL, "%s has no index %s, or no value is given", kind->name,
			query->index ? query->index : "");
	struct argument arguments[7];
	size_t count = 0;
	arguments[count++] = text_argument(kind->name);
	if (query->index) {
		arguments[count++] = text_argument(query->index);
		arguments[count++] = text_argument(query->value);
	}
	if (query->account)
		arguments[count++] = text_argument(query->account);
	if (query->region)
		arguments[count++] = text_argument(query->region);
	arguments[count++] = text_argument(query->after_id ? query->after_id : "");
	arguments[count++] = number_argument(query->limit ? (int64_t)query->limit : INT64_MAX);
	int variant = (query->account ? 1 : 0) + (query->region ? 2 : 0) + (query->index ? 4 : 0);
	return read_records(meta, kind, LIST_ALL + variant, arguments, count, arena, rows, err);
}

int meta_count(struct meta *meta, const struct record_kind *kind, const struct meta_query *query,
	size_t *count, struct error *err)
{
	*count = 0;
	if (!query->index || !query->value || !query->account || !query->region || query->after_id ||
		query->limit || !has_index(kind, query->index))
		return error_set(
			err, ERROR_INTERNAL, "a count of %s needs an index, account and region", kind->name);
	struct database *database = readers_acquire(meta->readers, err);
	if (!database)
		return -1;
	struct cursor rows;
	int more = database_query(database, COUNT_INDEX,
		ARGUMENTS(text_argument(kind->name), text_argument(query->index), text_argument(query->value),
			text_argument(query->account), text_argument(query->region)),
		&rows, err);
	if (!more && (more = cursor_next(&rows, err)) > 0)
		*count = (size_t)cursor_number(&rows, 0);
	cursor_close(&rows);
	readers_release(meta->readers, database);
	return more < 0 ? -1 : 0;
}

int meta_changes_after(struct meta *meta, int64_t sequence, size_t limit, struct arena *arena,
	struct meta_change **changes, size_t *count, struct error *err)
{
	*changes = NULL;
	*count = 0;
	struct database *database = readers_acquire(meta->readers, err);
	if (!database)
		return -1;
	struct cursor rows;
	int more = database_query(database, CHANGES_AFTER,
		ARGUMENTS(number_argument(sequence), number_argument(limit ? (int64_t)limit : INT64_MAX)),
		&rows, err);
	while (!more && (more = cursor_next(&rows, err)) > 0) {
		*ARENA_APPEND(arena, *changes, *count) = (struct meta_change){
			.sequence = cursor_number(&rows, 0),
			.time_ms = cursor_number(&rows, 1),
			.kind = arena_strdup(arena, cursor_text(&rows, 2)),
			.account = arena_strdup(arena, cursor_text(&rows, 3)),
			.region = arena_strdup(arena, cursor_text(&rows, 4)),
			.id = arena_strdup(arena, cursor_text(&rows, 5)),
			.deleted = cursor_number(&rows, 6),
		};
		more = 0;
	}
	cursor_close(&rows);
	readers_release(meta->readers, database);
	/* the newest entry always stays: who is given none has missed none */
	if (!more && *count && (*changes)[0].sequence != sequence + 1)
		return error_set(err, ERROR_NOT_FOUND,
			"the change log begins at %" PRId64 ": changes after %" PRId64
			" are not all kept any more",
			(*changes)[0].sequence, sequence);
	return more;
}
