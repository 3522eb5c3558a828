/*
 * A process writes, zeros, flushes, freezes, seals and rebases a volume until it is killed (-9) at a random moment; then every grain is looked at. It notes in shared memory what it is about
 * to do, what was acknowledged, and what was flushed.
 *
 * After a kill a grain must hold what was acknowledged last, or what was under way. In every second round the live maps are removed as well, which is what a loss of power does to
 * them: then it must hold something not older than what was flushed.
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "place.h"

enum { GRAINS = 4096, GRAIN = 4096, LONGEST = 64 };

/* Versions count up over the whole run; a grain written by operation n holds n in every word, or zeros if n zeroed it. */
struct notes {
	uint64_t version;
	uint64_t begun[GRAINS], acknowledged[GRAINS], flushed[GRAINS];
	uint64_t last_zero[GRAINS]; /* begun */
	_Atomic uint64_t operations;
	uint64_t flushes, seals;
};

struct crash {
	struct place place;
	struct notes *notes;
	uint64_t seed;
};

static void fill_grains(uint64_t *data, unsigned count, uint64_t version)
{
	for (unsigned i = 0; i < count * GRAIN / 8; i++)
		data[i] = version;
}

static int change(struct crash *crash, struct volume *volume, struct error *err)
{
	static uint64_t data[LONGEST * GRAIN / 8];
	struct notes *notes = crash->notes;
	unsigned first = (unsigned)(scratch_random(&crash->seed) % GRAINS);
	unsigned count = 1 + (unsigned)(scratch_random(&crash->seed) % LONGEST);
	bool zero = scratch_random(&crash->seed) % 4 == 0;
	if (first + count > GRAINS)
		count = GRAINS - first;
	uint64_t version = ++notes->version;
	for (unsigned i = first; i < first + count; i++) {
		notes->begun[i] = version;
		if (zero)
			notes->last_zero[i] = version;
	}
	fill_grains(data, count, version);
	uint64_t offset = (uint64_t)first * GRAIN;
	int failed = zero ? volume_zero(volume, offset, (uint64_t)count * GRAIN, err)
			  : volume_write(volume, data, offset, count * GRAIN, err);
	for (unsigned i = first; !failed && i < first + count; i++)
		notes->acknowledged[i] = version;
	return failed;
}

static int flush(struct crash *crash, struct volume *volume, struct error *err)
{
	static uint64_t before[GRAINS];
	memcpy(before, crash->notes->acknowledged, sizeof before);
	if (volume_flush(volume, err))
		return -1;
	memcpy(crash->notes->flushed, before, sizeof before);
	crash->notes->flushes++;
	return 0;
}

static int snapshot(struct crash *crash, struct volume *volume, struct error *err)
{
	struct store_session *session;
	struct digest root;
	uint64_t layer;
	if (volume_freeze(volume, &layer, err) || change(crash, volume, err) ||
		volume_sync_frozen(volume, layer, err))
		return -1;
	if (scratch_random(&crash->seed) % 3 == 0)
		return 0; /* left for the next */
	if (store_session_open(crash->place.store, &session, err))
		return -1;
	int failed = volume_seal(crash->place.folder, crash->place.runtime, layer, crash->place.store,
			     session, &root, NULL, err) ||
		change(crash, volume, err) || volume_rebase(volume, layer, &root, err);
	store_session_close(session);
	crash->notes->seals += !failed;
	return failed;
}

/* Never returns; a failure is told by the exit status, since only being killed is right. */
static void work(struct crash *crash)
{
	struct error err;
	struct volume *volume;
	if (store_open(crash->place.store_folder, &crash->place.store, &err) ||
		volume_open(crash->place.folder, crash->place.runtime, crash->place.store, &volume, &err))
		goto failed;
	for (;; atomic_fetch_add(&crash->notes->operations, 1)) {
		uint64_t choice = scratch_random(&crash->seed) % 100;
		int result = choice < 80 ? change(crash, volume, &err)
			: choice < 93    ? flush(crash, volume, &err)
					 : snapshot(crash, volume, &err);
		if (result)
			goto failed;
	}
failed:
	fprintf(stderr, "worker: %s\n", err.message);
	_exit(1);
}

