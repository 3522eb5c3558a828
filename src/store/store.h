/*
 * Block store: content-addressed objects (blocks of disks, and the pages and roots of trees), each stored once, by SHA-256 of its plain bytes.
 *
 * One process, amid, writes a store (it holds a lock on it); volume servers read it at the same time in other processes (store_open_reader). An object is immutable from the
 * moment it is stored. Every function is safe from every thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/space.h"

enum { STORE_BLOCK_SIZE = 512 * 1024 }; /* bytes; the largest object, and the block of the EBS direct APIs */

enum store_object_kind { STORE_BLOCK = 1, STORE_PAGE = 2, STORE_ROOT = 3 };

struct store;
struct store_session;

/* Opens for reading and writing, making the folder if it is missing. Fails with ERROR_CONFLICT if another process writes it. Recovers from any crash. */
int store_open(const char *folder, struct store **store, struct error *err);
/* Opens for reading only, while a writer may be at work. */
int store_open_reader(const char *folder, struct store **store, struct error *err);
void store_close(struct store *store); /* NULL is legal */

/*
 * A session protects what is put, or found present, within it from garbage collection until it is closed; whoever wants an object kept must have published a
 * root that reaches it (in the metadata) before closing the session. Sessions may be long and many.
 */
int store_session_open(struct store *store, struct store_session **session, struct error *err);
void store_session_close(struct store_session *session); /* NULL is legal */
/* Before the first put: blocks come in a stream, and nobody is about to read them. Those that lie aligned to 4096 in memory are written past the page cache, where the file system can do that. */
void store_session_stream(struct store_session *session);

/*
 * Puts an object unless it is there already. `digest` must be the SHA-256 of the data. *added (may be NULL) gets the bytes this added on disk, 0 if it was there. Not durable
 * until store_sync. ERROR_NO_SPACE when the disk, less its reserve, has no room: nothing is changed then.
 */
int store_put(struct store_session *session, enum store_object_kind kind, const struct digest *digest,
	const void *data, size_t size, uint64_t *added, struct error *err);
/* Protects an object that is in the store already, as putting it again would, without its bytes. *present false: it is not there. */
int store_keep(struct store_session *session, const struct digest *digest, bool *present, struct error *err);
/* Makes everything put before the call durable. Concurrent calls share one sync. */
int store_sync(struct store *store, struct error *err);

/* Size of an object; ERROR_NOT_FOUND. */
int store_stat(struct store *store, const struct digest *digest, size_t *size, struct error *err);
/*
 * Reads a whole object into `data` (room for STORE_BLOCK_SIZE) and verifies it; *size gets its size. ERROR_NOT_FOUND; ERROR_CORRUPT names the digest and the pack file.
 */
int store_get(struct store *store, const struct digest *digest, void *data, size_t *size, struct error *err);
/* The same for what is wanted once: a plain block that is not in the page cache does not get there, if `data` is aligned to 4096 and the file system can do that. */
int store_get_once(
	struct store *store, const struct digest *digest, void *data, size_t *size, struct error *err);

/*
 * Where an uncompressed block lies, for readers that want to pread from the file (and so share the page cache with every other reader). ERROR_UNSUPPORTED: it is compressed, see store_get.
 * Blocks may be moved. What was read from a location is the block if store_epoch, called after the read, is what it was before store_locate; else the block has to be looked for
 * again. The caller verifies the content itself (digest_sha256 over `size` bytes).
 * The descriptor stays valid, and the pack takes space even if it was removed, until the pack is given back as many times as it was located.
 */
struct store_location {
	int fd;
	uint64_t offset;
	uint32_t size;
	uint32_t pack;
};
int store_locate(
	struct store *store, const struct digest *digest, struct store_location *location, struct error *err);
void store_return_pack(struct store *store, uint32_t pack);
uint64_t store_epoch(struct store *store);
/* In a reader: notices a replaced index, and lets go of the files of packs that were removed and are not needed any more. Good to call when store_epoch has changed. */
void store_let_go(struct store *store);

/*
 * Garbage collection: frees every object that no root given by `next_root` reaches and no open session protects. Runs beside everything else. `next_root` is called
 * until it returns 0 (1: *root is one; -1: the collection is given up and frees nothing); it must yield every published root, read after store_collect was called.
 */
struct store_collect_result {
	uint64_t objects_freed;
	uint64_t bytes_freed; /* on disk */
	uint64_t objects_kept;
	uint64_t bytes_kept;
};
typedef int store_next_root(void *context, struct digest *root, struct error *err);
int store_collect(struct store *store, store_next_root *next_root, void *context,
	struct store_collect_result *result, struct error *err);

/*
 * Freeing by reference counts, in the time that what is freed takes, whatever else there is. A root whose last publication may have ended is retired: cheap, from any thread, but not before that end is durable; one that is still
 * published elsewhere, or not there, does no harm. The roots of a session are retired when it is closed. store_free_retired asks which of the retired roots are published, frees the others, what only they reached, and what sessions have
 * put and left unused. What an open session protects stays retired until that session's end.
 * `find_published` sets published[i] for each of the roots that is; it must look after it was called. If it fails, nothing is freed and the roots stay retired.
 * ERROR_UNAVAILABLE: the counts are not known (after an unclean end), and store_collect must come first. Retired roots are known again after a clean close. Roots that nobody retires are found by store_collect only.
 */
void store_retire(struct store *store, const struct digest *root);
typedef int store_find_published(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err);
int store_free_retired(struct store *store, store_find_published *find_published, void *context,
	struct store_collect_result *result, struct error *err);
/*
 * Called whenever store_free_retired has something to look at: a root was retired, or the oldest session ended and may have held something back. From any thread; it must be quick and not call the store. One listener, none at
 * first; what was there before is not told.
 */
typedef void store_listener(void *context);
void store_set_listener(struct store *store, store_listener *listener, void *context);

/*
 * Compaction: one step of moving what lives in packs that are mostly dead, about `limit` bytes, and of removing those packs. Runs beside everything else; readers go on, see store_locate. Never
 * takes more than half of what is available. `more`: another step has something to do.
 */
struct store_compact_result {
	uint64_t bytes_moved;
	uint64_t bytes_freed; /* of packs removed, on disk */
	uint32_t packs_removed;
	bool more;
};
int store_compact(
	struct store *store, uint64_t limit, struct store_compact_result *result, struct error *err);

/* What puts leave free on the disk, SPACE_RESERVE_DEFAULT otherwise; before others use the store. */
void store_set_reserve(struct store *store, const struct space_reserve *reserve);

struct store_usage {
	uint64_t objects;
	uint64_t bytes;     /* on disk, live objects with their headers */
	uint64_t available; /* bytes that may still be put before ERROR_NO_SPACE */
};
void store_get_usage(struct store *store, struct store_usage *usage);

/*
 * Checks the whole store: every object's bytes against its digest, the index against the packs. A page or root may refer to something that is missing: a loss of power
 * or a collection that died can leave such; only store_check_roots, which is given the roots that are in use, can say that something is. `report` gets a line for each
 * fault (names pack, offset, digest). *faults counts them. Returns -1 only if the check itself could not be done.
 */
typedef void store_report(void *context, const char *line);
int store_check(
	struct store *store, store_report *report, void *context, uint64_t *faults, struct error *err);
/* Checks that everything is there which the roots reach; `next_root` as in store_collect. */
int store_check_roots(struct store *store, store_next_root *next_root, void *roots, store_report *report,
	void *context, uint64_t *faults, struct error *err);
