/*
 * See cold.h. The list is sorted by id; each look makes it anew from the records and takes over what it knew. The lock is not held while records are read, so a reader's note may come meanwhile: it
 * counts when the new list takes the old one's place.
 */
#include "svc/cold.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/tree.h"
#include "svc/snapshot_state.h"
#include "volume/trace.h"
#include "base/banned.h"

struct cold_snapshot {
	char id[32];
	int64_t since_ms;
	bool done;
};

struct cold_items {
	struct cold_snapshot *items;
	size_t count;
};

struct cold_list {
	pthread_mutex_t lock;
	struct cold_items known;
};

struct look {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct cold_list *list;
	struct cold_items now;
	int64_t now_ms, after_ms;
	struct cold_roots *roots;
};

struct cold_list *cold_list_create(void)
{
	struct cold_list *list = memory_alloc(sizeof *list);
	*list = (struct cold_list){ 0 };
	pthread_mutex_init(&list->lock, NULL);
	return list;
}

void cold_list_destroy(struct cold_list *list)
{
	if (!list)
		return;
	pthread_mutex_destroy(&list->lock);
	free(list->known.items);
	free(list);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct cold_snapshot *)a)->id, ((const struct cold_snapshot *)b)->id);
}

static struct cold_snapshot *find(const struct cold_items *list, const char *id)
{
	struct cold_snapshot key = { 0 };
	if ((size_t)snprintf(key.id, sizeof key.id, "%s", id) >= sizeof key.id || !list->count)
		return NULL;
	return bsearch(&key, list->items, list->count, sizeof key, compare);
}

void cold_list_note_done(struct cold_list *list, const char *id)
{
	pthread_mutex_lock(&list->lock);
	struct cold_snapshot *snapshot = find(&list->known, id);
	if (snapshot)
		snapshot->done = true;
	pthread_mutex_unlock(&list->lock);
}

void cold_list_note_read(struct cold_list *list, const char *id)
{
	if (!list)
		return;
	pthread_mutex_lock(&list->lock);
	struct cold_snapshot *snapshot = find(&list->known, id);
	if (snapshot)
		snapshot->since_ms = clock_now_ms();
	pthread_mutex_unlock(&list->lock);
}

static void add_warm(struct look *look, const struct digest *root)
{
	if (!digest_is_zero(root))
		*ARENA_APPEND(look->arena, look->roots->warm, look->roots->warm_count) = *root;
}

static int read_root(const char *hex, const char *of, struct digest *root, struct error *err)
{
	*root = (struct digest){ 0 };
	if (!hex || !*hex || !text_unhex(hex, root->bytes, DIGEST_SIZE))
		return 0;
	return error_set(err, ERROR_CORRUPT, "the root digest of %s is unreadable: %s", of, hex);
}

/* Volumes stand on what their records say, or already on what their manifests say. */
static int add_volumes(struct look *look, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = look->region->name };
	struct digest root;
	if (meta_list(look->amid->meta, &record_volume, &query, look->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct volume_record *volume = rows.items[i];
		struct volume_info info;
		struct error found;
		if (read_root(volume->base, volume->record.id, &root, err))
			return -1;
		add_warm(look, &root);
		if (volume_inspect(arena_printf(look->arena, "%s/%s", look->region->volumes_folder,
					   volume->record.id),
			    &info, &found) == 0)
			add_warm(look, &info.base);
		else if (found.code != ERROR_NOT_FOUND)
			return error_set(err, found.code, "%s", found.message);
	}
	return 0;
}

/*
 * What a boot of this root has read stays as it is: the blocks of its trace. Without one, or when it cannot be read, nothing stays: whoever boots it first reads compressed blocks until they are brought back.
 */
