/* The qcow2 reader on files made here byte by byte: what it reads, and what it refuses. (Files that qemu-img makes are in tests/api/test_import.py.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "cli/qcow2.h"

enum {
	CLUSTER = 65536,
	L1_AT = CLUSTER,
	L2_AT = 2 * CLUSTER,
	DATA_AT = 3 * CLUSTER,
	PACKED_AT = 4 * CLUSTER + 1000,
	END = 5 * CLUSTER
};

struct scene {
	uint8_t file[END];
	size_t size;
	struct qcow2 *qcow2;
	int fd;
	struct error err;
};

static void put(struct scene *s, size_t at, unsigned bytes, uint64_t value)
{
	for (unsigned i = 0; i < bytes; i++)
		s->file[at + i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

/* A disk of 8 clusters: data, absent, zeros over data, deflated. */
static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	uint8_t plain[CLUSTER], packed[4096];
	memcpy(s->file, "QFI\xfb", 4);
	put(s, 4, 4, 3);
	put(s, 20, 4, 16);
	put(s, 24, 8, 8 * CLUSTER - 512);
	put(s, 36, 4, 1);
	put(s, 40, 8, L1_AT);
	put(s, 96, 4, 4);
	put(s, 100, 4, 104);
	put(s, L1_AT, 8, L2_AT | UINT64_C(1) << 63);
	put(s, L2_AT, 8, DATA_AT | UINT64_C(1) << 63);
	put(s, L2_AT + 16, 8, DATA_AT | 1);
	memset(s->file + DATA_AT, 'd', CLUSTER);
	memset(plain, 'p', CLUSTER);
	z_stream stream = {
		.next_in = plain, .avail_in = CLUSTER, .next_out = packed, .avail_out = sizeof packed
	};
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	memcpy(s->file + PACKED_AT, packed, stream.total_out);
	put(s, L2_AT + 24, 8,
		UINT64_C(1) << 62 | (uint64_t)((stream.total_out + PACKED_AT % 512 - 1) / 512) << 54 |
			PACKED_AT);
	deflateEnd(&stream);
	s->size = END;
	s->fd = -1;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	qcow2_close(s->qcow2);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
	return 0;
}

static int open_it(struct scene *s)
{
	s->fd = memfd_create("qcow2", MFD_CLOEXEC);
	assert_int_equal(file_write_full(s->fd, s->file, s->size), 0);
	return qcow2_open(s->fd, &s->qcow2, &s->err);
}

static void every_kind_of_cluster_is_read(void **state)
{
	struct scene *s = *state;
	static uint8_t data[8 * CLUSTER];
	bool empty;
	if (open_it(s))
		fail_msg("%s", s->err.message);
	assert_int_equal(qcow2_size(s->qcow2), 8 * CLUSTER - 512);
	memset(data, 'x', sizeof data);
	assert_int_equal(qcow2_read(s->qcow2, 0, data, sizeof data, &empty, &s->err), 0);
	assert_false(empty);
	for (size_t i = 0; i < sizeof data; i++)
		if (data[i] != (i < CLUSTER ? 'd' : i / CLUSTER == 3 ? 'p' : 0))
			fail_msg("byte %zu is %d", i, data[i]);
	/* across a border, not aligned */
	assert_int_equal(qcow2_read(s->qcow2, 3 * CLUSTER - 10, data, 20, &empty, &s->err), 0);
	assert_memory_equal(data, "\0\0\0\0\0\0\0\0\0\0pppppppppp", 20);
	assert_int_equal(qcow2_read(s->qcow2, 4 * CLUSTER, data, 4 * CLUSTER, &empty, &s->err), 0);
	assert_true(empty);
}

static void empty_tables_are_skipped(void **state)
{
	struct scene *s = *state;
	const uint64_t l2_span = (uint64_t)CLUSTER / 8 * CLUSTER;
	put(s, 24, 8, 5 * l2_span);
	put(s, 36, 4, 5);
	put(s, L1_AT + 24, 8, L2_AT);
	if (open_it(s))
		fail_msg("%s", s->err.message);
	assert_int_equal(qcow2_next(s->qcow2, 12345), 12345);
	assert_int_equal(qcow2_next(s->qcow2, l2_span + 5), 3 * l2_span);
	assert_int_equal(qcow2_next(s->qcow2, 4 * l2_span), 5 * l2_span);
}

static void assert_refused(struct scene *s, enum error_code code, const char *words)
{
	assert_int_equal(open_it(s), -1);
	assert_int_equal(s->err.code, code);
	if (!strstr(s->err.message, words))
		fail_msg("no \"%s\" in: %s", words, s->err.message);
}

