/*
 * Index file: a header page, then a power of two of 64-byte slots, open addressing with linear probing by the first 8 bytes of the digest.
 *
 * A slot is eight 64-bit words, read and written as relaxed atomics; the last is its state: a sequence number and EMPTY, LIVE or REMOVED. The writer fills the words, then
 * publishes the state with a release store; a reader copies the words between two loads of the state and tries again if it changed. So readers in other processes need no lock. A lookup ends
 * at the first EMPTY slot; a REMOVED slot may be used again, with a new sequence number.
 *
 * Growth writes a new file beside it, renames it into place, and sets `superseded` in the old one. Readers look at that flag on a hit, and at the file's inode on a miss. Within one
 * process the mapping is guarded by a read-write lock, since unmapping the old file must wait for lookups.
 *
 * Threads: any. `insert_lock` serializes inserts (two digests may probe the same slot); everything else that the writer does to one digest is serialized by the store's stripes.
 */
#include "store/index_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/disk.h"
#include "base/text.h"
#include "base/banned.h"

static const char MAGIC[8] = { 'A', 'M', 'I', 'D', 'I', 'D', 'X', '1' };

static void unmap(struct index *index)
{
	if (index->header)
		disk_unmap(index->header, index->map_size);
	index->header = NULL;
}

/* Maps the file if it is sound. */
static int map_file(struct index *index, int fd, struct error *err)
{
	struct stat status;
	struct index_header check;
	if (fstat(fd, &status))
		return error_set_errno(err, errno, "cannot examine %s", index->path);
	if (disk_read(fd, &check, sizeof check, 0) || memcmp(check.magic, MAGIC, sizeof MAGIC) ||
		check.version != INDEX_VERSION || check.slot_size != SLOT_SIZE ||
		check.capacity < INITIAL_CAPACITY || check.capacity & (check.capacity - 1) ||
		check.capacity > UINT64_MAX / SLOT_SIZE / 4 ||
		(uint64_t)status.st_size != INDEX_HEADER_SIZE + check.capacity * SLOT_SIZE ||
		atomic_load(&check.used) > check.capacity || atomic_load(&check.live) > check.capacity)
		return error_set(err, ERROR_CORRUPT, "index %s is damaged", index->path);
	void *map = disk_map(fd, (size_t)status.st_size, index->writer);
	if (!map)
		return error_set_errno(err, errno, "cannot map %s", index->path);
	unmap(index);
	index->header = map;
	index->slots = (index_slot *)((char *)map + INDEX_HEADER_SIZE);
	index->capacity = check.capacity;
	index->map_size = (uint64_t)status.st_size;
	index->inode = status.st_ino;
	return 0;
}

/* Makes a file without entries that takes over the old header's figures (NULL: none), and maps it in place of the old one. The name is not given yet. */
static int create_file(struct index *index, const char *path, uint64_t capacity,
	const struct index_header *old, int *fd_out, struct error *err)
{
	int fd FILE_SCOPED = disk_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	struct index_header fresh = {
		.version = INDEX_VERSION, .slot_size = SLOT_SIZE, .capacity = capacity
	};
	memcpy(fresh.magic, MAGIC, sizeof MAGIC);
	/* one of its own, so that whoever remembers places from a file that is gone sees a difference */
	text_random_bytes((void *)&fresh.epoch, sizeof fresh.epoch);
	/* until it is filled it is worth nothing, should we die before; and no page of it may reach the disk before the word that it is not clean */
	fresh.building = !old;
	disk_boot_id(fresh.boot_id);
	if (old) {
		fresh.epoch = atomic_load(&old->epoch);
		fresh.building = atomic_load(&old->building);
		fresh.generation = atomic_load(&old->generation);
		fresh.clean = atomic_load(&old->clean);
		fresh.collecting = atomic_load(&old->collecting);
		for (int group = 0; group < PACK_CLASS_COUNT; group++)
			fresh.checkpoint[group] = atomic_load(&old->checkpoint[group]);
		memcpy(fresh.boot_id, old->boot_id, sizeof fresh.boot_id);
	}
	/* space for all of it, so that a full disk is an error here and not a fatal signal at a slot */
	if (disk_reserve(fd, 0, INDEX_HEADER_SIZE + capacity * SLOT_SIZE) ||
		disk_write(fd, &fresh, sizeof fresh, 0))
		return error_set_errno(err, errno, "cannot make %s", path);
	*fd_out = fd;
	fd = -1;
	return 0;
}

