/*
 * Copying a snapshot's blocks from another region's store, of this amid or of a peer.
 *
 * What there is already of the tree that is to come is the snapshot's root until then. A step brings the next STEP_BLOCKS blocks (copy_blocks.c) and publishes the tree with them. A crash costs one step, and a snapshot that is
 * deleted meanwhile gives back what has come.
 *
 * The source's tree is kept by the collection in its region as long as a copy names it (collect.c); by a peer, as long as its lease is renewed, which each step does. From a peer comes what is not encrypted; if the copy is to be, what has
 * come is then the source of a copy within this region. A peer that does not answer is asked again after pauses that grow, until a day has gone by without anything new; then the copy fails.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/copy_blocks.h"
#include "svc/control/internal.h"
#include "svc/control/snapshot.h"
#include "svc/key_ring.h"
#include "svc/peer_ask.h"
#include "base/banned.h"

enum {
	STEP_BLOCKS = 256,
	PEER_STEP_BLOCKS = 64,
	GIB_SHIFT = 30,
	BUSY_MS = 250,
	/* A peer that is mended within a day, as operators do it, is waited for; whoever waits for the copy should not have to watch it any longer. */
	PATIENCE_HOURS = 24,
	PATIENCE_MS = PATIENCE_HOURS * 3600 * 1000,
	/* Pauses are an eighth of the time since something came, within these. */
	PAUSE_PART = 8,
	PAUSE_MIN_MS = 250,
	PAUSE_MAX_MS = 5 * 60 * 1000,
};

static int parse_root(const char *hex, const char *id, struct digest *root, struct error *err)
{
	if (hex && text_unhex(hex, root->bytes, DIGEST_SIZE) == 0)
		return 0;
	return error_set(
		err, ERROR_CORRUPT, "the root digest that snapshot %s is copied from is unreadable", id);
}

/* NULL: the source is in this amid. */
static const struct peer *peer_of(const struct snapshot_view *view)
{
	const char *region = view->snapshot->copy->region;
	return amid_find_region(view->amid, region) ? NULL : peers_find(view->amid->peers, region);
}

static int find_source(const struct snapshot_view *view, struct peer_tree *remote, struct copy_source *source,
	struct error *err)
{
	const struct snapshot_record *snapshot = view->snapshot;
	struct amid_region *from = amid_find_region(view->amid, snapshot->copy->region);
	*remote = (struct peer_tree){ .amid = view->amid,
		.peer = peer_of(view),
		.lease = snapshot->copy->lease,
		.here = view->region->store };
	if (from) {
		*source = (struct copy_source){ .store = from->store };
		return 0;
	}
	if (!remote->peer || !remote->lease)
		return error_set(err, ERROR_NOT_FOUND,
			"the region %s, from which snapshot %s is copied, is not served any more",
			snapshot->copy->region, snapshot->record.id);
	*source = peer_tree_source(remote);
	return peer_ask_lease(view->amid, remote->peer, snapshot, err);
}

static int copy_open(struct copy_blocks **copy, const struct snapshot_view *view, struct peer_tree *remote,
	struct error *err)
{
	const struct snapshot_record *snapshot = view->snapshot;
	struct copy_source from;
	struct digest wanted, present;
	if (find_source(view, remote, &from, err) ||
		parse_root(snapshot->copy->root, snapshot->record.id, &wanted, err) ||
		(snapshot->root && parse_root(snapshot->root, snapshot->record.id, &present, err)) ||
		copy_blocks_open(
			&from, view->region->store, &wanted, snapshot->root ? &present : NULL, copy, err))
		return -1;
	/* a peer has told both */
	if (!remote->peer ||
		copy_blocks_size(*copy) <= (uint64_t)snapshot->volume_size_gib.value << GIB_SHIFT)
		return 0;
	copy_blocks_close(*copy);
	return error_set(err, ERROR_CORRUPT, "the tree of snapshot %s in region %s is larger than its volume",
		snapshot->source_snapshot, snapshot->copy->region);
}