static int keep_boot_blocks(struct look *look, const struct digest *root, struct error *err)
{
	uint32_t *blocks = memory_alloc(TRACE_LIMIT * sizeof *blocks), count = 0;
	struct tree *tree = NULL;
	struct digest block;
	int failed = 0;
	if (trace_read(look->region->traces_folder, root, blocks, &count, NULL) == 0)
		failed = tree_open(look->region->store, root, &tree, err);
	for (uint32_t i = 0; !failed && i < count; i++) {
		if (blocks[i] >= tree_block_count(tree))
			continue;
		failed = tree_lookup(tree, blocks[i], &block, err);
		if (!failed)
			add_warm(look, &block);
	}
	tree_close(tree);
	free(blocks);
	/* deleted meanwhile, or damaged: the plan will say so */
	return failed && err->code != ERROR_NOT_FOUND && err->code != ERROR_CORRUPT ? -1 : 0;
}

/* Takes over what is known. */
static void know(struct cold_list *list, struct cold_snapshot *item)
{
	pthread_mutex_lock(&list->lock);
	const struct cold_snapshot *known = find(&list->known, item->id);
	if (known)
		*item = *known;
	pthread_mutex_unlock(&list->lock);
}

/* Enters a snapshot that no volume stands on; whether its time has come. */
static bool enter_cold(struct look *look, const struct snapshot_record *snapshot, bool *done)
{
	struct cold_snapshot item = { .since_ms = look->now_ms };
	if ((size_t)snprintf(item.id, sizeof item.id, "%s", snapshot->record.id) >= sizeof item.id)
		return false;
	know(look->list, &item);
	look->now.items = memory_realloc(look->now.items, (look->now.count + 1) * sizeof *look->now.items);
	look->now.items[look->now.count++] = item;
	bool ripe = look->now_ms - item.since_ms >= look->after_ms;
	*done = item.done;
	return ripe;
}

static int look_at_snapshot(struct look *look, const struct snapshot_record *snapshot, struct error *err)
{
	struct digest root;
	bool done = false;
	if (read_root(snapshot->root, snapshot->record.id, &root, err))
		return -1;
	if (digest_is_zero(&root))
		return 0;
	/* one that is archived is cold at once; one that is kept ready for fast restores never is */
	bool archived = snapshot_is_archived(snapshot);
	bool used = strcmp(snapshot->state, "completed") != 0 || snapshot->fast_restores.count;
	if (used || (!enter_cold(look, snapshot, &done) && !archived)) {
		add_warm(look, &root);
		return 0;
	}
	if (!done) {
		size_t count = look->roots->cold_count;
		*ARENA_APPEND(look->arena, look->roots->cold, look->roots->cold_count) = root;
		*ARENA_APPEND(look->arena, look->roots->cold_ids, count) = snapshot->record.id;
	}
	/* also of one that is done: another may share them */
	return keep_boot_blocks(look, &root, err);
}

static int look_at_all(struct look *look, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = look->region->name };
	if (meta_list(look->amid->meta, &record_snapshot, &query, look->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (look_at_snapshot(look, rows.items[i], err))
			return -1;
	/* after the snapshots: a volume made from one meanwhile is seen */
	return add_volumes(look, err);
}

int cold_list_look(struct cold_list *list, struct amid *amid, struct amid_region *region, int64_t after_ms,
	struct arena *arena, struct cold_roots *roots, struct error *err)
{
	struct look look = { .amid = amid,
		.region = region,
		.arena = arena,
		.list = list,
		.now_ms = clock_now_ms(),
		.after_ms = after_ms,
		.roots = roots };
	*roots = (struct cold_roots){ 0 };
	if (look_at_all(&look, err)) {
		free(look.now.items);
		return -1;
	}
	if (look.now.count)
		qsort(look.now.items, look.now.count, sizeof *look.now.items, compare);
	pthread_mutex_lock(&list->lock);
	for (size_t i = 0; i < look.now.count; i++) {
		const struct cold_snapshot *known = find(&list->known, look.now.items[i].id);
		if (known)
			look.now.items[i] = *known;
	}
	free(list->known.items);
	list->known = look.now;
	pthread_mutex_unlock(&list->lock);
	return 0;
}
