/* Boot traces: the order of first reads, the file, and reading ahead by it. */
#include <stdlib.h>
#include <fcntl.h>

#include "place.h"
#include "store/checksum.h"
#include "store/wire.h"
#include "volume/prefetch.h"
#include "volume/trace.h"

enum { BLOCKS = 6 };

static void first_reads_are_noted_once_and_in_order(void **state)
{
	const uint32_t *blocks;
	struct trace *trace = trace_create(BLOCKS);
	(void)state;
	trace_note_read(trace, 5ULL * STORE_BLOCK_SIZE + 100, 1);
	trace_note_read(trace, STORE_BLOCK_SIZE - 1, 2);             /* blocks 0 and 1 */
	trace_note_read(trace, 1ULL * STORE_BLOCK_SIZE, 4096);       /* known */
	trace_note_read(trace, 5ULL * STORE_BLOCK_SIZE, 1ULL << 40); /* far beyond the end */
	trace_note_read(trace, 3ULL * STORE_BLOCK_SIZE, 0);
	assert_int_equal(trace_blocks(trace, &blocks), 3);
	assert_int_equal(blocks[0], 5);
	assert_int_equal(blocks[1], 0);
	assert_int_equal(blocks[2], 1);
	trace_destroy(trace);
}

static void a_trace_is_bounded(void **state)
{
	const uint32_t *blocks;
	struct trace *trace = trace_create(3ULL * TRACE_LIMIT);
	(void)state;
	trace_note_read(trace, 0, 3ULL * TRACE_LIMIT * STORE_BLOCK_SIZE);
	assert_int_equal(trace_blocks(trace, &blocks), TRACE_LIMIT);
	assert_int_equal(blocks[TRACE_LIMIT - 1], TRACE_LIMIT - 1);
	trace_destroy(trace);
}