#define REFUSED(name, at, bytes, value, code, words) \
	static void name(void **state) \
	{ \
		put(*state, (at), (bytes), (value)); \
		assert_refused(*state, (code), (words)); \
	}
REFUSED(no_magic, 0, 4, 1, ERROR_CORRUPT, "no qcow2 header")
REFUSED(another_version, 4, 4, 4, ERROR_UNSUPPORTED, "version")
REFUSED(a_backing_file, 8, 8, 300, ERROR_UNSUPPORTED, "backing file")
REFUSED(a_backing_file_without_a_place, 16, 4, 5, ERROR_UNSUPPORTED, "backing file")
REFUSED(encryption, 32, 4, 2, ERROR_UNSUPPORTED, "encrypted")
REFUSED(an_external_data_file, 72, 8, 4, ERROR_UNSUPPORTED, "external file")
REFUSED(a_corrupt_mark, 72, 8, 2, ERROR_CORRUPT, "corrupt")
REFUSED(another_compression, 72, 8, 8, ERROR_UNSUPPORTED, "compression")
REFUSED(extended_entries, 72, 8, 16, ERROR_UNSUPPORTED, "extended")
REFUSED(unknown_features, 72, 8, UINT64_C(1) << 63, ERROR_UNSUPPORTED, "unknown")
REFUSED(no_size, 24, 8, 0, ERROR_UNSUPPORTED, "64 TiB")
REFUSED(an_absurd_size, 24, 8, QCOW2_SIZE_MAX + 1, ERROR_UNSUPPORTED, "64 TiB")
REFUSED(a_size_beyond_its_table, 24, 8, UINT64_C(1) << 40, ERROR_CORRUPT, "L1 table")
REFUSED(small_clusters, 20, 4, 8, ERROR_CORRUPT, "cluster size")
REFUSED(large_clusters, 20, 4, 22, ERROR_CORRUPT, "cluster size")
REFUSED(a_table_that_is_not_aligned, 40, 8, L1_AT + 8, ERROR_CORRUPT, "L1 table")
REFUSED(a_table_behind_the_end, 40, 8, UINT64_C(1) << 62, ERROR_CORRUPT, "L1 table")
REFUSED(a_second_table_behind_the_end, L1_AT, 8, END, ERROR_CORRUPT, "L2 table")
REFUSED(a_short_header, 100, 4, 72, ERROR_CORRUPT, "header")

static void a_cluster_behind_the_end_is_an_error(void **state)
{
	struct scene *s = *state;
	uint8_t data[512];
	bool empty;
	put(s, L2_AT, 8, (uint64_t)END + CLUSTER);
	put(s, L2_AT + 8, 8, UINT64_C(1) << 62 | UINT64_C(1) << 40);
	put(s, L2_AT + 24, 8, UINT64_C(1) << 62 | DATA_AT);
	assert_int_equal(open_it(s), 0);
	assert_int_equal(qcow2_read(s->qcow2, 0, data, sizeof data, &empty, &s->err), -1);
	assert_int_equal(qcow2_read(s->qcow2, CLUSTER, data, sizeof data, &empty, &s->err), -1);
	assert_int_equal(qcow2_read(s->qcow2, 3 * CLUSTER, data, sizeof data, &empty, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
}

static void a_file_cut_anywhere_is_refused_or_read(void **state)
{
	struct scene *s = *state;
	static uint8_t data[8 * CLUSTER];
	for (s->size = 0; s->size < END; s->size += 997) {
		bool empty;
		if (open_it(s) == 0 && qcow2_read(s->qcow2, 0, data, sizeof data, &empty, &s->err) == 0)
			assert_true(s->size > PACKED_AT);
		qcow2_close(s->qcow2);
		s->qcow2 = NULL;
		close(s->fd);
	}
	s->fd = -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_cluster_is_read),
		TEST(empty_tables_are_skipped),
		TEST(no_magic),
		TEST(another_version),
		TEST(a_backing_file),
		TEST(a_backing_file_without_a_place),
		TEST(encryption),
		TEST(an_external_data_file),
		TEST(a_corrupt_mark),
		TEST(another_compression),
		TEST(extended_entries),
		TEST(unknown_features),
		TEST(no_size),
		TEST(an_absurd_size),
		TEST(a_size_beyond_its_table),
		TEST(small_clusters),
		TEST(large_clusters),
		TEST(a_table_that_is_not_aligned),
		TEST(a_table_behind_the_end),
		TEST(a_second_table_behind_the_end),
		TEST(a_short_header),
		TEST(a_cluster_behind_the_end_is_an_error),
		TEST(a_file_cut_anywhere_is_refused_or_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
