/*
 * The file of reference counts: a header page, then a 32-bit number per slot of the index.
 *
 * When they are believed. The packs are the truth: a number is how often the digest stands in the pages and roots that the index has. Numbers that are too small would free what is reachable, so they are
 * believed only if (1) the header says exact, (2) the index was closed in order, and (3) slots, objects and generation in the header are the index's. references_save writes the numbers, syncs, writes the header,
 * syncs; only then is the index marked clean. Opening durably takes (1) back at once, so after any crash, also one without a change, they are counted anew. The generation rises with each opening by any
 * version of the program, so one that knows nothing of this file and changes the store is noticed by (3). When they are not believed the state is REFERENCES_UNKNOWN: a collection then marks from the roots,
 * and counts on the way; nothing is freed by numbers before that.
 *
 * Threads: any. Numbers are atomic. States change, and the file is replaced, while no put is under way (store.c's `quiet`).
 */
#include "store/references.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/disk.h"
#include "base/banned.h"

enum { HEADER_SIZE = 4096, VERSION = 1 };
static const char MAGIC[8] = { 'A', 'M', 'I', 'D', 'R', 'E', 'F', '1' };
static const uint32_t COUNT_LIMIT = UINT32_MAX; /* and never less again */

struct header {
	char magic[8];
	uint32_t version;
	uint32_t exact;
	uint64_t slots;
	uint64_t objects;
	int64_t loose;
	uint32_t generation;
	struct references_retired retired;
};
_Static_assert(sizeof(struct header) <= HEADER_SIZE, "the header is a page");

/* A mapped file. */
struct mapping {
	struct header *header;
	_Atomic uint32_t *counts;
	size_t size;
	bool in_memory; /* there was no space for a file */
};

struct references {
	char *path;
	struct mapping now, next; /* `next` while slots move */
	_Atomic int state;
	_Atomic bool spoiled; /* while counting */
	_Atomic int64_t loose;
	_Atomic uint64_t version;
	_Atomic uint8_t *claimed; /* a bit per slot, while counting */
};

static void unmap(struct mapping *mapping)
{
	if (mapping->header && mapping->in_memory)
		munmap(mapping->header, mapping->size);
	else if (mapping->header)
		disk_unmap(mapping->header, mapping->size);
	*mapping = (struct mapping){ 0 };
}

/* `fd` -1: in memory only. */
static int map_file(int fd, uint64_t slots, struct mapping *mapping)
{
	size_t size = HEADER_SIZE + slots * sizeof(uint32_t);
	void *map = fd >= 0 ? disk_map(fd, size, true)
			    : mmap(NULL, size, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!map || map == MAP_FAILED)
		return -1;
	*mapping = (struct mapping){ .header = map,
		.counts = (_Atomic uint32_t *)(void *)((char *)map + HEADER_SIZE),
		.size = size,
		.in_memory = fd < 0 };
	return 0;
}

static struct header fresh_header(uint64_t slots)
{
	struct header fresh = { .version = VERSION, .slots = slots };
	memcpy(fresh.magic, MAGIC, sizeof MAGIC);
	return fresh;
}

/*
 * A file of zeros, not exact. With all its space, so that a full disk is seen here and is not a signal at a number; then, as it is but a cache, memory does as well, and the next opening counts anew.
 */
static int create_file(const char *path, uint64_t slots, struct mapping *mapping, struct error *err)
{
	/* an old one may still be mapped: it is not cut short */
	disk_remove(path);
	int fd FILE_SCOPED = disk_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	struct header fresh = fresh_header(slots);
	if (fd >= 0 && !disk_reserve(fd, 0, HEADER_SIZE + slots * sizeof(uint32_t)) &&
		!disk_write(fd, &fresh, sizeof fresh, 0) && !map_file(fd, slots, mapping))
		return 0;
	log_warning("references-in-memory", "path=%s errno=%d", path, errno);
	if (fd >= 0 && disk_remove(path))
		log_warning("references-not-removed", "path=%s errno=%d", path, errno);
	if (map_file(-1, slots, mapping))
		return error_set_errno(err, errno, "no memory for the references of %s", path);
	memcpy(mapping->header, &fresh, sizeof fresh);
	return 0;
}

