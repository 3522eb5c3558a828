/* A metadata store: opening and closing its parts in the right order. What they are: meta_internal.h. */
#include "meta/meta_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/banned.h"
#include "base/disk.h"
#include "base/file.h"

enum { THREAD_STACK = 256 << 10 };

int meta_start_thread(pthread_t *thread, void *(*run)(void *), void *context, struct error *err)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	int result = pthread_create(thread, &attributes, run, context);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result ? error_set_errno(err, result, "cannot start a thread") : 0;
}

/*
 * The lock is on a file of its own: closing any descriptor of the database file would drop the locks that SQLite
 * holds on it in this process.
 */
static int lock_file(const char *path, int *lock_fd, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *lock_path = arena_printf(scratch, "%s-lock", path);
	int fd = disk_open(lock_path, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return error_set_errno(err, errno, "cannot open %s", lock_path);
	if (!flock(fd, LOCK_EX | LOCK_NB)) {
		*lock_fd = fd;
		return 0;
	}
	if (errno == EWOULDBLOCK)
		error_set(err, ERROR_UNAVAILABLE, "%s is in use by another process", path);
	else
		error_set_errno(err, errno, "cannot lock %s", lock_path);
	close(fd);
	return -1;
}

/* Makes the file if it is missing, since SQLite would make it readable for others; its log takes the same mode. */
static int secure_file(const char *path, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct stat status;
	int fd FILE_SCOPED = disk_open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || fstat(fd, &status))
		return error_set_errno(err, errno, "cannot open %s", path);
	if (!S_ISREG(status.st_mode))
		return error_set(err, ERROR_INVALID, "%s is not a regular file", path);
	if ((status.st_mode & 07777) != 0600 && fchmod(fd, 0600))
		return error_set_errno(err, errno, "cannot set the mode of %s", path);
	return status.st_size ? 0 : file_sync_folder(dirname(arena_strdup(scratch, path)), err);
}

int meta_open(const char *path, struct meta **opened, struct error *err)
{
	struct meta *meta = memory_alloc(sizeof *meta);
	meta->lock_fd = -1;
	meta->readers = readers_create(path);
	if (lock_file(path, &meta->lock_fd, err) || secure_file(path, err) ||
		checkpointer_create(path, meta, &meta->checkpointer, err) ||
		writer_start(path, meta, &meta->writer, err)) {
		meta_close(meta);
		return -1;
	}
	*opened = meta;
	return 0;
}

/* The two threads call each other: the checkpoint thread ends first, its struct goes last. */
void meta_close(struct meta *meta)
{
	if (!meta)
		return;
	checkpointer_stop(meta->checkpointer);
	readers_destroy(meta->readers);
	writer_stop(meta->writer);
	checkpointer_destroy(meta->checkpointer);
	if (meta->lock_fd >= 0)
		close(meta->lock_fd);
	free(meta);
}

int64_t meta_last_change(struct meta *meta)
{
	return atomic_load(&meta->last_change);
}

void meta_set_listener(struct meta *meta, meta_listener *listener, void *context)
{
	writer_set_listener(meta->writer, listener, context);
}
