/*
 * The change log's beginning goes, in the transaction of a group that has appended to its end: what is beyond the newest META_CHANGES_KEPT, and what is too old, as far as it lies before all that is not (times come from a clock
 * that may be moved). The log stays without gaps, and its newest entry stays always, since it is what numbers go on from after a restart.
 *
 * Nothing happens until there are TRIM_STEP entries to look at, and never are more than TRIM_MOST forgotten at once: so a commit pays for a statement rarely, and a log that is long from earlier times shrinks by and by. The writer
 * thread.
 */
#include "meta/meta_internal.h"

#include "base/banned.h"
#include "base/clock.h"

enum { TRIM_STEP = 512, TRIM_MOST = 4096 };

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The first entry from `first` on that is not too old; `end` if there is none before that. */
static int find_recent(
	struct database *database, int64_t first, int64_t end, int64_t *recent, struct error *err)
{
	struct cursor rows CURSOR_SCOPED = { 0 };
	if (database_query(database, CHANGE_RECENT,
		    ARGUMENTS(number_argument(first), number_argument(end),
			    number_argument(clock_now_ms() - META_CHANGES_KEPT_MS)),
		    &rows, err))
		return -1;
	int more = cursor_next(&rows, err);
	*recent = more > 0 ? cursor_number(&rows, 0) : end;
	return more < 0 ? -1 : 0;
}

int meta_changes_trim(struct database *database, struct change_log *log, int64_t last, struct error *err)
{
	if (last - log->looked_at < TRIM_STEP)
		return 0;
	int64_t end = smaller(last, log->first + TRIM_MOST), begin;
	if (find_recent(database, log->first, end, &begin, err))
		return -1;
	int64_t surplus = smaller(last - META_CHANGES_KEPT + 1, end);
	if (begin < surplus)
		begin = surplus;
	if (begin > log->first &&
		database_run(database, CHANGES_FORGET, ARGUMENTS(number_argument(begin)), NULL, err))
		return -1;
	log->first = begin;
	if (begin < end)
		log->looked_at = last; /* else there may be more, for the next group */
	return 0;
}
