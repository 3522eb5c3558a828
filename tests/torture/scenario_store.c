/*
 * A store on its own: objects and trees put by sessions, published or given up, deleted, collected, moved, compressed and
 * brought back; and one with so many small objects that its index grows again and again.
 *
 * Blocks are a few KiB here, which the store allows and which makes a crash point cheap. What was synced must be found until a collection after the end of its session may have freed it; what was
 * published, until it is deleted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "store/encoding.h"
#include "store/mover.h"
#include "store/rewrite.h"
#include "store/store.h"
#include "store/tree.h"
#include "torture.h"
#include "base/banned.h"

enum { OBJECTS = 2000, ROOTS = 40, TREE_BLOCKS = 2500, OBJECT_LIMIT = 6000 };
static const uint64_t NEVER = UINT64_MAX;

struct object {
	struct digest digest;
	uint64_t synced;      /* positions: from here on it is durable ... */
	uint64_t collectable; /* ... until here */
	unsigned session;
};

struct published {
	struct digest root;
	uint64_t published, deleted;
};

struct work {
	char folder[300];
	bool many;
	uint64_t seed;
	struct store *store;
	struct object objects[OBJECTS];
	unsigned object_count;
	unsigned session; /* the number of the one that is open, or of the last */
	bool session_is_open;
	struct published roots[ROOTS];
	unsigned root_count;
};

static uint64_t dice(struct work *work, uint64_t sides)
{
	return random_next(&work->seed) % sides;
}

/* Puts an object that is like no other, or, now and then, one that was put before. */
static int put_block(
	struct work *work, struct store_session *session, struct digest *digest, struct error *err)
{
	static uint64_t data[OBJECT_LIMIT / 8 + 1];
	uint64_t content = dice(work, 5) ? random_next(&work->seed) : dice(work, 20);
	uint64_t seed = content;
	size_t size = work->many ? 64 : 1 + random_next(&seed) % OBJECT_LIMIT;
	for (size_t i = 0; i < sizeof data / sizeof *data; i++)
		data[i] = random_next(&seed);
	/* every other one can be compressed */
	if (content % 2)
		memset(data, 0, size - size / 4);
	digest_sha256(data, size, digest);
	if (store_put(session, STORE_BLOCK, digest, data, size, NULL, err))
		return -1;
	if (work->object_count < OBJECTS)
		work->objects[work->object_count++] = (struct object){
			.digest = *digest, .synced = NEVER, .collectable = NEVER, .session = work->session
		};
	return 0;
}

/* Everything that was put so far is durable. */
static void note_synced(struct work *work)
{
	uint64_t position = simulated_disk_position();
	for (unsigned i = 0; i < work->object_count; i++)
		if (work->objects[i].synced == NEVER)
			work->objects[i].synced = position;
}

static int put_loose(struct work *work, struct store_session *session, unsigned count, struct error *err)
{
	struct digest digest;
	for (unsigned i = 0; i < count; i++)
		if (put_block(work, session, &digest, err))
			return -1;
	if (store_sync(work->store, err))
		return -1;
	note_synced(work);
	return 0;
}

static const struct published *pick_root(struct work *work)
{
	if (!work->root_count)
		return NULL;
	const struct published *picked = &work->roots[dice(work, work->root_count)];
	return picked->deleted == NEVER ? picked : NULL;
}

static int fill_tree(
	struct work *work, struct store_session *session, struct tree_builder *builder, struct error *err)
{
	uint64_t blocks = 1 + dice(work, 5);
	for (uint64_t i = 0; i < blocks; i++) {
		struct digest digest = { 0 };
		if (dice(work, 6) && put_block(work, session, &digest, err))
			return -1;
		if (tree_builder_set(
			    builder, dice(work, 3) ? dice(work, 40) : dice(work, TREE_BLOCKS), &digest, err))
			return -1;
	}
	return 0;
}

