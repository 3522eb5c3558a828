/*
 * flock(2) locks belong to the open file description, which the started process inherits: the kernel drops the lock when the last process that has it
 * open is gone, however that came about. The identity file only says who that is; it is never taken as proof that the process lives.
 */
#include "compute/process_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

const char process_lock_identity_file[] = "process";

enum {
	IDENTITY_LIMIT = 4096,
	/* The shell writes it within a millisecond of its start; what we cover is amid killed right there and already back. */
	IDENTITY_TRIES = 100,
	IDENTITY_PAUSE_MS = 10,
};

static int open_lock(const char *folder, int flags, int *fd, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = arena_printf(scratch, "%s/lock", folder);
	*fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	return *fd < 0 ? error_set_errno(err, errno, "cannot open %s", path) : 0;
}

int process_lock_take(const char *folder, int *fd, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	if (open_lock(folder, O_CREAT, fd, err))
		return -1;
	if (flock(*fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			error_set(err, ERROR_CONFLICT, "a process of %s runs already", folder);
		else
			error_set_errno(err, errno, "cannot lock %s", folder);
		close(*fd);
		return -1;
	}
	const char *identity = arena_printf(scratch, "%s/%s", folder, process_lock_identity_file);
	if (unlink(identity) == 0 || errno == ENOENT)
		return 0;
	error_set_errno(err, errno, "cannot remove %s", identity);
	close(*fd);
	return -1;
}

/* The pid at the line's begin, checked against the start time of the process that has it now. */
static int read_identity(const char *folder, struct process *process)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *line;
	size_t size, count;
	int64_t pid, start_ticks;
	const char *path = arena_printf(scratch, "%s/%s", folder, process_lock_identity_file);
	if (file_read(path, IDENTITY_LIMIT, scratch, &line, &size, NULL) || !size || line[size - 1] != '\n')
		return -1;
	/* "PID (NAME) STATE ...": after the name, which is the shell's, the start time is field 22 */
	char *rest = strrchr(line, ')');
	if (!rest || rest[1] != ' ')
		return -1;
	char **fields = text_split(scratch, rest + 2, ' ', &count);
	*strchrnul(line, ' ') = '\0';
	if (count < 20 || text_parse_int64(line, &pid) || text_parse_int64(fields[19], &start_ticks))
		return -1;
	*process = (struct process){ .pid = (pid_t)pid, .start_ticks = (uint64_t)start_ticks };
	return process_is_alive(process) ? 0 : -1;
}

static int is_locked(const char *folder, struct error *err)
{
	int fd FILE_SCOPED = -1;
	struct error reason;
	if (open_lock(folder, 0, &fd, &reason)) {
		if (reason.code == ERROR_NOT_FOUND)
			return error_set(err, ERROR_NOT_FOUND, "no process was started in %s", folder);
		*err = reason;
		return -1;
	}
	if (flock(fd, LOCK_SH | LOCK_NB) == 0)
		return error_set(err, ERROR_NOT_FOUND, "no process of %s runs", folder);
	return errno == EWOULDBLOCK ? 0
				    : error_set_errno(err, errno, "cannot look at the lock of %s", folder);
}

int process_lock_find(const char *folder, struct process *process, struct error *err)
{
	struct error local;
	for (int i = 0; i < IDENTITY_TRIES; i++) {
		if (is_locked(folder, err ? err : &local))
			return -1;
		if (read_identity(folder, process) == 0)
			return 0;
		/* there is no event for "a process wrote its first line" that is simpler than looking again */
		nanosleep(&(struct timespec){ .tv_nsec = IDENTITY_PAUSE_MS * 1000000L }, NULL);
	}
	return error_set(
		err, ERROR_UNAVAILABLE, "a process of %s runs, but has not said which it is", folder);
}
