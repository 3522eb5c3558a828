/*
 * The journal of an upload; its format is in journal.h.
 *
 * Appending: under the lock a record goes into the page cache at the tail. Then one of the waiting threads syncs everything up to the tail it saw, while the others wait for it, and those who came meanwhile
 * for the next. A record that could not be written leaves the tail where it was. Opening reads all records once to find the tail.
 */
#include "svc/ebs/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "store/checksum.h"
#include "store/wire.h"
#include "base/banned.h"

enum {
	RECORD_SIZE = 64,
	CRC_AT = 60,
	FILL_SIZE = 64 * 1024, /* also what is read at a time */
	ID_SIZE = 32,
	FLAG_RECORD = 1,
	FLAG_ZERO = 2,
};

static const char magic[8] = { 'a', 'm', 'i', 'd', 'u', 'p', 'l', '1' };

struct journal {
	char *path; /* for messages */
	int fd;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t synced_more;
	uint64_t tail;   /* where the next record goes */
	uint64_t filled; /* the size of the file */
	uint64_t synced; /* what lies before is durable */
	bool syncing;
	bool failed;
};

static uint32_t record_crc(const uint8_t *record, uint64_t number)
{
	uint8_t prefix[8];
	wire_put(prefix, 8, number);
	return checksum_crc32c(checksum_crc32c(0, prefix, sizeof prefix), record, CRC_AT);
}

static void encode(const struct journal_entry *entry, uint64_t number, uint8_t *record)
{
	memset(record, 0, RECORD_SIZE);
	wire_put(record, 8, entry->index);
	memcpy(record + 8, entry->digest.bytes, DIGEST_SIZE);
	wire_put(record + 40, 4, entry->added);
	wire_put(record + 44, 4, FLAG_RECORD | (entry->zero ? FLAG_ZERO : 0));
	wire_put(record + CRC_AT, 4, record_crc(record, number));
}

/* Whether it is record `number`, whole. */
static bool decode(const uint8_t *record, uint64_t number, struct journal_entry *entry)
{
	uint32_t flags = (uint32_t)wire_get(record + 44, 4);
	if (!(flags & FLAG_RECORD) || (uint32_t)wire_get(record + CRC_AT, 4) != record_crc(record, number))
		return false;
	*entry = (struct journal_entry){ .index = wire_get(record, 8),
		.number = number,
		.added = (uint32_t)wire_get(record + 40, 4),
		.zero = flags & FLAG_ZERO };
	memcpy(entry->digest.bytes, record + 8, DIGEST_SIZE);
	return true;
}

static void make_header(const char *snapshot_id, uint8_t *header)
{
	memset(header, 0, RECORD_SIZE);
	memcpy(header, magic, sizeof magic);
	memcpy(header + sizeof magic, snapshot_id, strnlen(snapshot_id, ID_SIZE));
	wire_put(header + CRC_AT, 4, checksum_crc32c(0, header, CRC_AT));
}

static int check_header(const struct journal *journal, const char *snapshot_id, struct error *err)
{
	uint8_t wanted[RECORD_SIZE], found[RECORD_SIZE];
	make_header(snapshot_id, wanted);
	if (disk_read(journal->fd, found, sizeof found, 0) && errno != ENODATA)
		return error_set_errno(err, errno, "cannot read %s", journal->path);
	if (journal->filled < RECORD_SIZE || memcmp(found, wanted, sizeof found) != 0)
		return error_set(
			err, ERROR_CORRUPT, "%s is not the journal of %s", journal->path, snapshot_id);
	return 0;
}

/* Hands the records up to `end`, or to the first that is not whole, to `visit` (may be NULL); *tail is behind the last. */
static int read_records(const struct journal *journal, uint64_t end,
	void (*visit)(void *context, const struct journal_entry *entry), void *context, uint64_t *tail,
	struct error *err)
{
	uint8_t chunk[FILL_SIZE];
	uint64_t at = RECORD_SIZE;
	*tail = at;
	while (at + RECORD_SIZE <= end) {
		size_t size =
			end - at < FILL_SIZE ? (size_t)(end - at) / RECORD_SIZE * RECORD_SIZE : FILL_SIZE;
		if (disk_read(journal->fd, chunk, size, at))
			return error_set_errno(err, errno, "cannot read %s", journal->path);
		for (size_t i = 0; i < size; i += RECORD_SIZE) {
			struct journal_entry entry;
			if (!decode(chunk + i, (at + i) / RECORD_SIZE - 1, &entry))
				return 0;
			if (visit)
				visit(context, &entry);
			*tail = at + i + RECORD_SIZE;
		}
		at += size;
	}
	return 0;
}

/* What is behind the last whole record must not be found whole later, when records stand before it again. */
static int cut_torn_end(struct journal *journal, struct error *err)
{
	if (read_records(journal, journal->filled, NULL, NULL, &journal->tail, err))
		return -1;
	if (journal->tail < journal->filled && disk_truncate(journal->fd, journal->tail))
		return error_set_errno(err, errno, "cannot cut %s", journal->path);
	journal->filled = journal->tail;
	if (disk_sync(journal->fd))
		return error_set_errno(err, errno, "cannot sync %s", journal->path);
	journal->synced = journal->tail;
	return 0;
}

