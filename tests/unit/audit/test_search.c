/* Finding records: whatever the index covers, the newest first, in pages. */
#include "trail.h"

enum { RECORDS = 3000 };

struct finds {
	unsigned long long numbers[RECORDS];
	size_t count, most, looked_at;
	uint64_t wanted; /* 0: all */
	struct audit_place last;
};

static bool take(void *context, const char *event, size_t size, const struct audit_place *place)
{
	struct finds *finds = context;
	unsigned long long n;
	assert_int_equal(sscanf(event, "{\"n\":%llu", &n), 1);
	finds->looked_at++;
	if (finds->wanted && n != finds->wanted)
		return true;
	finds->numbers[finds->count++] = n;
	finds->last = *place;
	return finds->count < finds->most;
}

static void find(struct trail *trail, struct finds *finds, struct audit_search search)
{
	uint64_t word = word_of(finds->wanted);
	struct error err;
	if (finds->wanted) {
		search.words = &word;
		search.word_count = 1;
	}
	search.found = take;
	search.context = finds;
	if (audit_search(trail->folder, &search, &err))
		fail_msg("%s", err.message);
}

static void each_word_is_found_in_few_blocks(void **state)
{
	struct trail *trail = *state;
	size_t looked_at = 0;
	trail_fill(trail, 1, RECORDS);
	for (uint64_t n = 1; n < RECORDS; n += 37) {
		struct finds finds = { .wanted = n, .most = RECORDS };
		find(trail, &finds, (struct audit_search){ 0 });
		assert_int_equal(finds.count, 1);
		assert_int_equal(finds.numbers[0], n);
		looked_at += finds.looked_at;
	}
	/* one block, and the rest that has no filter yet: of twelve */
	assert_true(looked_at / (RECORDS / 37) < 3 * 256);
}

static void pages_go_backwards_through_all_records(void **state)
{
	struct trail *trail = *state;
	trail_fill(trail, 1, 700);
	clock_advance(24LL * 3600 * 1000);
	trail_fill(trail, 700, 1500);
	struct audit_place before = { 0 };
	unsigned long long expected = 1499;
	for (;;) {
		struct finds finds = { .most = 83 };
		find(trail, &finds, (struct audit_search){ .before = before });
		for (size_t i = 0; i < finds.count; i++)
			assert_int_equal(finds.numbers[i], expected--);
		if (finds.count < finds.most)
			break;
		before = finds.last;
	}
	assert_int_equal(expected, 0);
}

static void times_leave_blocks_out(void **state)
{
	struct trail *trail = *state;
	trail_fill(trail, 1, RECORDS);
	struct finds finds = { .most = RECORDS };
	find(trail, &finds, (struct audit_search){ .from_ms = 600, .to_ms = 700 });
	assert_true(finds.count >= 101 && finds.count <= 256 + 256 + RECORDS % 256);
}

static void index_that_is_lost_damaged_or_old_hides_nothing(void **state)
{
	struct trail *trail = *state;
	char *data;
	size_t size;
	trail_fill(trail, 1, RECORDS);
	trail_close(trail);
	char *log = trail_path(trail, 0);
	char *index = arena_printf(trail->arena, "%.*s.index", (int)strlen(log) - 4, log);
	trail_read(trail, index, &data, &size);
	for (int round = 0; round < 4; round++) {
		if (round == 1)
			data[size / 2] ^= 4;
		if (round == 2)
			size = size / 3;
		if (round == 3)
			assert_int_equal(unlink(index), 0);
		else
			trail_write(index, data, size);
		for (int opened = 0; opened < 2; opened++) { /* opening makes it anew */
			for (uint64_t n = 1; n < RECORDS; n += 611) {
				struct finds finds = { .wanted = n, .most = RECORDS };
				find(trail, &finds, (struct audit_search){ 0 });
				assert_int_equal(finds.count, 1);
			}
			if (!opened)
				trail_open(trail);
		}
		trail_close(trail);
	}
}

int main(void)
{
#define TRAIL_TEST(name) cmocka_unit_test_setup_teardown(name, trail_setup, trail_teardown)
	const struct CMUnitTest tests[] = {
		TRAIL_TEST(each_word_is_found_in_few_blocks),
		TRAIL_TEST(times_leave_blocks_out),
		TRAIL_TEST(index_that_is_lost_damaged_or_old_hides_nothing),
		TRAIL_TEST(pages_go_backwards_through_all_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
