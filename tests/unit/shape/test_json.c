/* The JSON codec of shapes, over real generated structs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/ebs.h"
#include "api/ec2.h"
#include "api/sts.h"
#include "shape/json.h"

/* A structure with every kind of member, among them itself. */
struct node_map_entry {
	const char *key;
	struct shape_integer value;
};
struct node {
	const char *text;
	struct shape_integer number;
	struct shape_double ratio;
	struct shape_boolean flag;
	struct shape_timestamp time;
	struct shape_blob bytes;
	struct node *child;
	struct {
		struct node *items;
		size_t count;
		bool set;
	} children;
	struct {
		struct node_map_entry *items;
		size_t count;
		bool set;
	} sizes;
};

static const struct shape node_shape;
static const struct shape children_shape = {
	.name = "children", .kind = SHAPE_LIST, .size = sizeof(struct node), .element = &node_shape
};
static const struct shape sizes_shape = { .name = "sizes",
	.kind = SHAPE_MAP,
	.size = sizeof(struct node_map_entry),
	.element = &shape_integer,
	.value_offset = offsetof(struct node_map_entry, value) };
#define MEMBER(field, type) \
	{ \
		.name = #field, .wire_name = #field, .shape = &type, .offset = offsetof(struct node, field) \
	}
static const struct shape_member node_members[] = { MEMBER(text, shape_string), MEMBER(number, shape_long),
	MEMBER(ratio, shape_double), MEMBER(flag, shape_boolean), MEMBER(time, shape_timestamp),
	MEMBER(bytes, shape_blob), MEMBER(child, node_shape), MEMBER(children, children_shape),
	MEMBER(sizes, sizes_shape) };
static const struct shape node_shape = { .name = "node",
	.kind = SHAPE_STRUCTURE,
	.size = sizeof(struct node),
	.members = node_members,
	.member_count = sizeof node_members / sizeof *node_members };

