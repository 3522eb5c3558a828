/*
 * Volume: a writable disk = base tree + a stack of layers (see docs/design/volume.md). One process at a time has a volume open for writing: its volume server (the
 * nbdkit plugin) while it is attached, else amid itself for the length of an operation. A lock on the volume's folder sees to that.
 *
 * Durability: what was written before volume_flush was called is on disk when it returns; unflushed writes survive the death of the process (the live maps are in shared
 * memory), not of the machine. After a crash a 4 KiB grain holds either its old or its new content, never zeros in place of flushed data; trimmed data that was
 * flushed as trimmed does not come back.
 *
 * All functions are safe from every thread unless they say otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/space.h"

struct volume;
struct store;

enum { VOLUME_GRAIN_SIZE = 4096, VOLUME_SECTOR_SIZE = 512 };

/*
 * Makes a volume in a new folder: `size` bytes (a multiple of 512), content from the tree `base` (NULL: zeros) as far as it reaches. Durable on return, milliseconds whatever
 * the size. ERROR_DUPLICATE if the folder exists. A crash may leave a folder with VOLUME_UNFINISHED in its name beside it, to be removed.
 */
#define VOLUME_UNFINISHED ".new-"
int volume_create(const char *folder, uint64_t size, const struct digest *base, struct error *err);
/*
 * Opens for reading and writing. `runtime_folder` is on a tmpfs (the live maps); the same one must be given each time while the machine is up. ERROR_CONFLICT if another process has
 * it open. Recovers from any crash.
 */
int volume_open(const char *folder, const char *runtime_folder, struct store *store, struct volume **volume,
	struct error *err);
/* What its writes leave free on the disk, SPACE_RESERVE_DEFAULT otherwise; before the first of them. A write that would take from it fails with ERROR_NO_SPACE. */
void volume_set_reserve(struct volume *volume, const struct space_reserve *reserve);
void volume_close(struct volume *volume); /* flushes; NULL is legal */
/* Removes a volume that nobody has open, with all its layers and live maps. A missing one is fine. */
int volume_remove(const char *folder, const char *runtime_folder, struct error *err);

uint64_t volume_size(const struct volume *volume);
int volume_grow(struct volume *volume, uint64_t size, struct error *err); /* never shrinks */

/* offset and size in bytes, multiples of 512 not needed (a part of a grain is read, changed and written); within volume_size. */
int volume_read(struct volume *volume, void *data, uint64_t offset, uint32_t size, struct error *err);
int volume_write(struct volume *volume, const void *data, uint64_t offset, uint32_t size, struct error *err);
int volume_zero(struct volume *volume, uint64_t offset, uint64_t size,
	struct error *err); /* also TRIM: reads zeros afterwards */
int volume_flush(struct volume *volume, struct error *err);
/* What a range holds, for NBD block status: whether `offset` is a hole that reads as zeros, and how many bytes from it (at most `size`) are alike. */
int volume_extent(struct volume *volume, uint64_t offset, uint64_t size, bool *zero, uint64_t *length,
	struct error *err);

/*
 * Freezing. volume_hold waits until running writes and zeros have ended and keeps new ones waiting (reads and flushes go on); volume_freeze puts a new layer on top; volume_release lets them go on.
 * Several volumes are held before the first is frozen, so that they are frozen at one instant. A hold ends by itself after `limit_ms`; volume_freeze fails
 * with ERROR_TIMEOUT after that.
 * volume_freeze (alone, it holds and releases by itself) numbers the frozen layer: *layer. It only switches layers, so it takes microseconds; volume_sync_frozen makes the frozen
 * layers durable and must succeed before anyone is told that the layer exists.
 */
int volume_hold(struct volume *volume, unsigned limit_ms, struct error *err);
void volume_release(struct volume *volume);
int volume_freeze(struct volume *volume, uint64_t *layer, struct error *err);
int volume_sync_frozen(struct volume *volume, uint64_t layer, struct error *err);

/*
 * Sealing, step by step, each repeatable after a crash:
 *  1. volume_seal (in amid, on the folder, while a server may have the volume open): hashes what the frozen layers up to `layer` hold into blocks, puts them and a tree over them and the volume's base
 *     into the store within `session`. *root gets the root digest; the tree has the size the volume had when `layer` was frozen. The caller publishes it (metadata commit).
 *  2. volume_rebase (through the process that has the volume open): the base becomes `root`, layers up to `layer` are dropped. Atomic and durable. Repeating it is a success.
 */
struct store_session;
struct volume_seal_result {
	uint64_t blocks;         /* non-zero blocks of the snapshot */
	uint64_t changed_blocks; /* hashed now */
	uint64_t bytes_added;    /* on disk */
};
int volume_seal(const char *folder, const char *runtime_folder, uint64_t layer, struct store *store,
	struct store_session *session, struct digest *root, struct volume_seal_result *result,
	struct error *err);
int volume_rebase(struct volume *volume, uint64_t layer, const struct digest *root, struct error *err);

/* The store has moved blocks: lets go of the files they were in. Reads go on. */
int volume_let_go(struct volume *volume, struct error *err);

/* What the folder's manifest says; for the roots that garbage collection must keep, and fsck. `base` is the zero digest if there is none. */
struct volume_info {
	uint64_t size;
	struct digest base;
	uint64_t top_layer;
	uint32_t layer_count; /* frozen ones and the top */
	uint64_t layer_bytes; /* allocated on disk by the layers */
};
int volume_inspect(const char *folder, struct volume_info *info, struct error *err);
/*
 * The note of a volume's first fault: damaged bytes, or an I/O error, met while it was read, written or sealed, or found by a scrub. volume_note_fault keeps the note that is there, and ignores errors that are not the volume's fault (a full disk, a
 * wrong request). All work on the folder, whoever has the volume open.
 */
struct volume_fault {
	char message[512];
	int64_t noted_ms; /* since 1970, real time */
};
void volume_note_fault(const char *folder, const struct error *why);
int volume_find_fault(const char *folder, struct volume_fault *fault, bool *found, struct error *err);
int volume_forget_fault(const char *folder, struct error *err);
/* Checks manifest, maps and layer files; `report` as in store.h. */
int volume_check(const char *folder, void (*report)(void *context, const char *line), void *context,
	uint64_t *faults, struct error *err);