static bool is_sound(int fd, const struct references_index *index, bool clean)
{
	struct header check;
	struct stat status;
	return clean && !fstat(fd, &status) && !disk_read(fd, &check, sizeof check, 0) &&
		!memcmp(check.magic, MAGIC, sizeof MAGIC) && check.version == VERSION && check.exact == 1 &&
		check.slots == index->slots && check.objects == index->objects &&
		check.generation == index->generation && check.retired.count <= REFERENCES_RETIRED_LIMIT &&
		(uint64_t)status.st_size == HEADER_SIZE + check.slots * sizeof(uint32_t);
}

/* What was saved is ours from now on, and not what the next opening may believe. */
static int take_over(struct references *references, struct references_retired *retired, struct error *err)
{
	struct header *header = references->now.header;
	*retired = header->retired;
	atomic_store(&references->loose, header->loose);
	header->exact = 0;
	if (disk_sync_map(header, 0, HEADER_SIZE))
		return error_set_errno(err, errno, "cannot sync %s", references->path);
	return 0;
}

int references_open(const char *folder, const struct references_index *index, bool clean,
	struct references **references_out, struct references_retired *retired, struct error *err)
{
	struct references *references = memory_alloc(sizeof *references);
	*references = (struct references){ .path = memory_alloc(strlen(folder) + 16) };
	snprintf(references->path, strlen(folder) + 16, "%s/references", folder);
	retired->count = 0;
	int fd FILE_SCOPED = disk_open(references->path, O_RDWR, 0);
	bool exact = fd >= 0 && is_sound(fd, index, clean);
	exact = exact && !map_file(fd, index->slots, &references->now);
	if (!exact && create_file(references->path, index->slots, &references->now, err)) {
		references_close(references);
		return -1;
	}
	if (exact && take_over(references, retired, err)) {
		references_close(references);
		return -1;
	}
	/* of an empty store the zeros are true */
	atomic_store(&references->state, exact || !index->objects ? REFERENCES_EXACT : REFERENCES_UNKNOWN);
	*references_out = references;
	return 0;
}

static void note_change(struct references *references)
{
	atomic_fetch_add_explicit(&references->version, 1, memory_order_relaxed);
}

int references_save(struct references *references, const struct references_index *index,
	const struct references_retired *retired, struct error *err)
{
	struct header *header = references->now.header;
	if (atomic_load(&references->state) != REFERENCES_EXACT || references->now.in_memory)
		return 0;
	if (disk_sync_map(header, 0, references->now.size))
		return error_set_errno(err, errno, "cannot sync %s", references->path);
	header->objects = index->objects;
	header->generation = index->generation;
	header->loose = atomic_load(&references->loose);
	header->retired = *retired;
	header->exact = 1;
	if (disk_sync_map(header, 0, HEADER_SIZE))
		return error_set_errno(err, errno, "cannot sync %s", references->path);
	return 0;
}

void references_close(struct references *references)
{
	if (!references)
		return;
	unmap(&references->now);
	unmap(&references->next);
	free((void *)references->claimed);
	free(references->path);
	free(references);
}

enum references_state references_state(const struct references *references)
{
	return (enum references_state)atomic_load_explicit(&references->state, memory_order_acquire);
}

void references_begin_counting(struct references *references)
{
	uint64_t slots = references->now.header->slots;
	note_change(references);
	memset((void *)references->now.counts, 0, slots * sizeof(uint32_t));
	free((void *)references->claimed);
	references->claimed = memory_alloc(slots / 8 + 1);
	memset((void *)references->claimed, 0, slots / 8 + 1);
	atomic_store(&references->spoiled, false);
	atomic_store(&references->state, REFERENCES_COUNTING);
}