static struct index *allocate(const char *folder, bool writer)
{
	struct index *index = memory_alloc(sizeof *index);
	*index = (struct index){ .writer = writer, .path = memory_alloc(strlen(folder) + 16) };
	snprintf(index->path, strlen(folder) + 16, "%s/index", folder);
	pthread_rwlock_init(&index->mapping_lock, NULL);
	pthread_mutex_init(&index->insert_lock, NULL);
	return index;
}

static enum index_condition examine(const struct index_header *header)
{
	/* one that cannot be read equals no other: then every unclean end counts as a loss of power */
	char boot_id[DISK_BOOT_ID_SIZE];
	disk_boot_id(boot_id);
	/* first: a collection or a move that failed leaves the mark, whatever was closed in good order after it */
	if (atomic_load(&header->collecting))
		return INDEX_COLLECTING;
	if (atomic_load(&header->clean))
		return INDEX_CLEAN;
	return boot_id[0] && !memcmp(boot_id, header->boot_id, sizeof boot_id) ? INDEX_INTERRUPTED
									       : INDEX_LOST_POWER;
}

/* An old file must not come back under its name with a loss of power: it may say that it is clean, and entries that the new one has no more would come back with it. */
static int sync_name(const struct index *index, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	return file_sync_folder(dirname(arena_strdup(scratch, index->path)), err);
}

int index_open_writer(
	const char *folder, struct index **index_out, enum index_condition *condition, struct error *err)
{
	struct index *index = allocate(folder, true);
	int fd FILE_SCOPED = disk_open(index->path, O_RDWR, 0);
	if (fd < 0 && errno != ENOENT) {
		error_set_errno(err, errno, "cannot open %s", index->path);
		goto failed;
	}
	if (fd >= 0 && map_file(index, fd, NULL) == 0) {
		*condition = examine(index->header);
	} else {
		*condition = INDEX_ABSENT;
		file_close_cleanup(&fd);
		fd = -1;
		/* a damaged one is not cut short under the readers that have it mapped */
		disk_remove(index->path);
		if (create_file(index, index->path, INITIAL_CAPACITY, NULL, &fd, err) ||
			map_file(index, fd, err) || sync_name(index, err))
			goto failed;
	}
	*index_out = index;
	return 0;
failed:
	index_close(index);
	return -1;
}

int index_open_reader(const char *folder, struct index **index_out, struct error *err)
{
	struct index *index = allocate(folder, false);
	int fd FILE_SCOPED = disk_open(index->path, O_RDONLY, 0);
	if (fd < 0)
		error_set_errno(err, errno, "cannot open %s", index->path);
	if (fd < 0 || map_file(index, fd, err)) {
		index_close(index);
		return -1;
	}
	*index_out = index;
	return 0;
}

void index_close(struct index *index)
{
	if (!index)
		return;
	unmap(index);
	pthread_rwlock_destroy(&index->mapping_lock);
	pthread_mutex_destroy(&index->insert_lock);
	free(index->path);
	free(index);
}

static uint64_t slot_of(const struct index *index, const struct digest *digest)
{
	uint64_t hash;
	memcpy(&hash, digest->bytes, sizeof hash);
	return hash & (index->capacity - 1);
}

