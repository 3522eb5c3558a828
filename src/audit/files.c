/*
 * Writing. A group of records becomes lines, is written at the end of the file, synced, and then noted in the head, which need not be synced itself: it may say less than there is, never more. A file ends with its day or
 * its size; the new one's name is durable before its first line is. Room is allocated ahead, so that a full disk is met between calls and not in one.
 */
#include "audit/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/banned.h"

enum {
	AHEAD = 1024 * 1024,
	AHEAD_LOW = 512 * 1024,   /* more is asked for below this */
	AHEAD_LEAST = 128 * 1024, /* below this the disk is full: calls that are under way still fit */
	NUMBER_MAX = 9999,
	DAY_MS = 24 * 3600 * 1000,
};

static char *path_of(
	const struct audit_files *files, struct arena *arena, const char *name, const char *ending)
{
	int stem = (int)strlen(name) - (int)strlen(".log");
	return ending ? arena_printf(arena, "%s/%.*s%s", files->folder, stem, name, ending)
		      : arena_printf(arena, "%s/%s", files->folder, name);
}

static int note_head(struct audit_files *files, struct error *err)
{
	char text[AUDIT_HEAD_SIZE];
	audit_head_make(&files->head, text);
	if (file_pwrite_full(files->head_fd, text, sizeof text, 0))
		return error_set_errno(err, errno, "cannot write %s/head", files->folder);
	return 0;
}

static void close_file(struct audit_files *files)
{
	if (files->fd < 0)
		return;
	/* gives back what was allocated ahead */
	if (files->allocated > files->head.size && ftruncate(files->fd, (off_t)files->head.size))
		log_warning("audit-room-kept", "file=%s errno=%d", files->head.file, errno);
	close(files->fd);
	if (files->index_fd >= 0)
		close(files->index_fd);
	files->fd = files->index_fd = -1;
	files->allocated = 0;
}