/* A tree over another or over none, published unless it is given up. */
static int put_tree(struct work *work, struct store_session *session, struct error *err)
{
	struct tree *base = NULL;
	struct tree_builder *builder = NULL;
	struct digest root;
	uint64_t added;
	const struct published *from = pick_root(work);
	if (from && tree_open(work->store, &from->root, &base, err))
		return -1;
	int failed =
		tree_builder_create(session, base, (uint64_t)TREE_BLOCKS * STORE_BLOCK_SIZE, &builder, err) ||
		fill_tree(work, session, builder, err);
	if (!failed && dice(work, 5) && work->root_count < ROOTS) {
		failed = tree_builder_finish(builder, &root, &added, err);
		if (!failed) {
			note_synced(work);
			work->roots[work->root_count++] =
				(struct published){ root, simulated_disk_position(), NEVER };
		}
	}
	tree_builder_destroy(builder);
	tree_close(base);
	return failed ? -1 : 0;
}

struct root_list {
	const struct work *work;
	uint64_t position;
	unsigned next;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct root_list *list = context;
	(void)err;
	while (list->next < list->work->root_count) {
		const struct published *published = &list->work->roots[list->next++];
		if (published->published > list->position || published->deleted <= list->position)
			continue;
		*root = published->root;
		return 1;
	}
	return 0;
}

static int delete_and_collect(struct work *work, struct error *err)
{
	struct store_collect_result result;
	uint64_t position = simulated_disk_position();
	if (work->root_count) {
		struct published *published = &work->roots[dice(work, work->root_count)];
		if (published->deleted == NEVER)
			published->deleted = position;
	}
	for (unsigned i = 0; i < work->object_count; i++) {
		struct object *object = &work->objects[i];
		bool protected = work->session_is_open && object->session == work->session;
		if (!protected && object->collectable == NEVER)
			object->collectable = position;
	}
	struct root_list list = { .work = work, .position = position };
	return store_collect(work->store, next_root, &list, &result, err);
}

/* What compaction does, without waiting until enough is dead: objects go elsewhere, in another encoding or as they are. */
static int move_objects(struct work *work, struct error *err)
{
	enum { MOVES = 8 };
	struct store *store = work->store;
	struct index_entry entry;
	bool moved;
	pthread_mutex_lock(&store->maintenance);
	struct mover *mover = mover_create(store, dice(work, 2));
	int failed = store_check_movable(store, err);
	if (!failed && !dice(work, 3))
		failed = packs_begin_new(store->packs, PACK_BLOCKS, err);
	for (uint64_t i = 1 + dice(work, MOVES); !failed && i && work->object_count; i--) {
		uint8_t encoding = dice(work, 2) ? ENCODING_ZSTD : ENCODING_PLAIN;
		const struct object *object = &work->objects[dice(work, work->object_count)];
		/* two moves of one object want a switch between them */
		if (index_find(store->index, &object->digest, &entry))
			failed = mover_add(mover, &entry, encoding, &moved, err) || mover_switch(mover, err);
	}
	mover_destroy(mover);
	pthread_mutex_unlock(&store->maintenance);
	return failed ? -1 : 0;
}

/* Compressed, brought back, or moved and what is empty then removed. */
static int rewrite_and_compact(struct work *work, struct error *err)
{
	struct root_list cold = { .work = work, .position = simulated_disk_position() };
	struct root_list warm = { .work = work, .next = work->root_count };
	struct store_compact_result result;
	const struct published *published = pick_root(work);
	uint64_t number = dice(work, 4);
	if (number == 0)
		return store_compress(work->store, next_root, &cold, next_root, &warm, NULL, err);
	if (number == 1 && published)
		return store_warm(work->store, &published->root, NULL, err);
	return move_objects(work, err) || store_compact(work->store, STORE_BLOCK_SIZE, &result, err) ? -1 : 0;
}

static int work_in_session(struct work *work, struct error *err)
{
	struct store_session *session;
	if (store_session_open(work->store, &session, err))
		return -1;
	work->session++;
	work->session_is_open = true;
	int failed = 0;
	for (uint64_t i = 1 + dice(work, 3); !failed && i; i--) {
		uint64_t number = dice(work, 10);
		if (work->many)
			failed = put_loose(work, session, 60, err);
		else if (number < 3)
			failed = put_loose(work, session, 1 + (unsigned)dice(work, 4), err);
		else if (number < 7)
			failed = put_tree(work, session, err);
		else if (number < 9)
			failed = rewrite_and_compact(work, err);
		else
			failed = delete_and_collect(work, err);
	}
	store_session_close(session);
	work->session_is_open = false;
	return failed;
}

static int reopen(struct work *work, struct error *err)
{
	enum { TRIES = 3 };
	store_close(work->store);
	work->store = NULL;
	for (int i = 0; i < TRIES; i++)
		if (!store_open(work->folder, &work->store, err))
			return 0;
	return -1;
}

