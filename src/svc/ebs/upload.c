/*
 * Uploads: the table of those that this process knows, putting blocks, completing. An upload enters the table at StartSnapshot, at its first block, or at the start of the server; its journal and store session are opened with its
 * first block. It leaves the table when it ends.
 *
 * Blocks are put in the order: store, sync of the store, journal, sync of the journal. So whatever the journal has is in the store. Both syncs are shared with whoever puts at the same time.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/ebs/upload_internal.h"
#include "svc/key_ring.h"
#include "base/banned.h"

enum { MINUTE_MS = 60 * 1000, TIMEOUT_FALLBACK_MINUTES = 60 };

#define JOURNAL_SUFFIX ".journal"

char *upload_journal_path(const struct amid_region *region, const char *id, struct arena *arena)
{
	return arena_printf(arena, "%s/%s" JOURNAL_SUFFIX, region->uploads_folder, id);
}

static struct upload *make_upload(struct uploads *uploads, const struct snapshot_record *snapshot)
{
	struct upload *upload = memory_alloc(sizeof *upload);
	*upload = (struct upload){
		.magic = UPLOAD_MAGIC,
		.region = amid_find_region(uploads->amid, snapshot->record.region),
		.timeout_ms =
			integer_or(snapshot->upload_timeout_minutes, TIMEOUT_FALLBACK_MINUTES) * MINUTE_MS,
		.used_ms = clock_now_ms(),
		.users = 1,
	};
	snprintf(upload->id, sizeof upload->id, "%s", snapshot->record.id);
	snprintf(upload->account, sizeof upload->account, "%s", snapshot->record.account);
	/* CompleteSnapshot must not starve behind a stream of blocks */
	pthread_rwlockattr_t attributes;
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&upload->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	return upload;
}

static void free_upload(struct upload *upload)
{
	store_session_close(upload->session);
	journal_close(upload->journal);
	pthread_rwlock_destroy(&upload->lock);
	upload->magic = 0;
	free(upload);
}

struct upload *upload_take(struct uploads *uploads, const struct snapshot_record *snapshot)
{
	pthread_mutex_lock(&uploads->lock);
	struct upload *upload = uploads->first;
	while (upload && strcmp(upload->id, snapshot->record.id) != 0)
		upload = upload->next;
	if (!upload) {
		upload = make_upload(uploads, snapshot);
		upload->next = uploads->first;
		uploads->first = upload;
		pthread_cond_broadcast(&uploads->changed);
	}
	upload->users++;
	pthread_mutex_unlock(&uploads->lock);
	return upload;
}

void upload_release(struct uploads *uploads, struct upload *upload)
{
	pthread_mutex_lock(&uploads->lock);
	bool last = --upload->users == 0;
	pthread_mutex_unlock(&uploads->lock);
	if (last)
		free_upload(upload);
}

void upload_watch(struct uploads *uploads, const struct snapshot_record *snapshot)
{
	upload_release(uploads, upload_take(uploads, snapshot));
}

static void leave_table(struct uploads *uploads, struct upload *upload)
{
	pthread_mutex_lock(&uploads->lock);
	for (struct upload **at = &uploads->first; *at; at = &(*at)->next) {
		if (*at == upload) {
			*at = upload->next;
			upload->users--; /* never the last: whoever ends it is a user */
			break;
		}
	}
	pthread_mutex_unlock(&uploads->lock);
}

void upload_end(struct uploads *uploads, struct upload *upload)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *path = upload_journal_path(upload->region, upload->id, arena);
	upload->ended = true;
	if (uploads->amid->key_ring) /* tests have none */
		key_ring_drop(uploads->amid, upload->id);
	journal_close(upload->journal);
	upload->journal = NULL;
	/* a journal that stays is removed at the next start: its snapshot is not pending */
	if (unlink(path) && errno != ENOENT)
		log_warning("journal-not-removed", "path=%s error=\"%s\"", path, strerror(errno));
	store_session_close(upload->session);
	upload->session = NULL;
	leave_table(uploads, upload);
}

/*
 * Whether the record still waits for blocks. It is asked when an upload is opened: the caller's look at the record may be older than the end of an upload that has left the table since.
 */
static int check_pending(struct uploads *uploads, const struct upload *upload, struct arena *arena,
	bool *pending, struct error *err)
{
	struct snapshot_record *snapshot;
	if (meta_get(uploads->amid->meta, &record_snapshot, upload->account, upload->region->name, upload->id,
		    arena, &snapshot, err))
		return -1;
	*pending = snapshot && strcmp(snapshot->state, "pending") == 0;
	return 0;
}

int upload_prepare(struct uploads *uploads, struct upload *upload, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	bool pending = true;
	if (upload->journal)
		return 0;
	if (!upload->ended && check_pending(uploads, upload, arena, &pending, err))
		return -1;
	if (!pending)
		upload_end(uploads, upload);
	if (upload->ended)
		return error_set(err, ERROR_CONFLICT, "%s is no longer being written", upload->id);
	if (!upload->session) {
		if (store_session_open(upload->region->store, &upload->session, err))
			return -1;
		store_session_stream(upload->session);
	}
	return journal_open(
		upload_journal_path(upload->region, upload->id, arena), upload->id, &upload->journal, err);
}

