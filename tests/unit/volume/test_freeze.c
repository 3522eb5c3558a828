/* Freezing and holding: what a snapshot contains, two volumes at one instant, holds that nobody releases, repeating the steps after a crash. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "place.h"

enum { MIB = 1 << 20 };

static void the_snapshot_has_what_was_written_before_and_nothing_after(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume, *clone;
	struct store_session *session;
	struct digest root, again;
	uint64_t layer;
	char folder[300], text[8];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 4 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_write(volume, "before!", 4096, 7, &err));
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	ASSERT_OK(volume_write(volume, "after!!", 4096, 7, &err));
	ASSERT_OK(store_session_open(place.store, &session, &err));
	/* not before it was synced */
	ASSERT_FAILS(volume_seal(place.folder, place.runtime, layer, place.store, session, &root, NULL, &err),
		ERROR_NOT_FOUND);
	ASSERT_FAILS(volume_sync_frozen(volume, layer + 1, &err), ERROR_INVALID);
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(volume_seal(place.folder, place.runtime, layer, place.store, session, &root, NULL, &err));
	ASSERT_OK(volume_seal(place.folder, place.runtime, layer, place.store, session, &again, NULL, &err));
	assert_memory_equal(&root, &again, sizeof root);
	ASSERT_OK(volume_rebase(volume, layer, &root, &err));
	ASSERT_OK(volume_rebase(volume, layer, &root, &err));
	ASSERT_OK(volume_seal(place.folder, place.runtime, layer, place.store, session, &again, NULL, &err));
	assert_memory_equal(&root, &again, sizeof root);
	store_session_close(session);
	ASSERT_OK(volume_read(volume, text, 4096, 7, &err));
	assert_memory_equal(text, "after!!", 7);
	snprintf(folder, sizeof folder, "%s/clone", place.root);
	ASSERT_OK(volume_create(folder, 4 * MIB, &root, &err));
	ASSERT_OK(volume_open(folder, place.runtime, place.store, &clone, &err));
	ASSERT_OK(volume_read(clone, text, 4096, 7, &err));
	assert_memory_equal(text, "before!", 7);
	volume_close(clone);
	volume_close(volume);
	place_close(&place);
}

static void freezing_twice_before_a_sync_seals_both(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	uint64_t first, second;
	struct volume_info info;
	char text[8];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 4 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_write(volume, "one", 0, 3, &err));
	ASSERT_OK(volume_freeze(volume, &first, &err));
	ASSERT_OK(volume_write(volume, "two", 8192, 3, &err));
	ASSERT_OK(volume_freeze(volume, &second, &err));
	assert_true(second > first);
	ASSERT_OK(volume_flush(volume, &err)); /* covers them */
	ASSERT_OK(volume_inspect(place.folder, &info, &err));
	assert_int_equal(info.layer_count, 3);
	place_snapshot(&place, volume, NULL);
	ASSERT_OK(volume_inspect(place.folder, &info, &err));
	assert_int_equal(info.layer_count, 1);
	ASSERT_OK(volume_read(volume, text, 0, 3, &err));
	assert_memory_equal(text, "one", 3);
	ASSERT_OK(volume_read(volume, text, 8192, 3, &err));
	assert_memory_equal(text, "two", 3);
	volume_close(volume);
	place_close(&place);
}

struct alternation {
	struct volume *volumes[2];
	_Atomic bool stop;
	_Atomic uint64_t count;
};

/* Writes n to one volume, then n to the other: at any instant they differ by at most one. */
static void *alternate(void *context)
{
	struct alternation *alternation = context;
	struct error err;
	for (uint64_t n = 1; !atomic_load(&alternation->stop); n++) {
		for (int i = 0; i < 2; i++)
			if (volume_write(alternation->volumes[i], &n, 4096, sizeof n, &err))
				return "write failed";
		atomic_store(&alternation->count, n);
	}
	return NULL;
}

static void *flush_always(void *context)
{
	struct alternation *alternation = context;
	struct error err;
	for (int i = 0; !atomic_load(&alternation->stop); i ^= 1)
		if (volume_flush(alternation->volumes[i], &err))
			return "flush failed";
	return NULL;
}

