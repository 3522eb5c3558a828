/*
 * The search. Files from the newest to the oldest; in each the part that its index does not cover (at most a block, unless the index was lost), then its blocks from the last to the first, those whose filters and times
 * exclude the record left out; in a block its lines from the last to the first. Nothing is locked: what is written is never changed, and a file that is removed meanwhile is passed over.
 */
#include "audit/search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/block.h"
#include "base/file.h"
#include "base/banned.h"

enum answer { GO_ON, ENOUGH, FAILED };

struct searching {
	const struct audit_search *search;
	const char *folder, *name;
	int fd;
	char *data; /* of the block at hand */
	size_t capacity;
	struct error *err;
};

/* The lines of data[0..size), which begin at `offset` in the file, from the last one. */
static enum answer search_lines(struct searching *state, size_t size, uint64_t offset)
{
	const struct audit_search *search = state->search;
	struct audit_place place;
	struct audit_line line;
	memcpy(place.file, state->name, AUDIT_NAME_SIZE);
	while (size) {
		/* data[size - 1] is the newline of the line at hand */
		const char *newline = size > 1 ? memrchr(state->data, '\n', size - 1) : NULL;
		size_t begin = newline ? (size_t)(newline - state->data) + 1 : 0;
		place.offset = offset + begin;
		if (audit_line_parse(state->data + begin, size - 1 - begin, &line) == 0 &&
			!search->found(search->context, line.event, line.event_size, &place))
			return ENOUGH;
		size = begin;
	}
	return GO_ON;
}

static enum answer search_range(struct searching *state, uint64_t offset, uint64_t size)
{
	if (size > state->capacity) {
		free(state->data);
		state->data = memory_alloc(size);
		state->capacity = size;
	}
	if (file_pread_full(state->fd, state->data, size, (off_t)offset)) {
		if (errno == ENODATA)
			return GO_ON; /* cut off by somebody: audit_verify tells of it */
		error_set_errno(state->err, errno, "cannot read %s/%s", state->folder, state->name);
		return FAILED;
	}
	while (size && state->data[size - 1] != '\n') /* being written */
		size--;
	return search_lines(state, size, offset);
}

static bool may_have(const struct audit_search *search, const struct audit_block *block)
{
	if (block->last_ms < search->from_ms || (search->to_ms && block->first_ms > search->to_ms))
		return false;
	for (size_t i = 0; i < search->word_count; i++)
		if (!audit_block_may_have(block, search->words[i]))
			return false;
	return true;
}

static enum answer search_blocks(
	struct searching *state, const struct audit_block *blocks, size_t count, uint64_t end)
{
	uint64_t covered = count ? blocks[count - 1].offset + blocks[count - 1].size : 0;
	enum answer answer = end > covered ? search_range(state, covered, end - covered) : GO_ON;
	for (size_t i = count; i-- > 0 && answer == GO_ON;) {
		uint64_t limit = blocks[i].offset + blocks[i].size;
		if (blocks[i].offset >= end || !may_have(state->search, &blocks[i]))
			continue;
		answer =
			search_range(state, blocks[i].offset, (limit < end ? limit : end) - blocks[i].offset);
	}
	return answer;
}

static enum answer search_file(struct searching *state, uint64_t limit)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct audit_block *blocks;
	struct stat status;
	char *path = arena_printf(arena, "%s/%s", state->folder, state->name);
	int fd FILE_SCOPED = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status)) {
		if (errno == ENOENT)
			return GO_ON;
		error_set_errno(state->err, errno, "cannot open %s", path);
		return FAILED;
	}
	uint64_t size = (uint64_t)status.st_size;
	if (size > AUDIT_FILE_MAX + (uint64_t)AUDIT_LINE_MAX) {
		error_set(state->err, ERROR_CORRUPT, "%s is larger than amid makes them", path);
		return FAILED;
	}
	state->fd = fd;
	size_t stem = strlen(path) - strlen(".log");
	char *index = arena_printf(arena, "%.*s.index", (int)stem, path);
	size_t count = audit_block_load(index, size, arena, &blocks);
	return search_blocks(state, blocks, count, limit < size ? limit : size);
}

int audit_search(const char *folder, const struct audit_search *search, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct searching state = { .search = search, .folder = folder, .err = err };
	char **names;
	size_t count;
	enum answer answer = GO_ON;
	if (audit_name_list(folder, arena, &names, &count, err))
		return -1;
	for (size_t i = count; i-- > 0 && answer == GO_ON;) {
		int order = search->before.file[0] ? strcmp(names[i], search->before.file) : -1;
		state.name = names[i];
		if (order <= 0)
			answer = search_file(&state, order == 0 ? search->before.offset : UINT64_MAX);
	}
	free(state.data);
	return answer == FAILED ? -1 : 0;
}
