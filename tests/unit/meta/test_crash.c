/*
 * Killed at any moment: a child commits batches from several threads and reports each acknowledged one through a
 * pipe; it is killed with SIGKILL after a random time. Then every acknowledged batch is there whole, no batch is
 * half there, the change log has no gap, the check finds nothing. Again and again on the same file.
 *
 * A batch is PARTS records named ROUND-THREAD-NUMBER-PART; one in four also deletes its predecessor of the same
 * thread. In every other round each batch also changes one record that all threads share, so that many conflict;
 * in the rounds between nothing holds the threads back, so that kills meet checkpoints.
 *
 * AMID_TEST_CRASHES sets how many times (default 12, about two seconds).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "things.h"

enum { THREADS = 6, PARTS = 4, DEFAULT_CRASHES = 12, LONGEST_MS = 150 };

/* What goes through the pipe: less than PIPE_BUF, so whole. */
struct report {
	int round, thread, number;
};

struct worker {
	struct meta *meta;
	int pipe;
	int round, thread;
};

static const char *part_id(struct arena *arena, const struct report *report, int part)
{
	return arena_printf(arena, "%d-%d-%d-%d", report->round, report->thread, report->number, part);
}

static bool deletes_predecessor(const struct report *report)
{
	return report->number % 4 == 3;
}

static bool shares_a_record(int round)
{
	return round % 2;
}

static int change_shared(
	struct worker *worker, struct arena *arena, struct meta_batch *batch, struct error *err)
{
	struct thing_record *shared;
	if (meta_get(worker->meta, &record_thing, "1", "r", "shared", arena, &shared, err))
		return -1;
	shared->number.value++;
	meta_batch_put(batch, &record_thing, shared);
	return 0;
}

/* Fills a batch; -1 if the store cannot be read. */
static int fill_batch(struct worker *worker, const struct report *report, struct arena *arena,
	struct meta_batch *batch, struct error *err)
{
	if (shares_a_record(report->round) && change_shared(worker, arena, batch, err))
		return -1;
	struct report before = { report->round, report->thread, report->number - 1 };
	for (int part = 0; part < PARTS; part++) {
		struct thing_record thing = { .record = { "1", "r", part_id(arena, report, part), 0 } };
		thing.name = thing.record.id;
		thing.state = part_id(arena, report, PARTS); /* the same for all parts of the batch */
		meta_batch_put(batch, &record_thing, &thing);
		thing.record = (struct record){ "1", "r", part_id(arena, &before, part), 1 };
		if (deletes_predecessor(report))
			meta_batch_delete(batch, &record_thing, &thing);
	}
	return 0;
}

static void *commit_for_ever(void *context)
{
	struct worker *worker = context;
	struct report report = { worker->round, worker->thread, 0 };
	for (;;) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct meta_batch *batch = meta_batch_create(worker->meta, arena);
		struct error err;
		if (fill_batch(worker, &report, arena, batch, &err) ||
			meta_commit(worker->meta, batch, &err)) {
			if (err.code == ERROR_CONFLICT)
				continue;
			fprintf(stderr, "child: %s\n", err.message);
			_exit(1);
		}
		if (file_write_full(worker->pipe, &report, sizeof report))
			_exit(2);
		report.number++;
	}
}

/* The child: never returns. */
static void run_child(const char *path, int pipe, int round)
{
	struct meta *meta;
	struct error err;
	if (meta_open(path, &meta, &err)) {
		fprintf(stderr, "child: %s\n", err.message);
		_exit(3);
	}
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ meta, pipe, round, i };
		if (pthread_create(&threads[i], NULL, commit_for_ever, &workers[i]))
			_exit(4);
	}
	pthread_join(threads[0], NULL);
	_exit(5);
}

/* What one thread of the round has acknowledged: batches 0 to this, exclusive. */
struct acknowledged {
	int count[THREADS];
	int total;
};

static void read_reports(int pipe, struct acknowledged *acknowledged)
{
	struct report report;
	for (;;) {
		ssize_t got = read(pipe, &report, sizeof report);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		assert_int_equal(got, sizeof report);
		assert_int_equal(report.number, acknowledged->count[report.thread]);
		acknowledged->count[report.thread]++;
		acknowledged->total++;
	}
}