static void every_flipped_bit_of_the_file_is_noticed(void **state)
{
	static uint32_t blocks[TRACE_LIMIT], again[TRACE_LIMIT];
	static uint8_t bytes[TRACE_SIZE_LIMIT];
	struct digest root;
	uint32_t count;
	(void)state;
	digest_sha256("root", 4, &root);
	for (uint32_t i = 0; i < 20; i++)
		blocks[i] = i * 1000003;
	size_t size = trace_encode(&root, blocks, 20, bytes);
	assert_int_equal(trace_decode(bytes, size, &root, again, &count), 0);
	assert_int_equal(count, 20);
	assert_memory_equal(blocks, again, 20 * sizeof blocks[0]);
	for (size_t bit = 0; bit < 8 * size; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(trace_decode(bytes, size, &root, again, &count), -1);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(trace_decode(bytes, cut, &root, again, &count), -1);
	digest_sha256("another", 7, &root);
	assert_int_equal(trace_decode(bytes, size, &root, again, &count), -1);
}

/* Flips a bit at byte 300 of the block that is filled with `byte`. */
static void damage(const struct place *place, uint8_t byte)
{
	char path[512];
	uint8_t seen;
	snprintf(path, sizeof path, "%s/packs/0000000001.pack", place->store_folder);
	int fd = open(path, O_RDWR);
	for (off_t at = 8192; pread(fd, &seen, 1, at + 300) == 1; at += 4096 + STORE_BLOCK_SIZE) {
		if (seen != byte)
			continue;
		seen ^= 0x40;
		assert_int_equal(pwrite(fd, &seen, 1, at + 300), 1);
	}
	close(fd);
}

static void a_boot_is_recorded_and_read_ahead(void **state)
{
	static uint32_t blocks[TRACE_LIMIT];
	static uint8_t data[STORE_BLOCK_SIZE];
	struct place place;
	struct volume *volume;
	struct error err;
	struct volume_seal_result result;
	uint32_t count;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, (uint64_t)BLOCKS * STORE_BLOCK_SIZE, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	for (uint64_t i = 0; i < BLOCKS; i++) {
		memset(data, (int)i + 1, sizeof data);
		ASSERT_OK(volume_write(volume, data, i * STORE_BLOCK_SIZE, sizeof data, &err));
	}
	struct digest root = place_snapshot(&place, volume, &result), other = { .bytes = { 1 } };
	assert_int_equal(prefetch_start(volume, place.root, &root, TRACE_LIMIT, &err), -1);
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_int_equal(prefetch_record(volume, place.root, &other, 600000, &err), -1);
	assert_int_equal(err.code, ERROR_CONFLICT);
	ASSERT_OK(prefetch_record(volume, place.root, &root, 600000, &err));
	assert_int_equal(prefetch_record(volume, place.root, &root, 600000, &err), -1);
	ASSERT_OK(volume_read(volume, data, 4ULL * STORE_BLOCK_SIZE + 512, 512, &err));
	assert_int_equal(data[0], 5);
	ASSERT_OK(volume_read(volume, data, 2ULL * STORE_BLOCK_SIZE, 4096, &err));
	volume_close(volume); /* ends the recording */
	ASSERT_OK(trace_read(place.root, &root, blocks, &count, &err));
	assert_int_equal(count, 2);
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	assert_int_equal(blocks[0], 4);
	assert_int_equal(blocks[1], 2);
	/* a file that names blocks beyond the volume does no harm */
	blocks[1] = UINT32_MAX;
	ASSERT_OK(trace_write(place.root, &root, blocks, 2, &err));
	ASSERT_OK(prefetch_start(volume, place.root, &root, TRACE_LIMIT, &err));
	prefetch_wait(volume, false);
	/* the one it named was verified: only now nobody looks at its bytes again */
	damage(&place, 5);
	ASSERT_OK(volume_read(volume, data, 4ULL * STORE_BLOCK_SIZE, 512, &err));
	damage(&place, 4);
	assert_int_equal(volume_read(volume, data, 3ULL * STORE_BLOCK_SIZE, 512, &err), -1);
	assert_int_equal(err.code, ERROR_CORRUPT);
	volume_close(volume);
	place_close(&place);
}

/* What the layers had in memory is verified when the reading ahead has ended; what was noted for a rebase that failed is not. */
static void what_was_captured_is_read_ahead(void **state)
{
	static uint8_t data[STORE_BLOCK_SIZE];
	struct place place;
	struct volume *volume;
	struct store_session *session;
	struct error err;
	struct digest root;
	uint64_t layer;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, (uint64_t)BLOCKS * STORE_BLOCK_SIZE, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	for (uint64_t i = 2; i < 4; i++) {
		memset(data, (int)i + 1, sizeof data);
		ASSERT_OK(volume_write(volume, data, i * STORE_BLOCK_SIZE, sizeof data, &err));
	}
	ASSERT_OK(volume_zero(volume, 5ULL * STORE_BLOCK_SIZE, 4096, &err));
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(store_session_open(place.store, &session, &err));
	ASSERT_OK(volume_seal(place.folder, place.runtime, layer, place.store, session, &root, NULL, &err));
	struct prefetch_task *useless = prefetch_note(volume, layer), *noted = prefetch_note(volume, layer);
	prefetch_noted(useless, false);
	ASSERT_OK(volume_rebase(volume, layer, &root, &err));
	store_session_close(session);
	prefetch_noted(noted, true);
	prefetch_wait(volume, false);
	damage(&place, 3);
	damage(&place, 4);
	for (uint64_t i = 2; i < 4; i++) {
		ASSERT_OK(volume_read(volume, data, i * STORE_BLOCK_SIZE, 256, &err));
		assert_int_equal(data[0], i + 1);
	}
	/* layers that are gone, or not frozen, have nothing to note */
	prefetch_noted(prefetch_note(volume, layer), true);
	volume_close(volume);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(first_reads_are_noted_once_and_in_order),
		cmocka_unit_test(a_trace_is_bounded),
		cmocka_unit_test(every_flipped_bit_of_the_file_is_noticed),
		TEST(a_boot_is_recorded_and_read_ahead), TEST(what_was_captured_is_read_ahead) };
	return cmocka_run_group_tests_name("boot traces", tests, NULL, NULL);
}
