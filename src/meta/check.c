/*
 * The check of the whole store: SQLite's own, every record's body and index entries, entries without a record,
 * gaps in the change log. It reads one state in one transaction while the store is in use; the log file may grow
 * meanwhile. What is found corrupt is a fault that is reported, not a failure of the check.
 */
#include "meta/meta_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/banned.h"

struct check {
	struct database *database;
	void (*report)(void *context, const char *line);
	void *context;
	uint64_t *faults;
};

static void report_fault(const struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void report_fault(const struct check *check, const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	++*check->faults;
	check->report(check->context, line);
}

static const struct record_kind *find_kind(const char *name)
{
	for (const struct record_kind *const *kind = record_kinds; *kind; kind++)
		if (!strcmp((*kind)->name, name))
			return *kind;
	return NULL;
}

/* Both lists are in order of name and value. */
static int compare_stored_entries(const struct check *check, const struct record_kind *kind,
	const struct record *record, const struct index_entries *wanted, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(check->database, INDEX_OF_RECORD,
		    ARGUMENTS(text_argument(kind->name), text_argument(record->account),
			    text_argument(record->region), text_argument(record->id)),
		    &rows, err))
		return -1;
	size_t same = 0;
	int more;
	while ((more = cursor_next(&rows, err)) > 0 && same < wanted->count) {
		const struct index_entry *entry = &wanted->items[same];
		if (strcmp(entry->name, cursor_text(&rows, 0)) ||
			strcmp(entry->value, cursor_text(&rows, 1)) ||
			entry->unique != cursor_number(&rows, 2))
			break;
		same++;
	}
	if (more > 0)
		report_fault(check, "%s %s: index entry %s=%s is stored but not in the record", kind->name,
			record->id, cursor_text(&rows, 0), cursor_text(&rows, 1));
	else if (same < wanted->count && !more)
		report_fault(check, "%s %s: index entry %s=%s is missing", kind->name, record->id,
			wanted->items[same].name, wanted->items[same].value);
	return more < 0 ? -1 : 0;
}

static int check_record(const struct check *check, struct cursor *row, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const struct record_kind *kind = find_kind(cursor_text(row, 5));
	if (!kind) {
		report_fault(
			check, "record %s has the unknown kind %s", cursor_text(row, 2), cursor_text(row, 5));
		return 0;
	}
	if (cursor_number(row, 3) < 1)
		report_fault(check, "%s %s has version %" PRId64, kind->name, cursor_text(row, 2),
			cursor_number(row, 3));
	void *record;
	struct index_entries wanted;
	struct error why;
	if (meta_record_read(kind, row, scratch, &record, &why) ||
		meta_index_entries(kind, record, scratch, &wanted, &why)) {
		report_fault(check, "%s", why.message);
		return 0;
	}
	return compare_stored_entries(check, kind, record, &wanted, err);
}

static int check_records(const struct check *check, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(check->database, RECORDS_ALL, NO_ARGUMENTS, &rows, err))
		return -1;
	int more;
	while ((more = cursor_next(&rows, err)) > 0)
		if (check_record(check, &rows, err))
			return -1;
	return more;
}

static int check_orphans(const struct check *check, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(check->database, INDEX_ORPHANS, NO_ARGUMENTS, &rows, err))
		return -1;
	int more;
	while ((more = cursor_next(&rows, err)) > 0)
		report_fault(check, "index entry %s of %s %s, which does not exist", cursor_text(&rows, 4),
			cursor_text(&rows, 0), cursor_text(&rows, 3));
	return more;
}

static int check_change_log(const struct check *check, struct error *err)
{
	struct cursor row CURSOR_SCOPED = { 0 };
	if (database_query(check->database, CHANGE_COUNT, NO_ARGUMENTS, &row, err) ||
		cursor_next(&row, err) < 0)
		return -1;
	int64_t count = cursor_number(&row, 0), first = cursor_number(&row, 1), last = cursor_number(&row, 2);
	if (count != last - first + 1)
		report_fault(check, "change log: %" PRId64 " entries from %" PRId64 " to %" PRId64, count,
			first, last);
	return 0;
}

static int check_all(const struct check *check, struct error *err)
{
	if (database_check(check->database, check->report, check->context, check->faults, err) ||
		check_records(check, err) || check_orphans(check, err) || check_change_log(check, err))
		return -1;
	return 0;
}

int meta_check(struct meta *meta, void (*report)(void *context, const char *line), void *context,
	uint64_t *faults, struct error *err)
{
	*faults = 0;
	struct check check = { readers_acquire(meta->readers, err), report, context, faults };
	if (!check.database)
		return -1;
	struct error why;
	int result = database_begin_read(check.database, &why) || check_all(&check, &why) ? -1 : 0;
	database_rollback(check.database);
	readers_release(meta->readers, check.database);
	if (result && why.code == ERROR_CORRUPT) {
		report_fault(&check, "%s", why.message);
		return 0;
	}
	if (result && err)
		*err = why;
	return result;
}