static const char *again(struct arena *arena, const char *text)
{
	struct buffer out BUFFER_SCOPED = { 0 };
	struct node node = { 0 };
	struct error err = { 0 };
	if (json_decode(arena, &node_shape, text, strlen(text), false, &node, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	json_encode(&out, &node_shape, &node);
	return arena_strdup(arena, buffer_text(&out));
}

static void every_kind_survives_a_round_trip(void **state)
{
	static const char *const cases[] = { "{}", "{\"text\":\"\"}",
		("{\"text\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\xf0\x9f\x98\x80\",\"number\":-9223372036854775808,\"ratio\":0.25,\"flag\":false,"
		 "\"time\":1700000000.123,\"bytes\":\"AAEC/w==\"}"),
		"{\"number\":9223372036854775807,\"time\":-1.500,\"bytes\":\"\"}",
		"{\"child\":{\"child\":{\"flag\":true}},\"children\":[{\"number\":0},{},{\"children\":[]}],\"sizes\":{\"a\":1,\"\":2}}",
		"{\"children\":[],\"sizes\":{}}" };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(again(arena, cases[i]), cases[i]);
}

static void reads_all_forms_of_json(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	assert_string_equal(
		again(arena, " { \"text\" :\t\"\\u0041\\ud83d\\ude00\\/\" , \"number\" : -0 }\r\n"),
		"{\"text\":\"A\xf0\x9f\x98\x80/\",\"number\":0}");
	assert_string_equal(
		again(arena, "{\"text\":null,\"children\":null,\"time\":\"2023-11-14T22:13:20Z\"}"),
		"{\"time\":1700000000}");
	assert_string_equal(
		again(arena, "{\"ratio\":1e2,\"number\":1,\"number\":2}"), "{\"number\":2,\"ratio\":100}");
}

static void bytes_that_are_no_utf8_are_written_as_replacement(void **state)
{
	struct buffer out BUFFER_SCOPED = { 0 };
	struct node node = { .text = "a\xff\xc3" };
	json_encode(&out, &node_shape, &node);
	assert_string_equal(out.data, "{\"text\":\"a\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static void refuses_what_is_malformed_and_names_the_member(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = { { "", "expected an object" }, { "[]", "expected an object" },
		{ "{", "expected a string" }, { "{} x", "more text" }, { "{\"text\"}", "':'" },
		{ "{\"text\":1}", "'text'" }, { "{\"text\":\"a", "'text'" },
		{ "{\"text\":\"\\u0000\"}", "NUL" }, { "{\"text\":\"\\ud800\"}", "surrogate" },
		{ "{\"text\":\"\\udc00\"}", "surrogate" }, { "{\"text\":\"\\ud800\\u0041\"}", "surrogate" },
		{ "{\"text\":\"\\x\"}", "escape" }, { "{\"text\":\"\xff\"}", "UTF-8" },
		{ "{\"text\":\"\n\"}", "control" }, { "{\"number\":1.5}", "'number'" },
		{ "{\"number\":01}", "'number'" }, { "{\"number\":+1}", "'number'" },
		{ "{\"number\":9223372036854775808}", "'number'" }, { "{\"ratio\":1e999}", "'ratio'" },
		{ "{\"ratio\":.5}", "'ratio'" }, { "{\"flag\":1}", "'flag'" },
		{ "{\"time\":\"yesterday\"}", "'time'" }, { "{\"time\":1e300}", "'time'" },
		{ "{\"bytes\":\"?\"}", "'bytes'" }, { "{\"children\":[{}", "'children'" },
		{ "{\"children\":[{},]}", "'children'" }, { "{\"child\":{\"flag\":3}}", "'flag'" },
		{ "{\"other\":1}", "'other'" }, { "{\"number\":1,}", "string" } };
	struct arena *arena ARENA_SCOPED = arena_create();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct node node = { 0 };
		struct error err = { 0 };
		assert_int_equal(json_decode(arena, &node_shape, cases[i].text, strlen(cases[i].text), false,
					 &node, &err),
			-1);
		assert_int_equal(err.code, ERROR_SERIALIZATION);
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

static void a_lenient_reader_skips_unknown_members_but_checks_them(void **state)
{
	static const char good[] = "{\"x\":{\"a\":[1,\"b\",null,true,{}]},\"number\":7,\"y\":[]}";
	static const char *const bad[] = { "{\"x\":{\"a\":[1,]}}", "{\"x\":tru}", "{\"x\":1e}",
		"{\"x\":{\"a\"}}" };
	struct arena *arena ARENA_SCOPED = arena_create();
	struct node node = { 0 };
	struct error err = { 0 };
	assert_int_equal(json_decode(arena, &node_shape, good, strlen(good), true, &node, &err), 0);
	assert_int_equal(node.number.value, 7);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(
			json_decode(arena, &node_shape, bad[i], strlen(bad[i]), true, &node, &err), -1);
}

static void nesting_is_limited(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct buffer known BUFFER_SCOPED = { 0 }, unknown BUFFER_SCOPED = { 0 };
	struct node node = { 0 };
	struct error err = { 0 };
	for (int i = 0; i < 100000; i++) {
		buffer_append_text(&known, "{\"child\":");
		buffer_append_text(&unknown, i ? "[" : "{\"x\":");
	}
	assert_int_equal(json_decode(arena, &node_shape, known.data, known.size, true, &node, &err), -1);
	assert_non_null(strstr(err.message, "deep"));
	assert_int_equal(json_decode(arena, &node_shape, unknown.data, unknown.size, true, &node, &err), -1);
	assert_non_null(strstr(err.message, "deep"));
}

static void generated_shapes_leave_header_members_out(void **state)
{
	struct buffer out BUFFER_SCOPED = { 0 };
	struct ebs_Block blocks[] = { { some_integer(3), "dG9rZW4=" }, { some_integer(4), NULL } };
	struct ebs_ListSnapshotBlocksResponse response = { .blocks = { blocks, 2, true },
		.volume_size = some_integer(1) };
	struct ebs_GetSnapshotBlockResponse block = { .checksum = "x",
		.block_data = { (const uint8_t *)"abc", 3 } };
	json_encode(&out, &ebs_shape_ListSnapshotBlocksResponse, &response);
	assert_string_equal(out.data,
		"{\"Blocks\":[{\"BlockIndex\":3,\"BlockToken\":\"dG9rZW4=\"},{\"BlockIndex\":4}],\"VolumeSize\":1}");
	buffer_clear(&out);
	json_encode(&out, &ebs_shape_GetSnapshotBlockResponse, &block);
	assert_string_equal(out.data, "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_survives_a_round_trip),
		cmocka_unit_test(reads_all_forms_of_json),
		cmocka_unit_test(bytes_that_are_no_utf8_are_written_as_replacement),
		cmocka_unit_test(refuses_what_is_malformed_and_names_the_member),
		cmocka_unit_test(a_lenient_reader_skips_unknown_members_but_checks_them),
		cmocka_unit_test(nesting_is_limited),
		cmocka_unit_test(generated_shapes_leave_header_members_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
