/*
 * The map: an array of 64-bit words, 32 grains each, changed by compare-and-swap, so that a reader sees the old state or the new one and never something between.
 *
 * A live map is a shared mapping of a sparse tmpfs file of full size (4 GiB for 64 TiB, nearly all of it hole). A page of it is touched only after fallocate has
 * given it memory, because a full tmpfs would otherwise be a SIGBUS; `present` has a bit for each such page, and pages without it are all ABSENT. `dirty` has a bit for each page that changed
 * since it was last taken; it is set after the words, and cleared before they are copied, so a change is never missed.
 *
 * Any thread. `grow_lock` serializes giving pages memory; all else is atomic.
 */
#include "volume/map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/disk.h"
#include "base/banned.h"

enum { GRAINS_PER_WORD = 32, WORDS_PER_PAGE = MAP_PAGE_SIZE / 8, VERSION = 1 };
#define PAGES (MAP_VOLUME_LIMIT / 4096 / MAP_GRAINS_PER_PAGE)
#define MAP_BYTES (PAGES * MAP_PAGE_SIZE)

static const char MAGIC[8] = { 'A', 'M', 'I', 'D', 'L', 'I', 'V', 'E' };

struct live_header {
	char magic[8];
	uint32_t version;
	_Atomic uint32_t ready;
	char boot_id[DISK_BOOT_ID_SIZE];
	struct map_identity identity;
	_Atomic uint64_t frozen_size;
	_Atomic uint32_t active;
};

struct map {
	int fd;                     /* -1: private */
	struct live_header *header; /* NULL: private */
	void *mapping;
	uint64_t mapping_size;
	_Atomic uint64_t *words;
	_Atomic uint64_t *present, *dirty; /* a bit a page */
	_Atomic uint64_t page_limit;       /* no page at or after it is present */
	pthread_mutex_t grow_lock;
};

static bool test_bit(const _Atomic uint64_t *bits, uint64_t n)
{
	return atomic_load_explicit(&bits[n / 64], memory_order_acquire) >> n % 64 & 1;
}

static void set_bit(_Atomic uint64_t *bits, uint64_t n)
{
	if (!test_bit(bits, n))
		atomic_fetch_or(&bits[n / 64], 1ULL << n % 64);
}

static void set_present(struct map *map, uint64_t page)
{
	uint64_t limit = atomic_load(&map->page_limit);
	while (limit <= page && !atomic_compare_exchange_weak(&map->page_limit, &limit, page + 1))
		;
	set_bit(map->present, page);
}

static _Atomic uint64_t *allocate_bits(void)
{
	_Atomic uint64_t *bits = calloc(PAGES / 64, sizeof *bits);
	if (!bits)
		abort();
	return bits;
}

static struct map *allocate(int fd)
{
	struct map *map = memory_alloc(sizeof *map);
	*map = (struct map){ .fd = fd, .present = allocate_bits(), .dirty = allocate_bits() };
	pthread_mutex_init(&map->grow_lock, NULL);
	return map;
}

void map_close(struct map *map)
{
	if (!map)
		return;
	if (map->mapping && map->fd >= 0)
		disk_unmap(map->mapping, map->mapping_size);
	else if (map->mapping)
		munmap(map->mapping, map->mapping_size);
	if (map->fd >= 0)
		close(map->fd);
	pthread_mutex_destroy(&map->grow_lock);
	free((void *)map->present);
	free((void *)map->dirty);
	free(map);
}

static int map_memory(struct map *map, struct error *err)
{
	map->mapping_size = MAP_HEADER_SIZE + MAP_BYTES;
	void *mapping = map->fd >= 0 ? disk_map(map->fd, map->mapping_size, true)
				     : mmap(NULL, map->mapping_size, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!mapping || mapping == MAP_FAILED)
		return error_set_errno(err, errno, "cannot map the map of a layer");
	madvise(mapping, map->mapping_size, MADV_DONTDUMP);
	map->mapping = mapping;
	map->words = (_Atomic uint64_t *)((char *)mapping + MAP_HEADER_SIZE);
	return 0;
}

int map_create_private(struct map **map_out, struct error *err)
{
	struct map *map = allocate(-1);
	if (map_memory(map, err)) {
		map_close(map);
		return -1;
	}
	*map_out = map;
	return 0;
}

