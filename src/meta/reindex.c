/*
 * Declared indexes change as amid grows: a new one on an old kind must find the records that are already there.
 * The table record_kinds keeps, per kind, the declaration its entries were made by; where it differs from the
 * program's, the entries of that kind are made anew when the file is opened, before any other thread exists.
 */
#include "meta/meta_internal.h"

#include <string.h>

#include "base/banned.h"
#include "base/buffer.h"
#include "base/log.h"

/* "name=path" a line, a ! behind unique ones. */
static void declare_indexes(const struct record_kind *kind, struct buffer *text)
{
	for (unsigned i = 0; i < kind->index_count; i++) {
		const struct record_index *index = &kind->indexes[i];
		buffer_printf(text, "%s=%s%s\n", index->name, index->path, index->unique ? "!" : "");
	}
}

static int is_current(struct database *database, const struct record_kind *kind, const char *declaration,
	bool *current, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(database, KIND_INDEXES, ARGUMENTS(text_argument(kind->name)), &rows, err))
		return -1;
	int more = cursor_next(&rows, err);
	*current = more > 0 && !strcmp(cursor_text(&rows, 0), declaration);
	return more < 0 ? -1 : 0;
}

static int index_record(
	struct database *database, const struct record_kind *kind, struct cursor *row, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct record *record;
	void *decoded;
	struct index_entries entries;
	if (meta_record_read(kind, row, scratch, &decoded, err) ||
		meta_index_entries(kind, decoded, scratch, &entries, err))
		return -1;
	record = decoded;
	struct batch_change change = {
		.kind = kind->name,
		.account = record->account,
		.region = record->region,
		.id = record->id,
		.entries = entries,
	};
	return meta_index_insert(database, &change, err);
}

static int rebuild_kind(
	struct database *database, const struct record_kind *kind, const char *declaration, struct error *err)
{
	const struct argument name = text_argument(kind->name);
	if (database_run(database, INDEX_DELETE_KIND, &name, 1, NULL, err) ||
		database_run(database, KIND_FORGET, &name, 1, NULL, err) ||
		database_run(database, KIND_INSERT, ARGUMENTS(name, text_argument(declaration)), NULL, err))
		return -1;
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(database, RECORDS_OF_KIND, &name, 1, &rows, err))
		return -1;
	int more;
	size_t count = 0;
	for (; (more = cursor_next(&rows, err)) > 0; count++)
		if (index_record(database, kind, &rows, err))
			return error_prefix(err, "cannot rebuild the indexes of %s", kind->name);
	if (count)
		log_info("metadata-reindexed", "kind=%s records=%zu", kind->name, count);
	return more;
}

/* Looks at one kind; begins the transaction if this is the first that needs it. */
static int refresh_kind(struct database *database, const struct record_kind *kind, struct error *err)
{
	struct buffer declaration BUFFER_SCOPED = { 0 };
	declare_indexes(kind, &declaration);
	bool current;
	if (is_current(database, kind, buffer_text(&declaration), &current, err))
		return -1;
	if (current)
		return 0;
	if (!database_in_transaction(database) && database_begin(database, err))
		return -1;
	return rebuild_kind(database, kind, buffer_text(&declaration), err);
}

int meta_index_refresh(struct database *database, const struct record_kind *const *kinds, struct error *err)
{
	for (; *kinds; kinds++)
		if (refresh_kind(database, *kinds, err)) {
			database_rollback(database);
			return -1;
		}
	return database_in_transaction(database) ? database_commit(database, err) : 0;
}
