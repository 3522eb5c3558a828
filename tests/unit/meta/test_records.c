/* Records: what is put is what is read, and lists find it by account, region, index and page. */
#include "things.h"

static void a_record_comes_back_whole(void **state)
{
	struct scratch *s = *state;
	struct thing_record *thing = thing_create(s, "t-1", "n\xc3\xa4me \"quoted\"", "new");
	struct part parts[] = { { "d1", some_integer(5) }, { .disk = "d2" } };
	const char *labels[] = { "a", "b", "a" };
	thing->number = some_integer(-7);
	thing->flag = some_boolean(false);
	thing->time = some_timestamp(1234567890123);
	thing->bytes = (struct shape_blob){ (const uint8_t *)"\0\1\2", 3 };
	thing->origin = &parts[0];
	thing->parts.items = parts;
	thing->parts.count = 2;
	thing->parts.set = true;
	thing->labels.items = labels;
	thing->labels.count = 3;
	thing->labels.set = true;
	assert_int_equal(thing_put(s, thing), 0);
	scratch_reopen(s);
	struct thing_record *read = thing_get(s, "t-1");
	assert_non_null(read);
	assert_string_equal(read->record.account, "1");
	assert_string_equal(read->record.region, "r");
	assert_string_equal(read->record.id, "t-1");
	assert_int_equal(read->record.version, 1);
	assert_string_equal(read->name, "n\xc3\xa4me \"quoted\"");
	assert_int_equal(read->number.value, -7);
	assert_true(read->flag.set && !read->flag.value);
	assert_int_equal(read->time.ms, 1234567890123);
	assert_int_equal(read->bytes.size, 3);
	assert_memory_equal(read->bytes.data, "\0\1\2", 3);
	assert_string_equal(read->origin->disk, "d1");
	assert_int_equal(read->parts.count, 2);
	assert_false(read->parts.items[1].size.set);
	assert_int_equal(read->labels.count, 3);
	assert_string_equal(read->labels.items[2], "a");
	assert_int_equal(scratch_faults(s), 0);
}

static void a_missing_record_is_no_error(void **state)
{
	struct scratch *s = *state;
	assert_null(thing_get(s, "t-1"));
	thing_put(s, thing_create(s, "t-1", NULL, NULL));
	struct thing_record *thing = (void *)1;
	assert_done(meta_get(s->meta, &record_thing, "2", "r", "t-1", s->arena, &thing, &s->err), s->err);
	assert_null(thing);
	assert_done(
		meta_get_any(s->meta, &record_thing, "elsewhere", "t-1", s->arena, &thing, &s->err), s->err);
	assert_null(thing);
}

static void any_owner_finds_by_id_alone(void **state)
{
	struct scratch *s = *state;
	struct thing_record *thing = thing_create(s, "t-1", NULL, NULL), *found;
	thing->record.account = "2";
	assert_int_equal(thing_put(s, thing), 0);
	assert_done(meta_get_any(s->meta, &record_thing, NULL, "t-1", s->arena, &found, &s->err), s->err);
	assert_string_equal(found->record.account, "2");
	assert_done(meta_get_any(s->meta, &record_thing, "r", "t-1", s->arena, &found, &s->err), s->err);
	assert_non_null(found);
	/* the same id in another account: neither may be handed out for the other */
	assert_int_equal(thing_put(s, thing_create(s, "t-1", NULL, NULL)), 0);
	assert_int_equal(meta_get_any(s->meta, &record_thing, NULL, "t-1", s->arena, &found, &s->err), -1);
	assert_null(found);
}

static void put_things(struct scratch *s)
{
	static const struct {
		const char *account, *region, *id, *state, *label;
	} rows[] = { { "1", "r", "c", "on", "x" }, { "1", "r", "a", "off", "x" },
		{ "1", "q", "b", "on", "y" }, { "2", "r", "d", "on", "x" }, { "2", "q", "e", "off", "y" } };
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct thing_record *thing = thing_create(s, rows[i].id, rows[i].id, rows[i].state);
		const char *labels[] = { rows[i].label, "all", "all" };
		thing->record.account = rows[i].account;
		thing->record.region = rows[i].region;
		thing->labels.items = labels;
		thing->labels.count = 3;
		thing->labels.set = true;
		assert_int_equal(thing_put(s, thing), 0);
	}
}