int map_create_live(
	const char *path, const struct map_identity *identity, struct map **map_out, struct error *err)
{
	if (disk_remove(path) && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove %s", path);
	int fd = disk_open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	struct map *map = allocate(fd);
	if (disk_reserve(fd, 0, MAP_HEADER_SIZE) || disk_truncate(fd, MAP_HEADER_SIZE + MAP_BYTES)) {
		error_set_errno(err, errno, "cannot make %s", path);
		goto failed;
	}
	if (map_memory(map, err))
		goto failed;
	map->header = map->mapping;
	memcpy(map->header->magic, MAGIC, sizeof MAGIC);
	map->header->version = VERSION;
	map->header->identity = *identity;
	disk_boot_id(map->header->boot_id);
	*map_out = map;
	return 0;
failed:
	map_close(map);
	disk_remove(path);
	return -1;
}

/* After the death of the process before: pages that have memory are present, and may differ from what is on disk. */
static int note_present(struct map *map, const char *path, struct error *err)
{
	for (uint64_t offset = MAP_HEADER_SIZE, end; offset < map->mapping_size; offset = end) {
		int more = disk_next_data(map->fd, &offset, &end);
		if (more < 0)
			return error_set_errno(err, errno, "cannot examine %s", path);
		if (!more)
			break;
		for (; offset < end; offset += MAP_PAGE_SIZE) {
			set_present(map, (offset - MAP_HEADER_SIZE) / MAP_PAGE_SIZE);
			set_bit(map->dirty, (offset - MAP_HEADER_SIZE) / MAP_PAGE_SIZE);
		}
	}
	return 0;
}

static bool belongs(const struct live_header *header, const struct map_identity *identity)
{
	char boot_id[DISK_BOOT_ID_SIZE];
	disk_boot_id(boot_id);
	return !memcmp(header->magic, MAGIC, sizeof MAGIC) && header->version == VERSION && header->ready &&
		!memcmp(&header->identity, identity, sizeof *identity) && boot_id[0] &&
		!memcmp(header->boot_id, boot_id, sizeof boot_id);
}

int map_open_live(
	const char *path, const struct map_identity *identity, struct map **map_out, struct error *err)
{
	struct live_header header;
	struct stat status;
	int fd = disk_open(path, O_RDWR, 0);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (disk_read(fd, &header, sizeof header, 0) || !belongs(&header, identity) || fstat(fd, &status) ||
		(uint64_t)status.st_size != MAP_HEADER_SIZE + MAP_BYTES) {
		close(fd);
		return error_set(err, ERROR_NOT_FOUND, "%s is not the live map of this layer", path);
	}
	struct map *map = allocate(fd);
	if (map_memory(map, err) || note_present(map, path, err)) {
		map_close(map);
		return -1;
	}
	map->header = map->mapping;
	*map_out = map;
	return 0;
}

void map_mark_ready(struct map *map)
{
	atomic_store(&map->header->ready, 1);
}

void map_distrust(struct map *map)
{
	if (map->header)
		atomic_store(&map->header->ready, 0);
}

void map_mark_active(struct map *map, uint64_t frozen_size)
{
	atomic_store(&map->header->frozen_size, frozen_size);
	atomic_store(&map->header->active, 1);
}

bool map_is_active(const struct map *map, uint64_t *frozen_size)
{
	*frozen_size = atomic_load(&map->header->frozen_size);
	return atomic_load(&map->header->active);
}

/* Gives pages [first, last] memory. */
static int make_present(struct map *map, uint64_t first, uint64_t last, struct error *err)
{
	int failed = 0;
	uint64_t page = first;
	while (page <= last && test_bit(map->present, page))
		page++;
	if (page > last)
		return 0;
	pthread_mutex_lock(&map->grow_lock);
	for (; !failed && page <= last; page++) {
		if (test_bit(map->present, page))
			continue;
		failed = map->fd >= 0 &&
			disk_reserve(map->fd, MAP_HEADER_SIZE + page * MAP_PAGE_SIZE, MAP_PAGE_SIZE);
		if (!failed)
			set_present(map, page);
	}
	int reserve_errno = errno;
	pthread_mutex_unlock(&map->grow_lock);
	return failed ? error_set_errno(err, reserve_errno, "no room for the live map of a volume") : 0;
}

int map_load(struct map *map, int fd, struct error *err)
{
	uint8_t copy[MAP_PAGE_SIZE];
	struct stat status;
	if (fstat(fd, &status))
		return error_set_errno(err, errno, "cannot examine a map");
	uint64_t size = (uint64_t)status.st_size, end;
	for (uint64_t offset = MAP_HEADER_SIZE; offset < size; offset = end) {
		int more = disk_next_data(fd, &offset, &end);
		if (more < 0)
			return error_set_errno(err, errno, "cannot examine a map");
		if (!more)
			break;
		offset -= offset % MAP_PAGE_SIZE;
		for (; offset < end; offset += MAP_PAGE_SIZE) {
			uint64_t page = (offset - MAP_HEADER_SIZE) / MAP_PAGE_SIZE;
			size_t length =
				size - offset < MAP_PAGE_SIZE ? (size_t)(size - offset) : MAP_PAGE_SIZE;
			memset(copy, 0, sizeof copy);
			if (page >= PAGES)
				return error_set(err, ERROR_CORRUPT, "a map is larger than any volume");
			if (disk_read(fd, copy, length, offset))
				return error_set_errno(err, errno, "cannot read a map");
			if (!copy[0] && !memcmp(copy, copy + 1, sizeof copy - 1))
				continue;
			if (make_present(map, page, page, err))
				return -1;
			memcpy((char *)map->mapping + MAP_HEADER_SIZE + page * MAP_PAGE_SIZE, copy,
				sizeof copy);
		}
	}
	return 0;
}

enum map_state map_get(const struct map *map, uint64_t grain)
{
	uint64_t length;
	return map_run(map, grain, grain + 1, &length);
}

enum map_state map_run(const struct map *map, uint64_t grain, uint64_t end, uint64_t *length)
{
	static const uint64_t pattern[4] = { 0, 0x5555555555555555ULL, 0xaaaaaaaaaaaaaaaaULL, ~0ULL };
	uint64_t at = grain;
	enum map_state state = MAP_ABSENT;
	for (bool first = true; at < end; first = false) {
		uint64_t page = at / MAP_GRAINS_PER_PAGE;
		if (!test_bit(map->present, page)) {
			if (!first && state != MAP_ABSENT)
				break;
			at = (page + 1) * MAP_GRAINS_PER_PAGE;
			continue;
		}
		unsigned shift = (unsigned)(at % GRAINS_PER_WORD) * 2;
		uint64_t word =
			atomic_load_explicit(&map->words[at / GRAINS_PER_WORD], memory_order_acquire) >>
			shift;
		if (first)
			state = (enum map_state)(word & 3);
		uint64_t differ = word ^ pattern[state] >> shift;
		if (differ) {
			at += (unsigned)__builtin_ctzll(differ) / 2;
			break;
		}
		at += GRAINS_PER_WORD - shift / 2;
	}
	*length = (at < end ? at : end) - grain;
	return state;
}

/* Sets the grains of one word that `mask` covers; whether that changed anything. */
static bool set_word(_Atomic uint64_t *word, uint64_t mask, uint64_t value)
{
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
	do {
		if ((old & mask) == value)
			return false;
	} while (!atomic_compare_exchange_weak(word, &old, (old & ~mask) | value));
	return true;
}

int map_set(struct map *map, uint64_t grain, uint64_t end, enum map_state state, struct error *err)
{
	if (grain >= end)
		return 0;
	if (make_present(map, grain / MAP_GRAINS_PER_PAGE, (end - 1) / MAP_GRAINS_PER_PAGE, err))
		return -1;
	while (grain < end) {
		unsigned shift = (unsigned)(grain % GRAINS_PER_WORD);
		uint64_t count = GRAINS_PER_WORD - shift;
		if (count > end - grain)
			count = end - grain;
		uint64_t ones = count == GRAINS_PER_WORD ? ~0ULL : ((1ULL << 2 * count) - 1) << 2 * shift;
		uint64_t value = (0x5555555555555555ULL * (uint64_t)state) & ones;
		if (set_word(&map->words[grain / GRAINS_PER_WORD], ones, value))
			set_bit(map->dirty, grain / MAP_GRAINS_PER_PAGE);
		grain += count;
	}
	return 0;
}

/* The next set bit at or after *n, among present pages. */
static bool next_bit(const struct map *map, const _Atomic uint64_t *bits, uint64_t *n)
{
	uint64_t words = (atomic_load(&map->page_limit) + 63) / 64;
	for (uint64_t i = *n / 64; i < words; i++) {
		uint64_t word = atomic_load_explicit(&bits[i], memory_order_acquire);
		if (i == *n / 64)
			word &= ~0ULL << *n % 64;
		if (word) {
			*n = i * 64 + (unsigned)__builtin_ctzll(word);
			return true;
		}
	}
	return false;
}

bool map_take_dirty(struct map *map, uint64_t *page, uint8_t copy[MAP_PAGE_SIZE])
{
	if (!next_bit(map, map->dirty, page))
		return false;
	atomic_fetch_and(&map->dirty[*page / 64], ~(1ULL << *page % 64));
	for (unsigned i = 0; i < WORDS_PER_PAGE; i++) {
		uint64_t word = atomic_load(&map->words[*page * WORDS_PER_PAGE + i]);
		memcpy(copy + 8 * i, &word, 8);
	}
	return true;
}

void map_mark_dirty(struct map *map, uint64_t page)
{
	set_bit(map->dirty, page);
}

bool map_next_present(const struct map *map, uint64_t *grain)
{
	uint64_t page = *grain / MAP_GRAINS_PER_PAGE;
	if (test_bit(map->present, page))
		return true;
	if (!next_bit(map, map->present, &page))
		return false;
	*grain = page * MAP_GRAINS_PER_PAGE;
	return true;
}
