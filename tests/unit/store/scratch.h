/* A scratch folder for a test, and test data; used by the tests of store and volume. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"

/* Fails the test with the error's own message. */
#define ASSERT_OK(call) \
	do { \
		if (call) \
			fail_msg("%s: %s", #call, err.message); \
	} while (0)
#define ASSERT_FAILS(call, expected) \
	do { \
		if ((call) != -1) \
			fail_msg("%s did not fail", #call); \
		if (err.code != (expected)) \
			fail_msg("%s failed with another error: %s", #call, err.message); \
	} while (0)

/* Set-up and tear-down of a cmocka test: *state is the folder's path. */
static inline int scratch_create(void **state)
{
	const char *parent = getenv("TMPDIR");
	char *path = malloc(256);
	log_set_level(LOG_ERROR);
	snprintf(path, 256, "%s/amid-test-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(path))
		return -1;
	*state = path;
	return 0;
}

static inline int scratch_remove(void **state)
{
	struct error err;
	int failed = file_remove_tree(*state, &err);
	free(*state);
	return failed;
}

static inline const char *scratch_path(void **state, const char *name, char path[512])
{
	snprintf(path, 512, "%s/%s", (char *)*state, name);
	return path;
}

/* A small generator, so that a failing test can be repeated. */
static inline uint64_t scratch_random(uint64_t *seed)
{
	uint64_t z = (*seed += 0x9e3779b97f4a7c15ULL);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline void scratch_fill(void *data, size_t size, uint64_t seed)
{
	for (size_t i = 0; i + 8 <= size; i += 8) {
		uint64_t value = scratch_random(&seed);
		memcpy((char *)data + i, &value, 8);
	}
}
