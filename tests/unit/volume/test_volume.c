/* Volumes: making, opening, reading, writing, extents, growing, what a sealed base gives. */
#include <fcntl.h>
#include <sys/stat.h>

#include "place.h"

enum { MIB = 1 << 20 };

static uint8_t data[2 * MIB], read_back[2 * MIB];

/* A volume appears whole; a folder without a manifest is a damaged one, and what it holds is kept for whoever can mend it. */
static void a_volume_that_lost_its_manifest_is_not_replaced(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	char manifest[400];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, MIB, NULL, &err));
	snprintf(manifest, sizeof manifest, "%s/manifest", place.folder);
	assert_int_equal(unlink(manifest), 0);
	assert_int_equal(volume_open(place.folder, place.runtime, place.store, &volume, &err), -1);
	ASSERT_FAILS(volume_create(place.folder, 4 * MIB, NULL, &err), ERROR_DUPLICATE);
	place_close(&place);
}

static void a_new_volume_is_zeros_and_keeps_what_is_written(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume, *second;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_FAILS(volume_create(place.folder, 8 * MIB, NULL, &err), ERROR_DUPLICATE);
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_FAILS(volume_open(place.folder, place.runtime, place.store, &second, &err), ERROR_CONFLICT);
	ASSERT_OK(volume_read(volume, read_back, 3 * MIB, MIB, &err));
	assert_memory_equal(read_back, data, MIB);
	scratch_fill(data, sizeof data, 1);
	ASSERT_OK(volume_write(volume, data, 12345, 100000, &err));
	ASSERT_OK(volume_read(volume, read_back, 12345, 100000, &err));
	assert_memory_equal(read_back, data, 100000);
	ASSERT_FAILS(volume_write(volume, data, 8 * MIB - 10, 11, &err), ERROR_INVALID);
	ASSERT_FAILS(volume_read(volume, data, UINT64_MAX, 2, &err), ERROR_INVALID);
	volume_close(volume);
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	memset(read_back, 0, sizeof read_back);
	ASSERT_OK(volume_read(volume, read_back, 12345, 100000, &err));
	assert_memory_equal(read_back, data, 100000);
	volume_close(volume);
	ASSERT_OK(volume_remove(place.folder, place.runtime, &err));
	ASSERT_OK(volume_remove(place.folder, place.runtime, &err));
	assert_int_equal(access(place.folder, F_OK), -1);
	place_close(&place);
	memset(data, 0, sizeof data);
}

