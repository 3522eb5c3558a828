/* Shared by upload.c, upload_tree.c and upload_watch.c; nobody else includes this. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "svc/ebs/journal.h"
#include "svc/ebs/upload.h"

enum { UPLOAD_MAGIC = 0x75706c64, UPLOAD_ID_SIZE = 32, UPLOAD_ACCOUNT_SIZE = 16 };

struct upload {
	unsigned magic;
	char id[UPLOAD_ID_SIZE];
	char account[UPLOAD_ACCOUNT_SIZE];
	struct amid_region *region;
	int64_t timeout_ms;
	_Atomic int64_t used_ms; /* when last something was put; wall clock, which the operator may move */
	/* of the table's lock */
	struct upload *next;
	unsigned users; /* one of them is the table, until the upload has ended */
	/*
	 * Held for reading while a block is put, for writing while the journal is opened, the tree made, or the upload ended: so no block is acknowledged that the tree will not have. Writers go
	 * first. `journal` and `session` are NULL until the first block; `ended` is final.
	 */
	pthread_rwlock_t lock;
	bool ended;
	struct journal *journal;
	struct store_session *session;
};

struct uploads {
	struct amid *amid;
	struct digest zero_block; /* the digest of a block of zeros */
	pthread_mutex_t lock;     /* of what follows */
	struct upload *first;
	bool closing;
	pthread_cond_t changed; /* something to watch, or closing */
	pthread_t watcher;
	bool watcher_runs;
};

/* upload.c. The upload of a pending snapshot, a user more; the caller releases it. */
struct upload *upload_take(struct uploads *uploads, const struct snapshot_record *snapshot);
enum { UPLOAD_PUTS_MAX = 128 }; /* under way at once, to one snapshot */
void upload_release(struct uploads *uploads, struct upload *upload);
/* These are called with upload->lock held for writing: */
/* Opens journal and session unless they are open. ERROR_CONFLICT if the upload has ended. */
int upload_prepare(struct uploads *uploads, struct upload *upload, struct error *err);
/* Closes and removes the journal; the upload is over. Its record must not be pending any more. */
void upload_end(struct uploads *uploads, struct upload *upload);
/* Makes the record `error` and ends the upload. */
int upload_fail(struct uploads *uploads, struct upload *upload, struct snapshot_record *snapshot,
	const char *message, struct arena *arena, struct error *err);
char *upload_journal_path(const struct amid_region *region, const char *id, struct arena *arena);

/* upload_tree.c */
struct upload_tree {
	struct digest root;
	uint64_t added_bytes; /* by the blocks put and the pages made */
	uint64_t full_bytes;  /* of all blocks that are not zeros */
};
/* Makes the tree of the snapshot's root and what the journal says; the claim may be NULL. Called with upload->lock held for writing. */
int upload_make_tree(struct upload *upload, const struct snapshot_record *snapshot,
	const struct upload_claim *claim, struct upload_tree *tree, struct error *err);

/* upload_watch.c */
int upload_watcher_start(struct uploads *uploads, struct error *err);
void upload_watcher_stop(struct uploads *uploads);
