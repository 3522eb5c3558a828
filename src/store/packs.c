/*
 * Pack files: `packs/NNNNNNNNNN.pack`, each for one class of objects, one of each class being appended to.
 *
 * Appending takes a piece of the file under the class's lock and writes it outside of it, so several threads append at once. Space is reserved in chunks: a write then needs no
 * allocation. Syncs are pack_sync.c's, the descriptors pack_files.c's.
 */
#include "store/packs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "base/disk.h"
#include "store/checksum.h"
#include "store/direct_file.h"
#include "store/pack_files.h"
#include "store/pack_sync.h"
#include "base/banned.h"

enum { PAGE_SIZE_ON_DISK = 4096 };

static const uint64_t PACK_LIMIT[PACK_CLASS_COUNT] = { 4ULL << 30, 256ULL << 20 };
static const uint64_t RESERVE_CHUNK[PACK_CLASS_COUNT] = { 64ULL << 20, 1ULL << 20 };

struct active {
	pthread_mutex_t lock;
	struct pack_header header; /* number 0: none */
	uint64_t end;              /* behind the last object */
	uint64_t reserved;         /* the file has space up to here */
};

struct packs {
	char *folder;
	struct pack_files *files;
	struct direct_files *direct;
	struct space_reserve reserve;
	pthread_mutex_t lock; /* numbers */
	uint32_t *numbers;    /* ascending */
	uint32_t count;
	struct active active[PACK_CLASS_COUNT];
	struct pack_sync *sync;
};