static void decode_words(const uint64_t words[SLOT_WORDS], struct index_entry *entry)
{
	memcpy(entry->digest.bytes, words, DIGEST_SIZE);
	entry->pack = (uint32_t)words[4];
	entry->offset = (words[4] >> 32) * OBJECT_HEADER_SIZE;
	entry->size = (uint32_t)words[5];
	entry->stored_size = (uint32_t)(words[5] >> 32);
	entry->generation = (uint32_t)words[6];
	entry->kind = (uint8_t)(words[6] >> 32);
	entry->encoding = (uint8_t)(words[6] >> 40);
}

static void encode_words(const struct index_entry *entry, uint64_t words[SLOT_WORDS])
{
	memcpy(words, entry->digest.bytes, DIGEST_SIZE);
	words[4] = entry->pack | (entry->offset / OBJECT_HEADER_SIZE) << 32;
	words[5] = entry->size | (uint64_t)entry->stored_size << 32;
	words[6] = entry->generation | (uint64_t)entry->kind << 32 | (uint64_t)entry->encoding << 40;
}

/* A consistent copy of a slot's words; returns its state. */
static uint64_t read_slot(index_slot *slot, uint64_t words[SLOT_WORDS])
{
	for (;;) {
		uint64_t state = atomic_load_explicit(&(*slot)[7], memory_order_acquire);
		if ((state & SLOT_STATE_MASK) != SLOT_LIVE)
			return state & SLOT_STATE_MASK;
		for (int i = 0; i < 7; i++)
			words[i] = atomic_load_explicit(&(*slot)[i], memory_order_acquire);
		if (atomic_load_explicit(&(*slot)[7], memory_order_relaxed) == state)
			return SLOT_LIVE;
	}
}

bool index_lookup(
	struct index *index, const struct digest *digest, uint64_t *found, struct index_entry *entry)
{
	uint64_t words[SLOT_WORDS];
	uint64_t slot = slot_of(index, digest);
	for (uint64_t n = 0; n < index->capacity; n++, slot = (slot + 1) & (index->capacity - 1)) {
		uint64_t state = read_slot(&index->slots[slot], words);
		if (state == SLOT_EMPTY)
			return false;
		if (state == SLOT_LIVE && !memcmp(words, digest->bytes, DIGEST_SIZE)) {
			*found = slot;
			if (entry)
				decode_words(words, entry);
			return true;
		}
	}
	return false;
}

/* What a reader has is whole, as it was when the writer died; and nothing is given up before it can follow. */
static bool is_being_built(int fd)
{
	struct index_header header;
	/* one without a header was begun just now */
	return disk_read(fd, &header, sizeof header, 0) || memcmp(header.magic, MAGIC, sizeof MAGIC) ||
		atomic_load(&header.building);
}

bool index_follow_replacement(struct index *index)
{
	struct stat status;
	if (index->writer || stat(index->path, &status))
		return false;
	pthread_rwlock_wrlock(&index->mapping_lock);
	bool replaced = status.st_ino != index->inode || atomic_load(&index->header->superseded);
	if (replaced) {
		int fd FILE_SCOPED = disk_open(index->path, O_RDONLY, 0);
		replaced = fd >= 0 && !is_being_built(fd) && map_file(index, fd, NULL) == 0;
	}
	pthread_rwlock_unlock(&index->mapping_lock);
	return replaced;
}

bool index_find(struct index *index, const struct digest *digest, struct index_entry *entry)
{
	uint64_t slot;
	for (;;) {
		pthread_rwlock_rdlock(&index->mapping_lock);
		uint64_t switches = atomic_load(&index->header->switches);
		bool found = index_lookup(index, digest, &slot, entry);
		bool switched = atomic_load(&index->header->switches) != switches;
		bool superseded = atomic_load_explicit(&index->header->superseded, memory_order_relaxed);
		pthread_rwlock_unlock(&index->mapping_lock);
		if (found && (!superseded || index->writer))
			return true;
		if (!found && switched)
			continue;
		if (!index_follow_replacement(index))
			return found;
	}
}