static int commit(struct uploads *uploads, const struct snapshot_record *snapshot, struct arena *arena,
	struct error *err)
{
	struct meta_batch *batch = meta_batch_create(uploads->amid->meta, arena);
	meta_batch_put(batch, &record_snapshot, snapshot);
	return meta_commit(uploads->amid->meta, batch, err);
}

int upload_fail(struct uploads *uploads, struct upload *upload, struct snapshot_record *snapshot,
	const char *message, struct arena *arena, struct error *err)
{
	snapshot->state = "error";
	snapshot->state_message = message;
	snapshot->root = NULL; /* what it held may be collected */
	const char *grant = data_key_take_grant(snapshot->data_key);
	if (commit(uploads, snapshot, arena, err))
		return -1;
	data_key_retire(uploads->amid, grant);
	log_warning("upload-failed", "snapshot=%s reason=\"%s\"", upload->id, message);
	upload_end(uploads, upload);
	return 0;
}

/* Takes the lock for reading, of an upload that is prepared. */
static int lock_prepared(struct uploads *uploads, struct upload *upload, struct error *err)
{
	for (;;) {
		pthread_rwlock_rdlock(&upload->lock);
		if (upload->journal)
			return 0;
		pthread_rwlock_unlock(&upload->lock);
		pthread_rwlock_wrlock(&upload->lock);
		int result = upload_prepare(uploads, upload, err);
		pthread_rwlock_unlock(&upload->lock);
		if (result)
			return -1;
	}
}

static int put_block(struct uploads *uploads, struct upload *upload, const struct upload_block *block,
	struct journal_entry *entry, struct error *err)
{
	uint64_t added = 0;
	*entry = (struct journal_entry){ .index = block->index,
		.digest = block->digest,
		.zero = digest_equal(&block->digest, &uploads->zero_block) };
	if (!entry->zero &&
		store_put(upload->session, STORE_BLOCK, &block->digest, block->data, STORE_BLOCK_SIZE, &added,
			err))
		return -1;
	entry->added = (uint32_t)added;
	return 0;
}

static int put_locked(struct uploads *uploads, struct upload *upload, upload_next_block *next, void *context,
	struct error *err)
{
	struct journal_entry entries[UPLOAD_BLOCKS_MAX];
	struct upload_block block;
	size_t count = 0;
	bool stored = false;
	int given;
	while ((given = next(context, &block, err)) > 0) {
		assert(count < UPLOAD_BLOCKS_MAX);
		if (put_block(uploads, upload, &block, &entries[count], err))
			return -1;
		stored |= !entries[count++].zero;
	}
	if (given < 0 || (stored && store_sync(upload->region->store, err)) ||
		(count && journal_append(upload->journal, entries, count, err)))
		return -1;
	atomic_store(&upload->used_ms, clock_now_ms());
	return 0;
}

/* Each keeps a connection's thread and a block in memory: one client must not have them all. */
static int check_users(struct uploads *uploads, struct upload *upload, struct error *err)
{
	pthread_mutex_lock(&uploads->lock);
	unsigned users = upload->users - 1; /* without the table */
	pthread_mutex_unlock(&uploads->lock);
	return users <= UPLOAD_PUTS_MAX
		? 0
		: error_set(err, ERROR_REQUEST_THROTTLED, "%d blocks of %s are being written already.",
			  UPLOAD_PUTS_MAX, upload->id);
}

int upload_put(struct uploads *uploads, const struct snapshot_record *snapshot, upload_next_block *next,
	void *context, struct error *err)
{
	struct upload *upload = upload_take(uploads, snapshot);
	int result = check_users(uploads, upload, err) || lock_prepared(uploads, upload, err) ? -1 : 0;
	if (result == 0) {
		result = put_locked(uploads, upload, next, context, err);
		pthread_rwlock_unlock(&upload->lock);
	}
	upload_release(uploads, upload);
	return result;
}

static int complete_locked(struct uploads *uploads, struct upload *upload, struct snapshot_record *snapshot,
	const struct upload_claim *claim, struct arena *arena, struct error *err)
{
	struct upload_tree tree;
	char hex[2 * DIGEST_SIZE + 1];
	if (upload_prepare(uploads, upload, err) || upload_make_tree(upload, snapshot, claim, &tree, err))
		return -1;
	snapshot->root = arena_strdup(arena, text_hex(tree.root.bytes, DIGEST_SIZE, hex));
	snapshot->state = "completed";
	snapshot->completed = some_timestamp(clock_now_ms());
	snapshot->full_bytes = some_integer((int64_t)tree.full_bytes);
	snapshot->added_bytes = some_integer((int64_t)tree.added_bytes);
	const char *grant = data_key_take_grant(snapshot->data_key);
	if (commit(uploads, snapshot, arena, err))
		return -1;
	data_key_retire(uploads->amid, grant);
	log_info("upload-completed", "snapshot=%s added_bytes=%llu", upload->id,
		(unsigned long long)tree.added_bytes);
	upload_end(uploads, upload);
	return 0;
}

