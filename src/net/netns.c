/*
 * Network namespaces: see netns.h.
 *
 * A namespace is made by a short-lived thread that leaves the host's (unshare) and mounts what /proc then shows of it over a file of its name. The file is made first: a crash between the two leaves an
 * empty file, which the next netns_open takes for what it is (not on nsfs) and mounts over.
 */
#include "net/netns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

static const char folder[] = "/run/netns";

enum { PATH_SIZE = 128 };

static void path_of(const char *name, char path[static PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s", folder, name);
}

struct visit {
	int fd; /* -1: a new namespace, to be mounted at `path` */
	const char *path;
	int (*work)(void *context, struct error *err);
	void *context;
	struct error *err;
	int result;
};

static int make_here(const char *path, struct error *err)
{
	if (unshare(CLONE_NEWNET))
		return error_set_errno(err, errno, "cannot make a network namespace");
	if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL))
		return error_set_errno(err, errno, "cannot mount the network namespace %s", path);
	return 0;
}

static void *visit_thread(void *context)
{
	struct visit *visit = context;
	if (visit->fd < 0)
		visit->result = make_here(visit->path, visit->err);
	else if (setns(visit->fd, CLONE_NEWNET))
		visit->result = error_set_errno(visit->err, errno, "cannot enter a network namespace");
	else
		visit->result = visit->work(visit->context, visit->err);
	return NULL;
}

static int run_visit(struct visit *visit)
{
	pthread_t thread;
	int failure = pthread_create(&thread, NULL, visit_thread, visit);
	if (failure)
		return error_set_errno(visit->err, failure, "cannot start a thread for a network namespace");
	pthread_join(thread, NULL);
	return visit->result;
}

int netns_run(int fd, int (*work)(void *context, struct error *err), void *context, struct error *err)
{
	struct visit visit = { .fd = fd, .work = work, .context = context, .err = err };
	return run_visit(&visit);
}

/* The open namespace, or -1 with errno; ENOENT also for a file over which nothing is mounted. */
static int open_mounted(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct statfs fs;
	if (fd < 0)
		return -1;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC)
		return fd;
	close(fd);
	errno = ENOENT;
	return -1;
}

int netns_find(const char *name, int *fd, struct error *err)
{
	char path[PATH_SIZE];
	path_of(name, path);
	*fd = open_mounted(path);
	return *fd < 0 ? error_set_errno(err, errno, "cannot open the network namespace %s", name) : 0;
}

/*
 * Makes the folder a shared mount point, as `ip netns` does at its first use (man 8 ip-netns): else that first use, which may be anybody's, mounts the folder over itself with all that is mounted
 * in it, and our namespaces stay behind underneath, where they cannot be removed. The lock is the one that `ip` takes too.
 */
static int prepare_folder(struct error *err)
{
	if (file_make_folder(folder, 0755, err))
		return -1;
	int lock FILE_SCOPED = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX))
		return error_set_errno(err, errno, "cannot lock %s", folder);
	if (mount("", folder, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	if (errno != EINVAL) /* EINVAL: it is no mount point yet */
		return error_set_errno(err, errno, "cannot share the mount point %s", folder);
	if (mount(folder, folder, "none", MS_BIND | MS_REC, NULL) ||
		mount("", folder, "none", MS_SHARED | MS_REC, NULL))
		return error_set_errno(err, errno, "cannot make %s a mount point", folder);
	return 0;
}

int netns_open(const char *name, int *fd, bool *made, struct error *err)
{
	char path[PATH_SIZE];
	path_of(name, path);
	*made = false;
	*fd = open_mounted(path);
	if (*fd >= 0)
		return 0;
	if (errno != ENOENT)
		return error_set_errno(err, errno, "cannot open the network namespace %s", name);
	if (prepare_folder(err))
		return -1;
	int file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (file < 0)
		return error_set_errno(err, errno, "cannot make %s", path);
	close(file);
	struct visit visit = { .fd = -1, .path = path, .err = err };
	if (run_visit(&visit)) {
		unlink(path);
		return -1;
	}
	*made = true;
	return netns_find(name, fd, err);
}

bool netns_is_current(const char *name, int fd)
{
	char path[PATH_SIZE];
	struct stat by_name, by_fd;
	path_of(name, path);
	return stat(path, &by_name) == 0 && fstat(fd, &by_fd) == 0 && by_name.st_dev == by_fd.st_dev &&
		by_name.st_ino == by_fd.st_ino;
}

int netns_remove(const char *name, struct error *err)
{
	char path[PATH_SIZE];
	path_of(name, path);
	if (umount2(path, MNT_DETACH) && errno != EINVAL && errno != ENOENT)
		return error_set_errno(err, errno, "cannot unmount the network namespace %s", name);
	if (unlink(path) && errno != ENOENT)
		return error_set_errno(err, errno, "cannot remove the network namespace %s", name);
	return 0;
}

int netns_visit(const char *prefix, int (*visit)(void *context, const char *name, struct error *err),
	void *context, struct error *err)
{
	DIR *names = opendir(folder);
	if (!names && errno == ENOENT)
		return 0;
	if (!names)
		return error_set_errno(err, errno, "cannot read %s", folder);
	int result = 0;
	for (struct dirent *entry; result == 0 && (entry = readdir(names));) {
		if (text_starts_with(entry->d_name, prefix))
			result = visit(context, entry->d_name, err);
	}
	closedir(names);
	return result;
}