bool index_find_slot(struct index *index, const struct digest *digest, uint64_t *slot)
{
	pthread_rwlock_rdlock(&index->mapping_lock);
	bool found = index_lookup(index, digest, slot, NULL);
	pthread_rwlock_unlock(&index->mapping_lock);
	return found;
}

bool index_read_slot(struct index *index, uint64_t slot, struct index_entry *entry)
{
	uint64_t words[SLOT_WORDS];
	if (read_slot(&index->slots[slot], words) != SLOT_LIVE)
		return false;
	decode_words(words, entry);
	return true;
}

uint64_t index_slot_count(const struct index *index)
{
	return index->capacity;
}

/* After a failure the kernel takes the pages for written, so that no later sync of this file would mean anything; a new file heals it. */
static int sync_pages(struct index *index, size_t size)
{
	if (!index->failed && !disk_sync_map(index->header, 0, size))
		return 0;
	errno = index->failed ? EIO : errno;
	index->failed = true;
	return -1;
}

/* From the first change on the file is unclean. Not synced: whatever reaches the disk before the next checkpoint, this page goes with no later one. */
void index_note_change(struct index *index)
{
	struct index_header *header = index->header;
	if (atomic_load_explicit(&header->clean, memory_order_relaxed)) {
		disk_boot_id(header->boot_id);
		atomic_store(&header->clean, 0);
		if (sync_pages(index, INDEX_HEADER_SIZE))
			log_error("index-sync-failed", "path=%s errno=%d", index->path, errno);
	}
}

static uint64_t entry_bytes(const struct index_entry *entry)
{
	enum pack_class group = format_class_of(entry->kind);
	return format_object_end(group, entry->offset, entry->stored_size) - entry->offset;
}

uint64_t index_put_entry(struct index *index, const struct index_entry *entry)
{
	uint64_t words[SLOT_WORDS];
	uint64_t slot = slot_of(index, &entry->digest);
	uint64_t state;
	while (((state = atomic_load(&index->slots[slot][7])) & SLOT_STATE_MASK) == SLOT_LIVE)
		slot = (slot + 1) & (index->capacity - 1);
	encode_words(entry, words);
	for (int i = 0; i < 7; i++)
		atomic_store_explicit(&index->slots[slot][i], words[i], memory_order_release);
	uint64_t sequence = (state & ~(uint64_t)SLOT_STATE_MASK) + SLOT_SEQUENCE_STEP;
	atomic_store_explicit(&index->slots[slot][7], sequence | SLOT_LIVE, memory_order_release);
	if ((state & SLOT_STATE_MASK) == SLOT_EMPTY)
		atomic_fetch_add(&index->header->used, 1);
	atomic_fetch_add(&index->header->live, 1);
	atomic_fetch_add(&index->header->live_bytes, entry_bytes(entry));
	return slot;
}

uint64_t index_insert(struct index *index, const struct index_entry *entry)
{
	pthread_rwlock_rdlock(&index->mapping_lock);
	pthread_mutex_lock(&index->insert_lock);
	index_note_change(index);
	uint64_t slot = index_put_entry(index, entry);
	pthread_mutex_unlock(&index->insert_lock);
	pthread_rwlock_unlock(&index->mapping_lock);
	return slot;
}

bool index_touch(struct index *index, const struct digest *digest, uint32_t generation)
{
	uint64_t slot;
	pthread_rwlock_rdlock(&index->mapping_lock);
	bool found = index_lookup(index, digest, &slot, NULL);
	if (found) {
		uint64_t word = atomic_load(&index->slots[slot][6]);
		if ((uint32_t)word < generation)
			atomic_store_explicit(&index->slots[slot][6],
				(word & ~(uint64_t)UINT32_MAX) | generation, memory_order_release);
	}
	pthread_rwlock_unlock(&index->mapping_lock);
	return found;
}