static void lists_are_restricted_and_in_order_of_id(void **state)
{
	struct scratch *s = *state;
	put_things(s);
	static const struct {
		struct meta_query query;
		const char *ids;
	} cases[] = {
		{ { 0 }, "a b c d e " },
		{ { .account = "1" }, "a b c " },
		{ { .region = "q" }, "b e " },
		{ { .account = "1", .region = "r" }, "a c " },
		{ { .index = "state", .value = "on" }, "b c d " },
		{ { .account = "1", .index = "state", .value = "on" }, "b c " },
		{ { .region = "r", .index = "label", .value = "all" }, "a c d " },
		{ { .account = "1", .region = "r", .index = "label", .value = "x" }, "a c " },
		{ { .index = "state", .value = "nowhere" }, "" },
		{ { .account = "3" }, "" },
		{ { .after_id = "b", .limit = 2 }, "c d " },
		{ { .index = "label", .value = "all", .after_id = "b", .limit = 2 }, "c d " },
		{ { .account = "1", .region = "r", .after_id = "a" }, "c " },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(thing_ids(s, &cases[i].query), cases[i].ids);
	assert_string_equal(thing_ids(s, NULL), "a b c d e ");
}

static size_t count_of(struct scratch *s, struct meta_query query)
{
	size_t count;
	assert_done(meta_count(s->meta, &record_thing, &query, &count, &s->err), s->err);
	return count;
}

static void records_are_counted_by_their_index(void **state)
{
	struct scratch *s = *state;
	size_t count;
	for (int i = 0; i < 30; i++) {
		struct thing_record *thing =
			thing_create(s, arena_printf(s->arena, "t-%d", i), NULL, i % 3 ? "on" : "off");
		thing->record.account = i % 5 ? "1" : "2";
		thing->record.region = i % 2 ? "r" : "s";
		thing_put(s, thing);
	}
	struct meta_query query = { .account = "1", .region = "r", .index = "state", .value = "on" };
	struct meta_rows rows;
	assert_done(meta_list(s->meta, &record_thing, &query, s->arena, &rows, &s->err), s->err);
	assert_int_equal(rows.count, 8);
	assert_int_equal(count_of(s, query), 8);
	query.value = "none";
	assert_int_equal(count_of(s, query), 0);
	query.region = NULL;
	assert_int_equal(meta_count(s->meta, &record_thing, &query, &count, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_INTERNAL);
}

static void every_plain_value_can_be_sought(void **state)
{
	struct scratch *s = *state;
	struct thing_record *thing = thing_create(s, "t-1", "n", "");
	struct part parts[] = { { .disk = "d1" }, { .disk = "d2" }, { .disk = NULL } };
	thing->number = some_integer(-42);
	thing->flag = some_boolean(true);
	thing->time = some_timestamp(1500);
	thing->origin = &parts[0];
	thing->parts.items = parts;
	thing->parts.count = 3;
	thing->parts.set = true;
	assert_int_equal(thing_put(s, thing), 0);
	static const char *const cases[][2] = { { "number", "-42" }, { "flag", "true" }, { "time", "1500" },
		{ "origin", "d1" }, { "disk", "d1" }, { "disk", "d2" }, { "name", "n" } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(
			thing_ids(s, &(struct meta_query){ .index = cases[i][0], .value = cases[i][1] }),
			"t-1 ");
	/* absent and empty values are not indexed */
	assert_string_equal(thing_ids(s, &(struct meta_query){ .index = "state", .value = "" }), "");
}

static void an_unknown_index_is_refused(void **state)
{
	struct scratch *s = *state;
	struct meta_rows rows;
	const struct meta_query queries[] = { { .index = "colour", .value = "red" }, { .index = "state" },
		{ .value = "on" } };
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			meta_list(s->meta, &record_thing, &queries[i], s->arena, &rows, &s->err), -1);
}

static void a_changed_record_is_found_by_its_new_values_only(void **state)
{
	struct scratch *s = *state;
	struct thing_record *thing = thing_create(s, "t-1", "n", "on");
	const char *labels[] = { "a", "b", "c" };
	thing->labels.items = labels;
	thing->labels.count = 3;
	thing->labels.set = true;
	assert_int_equal(thing_put(s, thing), 0);
	thing = thing_get(s, "t-1");
	const char *others[] = { "d", "b" };
	thing->labels.items = others;
	thing->labels.count = 2;
	thing->state = "off";
	assert_int_equal(thing_put(s, thing), 0);
	static const char *const cases[][3] = { { "state", "on", "" }, { "state", "off", "t-1 " },
		{ "label", "a", "" }, { "label", "b", "t-1 " }, { "label", "c", "" },
		{ "label", "d", "t-1 " }, { "name", "n", "t-1 " } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(
			thing_ids(s, &(struct meta_query){ .index = cases[i][0], .value = cases[i][1] }),
			cases[i][2]);
	assert_int_equal(thing_get(s, "t-1")->record.version, 2);
	assert_int_equal(scratch_faults(s), 0);
}

static void members_of_a_newer_program_are_ignored(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "n", "on")), 0);
	scratch_sql(s, "UPDATE records SET body = '{\"name\":\"n\",\"state\":\"on\",\"later\":{\"a\":[1]}}'");
	assert_string_equal(thing_get(s, "t-1")->name, "n");
}

static void a_body_that_cannot_be_read_names_its_record(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "n", "on")), 0);
	scratch_sql(s, "UPDATE records SET body = '{\"name\":7}'");
	struct thing_record *thing;
	assert_int_equal(meta_get(s->meta, &record_thing, "1", "r", "t-1", s->arena, &thing, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
	assert_non_null(strstr(s->err.message, "thing t-1"));
	assert_null(thing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(a_record_comes_back_whole),
		SCRATCH_TEST(a_missing_record_is_no_error),
		SCRATCH_TEST(any_owner_finds_by_id_alone),
		SCRATCH_TEST(lists_are_restricted_and_in_order_of_id),
		SCRATCH_TEST(records_are_counted_by_their_index),
		SCRATCH_TEST(every_plain_value_can_be_sought),
		SCRATCH_TEST(an_unknown_index_is_refused),
		SCRATCH_TEST(a_changed_record_is_found_by_its_new_values_only),
		SCRATCH_TEST(members_of_a_newer_program_are_ignored),
		SCRATCH_TEST(a_body_that_cannot_be_read_names_its_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