void snapshot_copy_end(struct snapshot_view *view)
{
	struct snapshot_record *snapshot = view->snapshot;
	view->retired[0] = data_key_take_grant(snapshot->copy->source_key);
	view->retired[1] = data_key_take_grant(snapshot->data_key);
	snapshot->copy = NULL;
}

/* The source's blocks are kept for this copy no more: that may have been all that kept them. */
static void let_go_of_source(const struct snapshot_view *view)
{
	work_enqueue(view->amid->work, "collect", view->snapshot->source_region);
}

/* What came from a peer is to be encrypted: from here on that is a copy within the region. */
static int encrypt_now(struct snapshot_view *view, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	snapshot->copy->region = snapshot->record.region;
	snapshot->copy->lease = NULL;
	snapshot->copy->blocks = snapshot->copy->copied = (struct shape_integer){ 0 };
	snapshot->root = NULL;
	return snapshot_view_commit(view, err);
}

static int complete(struct snapshot_view *view, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	const struct peer *peer = peer_of(view);
	const char *lease = snapshot->copy->lease;
	bool sealed = boolean_or(snapshot->copy->reencrypt, false);
	if (strcmp(snapshot->root, snapshot->copy->root) != 0)
		return error_set(err, ERROR_CORRUPT, "snapshot %s was copied as %s, which is not %s",
			snapshot->record.id, snapshot->root, snapshot->copy->root);
	if (!sealed) {
		snapshot_copy_end(view);
		snapshot->state = "completed";
		snapshot->completed = some_timestamp(clock_now_ms());
	}
	if (sealed ? encrypt_now(view, err) : snapshot_view_commit(view, err))
		return -1;
	log_info("snapshot-copied",
		"snapshot=%s source=%s region=%s added_bytes=%lld travelled_blocks=%lld travelled_bytes=%lld",
		snapshot->record.id, snapshot->source_snapshot, snapshot->source_region,
		(long long)snapshot->added_bytes.value, (long long)snapshot->travelled_blocks.value,
		(long long)snapshot->travelled_bytes.value);
	if (peer)
		peer_ask_release(view->amid, peer, lease);
	else if (strcmp(snapshot->source_region, snapshot->record.region) != 0)
		let_go_of_source(view);
	return 0;
}

static void add_to(struct shape_integer *sum, uint64_t more)
{
	*sum = some_integer(integer_or(*sum, 0) + (int64_t)more);
}

static int publish(struct snapshot_view *view, struct copy_blocks *copy, const struct copy_blocks_step *step,
	const struct peer_tree *remote, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	char hex[2 * DIGEST_SIZE + 1];
	snapshot->root = arena_strdup(view->arena, text_hex(step->root.bytes, DIGEST_SIZE, hex));
	snapshot->copy->blocks = some_integer((int64_t)copy_blocks_count(copy));
	if (remote->peer)
		snapshot->copy->progressed = some_timestamp(clock_now_ms());
	add_to(&snapshot->added_bytes, step->added);
	add_to(&snapshot->copy->copied, step->blocks);
	if (strcmp(snapshot->copy->region, snapshot->record.region) != 0) {
		add_to(&snapshot->travelled_blocks, step->travelled_blocks);
		add_to(&snapshot->travelled_bytes, step->travelled_bytes + remote->page_bytes);
	}
	return step->more ? snapshot_view_commit(view, err) : complete(view, err);
}

/* Published before the session ends with the copy. */
static int copy_more(struct snapshot_view *view, struct error *err)
{
	struct copy_blocks *copy;
	struct copy_blocks_step step;
	struct peer_tree remote = { 0 };
	int failed = -1;
	if (copy_open(&copy, view, &remote, err) == 0) {
		failed = copy_blocks_step(copy, remote.peer ? PEER_STEP_BLOCKS : STEP_BLOCKS, &step, err) ||
				publish(view, copy, &step, &remote, err)
			? -1
			: 0;
		copy_blocks_close(copy);
	}
	peer_tree_free(&remote);
	return failed;
}

