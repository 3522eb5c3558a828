/*
 * What this amid asks its peers, one signed request each: to describe a snapshot or an image that an account may copy, to keep its tree, to give pages and blocks of it. What they answer is checked for form here; pages and blocks are
 * not: whoever asked for them knows their digests.
 *
 * Errors are the peer's own (ERROR_SNAPSHOT_NOT_FOUND and the like), ERROR_ACCESS_DENIED if it does not take our key, ERROR_UNAVAILABLE if trying again may help: it cannot be reached, or its answer is not signed by it. Safe from every
 * thread.
 */
#pragma once

#include "api/records.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "store/page.h"
#include "svc/control/copy_blocks.h"
#include "svc/peer_answer.h"
#include "svc/peers.h"

struct peer_snapshot {
	struct snapshot_record snapshot; /* what a copy takes of it; its head has the peer's region */
	const char *lease;               /* keeps its tree there for a while */
};

struct peer_image {
	struct image_record image;       /* the same */
	struct peer_snapshot *snapshots; /* of its devices, each once */
	size_t snapshot_count;
};

/* On behalf of `account`, which must be able to see it there. */
int peer_ask_snapshot(struct amid *amid, const struct peer *peer, const char *account, const char *id,
	struct arena *arena, struct peer_snapshot *found, struct error *err);
int peer_ask_image(struct amid *amid, const struct peer *peer, const char *account, const char *id,
	struct arena *arena, struct peer_image *found, struct error *err);
/* The lease goes on; one that has expired is made again if the account may still copy that tree of that snapshot. */
int peer_ask_lease(
	struct amid *amid, const struct peer *peer, const struct snapshot_record *copy, struct error *err);
/* The tree is not needed any more. If that does not arrive, the lease expires. */
void peer_ask_release(struct amid *amid, const struct peer *peer, const char *lease);

/* A tree that is leased: the context of a copy_source. */
struct peer_tree {
	struct amid *amid;
	const struct peer *peer;
	const char *lease;
	struct store *here;   /* what pages are looked for in, first */
	uint64_t page_bytes;  /* that have come */
	struct buffer answer; /* the last */
	/* Pages that have come together and were not all asked for yet. */
	struct buffer pages;
	struct peer_page {
		struct digest digest;
		size_t offset, size; /* in `pages` */
	} waiting[PEER_PAGES_MAX];
	size_t waiting_count;
	/* The last page of level 2 that was read: which leaves lie beside one. NULL: none was. */
	struct page *above;
	uint64_t above_index;
};
void peer_tree_free(struct peer_tree *tree); /* what is in it */
struct copy_source peer_tree_source(struct peer_tree *tree);
