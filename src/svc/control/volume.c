/*
 * The volume controller: makes a volume's folder, seals frozen layers into snapshots, removes the volume.
 *
 * Snapshots of one volume are sealed in the order of their layers, since a rebase drops all layers up to its own. For each: seal (blocks and tree into the store, within a session) -> publish (the snapshot's record gets the
 * root and is completed) -> rebase the volume onto the root -> forget the layer's number. A crash between two of these steps repeats the next one at the next look.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "svc/key_ring.h"
#include "base/banned.h"

struct volume_view {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct volume_record *volume;
	struct volume_server_paths paths;
};

static int compare_layers(const void *a, const void *b)
{
	const struct snapshot_record *const *left = a, *const *right = b;
	int64_t difference = (*left)->layer.value - (*right)->layer.value;
	return difference < 0 ? -1 : difference > 0;
}

/* Snapshots of the volume whose layer is known, not failed: those to be sealed, and those whose rebase is due. */
static int list_layered(
	struct volume_view *view, struct snapshot_record ***snapshots, size_t *count, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "volume", .value = view->volume->record.id };
	if (meta_list(view->amid->meta, &record_snapshot, &query, view->arena, &rows, err))
		return -1;
	*snapshots = NULL;
	*count = 0;
	for (size_t i = 0; i < rows.count; i++) {
		struct snapshot_record *snapshot = rows.items[i];
		if (snapshot->layer.set && strcmp(snapshot->state, "error") != 0)
			*ARENA_APPEND(view->arena, *snapshots, *count) = snapshot;
	}
	if (*count)
		qsort(*snapshots, *count, sizeof **snapshots, compare_layers);
	return 0;
}

static int rebase(struct volume_view *view, uint64_t layer, const struct digest *root, struct error *err)
{
	struct process server;
	struct error ignored;
	if (volume_server_find(&view->paths, &server, &ignored) == 0)
		return volume_server_rebase(&view->paths, layer, root, err);
	struct volume *volume;
	if (amid_open_volume(view->amid, view->region, &view->paths, &volume, err))
		return -1;
	int result = volume_rebase(volume, layer, root, err);
	amid_close_volume(view->amid, &view->paths, volume);
	return result;
}

static int commit_snapshot(struct volume_view *view, struct snapshot_record *snapshot, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_put(batch, &record_snapshot, snapshot);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	snapshot->record.version++;
	return 0;
}

/* A seal that can never succeed is told to the snapshot's owner. */
static int fail_snapshot(struct volume_view *view, struct snapshot_record *snapshot, const struct error *why,
	struct error *err)
{
	log_error("snapshot-failed", "snapshot=%s volume=%s error=\"%s\"", snapshot->record.id,
		view->volume->record.id, why->message);
	snapshot->state = "error";
	snapshot->state_message = arena_strdup(view->arena, why->message);
	snapshot->layer.set = false;
	return commit_snapshot(view, snapshot, err);
}

/* What the volume's manifest has as its base now; the zero digest if there is none, or no manifest. */
static struct digest find_base(const struct volume_view *view)
{
	struct volume_info info = { 0 };
	struct error ignored;
	if (volume_inspect(view->paths.volume_folder, &info, &ignored))
		return (struct digest){ 0 };
	return info.base;
}

/* Under the roots lock: the root goes into the record first and then into the manifest. */
static int publish_and_rebase(struct volume_view *view, struct snapshot_record *snapshot,
	const struct digest *root, struct error *err)
{
	uint64_t layer = (uint64_t)snapshot->layer.value;
	struct digest old = find_base(view);
	if (commit_snapshot(view, snapshot, err) || rebase(view, layer, root, err))
		return -1;
	store_retire(view->region->store, &old);
	snapshot->layer.set = false;
	return commit_snapshot(view, snapshot, err);
}

static int finish_snapshot(struct volume_view *view, struct snapshot_record *snapshot,
	const struct digest *root, struct error *err)
{
	pthread_rwlock_rdlock(&view->region->roots_lock);
	int result = publish_and_rebase(view, snapshot, root, err);
	pthread_rwlock_unlock(&view->region->roots_lock);
	return result;
}

static int seal_snapshot(struct volume_view *view, struct snapshot_record *snapshot, struct error *err)
{
	struct store_session *session;
	struct volume_seal_result sealed;
	struct digest root;
	int64_t begun_ms = clock_monotonic_ms();
	if (store_session_open(view->region->store, &session, err))
		return -1;
	if (volume_seal(view->paths.volume_folder, view->paths.runtime_folder,
		    (uint64_t)snapshot->layer.value, view->region->store, session, &root, &sealed, err)) {
		store_session_close(session);
		struct error why = *err;
		volume_note_fault(view->paths.volume_folder, &why);
		bool hopeless = why.code == ERROR_CORRUPT || why.code == ERROR_NO_SPACE;
		return hopeless ? fail_snapshot(view, snapshot, &why, err) : -1;
	}
	char hex[2 * DIGEST_SIZE + 1];
	snapshot->root = arena_strdup(view->arena, text_hex(root.bytes, DIGEST_SIZE, hex));
	snapshot->state = "completed";
	snapshot->completed = some_timestamp(clock_now_ms());
	snapshot->full_bytes = some_integer((int64_t)sealed.blocks * STORE_BLOCK_SIZE);
	snapshot->added_bytes = some_integer((int64_t)sealed.bytes_added);
	int result = finish_snapshot(view, snapshot, &root, err);
	store_session_close(session);
	if (result == 0)
		log_info("snapshot-completed", "snapshot=%s changed_blocks=%llu added_bytes=%llu ms=%lld",
			snapshot->record.id, (unsigned long long)sealed.changed_blocks,
			(unsigned long long)sealed.bytes_added, (long long)(clock_monotonic_ms() - begun_ms));
	return result;
}