void index_clear_slot(struct index *index, uint64_t slot, const struct index_entry *entry)
{
	uint64_t state = atomic_load(&index->slots[slot][7]);
	atomic_store_explicit(&index->slots[slot][7], (state & ~(uint64_t)SLOT_STATE_MASK) | SLOT_REMOVED,
		memory_order_release);
	atomic_fetch_sub(&index->header->live, 1);
	atomic_fetch_sub(&index->header->live_bytes, entry_bytes(entry));
}

bool index_remove(struct index *index, uint64_t slot, const struct digest *digest)
{
	struct index_entry entry;
	pthread_rwlock_rdlock(&index->mapping_lock);
	pthread_mutex_lock(&index->insert_lock);
	bool found = index_read_slot(index, slot, &entry) && !memcmp(&entry.digest, digest, sizeof *digest);
	if (found) {
		index_note_change(index);
		index_clear_slot(index, slot, &entry);
	}
	pthread_mutex_unlock(&index->insert_lock);
	pthread_rwlock_unlock(&index->mapping_lock);
	return found;
}

unsigned index_load_percent(struct index *index)
{
	/* another thread may be putting a larger file in its place */
	pthread_rwlock_rdlock(&index->mapping_lock);
	uint64_t used = atomic_load_explicit(&index->header->used, memory_order_relaxed);
	unsigned percent = (unsigned)(used * 100 / index->capacity);
	pthread_rwlock_unlock(&index->mapping_lock);
	return percent;
}

static void move_entries(struct index *index, struct index *next)
{
	struct index_entry entry;
	for (uint64_t slot = 0; slot < index->capacity; slot++) {
		if (!index_read_slot(index, slot, &entry))
			continue;
		uint64_t to = index_put_entry(next, &entry);
		if (index->follower.begin)
			index->follower.move(index->follower.context, slot, to);
	}
}

/* Gives the new file, which is mapped as `next`, the name of the old one. */
static int replace_file(struct index *index, struct index *next, const char *path, struct error *err)
{
	if (disk_sync_map(next->header, 0, next->map_size) || disk_rename(path, index->path))
		return error_set_errno(err, errno, "cannot replace %s", index->path);
	return sync_name(index, err);
}

int index_rebuild(struct index *index, bool empty, struct error *err)
{
	struct index next = { .writer = true, .path = index->path };
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s.new", index->path) >= sizeof path)
		return error_set(err, ERROR_INVALID, "path too long: %s", index->path);
	uint64_t capacity = INITIAL_CAPACITY;
	while (!empty && capacity < 4 * atomic_load(&index->header->live))
		capacity *= 2;
	const struct index_follower *follower = &index->follower;
	int fd FILE_SCOPED = -1;
	if (create_file(index, path, capacity, index->header, &fd, err) || map_file(&next, fd, err))
		return -1;
	int failed = follower->begin && follower->begin(follower->context, capacity, err);
	if (empty)
		atomic_store(&next.header->building, 1);
	if (!failed && !empty)
		move_entries(index, &next);
	failed = failed || replace_file(index, &next, path, err);
	if (follower->begin)
		follower->end(follower->context, !failed);
	if (failed) {
		unmap(&next);
		return -1;
	}
	atomic_store(&index->header->superseded, 1);
	pthread_rwlock_wrlock(&index->mapping_lock);
	unmap(index);
	index->header = next.header;
	index->slots = next.slots;
	index->capacity = next.capacity;
	index->map_size = next.map_size;
	index->inode = next.inode;
	index->failed = false;
	pthread_rwlock_unlock(&index->mapping_lock);
	return 0;
}

static bool is_before(const struct index_entry *entry, struct index_position position)
{
	return entry->pack < position.pack ||
		(entry->pack == position.pack && entry->offset < position.offset);
}

void index_forget_after_checkpoint(struct index *index)
{
	struct index_entry entry;
	for (uint64_t slot = 0; slot < index->capacity; slot++)
		if (index_read_slot(index, slot, &entry) &&
			(entry.kind < 1 || entry.kind > 3 ||
				!is_before(&entry, index_checkpoint(index, format_class_of(entry.kind)))))
			index_clear_slot(index, slot, &entry);
	index_recount(index);
}