static int open_file(struct audit_files *files, const char *name, bool fresh, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *path = path_of(files, arena, name, NULL);
	files->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (fresh ? O_EXCL : 0), 0600);
	if (files->fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	files->index_fd = open(path_of(files, arena, name, ".index"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (files->index_fd < 0)
		log_warning("audit-index", "file=%s errno=%d", path,
			errno); /* searches are slower, that is all */
	return fresh ? file_sync_folder(files->folder, err) : 0;
}

/* Files of days before the oldest one to keep. The head is told first, so that those removed are not missing. */
static void remove_old(struct audit_files *files)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char oldest[AUDIT_NAME_SIZE], **names;
	size_t count, old = 0;
	struct error err;
	struct audit_line line;
	char *data = NULL;
	if (!files->keep_days || audit_name_list(files->folder, arena, &names, &count, &err))
		return;
	audit_name_make(clock_now_ms() - (int64_t)files->keep_days * DAY_MS, 0, oldest);
	while (old + 1 < count && strcmp(names[old], oldest) < 0 && strcmp(names[old], files->head.file) < 0)
		old++;
	if (!old)
		return;
	char *path = path_of(files, arena, names[old], NULL);
	size_t size;
	if (file_read(path, AUDIT_FILE_MAX + (size_t)AUDIT_LINE_MAX, arena, &data, &size, &err) || !size)
		return; /* empty as yet: at the next rotation */
	const char *end = memchr(data, '\n', size);
	if (!end || audit_line_parse(data, (size_t)(end - data), &line))
		return;
	files->head.base = line.previous;
	memcpy(files->head.first, names[old], AUDIT_NAME_SIZE);
	if (note_head(files, &err) || fdatasync(files->head_fd))
		return;
	for (size_t i = 0; i < old; i++) {
		unlink(path_of(files, arena, names[i], NULL));
		unlink(path_of(files, arena, names[i], ".index"));
		log_info("audit-file-removed", "file=%s", names[i]);
	}
}

/* The day of the clock, but never before that of the file at hand: names tell the order. */
static void next_name(const struct audit_files *files, char name[AUDIT_NAME_SIZE])
{
	unsigned number = 0;
	audit_name_make(clock_now_ms(), 1, name);
	if (!files->head.file[0] || strncmp(name, files->head.file, 10) > 0 ||
		audit_name_parse(files->head.file, &number))
		return;
	memcpy(name, files->head.file, AUDIT_NAME_SIZE);
	snprintf(name + 11, AUDIT_NAME_SIZE - 11, "%04u.log", (number + 1) % (NUMBER_MAX + 1));
}

static bool wants_next_file(const struct audit_files *files)
{
	char today[AUDIT_NAME_SIZE];
	unsigned number;
	if (!files->head.file[0])
		return true;
	audit_name_make(clock_now_ms(), 1, today);
	if (strncmp(today, files->head.file, 10) > 0)
		return true;
	return files->head.size >= AUDIT_FILE_MAX && !audit_name_parse(files->head.file, &number) &&
		number < NUMBER_MAX;
}

static void end_block(struct audit_files *files, bool last)
{
	struct audit_block *block = &files->block;
	if (!last && block->lines < AUDIT_BLOCK_LINES)
		return;
	audit_block_end(block);
	if (block->lines && files->index_fd >= 0) {
		struct stat status;
		if (fstat(files->index_fd, &status) == 0 &&
			file_pwrite_full(files->index_fd, block, sizeof *block,
				status.st_size / (off_t)sizeof *block * (off_t)sizeof *block))
			log_warning("audit-index", "file=%s errno=%d", files->head.file, errno);
	}
	audit_block_begin(block, block->offset + block->size);
}

static int begin_file(struct audit_files *files, struct error *err)
{
	char name[AUDIT_NAME_SIZE];
	next_name(files, name);
	if (files->fd >= 0)
		end_block(files, true);
	close_file(files);
	if (open_file(files, name, true, err))
		return -1;
	memcpy(files->head.file, name, AUDIT_NAME_SIZE);
	files->head.size = 0;
	audit_block_begin(&files->block, 0);
	if (!files->head.first[0]) {
		memcpy(files->head.first, name, AUDIT_NAME_SIZE);
		files->head.base = files->head.last;
	}
	if (note_head(files, err))
		return -1;
	remove_old(files);
	return 0;
}

bool audit_files_reserve(struct audit_files *files)
{
	uint64_t end = files->head.size;
	if (files->fd < 0 || files->allocated >= end + AHEAD_LOW)
		return true;
	uint64_t begin = files->allocated > end ? files->allocated : end;
	if (fallocate(files->fd, FALLOC_FL_KEEP_SIZE, (off_t)begin, AHEAD) == 0) {
		files->allocated = begin + AHEAD;
		return true;
	}
	return (errno != ENOSPC && errno != EDQUOT) || files->allocated >= end + AHEAD_LEAST;
}

static int write_lines(struct audit_files *files, const struct buffer *lines, struct error *err)
{
	if (file_pwrite_full(files->fd, lines->data, lines->size, (off_t)files->head.size)) {
		error_set_errno(
			err, errno, "cannot write the audit trail %s/%s", files->folder, files->head.file);
		/* the next try begins at the same place; what is there of this one must not be seen as lines */
		if (ftruncate(files->fd, (off_t)files->head.size))
			log_warning("audit-end-kept", "file=%s errno=%d", files->head.file, errno);
		files->allocated = 0;
		return -1;
	}
	if (fdatasync(files->fd)) {
		files->broken = true;
		return error_set_errno(
			err, errno, "cannot sync the audit trail %s/%s", files->folder, files->head.file);
	}
	return 0;
}

int audit_files_write(struct audit_files *files, struct audit_record **list, size_t most, struct error *err)
{
	struct buffer lines BUFFER_SCOPED = { 0 };
	struct digest last;
	struct audit_record *record = *list;
	if (files->broken)
		return error_set(err, ERROR_UNAVAILABLE,
			"the audit trail could not be synced; amid must be restarted");
	if ((files->fd < 0 || wants_next_file(files)) && begin_file(files, err))
		return -1;
	if (files->head.size >= AUDIT_FILE_MAX)
		return error_set(err, ERROR_NO_SPACE,
			"the audit trail of a day cannot have more than %d files", NUMBER_MAX);
	last = files->head.last;
	for (; record && lines.size < most && files->head.size + lines.size < AUDIT_FILE_MAX;
		record = record->next)
		audit_line_make(&lines, audit_record_event(record), record->size, &last);
	if (write_lines(files, &lines, err))
		return -1;
	size_t at = 0;
	while (*list != record) {
		const char *end = memchr(lines.data + at, '\n', lines.size - at);
		size_t size = (size_t)(end - lines.data) + 1 - at;
		struct audit_record *done = *list;
		audit_block_add(&files->block, size, done->time_ms, done->words, done->word_count);
		end_block(files, false);
		at += size;
		*list = done->next;
		free(done);
	}
	files->head.last = last;
	files->head.size += lines.size;
	struct error unnoted;
	if (note_head(files, &unnoted)) /* it says less than there is, which is no lie */
		log_warning("audit-head", "message=\"%s\"", unnoted.message);
	return 0;
}

/* What was written and not indexed before the end came. */
static int index_rest(struct audit_files *files, audit_describe *describe, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct audit_block *blocks;
	struct audit_line line;
	uint64_t words[AUDIT_WORDS_MAX];
	int64_t time_ms;
	size_t word_count;
	const char *index = path_of(files, arena, files->head.file, ".index");
	size_t count = audit_block_load(index, files->head.size, arena, &blocks);
	uint64_t at = count ? blocks[count - 1].offset + blocks[count - 1].size : 0,
		 size = files->head.size - at;
	audit_block_begin(&files->block, at);
	if (files->index_fd >= 0 && ftruncate(files->index_fd, (off_t)(count * sizeof *blocks)))
		return error_set_errno(err, errno, "cannot cut off the end of %s", index);
	char *data = arena_alloc(arena, size + 1);
	if (file_pread_full(files->fd, data, size, (off_t)at))
		return error_set_errno(err, errno, "cannot read %s/%s", files->folder, files->head.file);
	for (const char *begin = data, *end; (end = memchr(begin, '\n', size - (size_t)(begin - data)));
		begin = end + 1) {
		size_t length = (size_t)(end - begin);
		if (audit_line_parse(begin, length, &line) ||
			describe(line.event, line.event_size, &time_ms, words, &word_count))
			time_ms = 0, word_count = 0; /* somebody's; found by verify */
		audit_block_add(&files->block, length + 1, time_ms, words, word_count);
		end_block(files, false);
	}
	return 0;
}

static int open_head(struct audit_files *files, bool fresh, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char text[AUDIT_HEAD_SIZE], *path = arena_printf(arena, "%s/head", files->folder);
	audit_head_make(&files->head, text);
	/* durable before the first line: a trail without a head is one that somebody has touched */
	if (fresh && file_replace(path, text, sizeof text, 0600, err))
		return -1;
	files->head_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (files->head_fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	return note_head(files, err);
}

int audit_files_open(const char *folder, unsigned keep_days, audit_describe *describe,
	struct audit_files *files, struct error *err)
{
	struct audit_end end;
	*files = (struct audit_files){ .keep_days = keep_days, .fd = -1, .index_fd = -1, .head_fd = -1 };
	if (file_make_folder(folder, 0700, err) || audit_recover(folder, &end, err))
		return -1;
	files->folder = memory_strdup(folder);
	files->head = end.head;
	if (open_head(files, end.fresh, err) ||
		(files->head.file[0] &&
			(open_file(files, files->head.file, false, err) ||
				index_rest(files, describe, err)))) {
		audit_files_close(files);
		return -1;
	}
	remove_old(files);
	return 0;
}

void audit_files_close(struct audit_files *files)
{
	if (files->fd >= 0 && fdatasync(files->fd))
		log_warning("audit-close", "file=%s errno=%d", files->head.file, errno);
	close_file(files);
	if (files->head_fd >= 0)
		close(files->head_fd);
	free(files->folder);
	files->folder = NULL;
}
