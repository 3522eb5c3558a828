/* A trail in a folder of its own, whose records are {"n":N} and have N as their word and their time. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/log.h"
#include "audit/search.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

struct trail {
	char folder[64];
	struct audit_log *log;
	struct arena *arena;
};

static inline uint64_t word_of(uint64_t n)
{
	return n * 0x9e3779b97f4a7c15u;
}

static inline int describe(
	const char *event, size_t size, int64_t *time_ms, uint64_t words[AUDIT_WORDS_MAX], size_t *count)
{
	unsigned long long n;
	if (size < 6 || sscanf(event, "{\"n\":%llu", &n) != 1)
		return -1;
	*time_ms = (int64_t)n;
	words[0] = word_of(n);
	*count = 1;
	return 0;
}

static inline void trail_open(struct trail *trail)
{
	struct error err;
	if (audit_log_open(trail->folder, 90, describe, &trail->log, &err))
		fail_msg("%s", err.message);
}

static inline int trail_setup(void **state)
{
	struct trail *trail = calloc(1, sizeof *trail);
	log_set_level(LOG_ERROR);
	snprintf(trail->folder, sizeof trail->folder, "/tmp/amid-test-audit-XXXXXX");
	if (!mkdtemp(trail->folder))
		return -1;
	trail->arena = arena_create();
	trail_open(trail);
	*state = trail;
	return 0;
}

static inline int trail_teardown(void **state)
{
	struct trail *trail = *state;
	audit_log_close(trail->log);
	file_remove_tree(trail->folder, NULL);
	arena_destroy(trail->arena);
	free(trail);
	return 0;
}

static inline void trail_close(struct trail *trail)
{
	audit_log_close(trail->log);
	trail->log = NULL;
}

static inline uint64_t trail_append(struct trail *trail, uint64_t n)
{
	uint64_t word = word_of(n);
	char *event = arena_printf(trail->arena, "{\"n\":%llu,\"pad\":\"%0100d\"}", (unsigned long long)n, 0);
	return audit_log_append(trail->log, (int64_t)n, event, strlen(event), &word, 1);
}

static inline void trail_sync(struct trail *trail)
{
	struct error err;
	if (audit_log_sync(trail->log, 0, &err))
		fail_msg("%s", err.message);
}

static inline void trail_fill(struct trail *trail, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++)
		trail_append(trail, n);
	trail_sync(trail);
}

/* The path of the only or the first file. */
static inline char *trail_path(struct trail *trail, size_t index)
{
	char **names;
	size_t count;
	struct error err;
	assert_int_equal(audit_name_list(trail->folder, trail->arena, &names, &count, &err), 0);
	assert_true(index < count);
	return arena_printf(trail->arena, "%s/%s", trail->folder, names[index]);
}

static inline struct audit_verdict trail_verify(struct trail *trail)
{
	struct audit_verdict verdict;
	struct error err;
	if (audit_verify(trail->folder, &verdict, &err))
		fail_msg("%s", err.message);
	return verdict;
}

static inline void trail_read(struct trail *trail, const char *path, char **data, size_t *size)
{
	struct error err;
	if (file_read(path, 1 << 26, trail->arena, data, size, &err))
		fail_msg("%s", err.message);
}

static inline void trail_write(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_write_full(fd, data, size), 0);
	close(fd);
}