void index_recount(struct index *index)
{
	struct index_entry entry;
	uint64_t used = 0, live = 0, bytes = 0;
	for (uint64_t slot = 0; slot < index->capacity; slot++) {
		used += (atomic_load(&index->slots[slot][7]) & SLOT_STATE_MASK) != SLOT_EMPTY;
		if (index_read_slot(index, slot, &entry)) {
			live++;
			bytes += entry_bytes(&entry);
		}
	}
	atomic_store(&index->header->used, used);
	atomic_store(&index->header->live, live);
	atomic_store(&index->header->live_bytes, bytes);
}

uint64_t index_object_count(struct index *index)
{
	pthread_rwlock_rdlock(&index->mapping_lock);
	uint64_t count = atomic_load(&index->header->live);
	pthread_rwlock_unlock(&index->mapping_lock);
	return count;
}

uint64_t index_byte_count(struct index *index)
{
	pthread_rwlock_rdlock(&index->mapping_lock);
	uint64_t bytes = atomic_load(&index->header->live_bytes);
	pthread_rwlock_unlock(&index->mapping_lock);
	return bytes;
}

uint32_t index_generation(struct index *index)
{
	pthread_rwlock_rdlock(&index->mapping_lock);
	uint32_t generation = atomic_load(&index->header->generation);
	pthread_rwlock_unlock(&index->mapping_lock);
	return generation;
}

uint32_t index_advance_generation(struct index *index)
{
	return atomic_fetch_add(&index->header->generation, 1) + 1;
}

struct index_position index_checkpoint(const struct index *index, enum pack_class group)
{
	uint64_t word = atomic_load(&index->header->checkpoint[group]);
	return (struct index_position){ .pack = (uint32_t)word, .offset = (word >> 32) * OBJECT_HEADER_SIZE };
}

static int sync_header(struct index *index, struct error *err)
{
	if (sync_pages(index, INDEX_HEADER_SIZE))
		return error_set_errno(err, errno, "cannot sync %s", index->path);
	return 0;
}

int index_write_checkpoint(
	struct index *index, const struct index_position positions[PACK_CLASS_COUNT], struct error *err)
{
	if (sync_pages(index, index->map_size))
		return error_set_errno(err, errno, "cannot sync %s", index->path);
	for (int group = 0; group < PACK_CLASS_COUNT; group++)
		atomic_store(&index->header->checkpoint[group],
			positions[group].pack | (positions[group].offset / OBJECT_HEADER_SIZE) << 32);
	disk_boot_id(index->header->boot_id);
	return sync_header(index, err);
}

bool index_has_failed(const struct index *index)
{
	return index->failed;
}

void index_abandon(struct index *index)
{
	if (disk_remove(index->path) || sync_name(index, NULL))
		log_error("index-not-removed", "path=%s errno=%d", index->path, errno);
}

void index_distrust(struct index *index)
{
	memset(index->header->boot_id, 0, sizeof index->header->boot_id);
}

bool index_is_collecting(const struct index *index)
{
	return atomic_load(&index->header->collecting);
}

int index_mark_collecting(struct index *index, bool collecting, struct error *err)
{
	if (collecting) {
		disk_boot_id(index->header->boot_id);
		atomic_store(&index->header->clean, 0);
	} else if (sync_pages(index, index->map_size)) {
		return error_set_errno(err, errno, "cannot sync %s", index->path);
	}
	atomic_store(&index->header->collecting, collecting);
	return sync_header(index, err);
}

int index_mark_clean(struct index *index, struct error *err)
{
	if (sync_pages(index, index->map_size))
		return error_set_errno(err, errno, "cannot sync %s", index->path);
	atomic_store(&index->header->clean, 1);
	return sync_header(index, err);
}
