/*
 * qcow2: guest offset -> entry of the L1 table (in memory) -> entry of an L2 table (read when needed) -> cluster: absent, zeros, raw, or deflated. Numbers in the file are big-endian. The format is QEMU's docs/interop/qcow2.txt.
 *
 * Tables must lie within the file; a cluster must begin within it, and what of it lies behind the file's end is zeros, as QEMU leaves it.
 */
#include "cli/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ZLIB_CONST
#include <zlib.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/banned.h"

enum {
	HEADER_V2 = 72,
	HEADER_V3 = 104,
	CLUSTER_BITS_MIN = 9,
	CLUSTER_BITS_MAX = 21,
	L1_BYTES_MAX = 32 * 1024 * 1024, /* QEMU's own limit */
	DEFLATE_WINDOW_BITS = 12,
	SECTOR = 512,
};

#define OFFSET_MASK UINT64_C(0x00fffffffffffe00)
#define ENTRY_COMPRESSED (UINT64_C(1) << 62)
#define ENTRY_ZERO UINT64_C(1)

#define INCOMPATIBLE_DIRTY UINT64_C(1) /* reference counts may be off: none of a reader's business */
#define INCOMPATIBLE_CORRUPT UINT64_C(2)
#define INCOMPATIBLE_DATA_FILE UINT64_C(4)
#define INCOMPATIBLE_COMPRESSION UINT64_C(8)
#define INCOMPATIBLE_EXTENDED_L2 UINT64_C(16)

struct qcow2 {
	int fd;
	uint64_t file_size;
	uint64_t size;
	unsigned version;
	unsigned cluster_bits;
	uint64_t *l1;      /* offsets of L2 tables; 0: none */
	uint64_t l1_count; /* as many as the size needs */
};

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

bool qcow2_is(const void *start, size_t size)
{
	return size >= 4 && memcmp(start, "QFI\xfb", 4) == 0;
}

static uint64_t cluster_size(const struct qcow2 *qcow2)
{
	return UINT64_C(1) << qcow2->cluster_bits;
}

/* How much of the disk one L2 table describes, as a power of two: a cluster full of 8-byte entries. */
static unsigned l2_bits(const struct qcow2 *qcow2)
{
	return 2 * qcow2->cluster_bits - 3;
}

static int check_features(const uint8_t *header, struct error *err)
{
	uint64_t features = get(header + 72, 8);
	if (features & INCOMPATIBLE_DATA_FILE)
		return error_set(err, ERROR_UNSUPPORTED, "it keeps its data in an external file");
	if (features & INCOMPATIBLE_CORRUPT)
		return error_set(err, ERROR_CORRUPT, "it is marked as corrupt");
	if (features & INCOMPATIBLE_COMPRESSION)
		return error_set(
			err, ERROR_UNSUPPORTED, "its compression is not zlib, which is not supported yet");
	if (features & INCOMPATIBLE_EXTENDED_L2)
		return error_set(
			err, ERROR_UNSUPPORTED, "it has extended L2 entries, which are not supported yet");
	if (features & ~INCOMPATIBLE_DIRTY)
		return error_set(err, ERROR_UNSUPPORTED,
			"it has unknown incompatible features (0x%" PRIx64 ")", features);
	return 0;
}

static int check_header(struct qcow2 *qcow2, const uint8_t *header, size_t size, struct error *err)
{
	if (size < HEADER_V2 || !qcow2_is(header, size))
		return error_set(err, ERROR_CORRUPT, "it has no qcow2 header");
	qcow2->version = (unsigned)get(header + 4, 4);
	if (qcow2->version != 2 && qcow2->version != 3)
		return error_set(err, ERROR_UNSUPPORTED, "its version %u is neither 2 nor 3", qcow2->version);
	if (get(header + 8, 8) || get(header + 16, 4))
		return error_set(
			err, ERROR_UNSUPPORTED, "it has a backing file; flatten it first (qemu-img convert)");
	if (get(header + 32, 4))
		return error_set(err, ERROR_UNSUPPORTED, "it is encrypted");
	if (qcow2->version == 3 && (size < HEADER_V3 || get(header + 100, 4) < HEADER_V3))
		return error_set(err, ERROR_CORRUPT, "its header is too short");
	if (qcow2->version == 3 && check_features(header, err))
		return -1;
	qcow2->cluster_bits = (unsigned)get(header + 20, 4);
	if (qcow2->cluster_bits < CLUSTER_BITS_MIN || qcow2->cluster_bits > CLUSTER_BITS_MAX)
		return error_set(err, ERROR_CORRUPT, "its cluster size is 2^%u", qcow2->cluster_bits);
	qcow2->size = get(header + 24, 8);
	if (qcow2->size == 0 || qcow2->size > QCOW2_SIZE_MAX)
		return error_set(err, ERROR_UNSUPPORTED,
			"its disk has %" PRIu64 " bytes, which is none or more than 64 TiB", qcow2->size);
	return 0;
}