static void check_grain(const struct notes *notes, unsigned grain, const uint64_t *data, bool power_lost)
{
	uint64_t found = data[0], oldest = power_lost ? notes->flushed[grain] : notes->acknowledged[grain];
	for (unsigned i = 1; i < GRAIN / 8; i++)
		if (data[i] != found)
			fail_msg("grain %u is torn: %llu and %llu", grain, (unsigned long long)found,
				(unsigned long long)data[i]);
	/* zeros: of the beginning, or of a zero operation recent enough */
	bool fine = found ? found >= oldest && found <= notes->begun[grain]
			  : !oldest || notes->last_zero[grain] >= oldest;
	if (!fine)
		fail_msg("grain %u holds %llu; flushed %llu, acknowledged %llu, begun %llu, zeroed %llu",
			grain, (unsigned long long)found, (unsigned long long)notes->flushed[grain],
			(unsigned long long)notes->acknowledged[grain],
			(unsigned long long)notes->begun[grain], (unsigned long long)notes->last_zero[grain]);
}

/* Opens what the worker left, and looks at all of it. What is there now counts as flushed, since closing flushes. */
static void check(struct crash *crash, bool power_lost)
{
	static uint64_t data[GRAIN / 8];
	struct error err;
	struct volume *volume;
	struct notes *notes = crash->notes;
	uint64_t faults;
	if (power_lost) {
		ASSERT_OK(file_remove_tree(crash->place.runtime, &err));
		ASSERT_OK(file_make_folder(crash->place.runtime, 0700, &err));
	}
	ASSERT_OK(store_open(crash->place.store_folder, &crash->place.store, &err));
	ASSERT_OK(volume_open(crash->place.folder, crash->place.runtime, crash->place.store, &volume, &err));
	for (unsigned grain = 0; grain < GRAINS; grain++) {
		ASSERT_OK(volume_read(volume, data, (uint64_t)grain * GRAIN, GRAIN, &err));
		check_grain(notes, grain, data, power_lost);
		notes->flushed[grain] = notes->acknowledged[grain] = notes->begun[grain] =
			data[0] ? data[0] : notes->last_zero[grain];
	}
	volume_close(volume);
	ASSERT_OK(volume_check(crash->place.folder, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	ASSERT_OK(store_check(crash->place.store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	store_close(crash->place.store);
}

static void round_of(struct crash *crash, bool power_lost)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		work(crash);
	/* some operations later, and then some: the sleep is the random moment within one */
	uint64_t target = atomic_load(&crash->notes->operations) + scratch_random(&crash->seed) % 60;
	struct timespec moment = { .tv_nsec = 100000 };
	while (atomic_load(&crash->notes->operations) < target && !waitpid(child, &status, WNOHANG))
		nanosleep(&moment, NULL);
	moment.tv_nsec = (long)(scratch_random(&crash->seed) % 3000000);
	nanosleep(&moment, NULL);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	check(crash, power_lost);
	crash->seed += 1000003;
}

static void whatever_was_acknowledged_is_there_after_a_kill(void **state)
{
	struct error err;
	struct crash crash = { 0 };
	const char *seed = getenv("AMID_TEST_SEED"), *rounds = getenv("AMID_TEST_ROUNDS");
	unsigned count = rounds ? (unsigned)strtoul(rounds, NULL, 10) : 40;
	crash.seed = seed ? strtoull(seed, NULL, 10) : 1;
	crash.notes =
		mmap(NULL, sizeof *crash.notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(crash.notes != MAP_FAILED);
	place_open(&crash.place, state);
	place_close(&crash.place);
	ASSERT_OK(volume_create(crash.place.folder, GRAINS * GRAIN, NULL, &err));
	for (unsigned i = 0; i < count; i++)
		round_of(&crash, i % 2);
	/* else it has tested nothing */
	assert_true(crash.notes->flushes > count / 2 && crash.notes->seals > count / 4);
	munmap(crash.notes, sizeof *crash.notes);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(whatever_was_acknowledged_is_there_after_a_kill) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