static void two_volumes_freeze_at_one_instant(void **state)
{
	struct error err;
	struct place place;
	struct alternation alternation = { 0 };
	char folders[2][300];
	void *failed;
	pthread_t writer, flusher;
	place_open(&place, state);
	for (int i = 0; i < 2; i++) {
		snprintf(folders[i], sizeof folders[i], "%s/vol%d", place.root, i);
		ASSERT_OK(volume_create(folders[i], MIB, NULL, &err));
		ASSERT_OK(volume_open(folders[i], place.runtime, place.store, &alternation.volumes[i], &err));
	}
	pthread_create(&writer, NULL, alternate, &alternation);
	pthread_create(&flusher, NULL, flush_always, &alternation);
	for (int round = 0; round < 20; round++) {
		uint64_t layers[2], values[2] = { 0 }, target = atomic_load(&alternation.count) + 5;
		while (atomic_load(&alternation.count) < target)
			;
		for (int i = 0; i < 2; i++)
			ASSERT_OK(volume_hold(alternation.volumes[i], 10000, &err));
		for (int i = 0; i < 2; i++)
			ASSERT_OK(volume_freeze(alternation.volumes[i], &layers[i], &err));
		for (int i = 0; i < 2; i++)
			volume_release(alternation.volumes[i]);
		for (int i = 0; i < 2; i++) {
			struct store_session *session;
			struct digest root;
			struct volume *clone;
			char folder[400];
			ASSERT_OK(volume_sync_frozen(alternation.volumes[i], layers[i], &err));
			ASSERT_OK(store_session_open(place.store, &session, &err));
			ASSERT_OK(volume_seal(folders[i], place.runtime, layers[i], place.store, session,
				&root, NULL, &err));
			ASSERT_OK(volume_rebase(alternation.volumes[i], layers[i], &root, &err));
			snprintf(folder, sizeof folder, "%s/clone%d-%d", place.root, i, round);
			ASSERT_OK(volume_create(folder, MIB, &root, &err));
			ASSERT_OK(volume_open(folder, place.runtime, place.store, &clone, &err));
			ASSERT_OK(volume_read(clone, &values[i], 4096, sizeof values[i], &err));
			volume_close(clone);
			store_session_close(session);
		}
		if (values[0] < values[1] || values[0] > values[1] + 1)
			fail_msg("%llu and %llu", (unsigned long long)values[0],
				(unsigned long long)values[1]);
		assert_true(values[1] + 1 >= target);
	}
	atomic_store(&alternation.stop, true);
	pthread_join(writer, &failed);
	assert_null(failed);
	pthread_join(flusher, &failed);
	assert_null(failed);
	for (int i = 0; i < 2; i++)
		volume_close(alternation.volumes[i]);
	place_close(&place);
}

static void a_hold_ends_by_itself(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	uint64_t layer;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_hold(volume, 100, &err));
	ASSERT_FAILS(volume_hold(volume, 100, &err), ERROR_CONFLICT);
	char byte;
	ASSERT_OK(volume_read(volume, &byte, 0, 1, &err)); /* reads go on */
	ASSERT_OK(volume_write(volume, "x", 0, 1, &err));  /* waits for the end of the hold */
	ASSERT_FAILS(volume_freeze(volume, &layer, &err), ERROR_TIMEOUT);
	volume_release(volume);
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	volume_close(volume);
	place_close(&place);
}

static void death_between_freeze_and_sync_loses_nothing(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	struct volume_info info;
	char text[8];
	int status;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, MIB, NULL, &err));
	pid_t child = fork();
	if (child == 0) {
		uint64_t layer;
		if (volume_open(place.folder, place.runtime, NULL, &volume, &err) ||
			volume_write(volume, "frozen", 0, 6, &err) || volume_freeze(volume, &layer, &err) ||
			volume_write(volume, "second", 8192, 6, &err) ||
			volume_freeze(volume, &layer, &err) || volume_write(volume, "top", 16384, 3, &err))
			_exit(1);
		_exit(layer == 2 ? 0 : 2); /* without a word: like kill -9 */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	ASSERT_OK(volume_open(place.folder, place.runtime, NULL, &volume, &err));
	ASSERT_OK(volume_read(volume, text, 0, 6, &err));
	assert_memory_equal(text, "frozen", 6);
	ASSERT_OK(volume_read(volume, text, 8192, 6, &err));
	assert_memory_equal(text, "second", 6);
	ASSERT_OK(volume_read(volume, text, 16384, 3, &err));
	assert_memory_equal(text, "top", 3);
	ASSERT_OK(volume_sync_frozen(volume, 2, &err));
	ASSERT_OK(volume_inspect(place.folder, &info, &err));
	assert_int_equal(info.layer_count, 3);
	assert_int_equal(info.top_layer, 3);
	volume_close(volume);
	place_close(&place);
}

/* A disk that ends within a grain: what was frozen before it grew ends there, too. */
static void a_frozen_layer_is_read_to_the_end_of_its_last_grain(void **state)
{
	enum { SIZE = 4 * MIB + 1024, GROWN = 5 * MIB };
	struct error err;
	struct place place;
	struct volume *volume;
	uint64_t layer;
	char text[4096];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, SIZE, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_write(volume, "the end", SIZE - 512, 7, &err));
	volume_close(volume);
	/* opening makes the top layer's file as long as the disk */
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(volume_grow(volume, GROWN, &err));
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(volume_read(volume, text, 4 * MIB, sizeof text, &err));
		assert_memory_equal(text + 512, "the end", 7);
		for (unsigned at = 1024; at < sizeof text; at++)
			assert_int_equal(text[at], 0);
		volume_close(volume);
		ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	}
	volume_close(volume);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(the_snapshot_has_what_was_written_before_and_nothing_after),
		TEST(freezing_twice_before_a_sync_seals_both), TEST(two_volumes_freeze_at_one_instant),
		TEST(a_hold_ends_by_itself), TEST(death_between_freeze_and_sync_loses_nothing),
		TEST(a_frozen_layer_is_read_to_the_end_of_its_last_grain) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
