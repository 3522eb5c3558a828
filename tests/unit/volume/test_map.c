/* The map against a plain array; what survives the process. */
#include <unistd.h>

#include "scratch.h"
#include "volume/map.h"

enum { GRAINS = 3 * MAP_GRAINS_PER_PAGE };

static void runs_match_an_array(void **state)
{
	(void)state;
	struct error err;
	struct map *map;
	static uint8_t model[GRAINS];
	uint64_t seed = 7;
	ASSERT_OK(map_create_private(&map, &err));
	for (int round = 0; round < 300; round++) {
		uint64_t from = scratch_random(&seed) % GRAINS, length = 1 + scratch_random(&seed) % 300;
		if (round % 20 == 0)
			length = scratch_random(&seed) % GRAINS;
		uint64_t end = from + length < GRAINS ? from + length : GRAINS;
		uint8_t value = (uint8_t)(scratch_random(&seed) % 3);
		ASSERT_OK(map_set(map, from, end, (enum map_state)value, &err));
		memset(model + from, value, end - from);
		for (uint64_t grain = scratch_random(&seed) % 50; grain < GRAINS;) {
			uint64_t run = 1, found;
			while (grain + run < GRAINS && model[grain + run] == model[grain])
				run++;
			assert_int_equal(map_run(map, grain, GRAINS, &found), model[grain]);
			assert_int_equal(found, run);
			grain += run;
		}
	}
	map_close(map);
}

static void dirty_pages_are_taken_once(void **state)
{
	(void)state;
	struct error err;
	struct map *map;
	uint8_t page[MAP_PAGE_SIZE];
	ASSERT_OK(map_create_private(&map, &err));
	ASSERT_OK(map_set(map, 5, 6, MAP_DATA, &err));
	ASSERT_OK(map_set(map, 2 * MAP_GRAINS_PER_PAGE, 2 * MAP_GRAINS_PER_PAGE + 1, MAP_ZERO, &err));
	uint64_t number = 0;
	assert_true(map_take_dirty(map, &number, page));
	assert_int_equal(number, 0);
	assert_int_equal(page[1], 1 << 2);
	number++;
	assert_true(map_take_dirty(map, &number, page));
	assert_int_equal(number, 2);
	number = 0;
	assert_false(map_take_dirty(map, &number, page));
	ASSERT_OK(map_set(map, 5, 6, MAP_DATA, &err)); /* no change */
	assert_false(map_take_dirty(map, &number, page));
	map_mark_dirty(map, 2);
	assert_true(map_take_dirty(map, &number, page));
	map_close(map);
}

static void live_maps_belong_to_one_volume_and_layer(void **state)
{
	struct error err;
	struct map *map;
	char path[512];
	uint64_t size, page = 0;
	uint8_t copy[MAP_PAGE_SIZE];
	struct map_identity identity = { .volume = { 1 }, .layer = 3 },
			    other = { .volume = { 1 }, .layer = 4 };
	scratch_path(state, "live", path);
	ASSERT_OK(map_create_live(path, &identity, &map, &err));
	ASSERT_OK(map_set(map, 100, 200, MAP_DATA, &err));
	map_close(map);
	ASSERT_FAILS(map_open_live(path, &identity, &map, &err), ERROR_NOT_FOUND); /* was not ready */
	ASSERT_OK(map_create_live(path, &identity, &map, &err));
	ASSERT_OK(map_set(map, 100, 200, MAP_DATA, &err));
	map_mark_ready(map);
	map_mark_active(map, 4096);
	map_close(map);
	ASSERT_FAILS(map_open_live(path, &other, &map, &err), ERROR_NOT_FOUND);
	ASSERT_OK(map_open_live(path, &identity, &map, &err));
	assert_true(map_is_active(map, &size));
	assert_int_equal(size, 4096);
	assert_int_equal(map_get(map, 99), MAP_ABSENT);
	assert_int_equal(map_get(map, 199), MAP_DATA);
	assert_int_equal(map_get(map, MAP_GRAINS_PER_PAGE * 1000ULL), MAP_ABSENT);
	assert_true(map_take_dirty(map, &page, copy));
	map_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(runs_match_an_array),
		cmocka_unit_test(dirty_pages_are_taken_once),
		cmocka_unit_test_setup_teardown(
			live_maps_belong_to_one_volume_and_layer, scratch_create, scratch_remove) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