static int read_l1(struct qcow2 *qcow2, uint64_t offset, uint64_t entries, struct error *err)
{
	qcow2->l1_count = ((qcow2->size - 1) >> l2_bits(qcow2)) + 1;
	uint64_t bytes = qcow2->l1_count * sizeof *qcow2->l1;
	if (entries < qcow2->l1_count || bytes > L1_BYTES_MAX)
		return error_set(err, ERROR_CORRUPT,
			"its L1 table of %" PRIu64 " entries is not of a disk of %" PRIu64 " bytes", entries,
			qcow2->size);
	if (offset % cluster_size(qcow2) || offset > qcow2->file_size || bytes > qcow2->file_size - offset)
		return error_set(
			err, ERROR_CORRUPT, "its L1 table at %" PRIu64 " is not within the file", offset);
	qcow2->l1 = memory_alloc(bytes);
	if (file_pread_full(qcow2->fd, qcow2->l1, bytes, (off_t)offset))
		return error_set_errno(err, errno, "cannot read its L1 table");
	for (uint64_t i = 0; i < qcow2->l1_count; i++) {
		uint64_t entry = get((const uint8_t *)&qcow2->l1[i], 8) & OFFSET_MASK;
		if (entry &&
			(entry % cluster_size(qcow2) || entry > qcow2->file_size ||
				cluster_size(qcow2) > qcow2->file_size - entry))
			return error_set(err, ERROR_CORRUPT,
				"its L2 table at %" PRIu64 " is not within the file", entry);
		qcow2->l1[i] = entry;
	}
	return 0;
}

static int open_checked(struct qcow2 *qcow2, struct error *err)
{
	uint8_t header[HEADER_V3] = { 0 };
	struct stat status;
	if (fstat(qcow2->fd, &status))
		return error_set_errno(err, errno, "cannot look at it");
	qcow2->file_size = (uint64_t)status.st_size;
	size_t size = qcow2->file_size < sizeof header ? (size_t)qcow2->file_size : sizeof header;
	if (file_pread_full(qcow2->fd, header, size, 0))
		return error_set_errno(err, errno, "cannot read its header");
	if (check_header(qcow2, header, size, err))
		return -1;
	return read_l1(qcow2, get(header + 40, 8), get(header + 36, 4), err);
}

int qcow2_open(int fd, struct qcow2 **result, struct error *err)
{
	struct qcow2 *qcow2 = memory_alloc(sizeof *qcow2);
	*qcow2 = (struct qcow2){ .fd = fd };
	if (open_checked(qcow2, err)) {
		qcow2_close(qcow2);
		return -1;
	}
	*result = qcow2;
	return 0;
}

void qcow2_close(struct qcow2 *qcow2)
{
	if (!qcow2)
		return;
	free(qcow2->l1);
	free(qcow2);
}

uint64_t qcow2_size(const struct qcow2 *qcow2)
{
	return qcow2->size;
}

uint64_t qcow2_next(const struct qcow2 *qcow2, uint64_t offset)
{
	uint64_t at = offset >> l2_bits(qcow2);
	if (at < qcow2->l1_count && qcow2->l1[at])
		return offset;
	while (at < qcow2->l1_count && !qcow2->l1[at])
		at++;
	return at < qcow2->l1_count ? at << l2_bits(qcow2) : qcow2->size;
}

/* Reads what the file has of `size` bytes, zeros for the rest. */
static int read_file(const struct qcow2 *qcow2, uint64_t offset, void *data, size_t size, struct error *err)
{
	uint64_t there = offset < qcow2->file_size ? qcow2->file_size - offset : 0;
	size_t got = there < size ? (size_t)there : size;
	if (file_pread_full(qcow2->fd, data, got, (off_t)offset))
		return error_set_errno(err, errno, "cannot read %zu bytes at %" PRIu64, got, offset);
	memset((char *)data + got, 0, size - got);
	return 0;
}

