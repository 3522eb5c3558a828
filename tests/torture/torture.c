/*
 * The torture: runs scenarios on the simulated disk, and for each of them visits its crash points, or makes each of its calls fail.
 *
 *     torture [--seed N] [--points N] [--minutes N] [--scenario NAME] [--folder PATH]
 *
 * Every scenario is recorded with a seed, then all its positions are visited in order: the death of the process, and losses of power by several plans each. What a crash leaves is built in a
 * scratch folder and verified. For a share of the points the recovery is recorded too, and crashed in the middle. A run whose calls fail is recorded and verified at its end. All that is decided comes from the seed; what
 * goes wrong is printed with the numbers that repeat it. Exit status 1 if anything did.
 *
 * One process a scenario, as many at once as there are cores; threads only where a scenario starts some.
 */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/banned.h"

enum {
	PLANS = 4,         /* losses of power for each position */
	SECOND_SHARE = 12, /* one of so many points has its recovery crashed, too ... */
	SECOND_POINTS = 3, /* ... so often */
	FAULT_STEPS = 64,  /* calls that fail in one run of a scenario's faults */
	RUNS = 4,          /* of a scenario, at least, when so many points are wanted */
	LONG_RUN_POINTS = 3000,
	FAILURES_SHOWN = 5,
	HANG_SECONDS = 120,
	WATCHED_FINGERPRINTS = 16,
};

static const struct scenario *const scenarios[] = { &scenario_volume, &scenario_snapshot, &scenario_store,
	&scenario_import, &scenario_copy, &scenario_index, &scenario_metadata, &scenario_migration };
enum { SCENARIOS = sizeof scenarios / sizeof *scenarios };

/* Counted by all processes together. */
struct tally {
	_Atomic uint64_t points, second_points, faults, failures, runs;
};

struct torture {
	const struct scenario *scenario;
	struct tally *tally;
	char work[200]; /* scratch folder of this process */
	char root[256], crashed[256], again[256];
	uint64_t seed;          /* of the scenario's run */
	uint64_t points_wanted; /* by this process; 0: until the deadline */
	uint64_t points_a_run;
	uint64_t points;
	int64_t deadline_ms;
};

/* Where it is, for the message of a signal. */
static char where[512];

/* TORTURE_PRINT: for looking at what a crash was made of. */
static bool is_to_be_printed(const char *what)
{
	const char *wanted = getenv("TORTURE_PRINT");
	return wanted && strstr(what, wanted);
}

static void say_where(int number)
{
	static const char text[] = "torture: ended by a signal (or hung) at: ";
	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
		write(STDOUT_FILENO, where, strlen(where)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(3);
	signal(number, SIG_DFL);
	raise(number);
}

static atomic_bool single_threaded;

void torture_set_single_threaded(bool single)
{
	atomic_store(&single_threaded, single);
}

int __real_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);
int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context);

int __wrap_pthread_create(
	pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context)
{
	if (atomic_load(&single_threaded))
		return EAGAIN;
	return __real_pthread_create(thread, attributes, run, context);
}

