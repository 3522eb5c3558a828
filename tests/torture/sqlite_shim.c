/*
 * Each call goes to the system's VFS, and is noted under the file's path if it changed something. What the system's VFS does to names is told as well: a file's folder is synced with the first sync of a log
 * that was opened to be made if it is missing (also if it was not), and with a removal that asks for it.
 *
 * Any thread: a connection's files are used by one at a time, and the simulated disk locks.
 */
#include "sqlite_shim.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "simulated_disk.h"
#include "base/banned.h"

struct shim_file {
	sqlite3_file base;
	char path[300];
	bool sync_folder; /* with the next sync */
	sqlite3_file *real;
};

static sqlite3_vfs shim, *real_vfs;

static sqlite3_file *real_of(sqlite3_file *file)
{
	return ((struct shim_file *)file)->real;
}

static int shim_close(sqlite3_file *file)
{
	return real_of(file)->pMethods->xClose(real_of(file));
}

static int shim_read(sqlite3_file *file, void *data, int size, sqlite3_int64 offset)
{
	int error;
	if (simulated_disk_must_fail(CALL_READ, &error))
		return SQLITE_IOERR_READ;
	return real_of(file)->pMethods->xRead(real_of(file), data, size, offset);
}

static int shim_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 offset)
{
	int error;
	if (simulated_disk_must_fail(CALL_ALLOCATE, &error))
		return error == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
	int result = real_of(file)->pMethods->xWrite(real_of(file), data, size, offset);
	if (!result)
		simulated_disk_note_write(
			((struct shim_file *)file)->path, (uint64_t)offset, data, (size_t)size);
	return result;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int error;
	if (simulated_disk_must_fail(CALL_WRITE, &error))
		return SQLITE_IOERR_TRUNCATE;
	int result = real_of(file)->pMethods->xTruncate(real_of(file), size);
	if (!result)
		simulated_disk_note_change(
			((struct shim_file *)file)->path, OPERATION_TRUNCATE, (uint64_t)size);
	return result;
}

static void note_folder_sync(const char *path)
{
	char folder[300];
	snprintf(folder, sizeof folder, "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	simulated_disk_note_change(folder, OPERATION_SYNC_FOLDER, 0);
}

static int shim_sync(sqlite3_file *file, int flags)
{
	struct shim_file *own = (struct shim_file *)file;
	int error;
	(void)flags;
	if (simulated_disk_must_fail(CALL_SYNC, &error)) {
		simulated_disk_note_change(own->path, OPERATION_SYNC_FAILED, 0);
		return SQLITE_IOERR_FSYNC;
	}
	simulated_disk_note_change(own->path, OPERATION_SYNC, 0);
	if (own->sync_folder)
		note_folder_sync(own->path);
	own->sync_folder = false;
	return SQLITE_OK;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return real_of(file)->pMethods->xFileSize(real_of(file), size);
}

static int shim_lock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xLock(real_of(file), level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	return real_of(file)->pMethods->xUnlock(real_of(file), level);
}

static int shim_check_lock(sqlite3_file *file, int *held)
{
	return real_of(file)->pMethods->xCheckReservedLock(real_of(file), held);
}

static int shim_control(sqlite3_file *file, int operation, void *argument)
{
	/* neither lengths in advance nor mappings, which would pass us by */
	if (operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE ||
		operation == SQLITE_FCNTL_MMAP_SIZE)
		return SQLITE_OK;
	return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}

static int shim_sector_size(sqlite3_file *file)
{
	(void)file;
	return SECTOR_SIZE;
}

static int shim_characteristics(sqlite3_file *file)
{
	/* no promise at all: writes may tear, and reach the disk in any order */
	(void)file;
	return 0;
}

static int shim_shared_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
	return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, memory);
}

static int shim_shared_lock(sqlite3_file *file, int offset, int count, int flags)
{
	return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}

static void shim_shared_barrier(sqlite3_file *file)
{
	real_of(file)->pMethods->xShmBarrier(real_of(file));
}

static int shim_shared_unmap(sqlite3_file *file, int remove)
{
	return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

static const sqlite3_io_methods methods = { .iVersion = 2,
	.xClose = shim_close,
	.xRead = shim_read,
	.xWrite = shim_write,
	.xTruncate = shim_truncate,
	.xSync = shim_sync,
	.xFileSize = shim_size,
	.xLock = shim_lock,
	.xUnlock = shim_unlock,
	.xCheckReservedLock = shim_check_lock,
	.xFileControl = shim_control,
	.xSectorSize = shim_sector_size,
	.xDeviceCharacteristics = shim_characteristics,
	.xShmMap = shim_shared_map,
	.xShmLock = shim_shared_lock,
	.xShmBarrier = shim_shared_barrier,
	.xShmUnmap = shim_shared_unmap };

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *out)
{
	struct shim_file *own = (struct shim_file *)file;
	int exists = 1, error;
	(void)vfs;
	*own = (struct shim_file){ .real = (sqlite3_file *)(own + 1) };
	if (simulated_disk_must_fail(CALL_READ, &error))
		return SQLITE_CANTOPEN;
	if (name)
		real_vfs->xAccess(real_vfs, name, SQLITE_ACCESS_EXISTS, &exists);
	int result = real_vfs->xOpen(real_vfs, name, own->real, flags, out);
	if (result)
		return result;
	own->base.pMethods = &methods;
	snprintf(own->path, sizeof own->path, "%s", name ? name : "");
	if (name && !exists)
		simulated_disk_note_name(own->path, false);
	/* whether it was there or not: who made it may have died before */
	own->sync_folder = flags & SQLITE_OPEN_CREATE && flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL);
	return SQLITE_OK;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
	int error;
	(void)vfs;
	if (simulated_disk_must_fail(CALL_NAME, &error))
		return SQLITE_IOERR_DELETE;
	int result = real_vfs->xDelete(real_vfs, name, 0);
	if (!result)
		simulated_disk_note_name(name, true);
	if (!result && sync_folder)
		note_folder_sync(name);
	return result;
}

void sqlite_shim_install(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	shim = *real_vfs;
	shim.zName = "torture";
	shim.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
	shim.xOpen = shim_open;
	shim.xDelete = shim_delete;
	if (sqlite3_vfs_register(&shim, 1))
		abort();
}