/* The L2 entry of a guest offset; 0: absent. */
static int find_entry(const struct qcow2 *qcow2, uint64_t offset, uint64_t *entry, struct error *err)
{
	uint8_t bytes[8];
	uint64_t table = qcow2->l1[offset >> l2_bits(qcow2)];
	uint64_t position = (offset >> qcow2->cluster_bits) & ((cluster_size(qcow2) >> 3) - 1);
	*entry = 0;
	if (!table)
		return 0;
	if (read_file(qcow2, table + 8 * position, bytes, sizeof bytes, err))
		return -1;
	*entry = get(bytes, sizeof bytes);
	return 0;
}

/* Inflates a whole cluster. The stream need not end where the cluster does. */
static int inflate_cluster(const struct qcow2 *qcow2, const uint8_t *packed, size_t packed_size,
	uint8_t *cluster, uint64_t at, struct error *err)
{
	z_stream stream = { .next_in = packed,
		.avail_in = (unsigned)packed_size,
		.next_out = cluster,
		.avail_out = (unsigned)cluster_size(qcow2) };
	if (inflateInit2(&stream, -DEFLATE_WINDOW_BITS) != Z_OK)
		return error_set(err, ERROR_INTERNAL, "zlib cannot be set up");
	int result = inflate(&stream, Z_FINISH);
	bool whole =
		stream.avail_out == 0 && (result == Z_STREAM_END || result == Z_BUF_ERROR || result == Z_OK);
	inflateEnd(&stream);
	return whole ? 0
		     : error_set(err, ERROR_CORRUPT, "its compressed cluster at %" PRIu64 " is damaged", at);
}

static int read_compressed(const struct qcow2 *qcow2, uint64_t entry, uint64_t within, void *data,
	size_t size, struct error *err)
{
	unsigned offset_bits = 62 - (qcow2->cluster_bits - 8);
	uint64_t at = entry & ((UINT64_C(1) << offset_bits) - 1);
	uint64_t sectors = ((entry & (ENTRY_COMPRESSED - 1)) >> offset_bits) + 1;
	size_t packed_size = (size_t)(sectors * SECTOR - at % SECTOR); /* at most twice a cluster */
	if (at >= qcow2->file_size)
		return error_set(err, ERROR_CORRUPT,
			"its compressed cluster at %" PRIu64 " is not within the file", at);
	uint8_t *packed = memory_alloc(packed_size), *cluster = memory_alloc(cluster_size(qcow2));
	int result = read_file(qcow2, at, packed, packed_size, err) ||
			inflate_cluster(qcow2, packed, packed_size, cluster, at, err)
		? -1
		: 0;
	if (result == 0)
		memcpy(data, cluster + within, size);
	free(packed);
	free(cluster);
	return result;
}

/* A piece that lies within one cluster. */
static int read_piece(
	const struct qcow2 *qcow2, uint64_t offset, void *data, size_t size, bool *empty, struct error *err)
{
	uint64_t entry, within = offset & (cluster_size(qcow2) - 1);
	if (find_entry(qcow2, offset, &entry, err))
		return -1;
	*empty = false;
	if (entry & ENTRY_COMPRESSED)
		return read_compressed(qcow2, entry, within, data, size, err);
	uint64_t at = entry & OFFSET_MASK;
	*empty = !at || (qcow2->version == 3 && (entry & ENTRY_ZERO));
	if (*empty)
		return 0;
	if (at % cluster_size(qcow2) || at >= qcow2->file_size)
		return error_set(err, ERROR_CORRUPT, "its cluster at %" PRIu64 " is not within the file", at);
	return read_file(qcow2, at + within, data, size, err);
}

int qcow2_read(
	const struct qcow2 *qcow2, uint64_t offset, void *data, size_t size, bool *empty, struct error *err)
{
	size_t filled = 0; /* bytes of `data` that have their content */
	*empty = true;
	for (size_t done = 0; done < size;) {
		uint64_t at = offset + done,
			 left_in_cluster = cluster_size(qcow2) - (at & (cluster_size(qcow2) - 1));
		size_t piece = left_in_cluster < size - done ? (size_t)left_in_cluster : size - done;
		bool nothing = true;
		if (at < qcow2->size && qcow2->size - at < piece)
			piece = (size_t)(qcow2->size - at);
		if (at < qcow2->size && read_piece(qcow2, at, (char *)data + done, piece, &nothing, err))
			return -1;
		if (!nothing) {
			memset((char *)data + filled, 0, done - filled);
			filled = done + piece;
			*empty = false;
		}
		done += piece;
	}
	if (!*empty)
		memset((char *)data + filled, 0, size - filled);
	return 0;
}