void torture_report(void *context, const char *line)
{
	struct error *found = context;
	if (found->code == ERROR_NONE)
		error_set(found, ERROR_CORRUPT, "%s", line);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

/* An empty folder. Not by disk.h: this is no work of amid. */
static void empty_folder(const char *path)
{
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		abort();
	if (mkdir(path, 0700))
		abort();
}

static void fail(struct torture *torture, const struct error *err)
{
	if (atomic_fetch_add(&torture->tally->failures, 1) < FAILURES_SHOWN)
		printf("FAILED %s: %s\n", where, err->message);
	fflush(stdout);
}

/* Verifies what a crash left in torture->crashed; the numbers are in `where`. */
static int verify(struct torture *torture, void *expected, const char *folder, unsigned boot,
	uint64_t position, enum crash_kind kind, uint64_t seed)
{
	struct error err = { .code = ERROR_NONE };
	alarm(HANG_SECONDS);
	simulated_disk_set_boot(boot);
	int result = torture->scenario->verify(expected, folder, position, kind, seed, &err);
	alarm(0);
	if (result)
		fail(torture, &err);
	return result;
}

/* Stores that were seen together were made in an order that is not known: only a loss of power can come between them. */
static bool is_between_stores(const struct recording *recording, size_t position)
{
	return position < recording->count && recording->operations[position].stored &&
		recording->operations[position - 1].stored;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/*
 * Crashes in the middle of the recovery that `recovery` recorded from operation `begin` on, with the same expectations. The death of a process may be followed by another one or by a loss of power, which also takes
 * what the first process had not synced.
 */
static void crash_recovery(struct torture *torture, void *expected, const struct recording *recovery,
	size_t begin, uint64_t position, enum crash_kind kind, uint64_t seed)
{
	size_t length = strlen(where), steps = recovery->count - begin;
	uint64_t cuts[SECOND_POINTS];
	if (!steps)
		return;
	for (int i = 0; i < SECOND_POINTS; i++)
		cuts[i] = begin + 1 + random_next(&seed) % steps;
	qsort(cuts, SECOND_POINTS, sizeof *cuts, compare_numbers);
	struct crash_builder *builder = crash_builder_create(recovery);
	if (is_to_be_printed(where))
		recording_print(recovery, 0, recovery->count);
	for (int i = 0; i < SECOND_POINTS; i++) {
		uint64_t plan = random_next(&seed);
		enum crash_kind second = kind == CRASH_POWER || plan % 2 ? CRASH_POWER : CRASH_PROCESS;
		if ((i && cuts[i] == cuts[i - 1]) ||
			(second == CRASH_PROCESS && is_between_stores(recovery, cuts[i])))
			continue;
		snprintf(where + length, sizeof where - length, " second=%" PRIu64 " crash=%s plan=%" PRIu64,
			cuts[i], second == CRASH_POWER ? "power" : "process", plan);
		empty_folder(torture->again);
		crash_builder_advance(builder, cuts[i]);
		crash_builder_plan(builder, second, plan);
		crash_builder_build(builder, torture->again);
		verify(torture, expected, torture->again, kind + second + 1, position, second, plan);
		atomic_fetch_add(&torture->tally->second_points, 1);
	}
	where[length] = '\0';
	crash_builder_destroy(builder);
}

/* One crash point: built, verified, counted. */
static void visit(struct torture *torture, void *expected, const struct recording *recording,
	struct crash_builder *builder, uint64_t position, enum crash_kind kind, uint64_t plan)
{
	uint64_t seed = plan;
	snprintf(where, sizeof where,
		"scenario=%s run-seed=%" PRIu64 " position=%" PRIu64 " crash=%s plan=%" PRIu64,
		torture->scenario->name, torture->seed, position, kind == CRASH_POWER ? "power" : "process",
		plan);
	empty_folder(torture->crashed);
	crash_builder_build(builder, torture->crashed);
	bool twice = random_next(&seed) % SECOND_SHARE == 0;
	size_t begin = 0;
	if (twice) {
		struct recording *fresh = kind == CRASH_POWER
			? recording_create(torture->crashed)
			: recording_fork(recording, position, torture->crashed);
		begin = fresh->count;
		simulated_disk_record(fresh);
	}
	int result = verify(torture, expected, torture->crashed, kind + 1, position, kind, plan);
	struct recording *recovery = twice ? simulated_disk_stop() : NULL;
	if (twice && !result)
		crash_recovery(torture, expected, recovery, begin, position, kind, seed);
	recording_destroy(recovery);
	torture->points++;
	atomic_fetch_add(&torture->tally->points, 1);
}

static bool is_enough(const struct torture *torture)
{
	return atomic_load(&torture->tally->failures) >= FAILURES_SHOWN ||
		(torture->points_wanted && torture->points >= torture->points_wanted) ||
		(torture->deadline_ms && clock_monotonic_ms() >= torture->deadline_ms);
}

static void visit_position(struct torture *torture, void *expected, const struct recording *recording,
	struct crash_builder *builder, size_t position)
{
	uint64_t seen[WATCHED_FINGERPRINTS], seed = torture->seed ^ position << 20;
	unsigned seen_count = 0;
	crash_builder_advance(builder, position);
	if (!is_between_stores(recording, position)) {
		crash_builder_plan(builder, CRASH_PROCESS, 0);
		visit(torture, expected, recording, builder, position, CRASH_PROCESS, random_next(&seed));
	}
	for (int i = 0; i < PLANS && !is_enough(torture); i++) {
		uint64_t plan = random_next(&seed),
			 fingerprint = crash_builder_plan(builder, CRASH_POWER, plan);
		bool known = false;
		for (unsigned j = 0; j < seen_count; j++)
			known |= seen[j] == fingerprint;
		if (known)
			continue;
		seen[seen_count++] = fingerprint;
		visit(torture, expected, recording, builder, position, CRASH_POWER, plan);
	}
}

/* Runs the scenario, recorded, in an empty folder. */
static void *run_scenario(struct torture *torture, struct recording **recording)
{
	char tmpfs[300];
	empty_folder(torture->root);
	snprintf(tmpfs, sizeof tmpfs, "%s/" RECORDING_TMPFS, torture->root);
	empty_folder(tmpfs);
	alarm(HANG_SECONDS);
	simulated_disk_set_boot(1);
	simulated_disk_record(recording_create(torture->root));
	void *expected = torture->scenario->run(torture->root, torture->seed);
	*recording = simulated_disk_stop();
	alarm(0);
	if (is_to_be_printed(where))
		recording_print(*recording, 0, (*recording)->count);
	atomic_fetch_add(&torture->tally->runs, 1);
	return expected;
}

static void visit_crashes(struct torture *torture)
{
	struct recording *recording;
	snprintf(
		where, sizeof where, "scenario=%s run-seed=%" PRIu64, torture->scenario->name, torture->seed);
	void *expected = run_scenario(torture, &recording);
	struct crash_builder *builder = crash_builder_create(recording);
	size_t first = torture->scenario->first ? torture->scenario->first(expected) : 0,
	       seed = torture->seed;
	if (first <= recording->initial)
		first = recording->initial + 1;
	/* not all positions of one run, but some of several */
	size_t stride = (recording->count - first) * (PLANS + 1) / torture->points_a_run + 1;
	for (size_t position = first + random_next(&seed) % stride;
		position <= recording->count && !is_enough(torture); position += stride)
		visit_position(torture, expected, recording, builder, position);
	crash_builder_destroy(builder);
	recording_destroy(recording);
	torture->scenario->destroy(expected);
}

/* The scenario with one call that fails; what it left is looked at as it is, and after a loss of power. */
static void visit_fault(struct torture *torture, enum fault_kind kind, uint64_t call)
{
	struct recording *recording;
	simulated_disk_fail(kind, call);
	snprintf(where, sizeof where, "scenario=%s run-seed=%" PRIu64 " fault=%d call=%" PRIu64,
		torture->scenario->name, torture->seed, kind, call);
	void *expected = run_scenario(torture, &recording);
	simulated_disk_fail(FAULT_NONE, 0);
	struct crash_builder *builder = crash_builder_create(recording);
	crash_builder_advance(builder, recording->count);
	for (int i = 0; i < 3; i++) {
		enum crash_kind crash = i ? CRASH_POWER : CRASH_PROCESS;
		uint64_t plan = (uint64_t)i + call;
		snprintf(where, sizeof where,
			"scenario=%s run-seed=%" PRIu64 " fault=%d call=%" PRIu64 " crash=%s plan=%" PRIu64,
			torture->scenario->name, torture->seed, kind, call, i ? "power" : "process", plan);
		empty_folder(torture->crashed);
		crash_builder_plan(builder, crash, plan);
		crash_builder_build(builder, torture->crashed);
		verify(torture, expected, torture->crashed, i ? 2 : 1, recording->count, crash, plan);
	}
	crash_builder_destroy(builder);
	recording_destroy(recording);
	torture->scenario->destroy(expected);
	atomic_fetch_add(&torture->tally->faults, 1);
}

static void visit_faults(struct torture *torture)
{
	static const enum fault_kind kinds[] = { FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_ENOSPC_ON };
	struct recording *recording;
	simulated_disk_fail(FAULT_NONE, 0);
	void *expected = run_scenario(torture, &recording);
	uint64_t calls = simulated_disk_calls(), seed = torture->seed;
	recording_destroy(recording);
	torture->scenario->destroy(expected);
	uint64_t stride = calls / FAULT_STEPS + 1;
	for (uint64_t call = random_next(&seed) % stride;
		call < calls && atomic_load(&torture->tally->failures) < FAILURES_SHOWN; call += stride)
		visit_fault(torture, kinds[random_next(&seed) % (sizeof kinds / sizeof *kinds)], call);
}

static void torture_scenario(struct torture *torture, uint64_t seed)
{
	snprintf(torture->root, sizeof torture->root, "%s/run", torture->work);
	snprintf(torture->crashed, sizeof torture->crashed, "%s/crashed", torture->work);
	snprintf(torture->again, sizeof torture->again, "%s/again", torture->work);
	torture_set_single_threaded(true);
	torture->points_a_run = torture->points_wanted ? torture->points_wanted / RUNS + 1 : LONG_RUN_POINTS;
	for (uint64_t run = 0; !is_enough(torture); run++) {
		torture->seed = seed + run;
		visit_crashes(torture);
		visit_faults(torture);
	}
}

static pid_t start(const struct scenario *scenario, struct tally *tally, const char *folder, uint64_t seed,
	uint64_t points, int64_t deadline_ms)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid)
		return pid;
	struct torture torture = {
		.scenario = scenario, .tally = tally, .points_wanted = points, .deadline_ms = deadline_ms
	};
	snprintf(torture.work, sizeof torture.work, "%s/%s", folder, scenario->name);
	if (mkdir(torture.work, 0700))
		_exit(3);
	torture_scenario(&torture, seed);
	printf("%-10s %" PRIu64 " points\n", scenario->name, torture.points);
	fflush(stdout);
	_exit(0);
}