/* ext4 has no files of 16 TiB: what lies beyond is in other files, and nobody notices. */
static void a_volume_of_64_tib_is_written_up_to_its_end(void **state)
{
	enum { SIZE = 64 * 1024 };
	const uint64_t tib = UINT64_C(1) << 40, part = (UINT64_C(16) << 40) - 4096;
	const uint64_t places[] = { 0, part - SIZE / 2, 2 * part - 4096, 3 * part - 100, 64 * tib - SIZE };
	struct error err;
	struct place place;
	struct volume *volume;
	struct volume_seal_result sealed;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	for (uint64_t size = 16 * tib; size <= 64 * tib; size += 16 * tib)
		ASSERT_OK(volume_grow(volume, size, &err));
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
			scratch_fill(data, SIZE, (unsigned)round * 100 + i);
			ASSERT_OK(volume_write(volume, data, places[i], SIZE, &err));
		}
		/* in the layer; sealed, in the base; opened again, in a layer */
		if (round == 1)
			place_snapshot(&place, volume, &sealed);
		if (round == 2) {
			volume_close(volume);
			ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
		}
		for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
			scratch_fill(data, SIZE, (unsigned)round * 100 + i);
			ASSERT_OK(volume_read(volume, read_back, places[i], SIZE, &err));
			assert_memory_equal(read_back, data, SIZE);
		}
	}
	ASSERT_OK(volume_zero(volume, part - MIB, 2 * MIB, &err));
	ASSERT_OK(volume_read(volume, read_back, part - SIZE / 2, SIZE, &err));
	memset(data, 0, sizeof data);
	assert_memory_equal(read_back, data, SIZE);
	volume_close(volume);
	uint64_t faults;
	ASSERT_OK(volume_check(place.folder, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	ASSERT_OK(volume_remove(place.folder, place.runtime, &err));
	place_close(&place);
}

static void zeroing_gives_space_back_and_extents_tell(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	struct volume_info before, after;
	bool zero;
	uint64_t length;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	memset(data, 0xaa, MIB);
	ASSERT_OK(volume_write(volume, data, MIB, MIB, &err));
	ASSERT_OK(volume_flush(volume, &err));
	ASSERT_OK(volume_inspect(place.folder, &before, &err));
	ASSERT_OK(volume_extent(volume, 0, 8 * MIB, &zero, &length, &err));
	assert_true(zero);
	assert_int_equal(length, MIB);
	ASSERT_OK(volume_extent(volume, MIB, 8 * MIB - MIB, &zero, &length, &err));
	assert_false(zero);
	assert_int_equal(length, MIB);
	ASSERT_OK(volume_zero(volume, MIB + 100, MIB - 200, &err));
	ASSERT_OK(volume_read(volume, read_back, MIB, MIB, &err));
	for (unsigned i = 0; i < MIB; i++)
		assert_int_equal(read_back[i], i < 100 || i >= MIB - 100 ? 0xaa : 0);
	ASSERT_OK(volume_flush(volume, &err));
	ASSERT_OK(volume_inspect(place.folder, &after, &err));
	assert_true(after.layer_bytes + MIB / 2 < before.layer_bytes);
	ASSERT_OK(volume_extent(volume, MIB + 4096, 4096, &zero, &length, &err));
	assert_true(zero);
	volume_close(volume);
	place_close(&place);
	memset(data, 0, sizeof data);
}

static void a_clone_of_a_snapshot_reads_it_and_leaves_it_alone(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume, *clone;
	struct volume_seal_result result;
	char folder[300];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	scratch_fill(data, sizeof data, 3);
	ASSERT_OK(volume_write(volume, data, MIB, sizeof data, &err));
	struct digest root = place_snapshot(&place, volume, &result);
	assert_int_equal(result.blocks, 4);
	assert_int_equal(result.changed_blocks, 4);
	snprintf(folder, sizeof folder, "%s/clone", place.root);
	ASSERT_OK(volume_create(folder, 16 * MIB, &root, &err));
	ASSERT_OK(volume_open(folder, place.runtime, place.store, &clone, &err));
	ASSERT_OK(volume_read(clone, read_back, MIB, sizeof data, &err));
	assert_memory_equal(read_back, data, sizeof data);
	ASSERT_OK(volume_write(clone, "changed", MIB + 700, 7, &err));
	ASSERT_OK(volume_zero(clone, 2 * MIB, 8192, &err));
	ASSERT_OK(volume_read(volume, read_back, MIB, sizeof data, &err));
	assert_memory_equal(read_back, data, sizeof data);
	memcpy(data + 700, "changed", 7);
	memset(data + MIB, 0, 8192);
	ASSERT_OK(volume_read(clone, read_back, MIB, sizeof data, &err));
	assert_memory_equal(read_back, data, sizeof data);
	/* nothing changed in the original: the same root again */
	struct digest again = place_snapshot(&place, volume, &result);
	assert_memory_equal(&root, &again, sizeof root);
	assert_int_equal(result.changed_blocks, 0);
	assert_int_equal(result.bytes_added, 0);
	volume_close(clone);
	volume_close(volume);
	place_close(&place);
}

static void growing_shows_zeros_and_nothing_of_what_was_cut(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume, *clone;
	char folder[300];
	static const uint8_t zeros[MIB];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 4 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	memset(data, 0x55, sizeof data);
	ASSERT_OK(volume_write(volume, data, 0, sizeof data, &err));
	struct digest root = place_snapshot(&place, volume, NULL);
	/* smaller than its base, then grown over where the base had data */
	snprintf(folder, sizeof folder, "%s/clone", place.root);
	ASSERT_OK(volume_create(folder, MIB + 512, &root, &err));
	ASSERT_OK(volume_open(folder, place.runtime, place.store, &clone, &err));
	ASSERT_FAILS(volume_grow(clone, MIB, &err), ERROR_INVALID);
	ASSERT_OK(volume_grow(clone, 4 * MIB, &err));
	assert_int_equal(volume_size(clone), 4 * MIB);
	ASSERT_OK(volume_read(clone, read_back, 512, MIB, &err));
	assert_memory_equal(read_back, data, MIB);
	ASSERT_OK(volume_read(clone, read_back, MIB + 512, MIB, &err));
	assert_memory_equal(read_back, zeros, MIB);
	ASSERT_OK(volume_write(clone, data, 4 * MIB - 512, 512, &err));
	volume_close(clone);
	ASSERT_OK(volume_open(folder, place.runtime, place.store, &clone, &err));
	assert_int_equal(volume_size(clone), 4 * MIB);
	ASSERT_OK(volume_read(clone, read_back, 4 * MIB - 512, 512, &err));
	assert_memory_equal(read_back, data, 512);
	volume_close(clone);
	volume_close(volume);
	place_close(&place);
}

static void a_damaged_block_of_the_base_is_an_error_not_data(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	char path[512];
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 4 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	scratch_fill(data, sizeof data, 3);
	ASSERT_OK(volume_write(volume, data, 0, sizeof data, &err));
	place_snapshot(&place, volume, NULL);
	snprintf(path, sizeof path, "%s/packs/0000000001.pack", place.store_folder);
	int fd = open(path, O_WRONLY);
	uint8_t byte = (uint8_t)~data[5000];
	/* two threads seal, so any of the four blocks may be the first in the pack: damage the one that has these bytes */
	uint8_t seen[16];
	int read_fd = open(path, O_RDONLY);
	for (off_t at = 8192; pread(read_fd, seen, sizeof seen, at) == sizeof seen;
		at += 4096 + STORE_BLOCK_SIZE)
		if (!memcmp(seen, data, sizeof seen))
			assert_int_equal(pwrite(fd, &byte, 1, at + 5000), 1);
	close(read_fd);
	close(fd);
	ASSERT_FAILS(volume_read(volume, read_back, 300000, 512, &err), ERROR_CORRUPT);
	ASSERT_OK(volume_read(volume, read_back, MIB, 512, &err));
	ASSERT_FAILS(volume_read(volume, read_back, 0, 512, &err), ERROR_CORRUPT);
	volume_close(volume);
	place_close(&place);
}

static void check_finds_a_damaged_map(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	char path[512];
	uint64_t faults;
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 4 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_write(volume, "x", 0, 1, &err));
	volume_close(volume);
	ASSERT_OK(volume_check(place.folder, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	snprintf(path, sizeof path, "%s/00000001.map", place.folder);
	int fd = open(path, O_WRONLY);
	uint8_t byte = 0xff;
	assert_int_equal(pwrite(fd, &byte, 1, 4096 + 10), 1);
	close(fd);
	ASSERT_OK(volume_check(place.folder, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 1);
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_FAILS(volume_read(volume, read_back, 40 * 4096, 4096, &err), ERROR_CORRUPT);
	volume_close(volume);
	place_close(&place);
}

static void the_largest_volume_costs_nothing_while_empty(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	struct volume_info info;
	struct volume_seal_result result;
	place_open(&place, state);
	/* ext4 itself ends at 16 TiB a file; a volume of that size, less what it cannot */
	ASSERT_OK(volume_create(place.folder, 8ULL << 40, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_write(volume, "end", (8ULL << 40) - 3, 3, &err));
	place_snapshot(&place, volume, &result);
	assert_int_equal(result.blocks, 1);
	ASSERT_OK(volume_read(volume, read_back, (8ULL << 40) - 4096, 4096, &err));
	assert_memory_equal(read_back + 4093, "end", 3);
	ASSERT_OK(volume_inspect(place.folder, &info, &err));
	assert_true(info.layer_bytes < MIB);
	ASSERT_OK(volume_zero(volume, 0, 1ULL << 40, &err));
	volume_close(volume);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_new_volume_is_zeros_and_keeps_what_is_written),
		TEST(a_volume_of_64_tib_is_written_up_to_its_end),
		TEST(a_volume_that_lost_its_manifest_is_not_replaced),
		TEST(zeroing_gives_space_back_and_extents_tell),
		TEST(a_clone_of_a_snapshot_reads_it_and_leaves_it_alone),
		TEST(growing_shows_zeros_and_nothing_of_what_was_cut),
		TEST(a_damaged_block_of_the_base_is_an_error_not_data), TEST(check_finds_a_damaged_map),
		TEST(the_largest_volume_costs_nothing_while_empty) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
