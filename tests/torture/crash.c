/*
 * Replaying a recording. For each file the builder keeps what is durable, as pages, and the operations that are not yet (pending), in order. Going on by one operation costs what that operation costs, so all
 * crash points of a recording are visited in one pass; building writes the durable pages out and carries out, on the real files, the pending operations that the plan keeps.
 *
 * One thread.
 */
#include "crash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/banned.h"

enum { PAGE = 4096, PARTS = 256 };

struct page {
	uint64_t number;
	uint8_t *bytes;
};

struct file {
	bool folder, tmpfs;
	uint64_t size; /* durable, as the rest */
	struct page *pages;
	size_t page_count, page_capacity;
	struct recording_entry *entries;
	unsigned entry_count;
	size_t *pending; /* operations on its data */
	size_t pending_count, pending_capacity;
};

enum fate { LOST, KEPT, TORN };

struct crash_builder {
	const struct recording *recording;
	size_t position;
	struct file *files;
	size_t *names; /* pending operations on names, of all folders */
	size_t name_count, name_capacity;
	uint8_t *fates; /* of each operation that is pending */
	size_t fate_capacity;
	enum crash_kind kind;
	uint64_t seed;
};

uint64_t random_next(uint64_t *seed)
{
	uint64_t z = (*seed += 0x9e3779b97f4a7c15ULL);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static void push(size_t **list, size_t *count, size_t *capacity, size_t value)
{
	if (*count == *capacity) {
		*capacity = *capacity ? 2 * *capacity : 16;
		*list = memory_realloc(*list, *capacity * sizeof **list);
	}
	(*list)[(*count)++] = value;
}

/* Where a page is among the sorted ones, or would be. */
static size_t page_place(const struct file *file, uint64_t number)
{
	size_t low = 0, high = file->page_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (file->pages[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint8_t *page_for_writing(struct file *file, uint64_t number)
{
	size_t at = page_place(file, number);
	if (at < file->page_count && file->pages[at].number == number)
		return file->pages[at].bytes;
	if (file->page_count == file->page_capacity) {
		file->page_capacity = file->page_capacity ? 2 * file->page_capacity : 16;
		file->pages = memory_realloc(file->pages, file->page_capacity * sizeof *file->pages);
	}
	memmove(file->pages + at + 1, file->pages + at, (file->page_count - at) * sizeof *file->pages);
	file->page_count++;
	uint8_t *bytes = memory_alloc(PAGE);
	memset(bytes, 0, PAGE);
	file->pages[at] = (struct page){ number, bytes };
	return bytes;
}

static void apply_write(struct file *file, uint64_t offset, const uint8_t *data, uint64_t size)
{
	if (file->size < offset + size)
		file->size = offset + size;
	while (size) {
		uint64_t within = offset % PAGE, piece = PAGE - within < size ? PAGE - within : size;
		memcpy(page_for_writing(file, offset / PAGE) + within, data, piece);
		offset += piece;
		data += piece;
		size -= piece;
	}
}

static void apply_zeros(struct file *file, uint64_t from, uint64_t to)
{
	size_t kept = 0;
	for (size_t i = 0; i < file->page_count; i++) {
		struct page page = file->pages[i];
		uint64_t start = page.number * PAGE, end = start + PAGE;
		if (from <= start && end <= to) {
			free(page.bytes);
			continue;
		}
		uint64_t low = from > start ? from : start, high = to < end ? to : end;
		if (low < high)
			memset(page.bytes + (low - start), 0, high - low);
		file->pages[kept++] = page;
	}
	file->page_count = kept;
}

/* Makes an operation on data durable. */
static void apply_data(struct file *file, const struct operation *operation)
{
	switch (operation->kind) {
	case OPERATION_WRITE:
		apply_write(file, operation->offset, operation->data, operation->size);
		break;
	case OPERATION_PUNCH:
		apply_zeros(file, operation->offset, operation->offset + operation->size);
		break;
	case OPERATION_TRUNCATE:
		apply_zeros(file, operation->size, UINT64_MAX);
		file->size = operation->size;
		break;
	case OPERATION_EXTEND:
		if (file->size < operation->size)
			file->size = operation->size;
		break;
	default:
		abort();
	}
}

static void apply_name(struct recording_entry **entries, unsigned *counts, const struct operation *operation)
{
	uint32_t node, from = operation->node, to = operation->to_folder;
	if (operation->kind == OPERATION_CREATE)
		entries_set(&entries[from], &counts[from], operation->name, operation->child);
	else if (operation->kind == OPERATION_REMOVE)
		entries_remove(&entries[from], &counts[from], operation->name, NULL);
	else if (entries_remove(&entries[from], &counts[from], operation->name, &node))
		entries_set(&entries[to], &counts[to], operation->to_name, node);
}

static void make_name_durable(struct crash_builder *builder, const struct operation *operation)
{
	uint32_t node, from = operation->node, to = operation->to_folder;
	struct file *file = &builder->files[from], *target = &builder->files[to];
	if (operation->kind == OPERATION_CREATE)
		entries_set(&file->entries, &file->entry_count, operation->name, operation->child);
	else if (operation->kind == OPERATION_REMOVE)
		entries_remove(&file->entries, &file->entry_count, operation->name, NULL);
	else if (entries_remove(&file->entries, &file->entry_count, operation->name, &node))
		entries_set(&target->entries, &target->entry_count, operation->to_name, node);
}

static void sync_folder(struct crash_builder *builder, uint32_t folder)
{
	size_t kept = 0;
	for (size_t i = 0; i < builder->name_count; i++) {
		const struct operation *operation = &builder->recording->operations[builder->names[i]];
		if (operation->node == folder ||
			(operation->kind == OPERATION_RENAME && operation->to_folder == folder))
			make_name_durable(builder, operation);
		else
			builder->names[kept++] = builder->names[i];
	}
	builder->name_count = kept;
}

static void sync_range(struct crash_builder *builder, struct file *file, const struct operation *sync)
{
	size_t kept = 0;
	for (size_t i = 0; i < file->pending_count; i++) {
		const struct operation *operation = &builder->recording->operations[file->pending[i]];
		/* msync makes the file's length durable, too */
		bool covered = sync->kind == OPERATION_SYNC || operation->kind != OPERATION_WRITE ||
			(operation->kind == OPERATION_WRITE && operation->offset >= sync->offset &&
				operation->offset + operation->size <= sync->offset + sync->size);
		if (covered)
			apply_data(file, operation);
		else
			file->pending[kept++] = file->pending[i];
	}
	file->pending_count = kept;
}

/* Of what was to be synced some reached the disk; the rest never will, whatever is synced later. */
static void fail_sync(struct crash_builder *builder, struct file *file)
{
	for (size_t i = 0; i < file->pending_count; i++) {
		uint64_t seed = file->pending[i];
		if (random_next(&seed) % 2)
			apply_data(file, &builder->recording->operations[file->pending[i]]);
	}
	file->pending_count = 0;
}

static void advance(struct crash_builder *builder, size_t number)
{
	const struct operation *operation = &builder->recording->operations[number];
	struct file *file = &builder->files[operation->node];
	bool durable = number < builder->recording->initial;
	switch (operation->kind) {
	case OPERATION_WRITE:
	case OPERATION_PUNCH:
	case OPERATION_TRUNCATE:
	case OPERATION_EXTEND:
		if (durable)
			apply_data(file, operation);
		else
			push(&file->pending, &file->pending_count, &file->pending_capacity, number);
		break;
	case OPERATION_SYNC:
	case OPERATION_SYNC_RANGE:
		sync_range(builder, file, operation);
		break;
	case OPERATION_SYNC_FAILED:
		fail_sync(builder, file);
		break;
	case OPERATION_CREATE:
	case OPERATION_RENAME:
	case OPERATION_REMOVE:
		if (durable)
			make_name_durable(builder, operation);
		else
			push(&builder->names, &builder->name_count, &builder->name_capacity, number);
		break;
	case OPERATION_SYNC_FOLDER:
		sync_folder(builder, operation->node);
		break;
	}
}

struct crash_builder *crash_builder_create(const struct recording *recording)
{
	struct crash_builder *builder = memory_alloc(sizeof *builder);
	*builder = (struct crash_builder){ .recording = recording };
	builder->files = memory_alloc(recording->node_count * sizeof *builder->files);
	memset(builder->files, 0, recording->node_count * sizeof *builder->files);
	for (uint32_t i = 0; i < recording->node_count; i++) {
		builder->files[i].folder = recording->nodes[i].folder;
		builder->files[i].tmpfs = recording->nodes[i].tmpfs;
	}
	builder->fates = memory_alloc(recording->count + 1);
	crash_builder_advance(builder, recording->initial);
	return builder;
}

void crash_builder_destroy(struct crash_builder *builder)
{
	if (!builder)
		return;
	for (uint32_t i = 0; i < builder->recording->node_count; i++) {
		struct file *file = &builder->files[i];
		for (size_t j = 0; j < file->page_count; j++)
			free(file->pages[j].bytes);
		free(file->pages);
		free(file->entries);
		free(file->pending);
	}
	free(builder->files);
	free(builder->names);
	free(builder->fates);
	free(builder);
}

void crash_builder_advance(struct crash_builder *builder, size_t position)
{
	for (; builder->position < position; builder->position++)
		advance(builder, builder->position);
}

/* How the operations of a kind fare in one crash: each style finds other mistakes. */
enum style {
	STYLE_ALL,
	STYLE_NONE,
	STYLE_PREFIX,
	STYLE_HALF,
	STYLE_TORN,
	STYLE_ALL_BUT_ONE,
	STYLE_ONE,
	STYLES
};

struct styling {
	enum style style;
	size_t cut;
	uint64_t seed;
};

static struct styling choose_style(uint64_t *seed, const size_t *first, size_t count)
{
	struct styling styling = { .style = (enum style)(random_next(seed) % STYLES),
		.seed = random_next(seed) };
	styling.cut = count ? first[random_next(seed) % count] : 0;
	return styling;
}

static enum fate decide(struct styling *styling, size_t number, bool may_tear)
{
	switch (styling->style) {
	case STYLE_ALL:
		return KEPT;
	case STYLE_PREFIX:
		return number < styling->cut ? KEPT : LOST;
	case STYLE_HALF:
		return random_next(&styling->seed) % 2 ? KEPT : LOST;
	case STYLE_TORN:
		return random_next(&styling->seed) % 3 || !may_tear
			? (random_next(&styling->seed) % 2 ? KEPT : LOST)
			: TORN;
	case STYLE_ALL_BUT_ONE:
		return number != styling->cut ? KEPT : LOST;
	case STYLE_ONE:
		return number == styling->cut ? KEPT : LOST;
	default:
		return LOST;
	}
}

static void plan_data(struct crash_builder *builder, uint64_t *seed, uint64_t *fingerprint)
{
	size_t *all = NULL, count = 0, capacity = 0;
	for (uint32_t i = 0; i < builder->recording->node_count; i++)
		for (size_t j = 0; !builder->files[i].tmpfs && j < builder->files[i].pending_count; j++)
			push(&all, &count, &capacity, builder->files[i].pending[j]);
	struct styling styling = choose_style(seed, all, count);
	for (size_t i = 0; i < count; i++) {
		const struct operation *operation = &builder->recording->operations[all[i]];
		bool may_tear = operation->kind == OPERATION_WRITE && operation->size > SECTOR_SIZE;
		enum fate fate = decide(&styling, all[i], may_tear);
		builder->fates[all[i]] = fate;
		*fingerprint = (*fingerprint ^ (all[i] * 4 + fate)) * 0x100000001b3ULL;
		if (fate == TORN)
			*fingerprint ^= builder->seed;
	}
	free(all);
}

uint64_t crash_builder_plan(struct crash_builder *builder, enum crash_kind kind, uint64_t seed)
{
	uint64_t fingerprint = kind;
	builder->kind = kind;
	builder->seed = seed;
	if (kind == CRASH_PROCESS)
		return fingerprint;
	plan_data(builder, &seed, &fingerprint);
	struct styling styling = choose_style(&seed, builder->names, builder->name_count);
	for (size_t i = 0; i < builder->name_count; i++) {
		enum fate fate = decide(&styling, builder->names[i], false);
		builder->fates[builder->names[i]] = fate;
		fingerprint = (fingerprint ^ (builder->names[i] * 4 + fate)) * 0x100000001b3ULL;
	}
	return fingerprint;
}

static void write_out(int fd, const void *data, uint64_t size, uint64_t offset)
{
	if (file_pwrite_full(fd, data, size, (off_t)offset))
		abort();
}

/* Some sectors of a write: by the seed a first part of them, or any. */
static void write_torn(const struct crash_builder *builder, int fd, const struct operation *operation)
{
	uint64_t seed = builder->seed ^ operation->offset;
	uint64_t sectors = operation->size / SECTOR_SIZE + 1;
	uint64_t first_part = random_next(&seed) % 2 ? random_next(&seed) % sectors : UINT64_MAX;
	for (uint64_t at = 0, n = 0, piece; at < operation->size; at += piece, n++) {
		piece = SECTOR_SIZE - (operation->offset + at) % SECTOR_SIZE;
		if (piece > operation->size - at)
			piece = operation->size - at;
		if (first_part == UINT64_MAX ? random_next(&seed) % 2 : n < first_part)
			write_out(fd, operation->data + at, piece, operation->offset + at);
	}
}

static void carry_out(
	const struct crash_builder *builder, int fd, const struct operation *operation, enum fate fate)
{
	int failed = 0;
	struct stat status;
	switch (operation->kind) {
	case OPERATION_WRITE:
		if (fate == TORN)
			write_torn(builder, fd, operation);
		else
			write_out(fd, operation->data, operation->size, operation->offset);
		break;
	case OPERATION_PUNCH:
		failed = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)operation->offset,
			(off_t)operation->size);
		break;
	case OPERATION_TRUNCATE:
		failed = ftruncate(fd, (off_t)operation->size);
		break;
	default:
		failed = fstat(fd, &status) ||
			((uint64_t)status.st_size < operation->size && ftruncate(fd, (off_t)operation->size));
	}
	if (failed)
		abort();
}

static void write_pages(int fd, const struct file *file)
{
	struct iovec parts[PARTS];
	for (size_t i = 0; i < file->page_count;) {
		int count = 0;
		uint64_t first = file->pages[i].number;
		while (count < PARTS && i < file->page_count &&
			file->pages[i].number == first + (uint64_t)count)
			parts[count++] = (struct iovec){ file->pages[i++].bytes, PAGE };
		if (pwritev(fd, parts, count, (off_t)(first * PAGE)) != (ssize_t)count * PAGE)
			abort();
	}
}

void crash_builder_restore(const struct crash_builder *builder, uint32_t node, int fd)
{
	const struct file *file = &builder->files[node];
	if (ftruncate(fd, 0))
		abort();
	write_pages(fd, file);
	if (ftruncate(fd, (off_t)file->size))
		abort();
	for (size_t i = 0; i < file->pending_count; i++)
		carry_out(builder, fd, &builder->recording->operations[file->pending[i]], KEPT);
}

static void build_file(const struct crash_builder *builder, uint32_t node, const char *path)
{
	const struct file *file = &builder->files[node];
	int fd FILE_SCOPED = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		abort();
	write_pages(fd, file);
	if (ftruncate(fd, (off_t)file->size))
		abort();
	for (size_t i = 0; i < file->pending_count; i++) {
		enum fate fate =
			builder->kind == CRASH_PROCESS ? KEPT : (enum fate)builder->fates[file->pending[i]];
		if (fate != LOST)
			carry_out(builder, fd, &builder->recording->operations[file->pending[i]], fate);
	}
}

static void build_folder(const struct crash_builder *builder, struct recording_entry *const *entries,
	const unsigned *counts, uint32_t node, const char *path)
{
	for (unsigned i = 0; i < counts[node]; i++) {
		char inner[512];
		uint32_t child = entries[node][i].node;
		const struct file *file = &builder->files[child];
		snprintf(inner, sizeof inner, "%s/%s", path, entries[node][i].name);
		if (file->folder) {
			if (mkdir(inner, 0700))
				abort();
			build_folder(builder, entries, counts, child, inner);
		} else if (!file->tmpfs || builder->kind == CRASH_PROCESS) {
			build_file(builder, child, inner);
		}
	}
}

void crash_builder_build(const struct crash_builder *builder, const char *folder)
{
	uint32_t nodes = builder->recording->node_count;
	struct recording_entry **entries = memory_alloc(nodes * sizeof *entries);
	unsigned *counts = memory_alloc(nodes * sizeof *counts);
	for (uint32_t i = 0; i < nodes; i++) {
		const struct file *file = &builder->files[i];
		counts[i] = file->entry_count;
		entries[i] = memory_alloc((counts[i] + 1) * sizeof **entries);
		if (counts[i])
			memcpy(entries[i], file->entries, counts[i] * sizeof **entries);
	}
	for (size_t i = 0; i < builder->name_count; i++)
		if (builder->kind == CRASH_PROCESS || builder->fates[builder->names[i]] != LOST)
			apply_name(entries, counts, &builder->recording->operations[builder->names[i]]);
	build_folder(builder, entries, counts, 0, folder);
	for (uint32_t i = 0; i < nodes; i++)
		free(entries[i]);
	free(entries);
	free(counts);
}