/* A crash came between publishing and rebasing. */
static int repeat_rebase(struct volume_view *view, struct snapshot_record *snapshot, struct error *err)
{
	struct digest root;
	if (!snapshot->root || text_unhex(snapshot->root, root.bytes, DIGEST_SIZE))
		return error_set(
			err, ERROR_CORRUPT, "snapshot %s has no readable root digest", snapshot->record.id);
	return finish_snapshot(view, snapshot, &root, err);
}

static int seal_all(struct volume_view *view, struct error *err)
{
	struct snapshot_record **snapshots;
	size_t count;
	if (list_layered(view, &snapshots, &count, err))
		return -1;
	for (size_t i = 0; i < count; i++) {
		bool completed = strcmp(snapshots[i]->state, "completed") == 0;
		if (completed ? repeat_rebase(view, snapshots[i], err)
			      : seal_snapshot(view, snapshots[i], err))
			return -1;
	}
	return 0;
}

/* A captured image's snapshots wait for their layers' numbers: the volume must not go before that. */
static int is_awaited(struct volume_view *view, bool *awaited, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .index = "volume", .value = view->volume->record.id };
	if (meta_list(view->amid->meta, &record_snapshot, &query, view->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		*awaited |= strcmp(((struct snapshot_record *)rows.items[i])->state, "pending") == 0;
	return 0;
}

static int remove_folder(struct volume_view *view, struct amid_region *region, struct error *err)
{
	struct digest base = find_base(view);
	int result = volume_server_stop(&view->paths, 5000, err) ||
			volume_remove(view->paths.volume_folder, view->paths.runtime_folder, err)
		? -1
		: 0;
	/* even if something is left: the manifest may be gone, and if not, it is found to be there */
	store_retire(region->store, &base);
	return result;
}

static int remove_volume(struct volume_view *view, struct error *err)
{
	bool awaited = false;
	if (is_awaited(view, &awaited, err))
		return -1;
	if (awaited)
		return 0;
	if (remove_folder(view, view->region, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_delete(batch, &record_volume, view->volume);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	data_key_retire(view->amid, data_key_take_grant(view->volume->data_key));
	return 0;
}

/* Its key, or the tree encrypted under that, cannot be had. */
static bool is_refused(const struct volume_view *view, enum twin_state state)
{
	if (state != TWIN_FAILED)
		return false;
	log_error("volume-failed", "error=\"%s\"", view->volume->key_error);
	view->volume->state = "error";
	return true;
}

static int create_volume(struct volume_view *view, struct error *err)
{
	enum twin_state twin;
	if (twin_adopt(view->amid, view->volume, view->arena, &twin, err))
		return -1;
	if (twin == TWIN_PENDING)
		return 0; /* its completion wakes us */
	if (is_refused(view, twin)) {
		struct meta_batch *refusal = meta_batch_create(view->amid->meta, view->arena);
		meta_batch_put(refusal, &record_volume, view->volume);
		return meta_commit(view->amid->meta, refusal, err);
	}
	if (machine_prepare_volume(view->amid, view->region, view->volume, view->arena, err)) {
		if (err->code != ERROR_NO_SPACE)
			return -1;
		log_error("volume-failed", "error=\"%s\"", err->message);
		view->volume->state = "error";
	} else {
		view->volume->state = "available";
	}
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_put(batch, &record_volume, view->volume);
	return meta_commit(view->amid->meta, batch, err);
}

/* No record, but perhaps a folder and a server: see remove_leftovers in instance.c. */
static int remove_leftovers(struct volume_view *view, const char *id, struct error *err)
{
	for (unsigned i = 0; i < view->amid->region_count; i++) {
		struct amid_region *region = &view->amid->regions[i];
		view->paths = amid_volume_paths(view->amid, region, id, view->arena);
		if (access(view->paths.volume_folder, F_OK))
			continue;
		if (remove_folder(view, region, err))
			return -1;
		log_info("volume-removed", "id=%s", id);
	}
	return 0;
}

int control_volume(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct volume_view view = { .amid = context, .arena = arena };
	if (meta_get_any(view.amid->meta, &record_volume, NULL, id, arena, &view.volume, err))
		return -1;
	if (!view.volume)
		return remove_leftovers(&view, id, err);
	if (!(view.region = amid_find_region(view.amid, view.volume->record.region)))
		return 0;
	view.paths = amid_volume_paths(view.amid, view.region, id, arena);
	if (seal_all(&view, err))
		return -1;
	if (strcmp(view.volume->state, "creating") == 0)
		return create_volume(&view, err);
	if (strcmp(view.volume->state, "deleting") == 0)
		return remove_volume(&view, err);
	/* an attachment that changes is the instance's business */
	if (view.volume->attachment && strcmp(view.volume->attachment->state, "attached") != 0)
		work_enqueue(view.amid->work, "instance", view.volume->attachment->instance);
	return 0;
}