static int wait_for_one(void)
{
	int status = 0;
	while (wait(&status) < 0 && errno == EINTR)
		;
	return status ? 1 : 0;
}

struct options {
	uint64_t seed, points, minutes;
	const char *scenario, *folder;
};

static void parse_options(int count, char **words, struct options *options)
{
	for (int i = 1; i < count; i += 2) {
		const char *value = i + 1 < count ? words[i + 1] : NULL;
		if (value && !strcmp(words[i], "--seed"))
			options->seed = strtoull(value, NULL, 10);
		else if (value && !strcmp(words[i], "--points"))
			options->points = strtoull(value, NULL, 10);
		else if (value && !strcmp(words[i], "--minutes"))
			options->minutes = strtoull(value, NULL, 10);
		else if (value && !strcmp(words[i], "--scenario"))
			options->scenario = value;
		else if (value && !strcmp(words[i], "--folder"))
			options->folder = value;
		else {
			fprintf(stderr,
				"torture [--seed N] [--points N] [--minutes N] [--scenario NAME] [--folder PATH]\n");
			exit(2);
		}
	}
}

/* All scenarios, two at a time; how many processes ended badly. */
static int torture_all(const struct options *options, const char *folder, struct tally *tally)
{
	enum { PARALLEL = 2 };
	int running = 0, bad = 0, chosen = 0;
	for (int i = 0; i < SCENARIOS; i++)
		chosen += !options->scenario || !strcmp(options->scenario, scenarios[i]->name);
	if (!chosen)
		return 1;
	for (int i = 0; i < SCENARIOS; i++) {
		if (options->scenario && strcmp(options->scenario, scenarios[i]->name) != 0)
			continue;
		int64_t share_ms =
			(int64_t)options->minutes * 60000 * (chosen < PARALLEL ? 1 : PARALLEL) / chosen;
		if (running == PARALLEL) {
			bad += wait_for_one();
			running--;
		}
		start(scenarios[i], tally, folder, options->seed,
			options->minutes ? 0 : options->points / (uint64_t)chosen + 1,
			options->minutes ? clock_monotonic_ms() + share_ms : 0);
		running++;
	}
	while (running--)
		bad += wait_for_one();
	return bad;
}

