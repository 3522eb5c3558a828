/*
 * Carrying out a batch, on the writer thread, inside a transaction and a savepoint that are the caller's.
 *
 * In three passes: what the batch expects; the records, taking away index entries that no longer hold; the new
 * index entries and the change log. So a batch may pass a unique value from one record to another, in any order,
 * and expectations see the state before the batch.
 */
#include "meta/meta_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/banned.h"
#include "base/clock.h"

#define KEY_ARGUMENTS(change) \
	text_argument((change)->kind), text_argument((change)->account), text_argument((change)->region), \
		text_argument((change)->id)

static int stored_version(
	struct database *database, const struct batch_change *change, int64_t *version, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(database, RECORD_VERSION, ARGUMENTS(KEY_ARGUMENTS(change)), &rows, err))
		return -1;
	int more = cursor_next(&rows, err);
	*version = more > 0 ? cursor_number(&rows, 0) : 0;
	return more < 0 ? -1 : 0;
}

/* Says which of the two it was: changed by someone else, or gone. */
static int set_conflict(struct database *database, const struct batch_change *change, struct error *err)
{
	int64_t version;
	if (stored_version(database, change, &version, err))
		return -1;
	if (!version)
		return error_set(err, ERROR_CONFLICT, "%s %s no longer exists", change->kind, change->id);
	return error_set(err, ERROR_CONFLICT,
		"%s %s was changed meanwhile: version %" PRId64 ", expected %" PRId64, change->kind,
		change->id, version, change->version);
}

static int check_expectation(struct database *database, const struct batch_change *change, struct error *err)
{
	int64_t version;
	if (stored_version(database, change, &version, err))
		return -1;
	return version == change->version ? 0 : set_conflict(database, change, err);
}

static int insert_record(struct database *database, const struct batch_change *change, struct error *err)
{
	int64_t inserted;
	if (database_run(database, RECORD_INSERT,
		    ARGUMENTS(KEY_ARGUMENTS(change), bytes_argument(change->body, change->body_size)),
		    &inserted, err))
		return -1;
	return inserted ? 0
			: error_set(err, ERROR_DUPLICATE, "%s %s exists already", change->kind, change->id);
}

static int update_record(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err)
{
	int64_t updated;
	if (database_run(database, RECORD_UPDATE,
		    ARGUMENTS(bytes_argument(change->body, change->body_size), KEY_ARGUMENTS(change),
			    number_argument(change->version)),
		    &updated, err))
		return -1;
	if (!updated)
		return set_conflict(database, change, err);
	return meta_index_reconcile(database, change, arena, err);
}

static int delete_record(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err)
{
	int64_t deleted;
	if (database_run(database, RECORD_DELETE,
		    ARGUMENTS(KEY_ARGUMENTS(change), number_argument(change->version)), &deleted, err))
		return -1;
	if (!deleted)
		return set_conflict(database, change, err);
	return meta_index_forget(database, change, arena, err);
}

static int change_record(
	struct database *database, struct batch_change *change, struct arena *arena, struct error *err)
{
	switch (change->action) {
	case CHANGE_EXPECT:
		return 0;
	case CHANGE_DELETE:
		return delete_record(database, change, arena, err);
	case CHANGE_PUT:
		return change->version ? update_record(database, change, arena, err)
				       : insert_record(database, change, err);
	}
	return error_set(err, ERROR_INTERNAL, "unknown change of %s %s", change->kind, change->id);
}

static int append_change(struct database *database, struct meta_batch *batch,
	const struct batch_change *change, int64_t sequence, int64_t time_ms, struct error *err)
{
	bool deleted = change->action == CHANGE_DELETE;
	struct meta_change *entry = ARENA_APPEND(batch->arena, batch->log, batch->log_count);
	*entry = (struct meta_change){ sequence, time_ms, change->kind, change->account, change->region,
		change->id, deleted };
	for (size_t i = 0; i < change->lost.count; i++)
		*ARENA_APPEND(batch->arena, entry->lost, entry->lost_count) =
			(struct meta_index_value){ change->lost.items[i].name, change->lost.items[i].value };
	return database_run(database, CHANGE_APPEND,
		ARGUMENTS(number_argument(sequence), number_argument(time_ms), KEY_ARGUMENTS(change),
			number_argument(deleted)),
		NULL, err);
}

static bool is_kept(const char *kind, const char *const *keep)
{
	for (; keep && *keep; keep++)
		if (!strcmp(kind, *keep))
			return true;
	return false;
}

/* Turns "forget this account" into deletions of what it has now. */
static int add_forgotten(struct database *database, struct meta_batch *batch, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(database, RECORDS_OF_ACCOUNT, ARGUMENTS(text_argument(batch->forget_account)),
		    &rows, err))
		return -1;
	int more;
	while ((more = cursor_next(&rows, err)) > 0) {
		if (is_kept(cursor_text(&rows, 0), batch->forget_keep))
			continue;
		struct batch_change *change = ARENA_APPEND(batch->arena, batch->changes, batch->count);
		*change = (struct batch_change){
			.action = CHANGE_DELETE,
			.kind = arena_strdup(batch->arena, cursor_text(&rows, 0)),
			.account = batch->forget_account,
			.region = arena_strdup(batch->arena, cursor_text(&rows, 1)),
			.id = arena_strdup(batch->arena, cursor_text(&rows, 2)),
			.version = cursor_number(&rows, 3),
		};
	}
	return more;
}

int meta_batch_apply(
	struct database *database, struct meta_batch *batch, int64_t *sequence, struct error *err)
{
	if (batch->forget_account && add_forgotten(database, batch, err))
		return -1;
	struct batch_change *end = batch->changes + batch->count;
	for (struct batch_change *change = batch->changes; change < end; change++)
		if (change->action == CHANGE_EXPECT && check_expectation(database, change, err))
			return -1;
	for (struct batch_change *change = batch->changes; change < end; change++)
		if (change_record(database, change, batch->arena, err))
			return -1;
	int64_t time_ms = clock_now_ms();
	for (struct batch_change *change = batch->changes; change < end; change++) {
		if (change->action == CHANGE_EXPECT)
			continue;
		if (meta_index_insert(database, change, err) ||
			append_change(database, batch, change, *sequence + 1, time_ms, err))
			return -1;
		++*sequence;
	}
	return 0;
}