static int compare_numbers(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void add_number(struct packs *packs, uint32_t number)
{
	packs->numbers = memory_realloc(packs->numbers, (packs->count + 1) * sizeof *packs->numbers);
	packs->numbers[packs->count++] = number;
}

static int read_folder(struct packs *packs, struct error *err)
{
	DIR *folder = opendir(packs->folder);
	if (!folder)
		return error_set_errno(err, errno, "cannot open %s", packs->folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		unsigned number;
		int used = 0;
		if (sscanf(entry->d_name, "%10u.pack%n", &number, &used) == 1 && used == 15 &&
			!entry->d_name[15] && number > 0 && number < PACK_NUMBER_LIMIT)
			add_number(packs, number);
	}
	closedir(folder);
	if (packs->count)
		qsort(packs->numbers, packs->count, sizeof *packs->numbers, compare_numbers);
	return 0;
}

/*
 * The packs of a store are all of one version, as one of another is never opened. So the newest header that says anything says it.
 */
static int check_version(struct packs *packs, struct error *err)
{
	uint32_t version = 0;
	for (uint32_t i = packs->count; !version && i > 0; i--)
		version = pack_files_version(packs->files, packs->numbers[i - 1]);
	if (!version || version == FORMAT_VERSION)
		return 0;
	return error_set(err, ERROR_UNSUPPORTED,
		"%s is of format %" PRIu32 ", which this version does not read (it reads %d)", packs->folder,
		version, FORMAT_VERSION);
}

int packs_open(const char *folder, bool writer, struct packs **packs_out, struct error *err)
{
	struct packs *packs = memory_alloc(sizeof *packs);
	*packs = (struct packs){ .folder = memory_alloc(strlen(folder) + 8),
		.reserve = SPACE_RESERVE_DEFAULT };
	snprintf(packs->folder, strlen(folder) + 8, "%s/packs", folder);
	packs->files = pack_files_create(packs->folder, writer);
	packs->direct = direct_files_create(packs->folder);
	pthread_mutex_init(&packs->lock, NULL);
	packs->sync = pack_sync_create(packs->files, packs->folder);
	for (int i = 0; i < PACK_CLASS_COUNT; i++)
		pthread_mutex_init(&packs->active[i].lock, NULL);
	if ((writer && file_make_folder(packs->folder, 0700, err)) || read_folder(packs, err) ||
		check_version(packs, err)) {
		packs_close(packs);
		return -1;
	}
	*packs_out = packs;
	return 0;
}

/* What the file has beyond its last object. The caller holds the class's lock, or is alone. */
static void give_back_reserved(struct packs *packs, struct active *active)
{
	int fd;
	if (active->header.number && active->reserved > active->end && !pack_sync_has_failed(packs->sync) &&
		!packs_descriptor(packs, active->header.number, &fd, NULL) && disk_truncate(fd, active->end))
		log_warning(
			"pack-truncate-failed", "pack=%" PRIu32 " errno=%d", active->header.number, errno);
}

void packs_close(struct packs *packs)
{
	if (!packs)
		return;
	for (int i = 0; i < PACK_CLASS_COUNT; i++) {
		struct active *active = &packs->active[i];
		give_back_reserved(packs, active);
		pthread_mutex_destroy(&active->lock);
	}
	pack_sync_destroy(packs->sync);
	pack_files_destroy(packs->files);
	direct_files_destroy(packs->direct);
	pthread_mutex_destroy(&packs->lock);
	free(packs->numbers);
	free(packs->folder);
	free(packs);
}

int packs_descriptor(struct packs *packs, uint32_t number, int *fd, struct error *err)
{
	return pack_files_descriptor(packs->files, number, fd, err);
}

int packs_lease(struct packs *packs, uint32_t number, int *fd, struct error *err)
{
	return pack_files_lease(packs->files, number, fd, err);
}

void packs_return(struct packs *packs, uint32_t number)
{
	pack_files_return(packs->files, number);
}

int packs_read_past_cache(struct packs *packs, uint32_t number, void *data, uint32_t size, uint64_t offset)
{
	int fd;
	if (packs_lease(packs, number, &fd, NULL))
		return -1;
	bool cached = disk_is_cached(fd, offset, size);
	packs_return(packs, number);
	return cached ? -1 : direct_files_read(packs->direct, number, data, size, offset);
}

void packs_let_go(struct packs *packs)
{
	pack_files_forget_removed(packs->files);
}

int packs_read_header(struct packs *packs, uint32_t number, struct pack_header *header, struct error *err)
{
	struct stat status;
	int fd;
	uint8_t bytes[OBJECT_HEADER_SIZE];
	if (packs_descriptor(packs, number, &fd, err))
		return -1;
	if (disk_read(fd, bytes, sizeof bytes, 0) == 0 && !format_decode_pack(bytes, header) &&
		header->number == number)
		return 0;
	/* its header becomes durable before anything is put behind it */
	if (!fstat(fd, &status) && status.st_size <= PACK_HEADER_SIZE)
		return error_set(err, ERROR_NOT_FOUND, "pack %s/%010" PRIu32 ".pack was never begun",
			packs->folder, number);
	return error_set(err, ERROR_CORRUPT, "pack %s/%010" PRIu32 ".pack has a damaged header",
		packs->folder, number);
}

void packs_forget_cached(struct packs *packs, uint32_t number)
{
	int fd;
	if (!packs_descriptor(packs, number, &fd, NULL))
		disk_forget_cached(fd);
}

static uint64_t disk_available(const struct packs *packs)
{
	return space_available(packs->folder, &packs->reserve);
}

void packs_set_reserve(struct packs *packs, const struct space_reserve *reserve)
{
	packs->reserve = *reserve;
}

uint64_t packs_available(struct packs *packs)
{
	uint64_t available = disk_available(packs);
	struct active *active = &packs->active[PACK_BLOCKS];
	pthread_mutex_lock(&active->lock);
	available += active->reserved - active->end;
	pthread_mutex_unlock(&active->lock);
	return available;
}

/* A new pack becomes the one appended to. The caller holds the class's lock. */
static int begin_pack(struct packs *packs, enum pack_class group, struct error *err)
{
	struct active *active = &packs->active[group];
	uint8_t bytes[PACK_HEADER_SIZE] = { 0 };
	struct pack_header header = { .group = group };
	int fd;
	text_random_bytes(header.nonce, sizeof header.nonce);
	pthread_mutex_lock(&packs->lock);
	header.number = packs->count ? packs->numbers[packs->count - 1] + 1 : 1;
	add_number(packs,
		header.number); /* now, so that nobody else takes it; without a file it is of no harm */
	pthread_mutex_unlock(&packs->lock);
	format_encode_pack(&header, bytes);
	if (pack_files_create_pack(packs->files, header.number, &fd, err))
		return -1;
	if (disk_write(fd, bytes, sizeof bytes, 0) || disk_sync(fd))
		return error_set_errno(err, errno, "cannot begin pack %" PRIu32, header.number);
	if (file_sync_folder(packs->folder, err))
		return -1;
	give_back_reserved(packs, active);
	active->header = header;
	active->end = active->reserved = PACK_HEADER_SIZE;
	return 0;
}

int packs_begin_new(struct packs *packs, enum pack_class group, struct error *err)
{
	pthread_mutex_lock(&packs->active[group].lock);
	int result = begin_pack(packs, group, err);
	pthread_mutex_unlock(&packs->active[group].lock);
	return result;
}

static int reserve(struct packs *packs, enum pack_class group, uint64_t end, struct error *err)
{
	struct active *active = &packs->active[group];
	uint64_t available = disk_available(packs);
	uint64_t size = RESERVE_CHUNK[group];
	int fd;
	if (end > active->reserved + size || available < size)
		size = end - active->reserved;
	if (available < size)
		return error_set(err, ERROR_NO_SPACE, "the disk of %s has no space left beyond its reserve",
			packs->folder);
	if (packs_descriptor(packs, active->header.number, &fd, err))
		return -1;
	if (disk_reserve(fd, active->reserved, size))
		return error_set_errno(err, errno, "cannot extend pack %" PRIu32, active->header.number);
	active->reserved += size;
	return 0;
}

/* Takes a piece of the active pack. */
static int take_space(struct packs *packs, enum pack_class group, uint32_t stored_size,
	struct pack_header *pack, uint64_t *offset, struct error *err)
{
	struct active *active = &packs->active[group];
	int result = -1;
	pthread_mutex_lock(&active->lock);
	if (!active->header.number || format_object_end(group, active->end, stored_size) > PACK_LIMIT[group])
		if (begin_pack(packs, group, err))
			goto out;
	uint64_t end = format_object_end(group, active->end, stored_size);
	if (end > active->reserved && reserve(packs, group, end, err))
		goto out;
	*pack = active->header;
	*offset = active->end;
	active->end = end;
	result = 0;
out:
	pthread_mutex_unlock(&active->lock);
	return result;
}

/*
 * What was written of it may have the header of a live object, which everybody would believe once a checkpoint is behind it. If that cannot be undone there must be no checkpoint: the next to open hashes it.
 */
static void give_up_object(struct packs *packs, const struct index_entry *entry)
{
	if (!packs_mark_dead(packs, entry, NULL))
		return;
	pack_sync_fail(packs->sync);
}

/* In the page cache; the disk may begin now, so that the sync at the end has less to wait for. */
static int write_cached(
	int fd, enum pack_class group, void *header, const void *payload, uint32_t size, uint64_t offset)
{
	struct iovec parts[] = { { .iov_base = header, .iov_len = format_alignment(group) },
		{ .iov_base = (void *)(uintptr_t)payload, .iov_len = size } };
	if (disk_write_parts(fd, parts, 2, offset))
		return -1;
	if (group == PACK_BLOCKS)
		disk_start_writing(fd, offset, format_object_end(group, offset, size) - offset);
	return 0;
}

int packs_append(struct packs *packs, const struct object_header *object, const void *payload,
	enum packs_way way, struct index_entry *entry, struct error *err)
{
	_Alignas(DIRECT_ALIGNMENT) uint8_t header[PAGE_SIZE_ON_DISK] = { 0 };
	enum pack_class group = format_class_of(object->kind);
	struct pack_header pack;
	uint64_t offset;
	int fd;
	if (take_space(packs, group, object->stored_size, &pack, &offset, err) ||
		packs_descriptor(packs, pack.number, &fd, err))
		return -1;
	struct object_header described = *object;
	if (group == PACK_SMALL)
		described.checksum = checksum_crc32c(0, payload, object->stored_size);
	format_encode_object(&pack, offset, &described, header);
	*entry = (struct index_entry){ .digest = object->digest,
		.pack = pack.number,
		.offset = offset,
		.size = object->size,
		.stored_size = object->stored_size,
		.kind = object->kind,
		.encoding = object->encoding };
	bool direct = way == PACKS_PAST_CACHE && group == PACK_BLOCKS &&
		direct_files_write(packs->direct, pack.number, header, payload, object->stored_size, offset);
	if (!direct && write_cached(fd, group, header, payload, object->stored_size, offset)) {
		error_set_errno(err, errno, "cannot write to pack %" PRIu32, pack.number);
		give_up_object(packs, entry);
		return -1;
	}
	pack_sync_note(packs->sync, pack.number);
	return 0;
}

void packs_note_dirty(struct packs *packs, uint32_t number)
{
	pack_sync_note(packs->sync, number);
}

int packs_sync(struct packs *packs, struct error *err)
{
	return pack_sync_run(packs->sync, err);
}

void packs_positions(struct packs *packs, struct index_position positions[PACK_CLASS_COUNT])
{
	for (int i = 0; i < PACK_CLASS_COUNT; i++) {
		struct active *active = &packs->active[i];
		pthread_mutex_lock(&active->lock);
		positions[i] =
			(struct index_position){ .pack = active->header.number, .offset = active->end };
		pthread_mutex_unlock(&active->lock);
	}
}

void packs_set_position(struct packs *packs, enum pack_class group, struct index_position position)
{
	struct active *active = &packs->active[group];
	struct stat status;
	int fd;
	struct pack_header header;
	/* one without an object may have a header that could not be synced, and is only in the page cache */
	if (position.offset <= PACK_HEADER_SIZE)
		return;
	if (packs_read_header(packs, position.pack, &header, NULL) || header.group != group ||
		packs_descriptor(packs, position.pack, &fd, NULL) || fstat(fd, &status))
		return; /* a new pack is begun instead */
	active->header = header;
	active->end = position.offset;
	active->reserved =
		(uint64_t)status.st_size > position.offset ? (uint64_t)status.st_size : position.offset;
}

int packs_mark_dead(struct packs *packs, const struct index_entry *entry, struct error *err)
{
	struct pack_header pack;
	uint8_t bytes[OBJECT_HEADER_SIZE];
	struct object_header object = { .kind = entry->kind,
		.encoding = entry->encoding,
		.state = OBJECT_DEAD,
		.size = entry->size,
		.stored_size = entry->stored_size,
		.digest = entry->digest };
	int fd;
	if (packs_read_header(packs, entry->pack, &pack, err) ||
		packs_descriptor(packs, entry->pack, &fd, err))
		return -1;
	format_encode_object(&pack, entry->offset, &object, bytes);
	if (disk_write(fd, bytes, sizeof bytes, entry->offset))
		return error_set_errno(err, errno, "cannot write to pack %" PRIu32, entry->pack);
	pack_sync_note(packs->sync, entry->pack);
	return 0;
}

static int compare_places(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;
	if (x->pack != y->pack)
		return x->pack < y->pack ? -1 : 1;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* The headers too: they are durably dead, and a scan goes over the hole. */
static int punch_range(struct packs *packs, uint32_t number, uint64_t from, uint64_t to, struct error *err)
{
	int fd;
	from = (from + PAGE_SIZE_ON_DISK - 1) / PAGE_SIZE_ON_DISK * PAGE_SIZE_ON_DISK;
	to = to / PAGE_SIZE_ON_DISK * PAGE_SIZE_ON_DISK;
	if (from >= to)
		return 0;
	if (packs_descriptor(packs, number, &fd, err))
		return -1;
	/* where the file system has no holes, the space comes back when the pack is compacted */
	if (disk_punch(fd, from, to - from) && errno != EOPNOTSUPP)
		return error_set_errno(err, errno, "cannot punch pack %" PRIu32, number);
	return 0;
}

int packs_punch(struct packs *packs, struct index_entry *entries, size_t count, struct error *err)
{
	if (count)
		qsort(entries, count, sizeof *entries, compare_places);
	for (size_t i = 0, next; i < count; i = next) {
		uint64_t end = entries[i].offset;
		for (next = i;
			next < count && entries[next].pack == entries[i].pack && entries[next].offset == end;
			next++)
			end = format_object_end(
				format_class_of(entries[next].kind), end, entries[next].stored_size);
		if (punch_range(packs, entries[i].pack, entries[i].offset, end, err))
			return -1;
	}
	return 0;
}

int packs_measure(
	struct packs *packs, uint32_t number, uint64_t *length, uint64_t *allocated, struct error *err)
{
	struct stat status;
	int fd;
	if (packs_descriptor(packs, number, &fd, err))
		return -1;
	if (fstat(fd, &status))
		return error_set_errno(err, errno, "cannot examine pack %" PRIu32, number);
	*length = (uint64_t)status.st_size;
	*allocated = (uint64_t)status.st_blocks * 512;
	for (int i = 0; i < PACK_CLASS_COUNT; i++) {
		struct active *active = &packs->active[i];
		pthread_mutex_lock(&active->lock);
		if (active->header.number == number) {
			uint64_t reserved = active->reserved - active->end;
			*length = active->end;
			*allocated -= *allocated < reserved ? *allocated : reserved;
		}
		pthread_mutex_unlock(&active->lock);
	}
	return 0;
}

/* Takes a number off the list, unless it is the highest. */
static bool take_off(struct packs *packs, uint32_t number)
{
	pthread_mutex_lock(&packs->lock);
	uint32_t i = 0;
	while (i < packs->count && packs->numbers[i] != number)
		i++;
	bool removable = i + 1 < packs->count;
	if (removable) {
		memmove(packs->numbers + i, packs->numbers + i + 1,
			(packs->count - i - 1) * sizeof *packs->numbers);
		packs->count--;
	}
	pthread_mutex_unlock(&packs->lock);
	return removable;
}

int packs_remove(struct packs *packs, uint32_t number, bool *removed, struct error *err)
{
	char path[4096];
	*removed = false;
	for (int i = 0; i < PACK_CLASS_COUNT; i++) {
		pthread_mutex_lock(&packs->active[i].lock);
		bool active = packs->active[i].header.number == number;
		pthread_mutex_unlock(&packs->active[i].lock);
		if (active)
			return 0;
	}
	if (!take_off(packs, number))
		return 0;
	pack_sync_forget(packs->sync, number);
	direct_files_forget(packs->direct, number);
	pack_files_path(packs->files, number, path, sizeof path);
	if (disk_remove(path) && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", path);
	pack_files_forget(packs->files, number);
	*removed = true;
	return 0;
}

void packs_list(struct packs *packs, uint32_t **numbers, uint32_t *count)
{
	pthread_mutex_lock(&packs->lock);
	*count = packs->count;
	*numbers = memory_alloc((packs->count + 1) * sizeof **numbers);
	if (packs->count)
		memcpy(*numbers, packs->numbers, packs->count * sizeof **numbers);
	pthread_mutex_unlock(&packs->lock);
}