int main(int count, char **words)
{
	struct options options = { .seed = 1, .points = 10000, .folder = "/dev/shm" };
	parse_options(count, words, &options);
	char folder[150];
	snprintf(folder, sizeof folder, "%s/amid-torture-XXXXXX", options.folder);
	if (!mkdtemp(folder)) {
		perror(folder);
		return 2;
	}
	/* calls that fail are logged by the thousand; what is found is printed to standard output */
	if (!getenv("TORTURE_LOG") && !freopen("/dev/null", "w", stderr))
		return 2;
	signal(SIGABRT, say_where);
	signal(SIGSEGV, say_where);
	signal(SIGBUS, say_where);
	signal(SIGALRM, say_where);
	struct tally *tally =
		mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t begun_ms = clock_monotonic_ms();
	int bad = torture_all(&options, folder, tally);
	printf("seed=%" PRIu64 " crash points=%" PRIu64 " second crashes=%" PRIu64 " failed calls=%" PRIu64
	       " runs=%" PRIu64 " failures=%" PRIu64 " seconds=%" PRId64 "\n",
		options.seed, tally->points, tally->second_points, tally->faults, tally->runs,
		tally->failures, (clock_monotonic_ms() - begun_ms) / 1000);
	nftw(folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return bad || tally->failures ? 1 : 0;
}
