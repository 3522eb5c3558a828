/*
 * Metadata: every resource is a record (kind, account, region, id, version, body), stored in one table with its declared indexes in another; bodies are C structs described by shape tables (api/records.api),
 * encoded as JSON. All changes of a call are one batch, committed by the writer thread (group commit) in one transaction with the change log.
 *
 * Reads run in parallel on connections of their own and see all that was committed before they began. Every function is safe from every thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "shape/shape.h"

struct meta;
struct meta_batch;

/* What every record's C struct begins with (apigen puts it there); filled by meta, not part of the body. */
struct record {
	const char *account; /* "" for records that belong to no account */
	const char *region;  /* "" for global ones */
	const char *id;
	int64_t version; /* 0: not stored yet */
};

/*
 * A kind of record: generated from api/records.api, one `const struct record_kind record_image` each, found by name in record_kinds[] (NULL-terminated).
 * An index is declared over a member (or a member of each element of a list of strings/structures) and holds the text of its values; absent and empty values are not indexed. A unique index
 * allows a value once per account and region.
 */
struct record_index {
	const char *name; /* "name", "state", "snapshot_id", ... */
	const char *path; /* "name"; "block_devices.snapshot_id" goes through a list of structures */
	bool unique;
};
/* Text of values: strings as they are (UTF-8, at most 1,400 bytes), numbers in decimal, booleans true or false, timestamps as their milliseconds. */
struct record_kind {
	const char *name; /* "image" */
	const struct shape *shape;
	const struct record_index *indexes;
	unsigned index_count;
};
extern const struct record_kind *const record_kinds[];

/*
 * Opens (making it if missing, migrating it if older) the database file; mode 0600. Starts the writer and checkpoint threads. ERROR_UNAVAILABLE if another process has it open
 * (PATH-lock is locked), ERROR_INVALID if the file is not ours or newer than this program.
 */
int meta_open(const char *path, struct meta **meta, struct error *err);
void meta_close(struct meta *meta); /* commits what is queued; NULL is legal */

/* Reads one record into a struct in the arena; *found (a pointer to the kind's C struct) is NULL if there is none: that is a success. */
int meta_get(struct meta *meta, const struct record_kind *kind, const char *account, const char *region,
	const char *id, struct arena *arena, void *found, struct error *err);
/* The same, whoever owns it: id alone (ids are unique within a kind; if several accounts have it, that is an error). region NULL: any. */
int meta_get_any(struct meta *meta, const struct record_kind *kind, const char *region, const char *id,
	struct arena *arena, void *found, struct error *err);

/* Which records to list; NULL fields do not restrict. Ordered by id. */
struct meta_query {
	const char *account;
	const char *region;
	const char *index;    /* name of a declared index ... */
	const char *value;    /* ... and the value sought; both or neither */
	const char *after_id; /* only ids behind this one */
	size_t limit;         /* 0: all */
};
struct meta_rows {
	void **items; /* each a pointer to the kind's C struct */
	size_t count;
};
int meta_list(struct meta *meta, const struct record_kind *kind, const struct meta_query *query,
	struct arena *arena, struct meta_rows *rows, struct error *err);

/*
 * How many records meta_list would find. Only the index is read; the query must have index, value, account and region, and neither after_id nor limit.
 */
int meta_count(struct meta *meta, const struct record_kind *kind, const struct meta_query *query,
	size_t *count, struct error *err);

/*
 * A batch of changes, all or nothing. Records given to it are encoded at once, so they may change afterwards. meta_batch_create needs no cleanup: it lives in the arena.
 *  put: a record with version 0 must not exist yet (ERROR_DUPLICATE otherwise); another must still have that version (ERROR_CONFLICT otherwise). After a successful commit the stored version is version + 1.
 *  A unique index violated: ERROR_DUPLICATE, the message names kind, index and value.
 *  delete: the record must still have that version (ERROR_CONFLICT).
 *  A record may be changed once in a batch (ERROR_INTERNAL otherwise). Bodies are at most 1 MiB, ids at most 500 bytes (ERROR_INVALID).
 *  expect: fails the batch (ERROR_CONFLICT) unless the record, unchanged by this batch, still has that version; version 0: that it does not exist.
 */
struct meta_batch *meta_batch_create(struct meta *meta, struct arena *arena);
void meta_batch_put(struct meta_batch *batch, const struct record_kind *kind, const void *record);
void meta_batch_delete(struct meta_batch *batch, const struct record_kind *kind, const void *record);
void meta_batch_expect(struct meta_batch *batch, const struct record_kind *kind, const void *record);
/*
 * Waits until the batch is durable. An empty batch is a success. The batch must not be used again. ERROR_NO_SPACE: nothing was committed, a later commit may succeed.
 * After an I/O error every commit fails with ERROR_UNAVAILABLE until the store is opened again; whether the one that met it is on the disk is not known before that.
 */
int meta_commit(struct meta *meta, struct meta_batch *batch, struct error *err);

/*
 * The change log: one entry per record changed, numbered without gaps in commit order, appended in the transaction of the change. Kept are at least the newest META_CHANGES_KEPT entries that are not older than META_CHANGES_KEPT_MS,
 * and at least one; the numbers go on.
 */
enum { META_CHANGES_KEPT = 65536, META_CHANGES_KEPT_MS = 7 * 86400 * 1000 };
struct meta_index_value {
	const char *index, *value;
};
struct meta_change {
	int64_t sequence;
	int64_t time_ms;
	const char *kind, *account, *region, *id;
	bool deleted;
	/* What the record's declared indexes had before this change and have no more. Told to the listener only: the log on disk does not keep it. */
	struct meta_index_value *lost;
	size_t lost_count;
};
/*
 * The entries behind `sequence`, oldest first; limit 0: all. ERROR_NOT_FOUND if some of them are not kept any more: then whoever follows the log has fallen behind, takes meta_last_change, looks at the records themselves, and goes
 * on behind that number.
 */
int meta_changes_after(struct meta *meta, int64_t sequence, size_t limit, struct arena *arena,
	struct meta_change **changes, size_t *count, struct error *err);
/* The newest sequence number that is durable. */
int64_t meta_last_change(struct meta *meta);
/* Called on the writer thread after each group commit, once a changed record and before the commits return; must be quick and must not call meta. One listener. */
typedef void meta_listener(void *context, const struct meta_change *change);
void meta_set_listener(struct meta *meta, meta_listener *listener, void *context);
/* Forgets every record of an account (POST /_amid/reset), logging each as deleted; kinds named in `keep` (NULL-terminated) stay. */
int meta_forget_account(struct meta *meta, const char *account, const char *const *keep, struct error *err);
/* sqlite's own integrity check plus: every index row matches its record. Lines as in store.h. */
int meta_check(struct meta *meta, void (*report)(void *context, const char *line), void *context,
	uint64_t *faults, struct error *err);
