/* Filters over a small kind of resource. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws/filter.h"

struct thing {
	const char *state;
	struct shape_boolean public;
	struct shape_integer size;
	struct shape_timestamp created;
	const char *devices[2];
	struct record_tag_list tags;
};

static void offer_state(const void *resource, struct filter_match *match)
{
	filter_offer(match, ((const struct thing *)resource)->state);
}
static void offer_public(const void *resource, struct filter_match *match)
{
	filter_offer_boolean(match, ((const struct thing *)resource)->public);
}
static void offer_size(const void *resource, struct filter_match *match)
{
	filter_offer_integer(match, ((const struct thing *)resource)->size);
}
static void offer_created(const void *resource, struct filter_match *match)
{
	filter_offer_time(match, ((const struct thing *)resource)->created);
}
static void offer_devices(const void *resource, struct filter_match *match)
{
	filter_offer(match, ((const struct thing *)resource)->devices[0]);
	filter_offer(match, ((const struct thing *)resource)->devices[1]);
}
static const struct record_tag_list *tags_of(const void *resource)
{
	return &((const struct thing *)resource)->tags;
}

static const struct filter_field fields[] = { { "state", offer_state }, { "is-public", offer_public },
	{ "size", offer_size }, { "created", offer_created }, { "device", offer_devices }, { 0 } };
static const struct filter_table table = { fields, tags_of };
static const struct filter_table without_tags = { fields, NULL };

static struct record_tag tags[] = { { "Name", "web-1" }, { "empty", NULL } };
static const struct thing thing = { "available", { true, false }, { true, 8 }, { true, 1700000000000 },
	{ "/dev/sda1", "/dev/sdb" }, { tags, 2, true } };

/* Whether the thing passes one filter of one or two values. */
static bool passes(const char *name, const char *first, const char *second)
{
	const char *values[] = { first, second };
	struct ec2_Filter filter = { name, { values, second ? 2 : 1, true } };
	const struct ec2_FilterList filters = { &filter, 1, true };
	struct error err;
	assert_int_equal(filter_check(&table, &filters, &err), 0);
	return filter_passes(&table, &filters, &thing);
}

static void one_value_of_a_filter_is_enough(void **state)
{
	assert_true(passes("state", "available", NULL));
	assert_true(passes("state", "pending", "available"));
	assert_false(passes("state", "pending", "failed"));
	assert_false(passes("state", "Available", NULL));
	assert_false(passes("state", "", NULL));
}

static void one_value_of_a_resource_is_enough(void **state)
{
	assert_true(passes("device", "/dev/sdb", NULL));
	assert_false(passes("device", "/dev/sdc", NULL));
}

static void wildcards_match(void **state)
{
	assert_true(passes("state", "av*le", NULL));
	assert_true(passes("device", "/dev/sd?", NULL));
	assert_false(passes("device", "/dev/sd\\?", NULL));
	assert_true(passes("created", "2023-11-14T*", NULL));
}

static void values_of_all_types_match_as_text(void **state)
{
	assert_true(passes("is-public", "false", NULL));
	assert_false(passes("is-public", "true", NULL));
	assert_true(passes("size", "8", NULL));
	assert_true(passes("created", "2023-11-14T22:13:20.000Z", NULL));
}

static void tags_match_by_key_and_value(void **state)
{
	assert_true(passes("tag:Name", "web-*", NULL));
	assert_false(passes("tag:name", "web-*", NULL));
	assert_false(passes("tag:Name", "db", NULL));
	assert_true(passes("tag:empty", "", NULL));
	assert_false(passes("tag:none", "*", NULL));
	assert_true(passes("tag-key", "N*", NULL));
	assert_true(passes("tag-value", "web-1", NULL));
}

static void all_filters_must_pass(void **state)
{
	const char *available[] = { "available" }, *nine[] = { "9" };
	struct ec2_Filter two[] = { { "state", { available, 1, true } }, { "size", { nine, 1, true } } };
	struct ec2_FilterList filters = { two, 2, true };
	assert_false(filter_passes(&table, &filters, &thing));
	filters.count = 1;
	assert_true(filter_passes(&table, &filters, &thing));
	filters.count = 0;
	assert_true(filter_passes(&table, &filters, &thing));
}

static void an_absent_value_matches_nothing(void **state)
{
	const struct thing nothing = { 0 };
	const char *any[] = { "*" };
	for (const struct filter_field *field = fields; field->name; field++) {
		struct ec2_Filter filter = { field->name, { any, 1, true } };
		const struct ec2_FilterList filters = { &filter, 1, true };
		assert_false(filter_passes(&table, &filters, &nothing));
	}
}

static void unknown_names_are_refused(void **state)
{
	const char *any[] = { "*" };
	struct ec2_Filter filter = { "colour", { any, 1, true } };
	const struct ec2_FilterList filters = { &filter, 1, true };
	struct error err;
	assert_int_equal(filter_check(&table, &filters, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID_PARAMETER_VALUE);
	assert_string_equal(err.message, "The filter 'colour' is invalid");
	filter.name = "tag:a";
	assert_int_equal(filter_check(&without_tags, &filters, &err), -1);
	filter.name = NULL;
	assert_int_equal(filter_check(&table, &filters, &err), -1);
	assert_int_equal(err.code, ERROR_MISSING_PARAMETER);
	filter = (struct ec2_Filter){ .name = "state" };
	assert_int_equal(filter_check(&table, &filters, &err), -1);
	assert_int_equal(err.code, ERROR_MISSING_PARAMETER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_value_of_a_filter_is_enough),
		cmocka_unit_test(one_value_of_a_resource_is_enough),
		cmocka_unit_test(wildcards_match),
		cmocka_unit_test(values_of_all_types_match_as_text),
		cmocka_unit_test(tags_match_by_key_and_value),
		cmocka_unit_test(all_filters_must_pass),
		cmocka_unit_test(an_absent_value_matches_nothing),
		cmocka_unit_test(unknown_names_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