/* What was not synced when something failed may never be, and is there all the same: nothing is said about it any more. */
static void forget_unsynced(struct work *work)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < work->object_count; i++)
		if (work->objects[i].synced != NEVER)
			work->objects[kept++] = work->objects[i];
	work->object_count = kept;
}

static void *run(const char *folder, uint64_t seed, bool many)
{
	enum { STEPS = 14, STEPS_OF_MANY = 7 };
	struct error err;
	struct work *work = memory_alloc(sizeof *work);
	memset(work, 0, sizeof *work);
	work->seed = seed;
	work->many = many;
	snprintf(work->folder, sizeof work->folder, "%s/store", folder);
	bool works = !store_open(work->folder, &work->store, &err) || !reopen(work, &err);
	for (int i = 0; works && i < (many ? STEPS_OF_MANY : STEPS); i++) {
		uint64_t number = dice(work, 10);
		int failed = number < 5 ? work_in_session(work, &err)
			: number < 7    ? rewrite_and_compact(work, &err)
			: number < 9    ? delete_and_collect(work, &err)
					: reopen(work, &err);
		if (failed) {
			forget_unsynced(work);
			works = !reopen(work, &err);
		}
	}
	store_close(work->store);
	return work;
}

static void *run_store(const char *folder, uint64_t seed)
{
	return run(folder, seed, false);
}

static void *run_index(const char *folder, uint64_t seed)
{
	return run(folder, seed, true);
}

static int check_objects(struct store *store, const struct work *work, uint64_t position, struct error *err)
{
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	int result = 0;
	for (unsigned i = 0; !result && i < work->object_count; i++) {
		const struct object *object = &work->objects[i];
		size_t size;
		if (object->synced <= position && object->collectable > position)
			result = store_get(store, &object->digest, data, &size, err);
	}
	free(data);
	return result;
}

static int check_store(struct store *store, const struct work *work, uint64_t position, struct error *err)
{
	uint64_t faults = 0, missing = 0;
	struct error found = { .code = ERROR_NONE };
	struct root_list list = { .work = work, .position = position };
	if (store_check(store, torture_report, &found, &faults, err) ||
		store_check_roots(store, next_root, &list, torture_report, &found, &missing, err))
		return -1;
	return faults || missing
		? error_set(err, ERROR_CORRUPT, "%" PRIu64 " faults: %s", faults + missing, found.message)
		: 0;
}

/* Puts what was put before, as a repeated upload does, and something new. */
static int put_again(struct store *store, uint64_t seed, struct error *err)
{
	struct work *again = memory_alloc(sizeof *again);
	struct store_session *session;
	memset(again, 0, sizeof *again);
	again->seed = seed;
	again->store = store;
	int failed = store_session_open(store, &session, err);
	if (!failed) {
		failed = put_loose(again, session, 20, err) ||
			check_objects(store, again, UINT64_MAX - 1, err);
		store_session_close(session);
	}
	free(again);
	return failed;
}

static int verify(void *expected, const char *folder, uint64_t position, enum crash_kind kind, uint64_t seed,
	struct error *err)
{
	const struct work *work = expected;
	struct store_collect_result result;
	struct store *store = NULL;
	char path[300];
	(void)kind;
	snprintf(path, sizeof path, "%s/store", folder);
	if (store_open(path, &store, err))
		return -1;
	int failed = check_store(store, work, position, err) || check_objects(store, work, position, err);
	if (!failed && random_next(&seed) % 4 == 0)
		failed = put_again(store, seed, err) || check_store(store, work, position, err);
	/* not if a second crash comes, after which objects without a root would be missed */
	bool is_last = simulated_disk_position() == 0;
	if (!failed && is_last && random_next(&seed) % 4 == 0) {
		struct root_list list = { .work = work, .position = position };
		failed = store_collect(store, next_root, &list, &result, err) ||
			check_store(store, work, position, err);
	} else if (!failed) {
		store_close(store);
		store = NULL;
		failed = store_open(path, &store, err) || check_objects(store, work, position, err);
	}
	store_close(store);
	return failed ? -1 : 0;
}

const struct scenario scenario_store = { "store", run_store, verify, free };
const struct scenario scenario_index = { "index", run_index, verify, free };
