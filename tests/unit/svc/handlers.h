/* Handlers called directly, over real metadata in a folder of their own: no door, no network, no machines. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "svc/ec2/common.h"

struct scene {
	char folder[64];
	struct arena *arena;
	struct meta *meta;
	struct amid_config config;
	struct amid_region regions[2]; /* us-east-1, us-west-2 */
	struct amid amid;              /* with secrets, under a root key in the folder */
	struct operation operation;
	struct call call; /* of account 111111111111 in us-east-1, unless a test changes it */
	struct error err;
};

int scene_setup(void **state);
int scene_teardown(void **state);
/* The error code of a handler's run. */
enum error_code scene_run(struct scene *scene, const struct shape_operation *shape,
	int (*handler)(struct call *, const void *, void *, struct error *), const void *request,
	void *result);
/* Stores a record for the call's account and region. */
void scene_put(struct scene *scene, const struct record_kind *kind, const void *record);

/* RUN(scene, DescribeVpcs, ec2_describe_vpcs, &request, &result) */
#define RUN(scene, name, handler, request, result) \
	scene_run((scene), &ec2_operation_##name, \
		(int (*)(struct call *, const void *, void *, struct error *))(void *)(handler), (request), \
		(result))
#define assert_ok(call) \
	do { \
		if ((call) != ERROR_NONE) \
			fail_msg("%s: %s", #call, s->err.message); \
	} while (0)
#define assert_error(call, code) assert_string_equal(error_aws_code(call), error_aws_code(code))
/* A generated list of some items: LIST("a", "b") for lists of strings, ITEMS(struct, {...}) for structures. */
#define STRINGS(...) \
	{ \
		.items = (const char *[]){ __VA_ARGS__ }, \
		.count = sizeof(const char *[]){ __VA_ARGS__ } / sizeof(const char *), .set = true \
	}
#define ONE(structure, ...) \
	{ \
		.items = &(structure){ __VA_ARGS__ }, .count = 1, .set = true \
	}
/* A list of one filter with one value. */
#define FILTER(filter_name, value) ONE(struct ec2_Filter, .name = (filter_name), .values = STRINGS(value))
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
