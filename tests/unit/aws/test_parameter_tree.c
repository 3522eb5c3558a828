/* The tree of query parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws/parameter_tree.h"

static int build(struct arena *arena, const char *form, struct parameter_node **root, struct error *err)
{
	struct http_parameters parameters = { 0 };
	assert_int_equal(http_parse_parameters(arena, form, strlen(form), &parameters), 0);
	return parameter_tree_build(arena, &parameters, root, err);
}

static void children_stand_together_in_whatever_order_they_came(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct parameter_node *root;
	struct error err;
	assert_int_equal(build(arena, "A.2.y=4&A-b=9&A.1=1&B=2&A.2.x=3&A=0&A.10=5", &root, &err), 0);
	struct parameter_node *a = parameter_tree_child(root, "A");
	assert_string_equal(a->value, "0");
	assert_string_equal(parameter_tree_child(root, "A-b")->value, "9");
	size_t count;
	struct parameter_node **items = parameter_tree_items(arena, a, &count);
	assert_int_equal(count, 3);
	assert_string_equal(items[0]->value, "1");
	assert_string_equal(parameter_tree_child(items[1], "x")->value, "3");
	assert_string_equal(parameter_tree_child(items[1], "y")->value, "4");
	assert_string_equal(parameter_tree_path(arena, items[1]), "A.2");
	assert_string_equal(items[2]->value, "5");
	assert_null(items[3]);
	assert_null(parameter_tree_child(root, "C"));
}

static void what_was_not_taken_is_left(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct parameter_node *root;
	struct error err;
	assert_int_equal(build(arena, "A.1.x=1&A.1.z=2&B=", &root, &err), 0);
	size_t count;
	struct parameter_node **items = parameter_tree_items(arena, parameter_tree_child(root, "A"), &count);
	parameter_tree_child(items[0], "x")->value_taken = true;
	parameter_tree_child(root, "B");
	assert_string_equal(parameter_tree_path(arena, parameter_tree_left(root)), "A.1.z");
	parameter_tree_child(items[0], "z")->value_taken = true;
	assert_null(parameter_tree_left(root));
}

static void numbers_are_plain_and_positive(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct parameter_node *root;
	struct error err;
	size_t count;
	assert_int_equal(build(arena, "A.0=a&A.01=b&A.-1=c&A.1x=d&A.4294967297=e&A.7=f", &root, &err), 0);
	struct parameter_node **items = parameter_tree_items(arena, parameter_tree_child(root, "A"), &count);
	assert_int_equal(count, 1);
	assert_string_equal(items[0]->value, "f");
}

static void malformed_names_are_refused(void **state)
{
	static const char *const forms[] = { "A=1&A=2", "A..b=1", ".A=1", "A.=1", "=1",
		"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1" };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct parameter_node *root;
		struct error err = { 0 };
		assert_int_equal(build(arena, forms[i], &root, &err), -1);
		assert_int_equal(err.code, ERROR_MALFORMED_QUERY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_stand_together_in_whatever_order_they_came),
		cmocka_unit_test(what_was_not_taken_is_left),
		cmocka_unit_test(numbers_are_plain_and_positive),
		cmocka_unit_test(malformed_names_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