/* Whether it cannot go better another time. A peer says for itself what is wrong with a request. */
static bool is_final(const struct error *err, bool of_peer)
{
	if (of_peer)
		return err->code != ERROR_UNAVAILABLE && err->code != ERROR_CONFLICT &&
			err->code != ERROR_INTERNAL && err->code != ERROR_TIMEOUT;
	return err->code == ERROR_CORRUPT || err->code == ERROR_NOT_FOUND || err->code == ERROR_NO_SPACE;
}

/* Of what cannot go better another time, the snapshot's owner is told. */
static int give_up(struct snapshot_view *view, const struct peer *peer, bool refused, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	const char *lease = peer && snapshot->copy ? snapshot->copy->lease : NULL;
	log_error("snapshot-copy-failed", "snapshot=%s error=\"%s\"", snapshot->record.id, err->message);
	snapshot->state = "error";
	snapshot->state_message = arena_printf(
		view->arena, "%s%s", refused ? "Given key ID is not accessible. " : "", err->message);
	snapshot->root = NULL; /* what has come may be collected */
	if (snapshot->copy)    /* the encrypted step may have got as far as its end */
		snapshot_copy_end(view);
	if (snapshot_view_commit(view, err))
		return -1;
	work_enqueue(view->amid->work, "collect", snapshot->record.region);
	let_go_of_source(view);
	if (lease)
		peer_ask_release(view->amid, peer, lease);
	return 0;
}

/* How long a peer has given nothing, as far as this process can tell: while amid was off, nobody asked it. */
static int64_t waited_ms(const struct snapshot_view *view)
{
	const struct snapshot_record *snapshot = view->snapshot;
	int64_t since = snapshot->copy->progressed.set ? snapshot->copy->progressed.ms : snapshot->started.ms;
	int64_t opened = peers_opened_ms(view->amid->peers);
	return clock_now_ms() - (since > opened ? since : opened);
}

/* Something that may go better another time. */
static int wait_for_peer(
	struct snapshot_view *view, const struct peer *peer, int64_t *again_ms, struct error *err)
{
	if (err->code == ERROR_CONFLICT || !view->snapshot->copy)
		return -1;
	int64_t waited = waited_ms(view);
	if (waited >= PATIENCE_MS) {
		error_prefix(err, "Nothing has come from region %s for %d hours; the last error was",
			peer->region, PATIENCE_HOURS);
		return give_up(view, peer, false, err);
	}
	int64_t pause = waited / PAUSE_PART;
	*again_ms = pause < PAUSE_MIN_MS ? PAUSE_MIN_MS : pause > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause;
	log_warning("snapshot-copy-waits", "snapshot=%s region=%s waited_ms=%lld again_ms=%lld error=\"%s\"",
		view->snapshot->record.id, peer->region, (long long)waited, (long long)*again_ms,
		err->message);
	return 0;
}

static int do_step(struct snapshot_view *view, const struct peer *peer, int64_t *again_ms, struct error *err)
{
	struct snapshot_record *snapshot = view->snapshot;
	bool reencrypt = !peer && boolean_or(snapshot->copy->reencrypt, false);
	if ((reencrypt ? snapshot_copy_encrypted_step(view, err) : copy_more(view, err)) == 0)
		return 0;
	/* if the snapshot was deleted meanwhile, what this step brought was not collected with the rest */
	if (err->code == ERROR_CONFLICT)
		work_enqueue(view->amid->work, "collect", snapshot->record.region);
	bool refused = data_key_is_refused(err);
	if (refused || is_final(err, peer))
		return give_up(view, peer, refused, err);
	return peer ? wait_for_peer(view, peer, again_ms, err) : -1;
}

int snapshot_copy_step(struct snapshot_view *view, int64_t *again_ms, struct error *err)
{
	const struct peer *peer = peer_of(view);
	if (!peer)
		return do_step(view, NULL, again_ms, err);
	if (!peers_begin_step(view->amid->peers)) {
		*again_ms = BUSY_MS;
		return 0;
	}
	int result = do_step(view, peer, again_ms, err);
	peers_end_step(view->amid->peers);
	return result;
}
