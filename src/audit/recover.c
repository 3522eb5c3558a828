/*
 * Recovery. The head says how far the trail was synced; a crash may have left more: whole lines, which were written and count, and then the beginning of one, or what a power loss makes of it. The chain tells which is
 * which. Runs once, before anything else uses the folder.
 */
#include "audit/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/banned.h"

/* The whole lines of data[at..size) that continue the chain; moves *at behind them. */
static void follow(const char *data, size_t size, uint64_t *at, struct digest *last)
{
	struct audit_line line;
	while (*at < size) {
		const char *begin = data + *at, *end = memchr(begin, '\n', size - *at);
		if (!end || audit_line_parse(begin, (size_t)(end - begin), &line) ||
			!digest_equal(&line.previous, last))
			return;
		audit_line_digest(begin, (size_t)(end - begin), last);
		*at += (uint64_t)(end - begin) + 1;
	}
}

static int cut(const char *path, uint64_t size, struct error *err)
{
	int fd FILE_SCOPED = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size) || fsync(fd))
		return error_set_errno(err, errno, "cannot cut off the end of %s", path);
	return 0;
}

static uint64_t behind_last_line(const char *data, uint64_t size)
{
	while (size && data[size - 1] != '\n')
		size--;
	return size;
}

/* What a crash leaves behind the last line is the beginning of another one, or (a power loss) pages that were never written; whole lines that do not belong to the chain are somebody's work, and evidence. */
static bool is_torn(const char *data, size_t size)
{
	return !memchr(data, '\n', size) || memchr(data, 0, size);
}

/* Goes on in the file `name`, from `at`. */
static int recover_file(
	const char *folder, const char *name, uint64_t at, struct audit_end *end, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *path = arena_printf(arena, "%s/%s", folder, name), *data;
	size_t size;
	if (file_read(path, AUDIT_FILE_MAX + (size_t)AUDIT_LINE_MAX, arena, &data, &size, err))
		return -1;
	if (size < at || behind_last_line(data, at) != at) {
		log_error("audit-truncated", "file=%s size=%zu synced=%llu", path, size,
			(unsigned long long)at);
		end->truncated = true;
		at = behind_last_line(data, size < at ? size : at);
	} else if (!end->truncated) {
		follow(data, size, &at, &end->head.last);
	}
	if (at < size && !is_torn(data + at, size - at)) {
		log_error("audit-foreign-lines", "file=%s from=%llu", path, (unsigned long long)at);
		end->truncated = true;
		at = behind_last_line(data, size);
	}
	end->head.size = at;
	memcpy(end->head.file, name, AUDIT_NAME_SIZE);
	if (at == size)
		return 0;
	log_warning("audit-end-cut", "file=%s from=%llu bytes=%llu", path, (unsigned long long)at,
		(unsigned long long)(size - at));
	return cut(path, at, err);
}

/* The head's file, and those that were begun after it was written. */
static int recover_files(
	const char *folder, char **names, size_t count, struct audit_end *end, struct error *err)
{
	char head[AUDIT_NAME_SIZE];
	uint64_t size = end->head.size;
	bool found = !end->head.file[0];
	memcpy(head, end->head.file, sizeof head);
	for (size_t i = 0; i < count; i++) {
		int order = strcmp(names[i], head);
		if (order < 0)
			continue;
		if (recover_file(folder, names[i], order ? 0 : size, end, err))
			return -1;
		if (!end->head.first[0])
			memcpy(end->head.first, names[i], AUDIT_NAME_SIZE);
		found |= order == 0;
	}
	if (!found) {
		log_error("audit-truncated", "folder=%s missing=%s", folder, head);
		end->truncated = true;
		if (strcmp(end->head.file, head) == 0)
			end->head.size = 0;
	}
	return 0;
}

int audit_recover(const char *folder, struct audit_end *end, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char **names;
	size_t count;
	bool found;
	struct error damaged = { 0 };
	*end = (struct audit_end){ 0 };
	if (audit_name_list(folder, arena, &names, &count, err))
		return -1;
	if (audit_head_read(folder, &end->head, &found, &damaged)) {
		if (damaged.code != ERROR_CORRUPT) {
			*err = damaged;
			return -1;
		}
		end->head = (struct audit_head){ 0 };
	}
	if (found)
		return recover_files(folder, names, count, end, err);
	end->fresh = count == 0;
	if (!count)
		return 0;
	/* Somebody has removed the head: how far it went nobody knows. Going on with no line before is a break that audit_verify finds. */
	log_error("audit-head-missing", "folder=%s files=%zu", folder, count);
	end->truncated = true;
	if (recover_file(folder, names[count - 1], 0, end, err))
		return -1;
	memcpy(end->head.first, names[0], AUDIT_NAME_SIZE);
	return 0;
}