void references_end_counting(struct references *references, int64_t loose)
{
	bool counted =
		atomic_load(&references->state) == REFERENCES_COUNTING && !atomic_load(&references->spoiled);
	free((void *)references->claimed);
	references->claimed = NULL;
	atomic_store(&references->loose, loose);
	atomic_store(&references->state, counted ? REFERENCES_EXACT : REFERENCES_UNKNOWN);
}

void references_spoil(struct references *references)
{
	int exact = REFERENCES_EXACT;
	note_change(references);
	atomic_store(&references->spoiled, true);
	/* counting goes on, for the sake of those who claim; its end sees the mark */
	atomic_compare_exchange_strong(&references->state, &exact, REFERENCES_UNKNOWN);
}

bool references_claim(struct references *references, uint64_t slot)
{
	uint8_t bit = (uint8_t)(1U << slot % 8);
	return !(atomic_fetch_or(&references->claimed[slot / 8], bit) & bit);
}

uint32_t references_get(const struct references *references, uint64_t slot)
{
	return atomic_load_explicit(&references->now.counts[slot], memory_order_acquire);
}

void references_add(struct references *references, uint64_t slot)
{
	note_change(references);
	uint32_t count = atomic_load(&references->now.counts[slot]);
	while (count != COUNT_LIMIT &&
		!atomic_compare_exchange_weak(&references->now.counts[slot], &count, count + 1))
		;
	if (!count)
		atomic_fetch_sub(&references->loose, 1);
}

int references_drop(struct references *references, uint64_t slot, uint32_t *left)
{
	note_change(references);
	uint32_t count = atomic_load(&references->now.counts[slot]);
	while (count && count != COUNT_LIMIT &&
		!atomic_compare_exchange_weak(&references->now.counts[slot], &count, count - 1))
		;
	if (!count) {
		references_spoil(references);
		return -1;
	}
	*left = count == COUNT_LIMIT ? count : count - 1;
	if (!*left)
		atomic_fetch_add(&references->loose, 1);
	return 0;
}

void references_enter(struct references *references, bool is_root)
{
	note_change(references);
	if (!is_root)
		atomic_fetch_add(&references->loose, 1);
}

void references_leave(struct references *references, uint64_t slot, bool is_root)
{
	note_change(references);
	if (!atomic_exchange(&references->now.counts[slot], 0) && !is_root)
		atomic_fetch_sub(&references->loose, 1);
	if (references->claimed)
		atomic_fetch_and(&references->claimed[slot / 8], (uint8_t) ~(1U << slot % 8));
}

int64_t references_loose(const struct references *references)
{
	return atomic_load(&references->loose);
}

uint64_t references_version(const struct references *references)
{
	return atomic_load(&references->version);
}

static char *next_path(const struct references *references, struct arena *arena)
{
	return arena_printf(arena, "%s.new", references->path);
}

int references_begin_moving(struct references *references, uint64_t slots, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	note_change(references);
	return create_file(next_path(references, arena), slots, &references->next, err);
}

void references_move(struct references *references, uint64_t from, uint64_t to)
{
	atomic_store_explicit(&references->next.counts[to],
		atomic_load_explicit(&references->now.counts[from], memory_order_relaxed),
		memory_order_relaxed);
}

/* Blocks only: nothing is claimed. Nobody changes the number meanwhile, as its object's stripe is held. */
void references_shift(struct references *references, uint64_t from, uint64_t to)
{
	note_change(references);
	atomic_store(&references->now.counts[to], atomic_exchange(&references->now.counts[from], 0));
}

void references_end_moving(struct references *references, bool done)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *path = next_path(references, arena);
	if (!done || !references->next.header) {
		unmap(&references->next);
		disk_remove(path);
		return;
	}
	/* should the new name be lost, the old file is not exact, and not believed */
	if (!references->next.in_memory && disk_rename(path, references->path))
		log_error("references-rename-failed", "path=%s errno=%d", path, errno);
	unmap(&references->now);
	references->now = references->next;
	references->next = (struct mapping){ 0 };
}