static void run_and_kill(struct scratch *s, int round, struct acknowledged *acknowledged)
{
	int pipes[2];
	uint32_t random;
	text_random_bytes(&random, sizeof random);
	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(pipes[0]);
		run_child(s->path, pipes[1], round);
	}
	close(pipes[1]);
	/* the kill comes from a second child, so that this process can keep the pipe empty */
	pid_t killer = fork();
	if (killer == 0) {
		usleep(random % (LONGEST_MS * 1000));
		kill(child, SIGKILL);
		_exit(0);
	}
	read_reports(pipes[0], acknowledged);
	close(pipes[0]);
	int status;
	assert_int_equal(waitpid(killer, &status, 0), killer);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int parts_found(struct scratch *s, struct arena *arena, const struct report *report)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "state", .value = part_id(arena, report, PARTS) };
	assert_done(meta_list(s->meta, &record_thing, &query, arena, &rows, &s->err), s->err);
	for (size_t i = 0; i < rows.count; i++) {
		struct thing_record *thing = rows.items[i];
		assert_string_equal(thing->record.id, part_id(arena, report, (int)i));
		assert_string_equal(thing->name, thing->record.id);
	}
	return (int)rows.count;
}

/* The batches of one thread; returns how many of them were carried out. */
static int check_thread(struct scratch *s, int round, int thread, int acknowledged)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	/* the one under way when the child died may be there or not, but whole */
	struct report doubtful = { round, thread, acknowledged };
	int found = parts_found(s, arena, &doubtful);
	assert_true(found == 0 || found == PARTS);
	int done = acknowledged + (found ? 1 : 0);
	struct report beyond = { round, thread, acknowledged + 1 };
	assert_int_equal(parts_found(s, arena, &beyond), 0);
	for (int number = 0; number < done; number++) {
		struct report report = { round, thread, number }, after = { round, thread, number + 1 };
		bool deleted = number + 1 < done && deletes_predecessor(&after);
		assert_int_equal(parts_found(s, arena, &report), deleted ? 0 : PARTS);
	}
	return done;
}

/* Up to the last without gaps, from as far back as it is kept. */
static void check_log(struct scratch *s)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_change *changes;
	size_t count;
	int64_t last = meta_last_change(s->meta),
		from = last < META_CHANGES_KEPT ? 0 : last - META_CHANGES_KEPT;
	assert_done(meta_changes_after(s->meta, from, 0, arena, &changes, &count, &s->err), s->err);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(changes[i].sequence, from + (int64_t)i + 1);
	assert_int_equal(last, from + (int64_t)count);
}

static void nothing_acknowledged_is_lost_and_nothing_is_half_done(void **state)
{
	struct scratch *s = *state;
	const char *wanted = getenv("AMID_TEST_CRASHES");
	int crashes = wanted ? (int)strtol(wanted, NULL, 10) : DEFAULT_CRASHES;
	int64_t carried_out = 0, shared_changes = 0, acknowledged_total = 0;
	struct thing_record *shared = thing_create(s, "shared", "shared", NULL);
	shared->number = some_integer(0);
	assert_int_equal(thing_put(s, shared), 0);
	for (int round = 0; round < crashes; round++) {
		struct acknowledged acknowledged = { 0 };
		meta_close(s->meta);
		s->meta = NULL;
		run_and_kill(s, round, &acknowledged);
		assert_done(meta_open(s->path, &s->meta, &s->err), s->err);
		int64_t before = carried_out;
		for (int thread = 0; thread < THREADS; thread++)
			carried_out += check_thread(s, round, thread, acknowledged.count[thread]);
		acknowledged_total += acknowledged.total;
		shared_changes += shares_a_record(round) ? carried_out - before : 0;
		assert_int_equal(thing_get(s, "shared")->number.value, shared_changes);
		assert_int_equal(scratch_faults(s), 0);
		check_log(s);
	}
	print_message("%d crashes, %lld batches acknowledged, %lld found\n", crashes,
		(long long)acknowledged_total, (long long)carried_out);
	assert_true(acknowledged_total > crashes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(nothing_acknowledged_is_lost_and_nothing_is_half_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