int upload_complete(struct uploads *uploads, struct snapshot_record *snapshot,
	const struct upload_claim *claim, struct arena *arena, struct error *err)
{
	struct upload *upload = upload_take(uploads, snapshot);
	pthread_rwlock_wrlock(&upload->lock);
	int result = complete_locked(uploads, upload, snapshot, claim, arena, err);
	pthread_rwlock_unlock(&upload->lock);
	upload_release(uploads, upload);
	return result;
}

/*
 * An upload of an earlier run: no session protects its blocks any more, so they are put into a tree, and its root into the record, before anything is collected.
 */
static int restore_locked(struct uploads *uploads, struct upload *upload, struct snapshot_record *snapshot,
	struct arena *arena, struct error *err)
{
	struct upload_tree tree;
	char hex[2 * DIGEST_SIZE + 1];
	if (access(upload_journal_path(upload->region, upload->id, arena), F_OK) && errno == ENOENT)
		return 0; /* nothing was put yet */
	if (upload_prepare(uploads, upload, err) || upload_make_tree(upload, snapshot, NULL, &tree, err)) {
		if (err->code != ERROR_CORRUPT && err->code != ERROR_NOT_FOUND)
			return -1;
		return upload_fail(uploads, upload, snapshot, arena_strdup(arena, err->message), arena, err);
	}
	snapshot->root = arena_strdup(arena, text_hex(tree.root.bytes, DIGEST_SIZE, hex));
	return commit(uploads, snapshot, arena, err);
}

static int restore_region(struct uploads *uploads, struct amid_region *region, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_rows rows;
	struct meta_query query = { .region = region->name, .index = "state", .value = "pending" };
	if (meta_list(uploads->amid->meta, &record_snapshot, &query, arena, &rows, err))
		return -1;
	int result = 0;
	for (size_t i = 0; i < rows.count && result == 0; i++) {
		struct snapshot_record *snapshot = rows.items[i];
		if (!boolean_or(snapshot->direct, false))
			continue;
		struct upload *upload = upload_take(uploads, snapshot);
		pthread_rwlock_wrlock(&upload->lock);
		result = restore_locked(uploads, upload, snapshot, arena, err);
		pthread_rwlock_unlock(&upload->lock);
		upload_release(uploads, upload);
		if (result)
			error_prefix(err, "upload %s", snapshot->record.id);
	}
	return result;
}

static bool is_known(struct uploads *uploads, const char *name)
{
	for (const struct upload *upload = uploads->first; upload; upload = upload->next)
		if (text_starts_with(name, upload->id) &&
			strcmp(name + strlen(upload->id), JOURNAL_SUFFIX) == 0)
			return true;
	return false;
}

/* Files that a crash left: journals of uploads that ended, and unfinished replacements. */
static int remove_strays(struct uploads *uploads, struct amid_region *region, struct error *err)
{
	DIR *folder = opendir(region->uploads_folder);
	if (!folder)
		return error_set_errno(err, errno, "cannot list %s", region->uploads_folder);
	for (struct dirent *entry; (entry = readdir(folder));)
		if (text_starts_with(entry->d_name, "snap-") && !is_known(uploads, entry->d_name))
			unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	return 0;
}

static void hash_zero_block(struct digest *digest)
{
	static const uint8_t zeros[STORE_BLOCK_SIZE];
	digest_sha256(zeros, sizeof zeros, digest);
}

int uploads_open(struct amid *amid, struct uploads **result, struct error *err)
{
	struct uploads *uploads = memory_alloc(sizeof *uploads);
	*uploads = (struct uploads){ .amid = amid };
	hash_zero_block(&uploads->zero_block);
	pthread_mutex_init(&uploads->lock, NULL);
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&uploads->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	for (unsigned i = 0; i < amid->region_count; i++) {
		if (restore_region(uploads, &amid->regions[i], err) ||
			remove_strays(uploads, &amid->regions[i], err)) {
			uploads_close(uploads);
			return error_prefix(err, "region %s", amid->regions[i].name);
		}
	}
	if (upload_watcher_start(uploads, err)) {
		uploads_close(uploads);
		return -1;
	}
	*result = uploads;
	return 0;
}

void uploads_close(struct uploads *uploads)
{
	if (!uploads)
		return;
	upload_watcher_stop(uploads);
	while (uploads->first) {
		struct upload *upload = uploads->first;
		uploads->first = upload->next;
		free_upload(upload);
	}
	pthread_cond_destroy(&uploads->changed);
	pthread_mutex_destroy(&uploads->lock);
	free(uploads);
}