static int open_file(struct journal *journal, const char *snapshot_id, struct error *err)
{
	struct stat status;
	journal->fd = disk_open(journal->path, O_RDWR, 0);
	if (journal->fd < 0 && errno == ENOENT) {
		uint8_t header[RECORD_SIZE];
		make_header(snapshot_id, header);
		if (file_replace(journal->path, header, sizeof header, 0600, err))
			return -1;
		journal->fd = disk_open(journal->path, O_RDWR, 0);
	}
	if (journal->fd < 0 || fstat(journal->fd, &status))
		return error_set_errno(err, errno, "cannot open %s", journal->path);
	journal->filled = (uint64_t)status.st_size;
	return 0;
}

int journal_open(const char *path, const char *snapshot_id, struct journal **result, struct error *err)
{
	struct journal *journal = memory_alloc(sizeof *journal);
	*journal = (struct journal){ .path = memory_strdup(path), .fd = -1 };
	pthread_mutex_init(&journal->lock, NULL);
	pthread_cond_init(&journal->synced_more, NULL);
	if (open_file(journal, snapshot_id, err) || check_header(journal, snapshot_id, err) ||
		cut_torn_end(journal, err)) {
		journal_close(journal);
		return -1;
	}
	*result = journal;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	pthread_cond_destroy(&journal->synced_more);
	pthread_mutex_destroy(&journal->lock);
	free(journal->path);
	free(journal);
}

/* Called with the lock. */
static int write_record(struct journal *journal, const struct journal_entry *entry, struct error *err)
{
	static const uint8_t zeros[FILL_SIZE];
	uint8_t record[RECORD_SIZE];
	if (journal->tail + RECORD_SIZE > journal->filled) {
		if (disk_write(journal->fd, zeros, sizeof zeros, journal->tail))
			return error_set_errno(err, errno, "cannot extend %s", journal->path);
		journal->filled = journal->tail + sizeof zeros;
	}
	encode(entry, journal->tail / RECORD_SIZE - 1, record);
	if (disk_write(journal->fd, record, sizeof record, journal->tail))
		return error_set_errno(err, errno, "cannot write %s", journal->path);
	journal->tail += RECORD_SIZE;
	return 0;
}

/* Called with the lock, which is released while this thread syncs for all. */
static void sync_to_tail(struct journal *journal)
{
	uint64_t upto = journal->tail;
	journal->syncing = true;
	pthread_mutex_unlock(&journal->lock);
	int failed = disk_sync(journal->fd);
	pthread_mutex_lock(&journal->lock);
	journal->syncing = false;
	if (failed)
		journal->failed = true;
	else
		journal->synced = upto;
	pthread_cond_broadcast(&journal->synced_more);
}

static int append_locked(
	struct journal *journal, const struct journal_entry *entries, size_t count, struct error *err)
{
	for (size_t i = 0; i < count && !journal->failed; i++)
		if (write_record(journal, &entries[i], err))
			return -1;
	uint64_t upto = journal->tail;
	while (journal->synced < upto && !journal->failed) {
		if (journal->syncing)
			pthread_cond_wait(&journal->synced_more, &journal->lock);
		else
			sync_to_tail(journal);
	}
	return journal->synced >= upto
		? 0
		: error_set(err, ERROR_INTERNAL, "%s could not be synced to disk and takes no more blocks",
			  journal->path);
}

int journal_append(
	struct journal *journal, const struct journal_entry *entries, size_t count, struct error *err)
{
	pthread_mutex_lock(&journal->lock);
	int result = append_locked(journal, entries, count, err);
	pthread_mutex_unlock(&journal->lock);
	return result;
}

struct loading {
	struct journal_entry *entries;
	size_t count, capacity;
};

static void load_entry(void *context, const struct journal_entry *entry)
{
	struct loading *loading = context;
	if (loading->count < loading->capacity)
		loading->entries[loading->count++] = *entry;
}

static int compare_entries(const void *a, const void *b)
{
	const struct journal_entry *left = a, *right = b;
	if (left->index != right->index)
		return left->index < right->index ? -1 : 1;
	return left->number < right->number ? -1 : left->number > right->number;
}

/* Of entries of the same index the last stays. */
static size_t keep_latest(struct journal_entry *entries, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || entries[i + 1].index != entries[i].index)
			entries[kept++] = entries[i];
	return kept;
}

int journal_load(struct journal *journal, struct journal_entry **entries, size_t *count, struct error *err)
{
	pthread_mutex_lock(&journal->lock);
	uint64_t end = journal->tail, tail;
	bool failed = journal->failed;
	pthread_mutex_unlock(&journal->lock);
	struct loading loading = { .capacity = end / RECORD_SIZE - 1 };
	if (failed)
		return error_set(err, ERROR_INTERNAL,
			"%s could not be synced to disk: what it holds is unknown", journal->path);
	loading.entries = memory_alloc((loading.capacity + 1) * sizeof *loading.entries);
	int result = read_records(journal, end, load_entry, &loading, &tail, err);
	if (result == 0 && tail != end)
		result = error_set(err, ERROR_CORRUPT, "%s is damaged at byte %llu", journal->path,
			(unsigned long long)tail);
	if (result) {
		free(loading.entries);
		return -1;
	}
	qsort(loading.entries, loading.count, sizeof *loading.entries, compare_entries);
	*count = keep_latest(loading.entries, loading.count);
	*entries = loading.entries;
	return 0;
}
