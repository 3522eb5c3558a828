/* Random operations on a volume against a flat array of bytes; AMID_TEST_SEED and AMID_TEST_STEPS repeat or lengthen a run. */
#include "place.h"

enum { DISK = (6 << 20) + 512, LONGEST = 1 << 20 };

static uint8_t model[DISK + (8 << 20)], data[LONGEST], read_back[LONGEST];

struct run {
	struct place place;
	struct volume *volume;
	uint64_t seed, size;
};

static uint64_t pick(struct run *run, uint64_t below)
{
	return scratch_random(&run->seed) % below;
}

/* A range: small and odd, or aligned, or large. */
static void pick_range(struct run *run, uint64_t *offset, uint32_t *size)
{
	static const uint32_t limits[] = { 700, 4096, 20000, LONGEST };
	*size = (uint32_t)(1 + pick(run, limits[pick(run, 4)]));
	*offset = pick(run, run->size - *size);
	if (pick(run, 2)) {
		*offset -= *offset % 4096;
		*size = (*size + 4095) / 4096 * 4096;
		if (*offset + *size > run->size)
			*size = (uint32_t)(run->size - *offset);
	}
}

static void compare(struct run *run, uint64_t offset, uint32_t size)
{
	struct error err;
	ASSERT_OK(volume_read(run->volume, read_back, offset, size, &err));
	for (uint32_t i = 0; i < size; i++)
		if (read_back[i] != model[offset + i])
			fail_msg("differs at %llu", (unsigned long long)(offset + i));
}

static void check_extents(struct run *run)
{
	struct error err;
	bool zero;
	uint64_t length;
	for (uint64_t offset = 0; offset < run->size; offset += length) {
		ASSERT_OK(volume_extent(run->volume, offset, run->size - offset, &zero, &length, &err));
		assert_true(length > 0 && length <= run->size - offset);
		for (uint64_t i = offset; zero && i < offset + length; i++)
			if (model[i])
				fail_msg("not zero at %llu", (unsigned long long)i);
	}
}

static void reopen(struct run *run)
{
	struct error err;
	volume_close(run->volume);
	ASSERT_OK(volume_open(run->place.folder, run->place.runtime, run->place.store, &run->volume, &err));
	assert_int_equal(volume_size(run->volume), run->size);
}

/* A snapshot, and a look at what it holds through a clone. */
static void snapshot(struct run *run, unsigned step)
{
	struct error err;
	char folder[300];
	struct volume *own = run->volume, *clone;
	struct digest root = place_snapshot(&run->place, own, NULL);
	snprintf(folder, sizeof folder, "%s/clone-%u", run->place.root, step);
	ASSERT_OK(volume_create(folder, run->size, &root, &err));
	ASSERT_OK(volume_open(folder, run->place.runtime, run->place.store, &clone, &err));
	run->volume = clone;
	for (uint64_t offset = 0; offset < run->size; offset += LONGEST)
		compare(run, offset, (uint32_t)(run->size - offset < LONGEST ? run->size - offset : LONGEST));
	run->volume = own;
	volume_close(clone);
	ASSERT_OK(volume_remove(folder, run->place.runtime, &err));
}

static void step(struct run *run, unsigned number)
{
	struct error err;
	uint64_t offset, layer;
	uint32_t size;
	pick_range(run, &offset, &size);
	uint64_t choice = pick(run, 200);
	if (choice < 80) {
		scratch_fill(data, size, run->seed);
		ASSERT_OK(volume_write(run->volume, data, offset, size, &err));
		memcpy(model + offset, data, size);
	} else if (choice < 140) {
		compare(run, offset, size);
	} else if (choice < 170) {
		ASSERT_OK(volume_zero(run->volume, offset, size, &err));
		memset(model + offset, 0, size);
	} else if (choice < 180) {
		ASSERT_OK(volume_flush(run->volume, &err));
	} else if (choice < 188) {
		ASSERT_OK(volume_freeze(run->volume, &layer, &err));
		if (choice & 1)
			ASSERT_OK(volume_sync_frozen(run->volume, layer, &err));
	} else if (choice < 192) {
		snapshot(run, number);
	} else if (choice < 196) {
		reopen(run);
	} else if (choice < 198) {
		check_extents(run);
	} else if (run->size + 512 * 1024 < sizeof model) {
		run->size += 512 * (1 + pick(run, 1000));
		ASSERT_OK(volume_grow(run->volume, run->size, &err));
	}
}

static void random_operations_match_an_array(void **state)
{
	struct error err;
	const char *seed = getenv("AMID_TEST_SEED"), *steps = getenv("AMID_TEST_STEPS");
	struct run run = { .seed = seed ? strtoull(seed, NULL, 10) : 1, .size = DISK };
	unsigned count = steps ? (unsigned)strtoul(steps, NULL, 10) : 2500;
	uint64_t faults;
	place_open(&run.place, state);
	ASSERT_OK(volume_create(run.place.folder, DISK, NULL, &err));
	ASSERT_OK(volume_open(run.place.folder, run.place.runtime, run.place.store, &run.volume, &err));
	for (unsigned i = 0; i < count; i++)
		step(&run, i);
	reopen(&run);
	for (uint64_t offset = 0; offset < run.size; offset += LONGEST)
		compare(&run, offset, (uint32_t)(run.size - offset < LONGEST ? run.size - offset : LONGEST));
	volume_close(run.volume);
	ASSERT_OK(volume_check(run.place.folder, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	ASSERT_OK(store_check(run.place.store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	place_close(&run.place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(random_operations_match_an_array) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
