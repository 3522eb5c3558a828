/*
 * The note of a fault: a file `fault` in the volume's folder, made once, by whoever meets the first damage or I/O error: a volume server, or amid while it seals. Its time is the file's. It outlives both processes, needs nobody
 * to tell or to ask anybody, and goes with the volume. Any thread of either process may write it: the first name that lands counts.
 */
#include "volume/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/banned.h"

static const char *fault_path(struct arena *arena, const char *folder)
{
	return arena_printf(arena, "%s/fault", folder);
}

/* A full disk and a wrong request are not the volume's fault. */
static bool is_fault(const struct error *why)
{
	return why->code == ERROR_CORRUPT || why->code == ERROR_INTERNAL || why->code == ERROR_UNAVAILABLE;
}

void volume_note_fault(const char *folder, const struct error *why)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = fault_path(scratch, folder);
	struct error err;
	if (!is_fault(why) || access(path, F_OK) == 0)
		return;
	/* whole before it has its name; of two at once the later replaces an equal note */
	if (file_replace(path, why->message, strlen(why->message), 0600, &err))
		log_error("volume-fault-not-noted", "folder=%s error=\"%s\"", folder, err.message);
}

int volume_find_fault(const char *folder, struct volume_fault *fault, bool *found, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = fault_path(scratch, folder);
	int fd FILE_SCOPED = disk_open(path, O_RDONLY, 0);
	struct stat status;
	*fault = (struct volume_fault){ 0 };
	*found = false;
	if (fd < 0)
		return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot open %s", path);
	ssize_t size = pread(fd, fault->message, sizeof fault->message - 1, 0);
	if (size < 0 || fstat(fd, &status))
		return error_set_errno(err, errno, "cannot read %s", path);
	fault->noted_ms = (int64_t)status.st_mtim.tv_sec * 1000 + status.st_mtim.tv_nsec / 1000000;
	*found = true;
	return 0;
}

int volume_forget_fault(const char *folder, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = fault_path(scratch, folder);
	if (disk_remove(path) == 0)
		return file_sync_folder(folder, err);
	return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot remove %s", path);
}
