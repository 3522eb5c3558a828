/*
 * A guest's disk: writes, zeros, flushes, growth and freezes, with the server coming and going; and the same with a store, where what was frozen is sealed, published and rebased, snapshots are deleted,
 * and what they held is collected.
 *
 * What is published stands in the metadata of amid; here it is noted with its position, as metadata have a scenario of their own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "model.h"
#include "store/store.h"
#include "store/tree.h"
#include "torture.h"
#include "volume/manifest.h"
#include "volume/volume.h"
#include "base/banned.h"

enum { SNAPSHOTS = 12, FIRST_SIZE = 1280 * 1024 + 3 * 512, GROWTH = 256 * 1024 + 512, LONGEST = 48 * 1024 };
static const uint64_t NEVER = UINT64_MAX;

struct snapshot {
	uint64_t layer, size;
	size_t changes; /* it shows the disk after so many */
	uint64_t
		durable; /* positions: it was said to be frozen and durable; its root was published; it was deleted */
	uint64_t published;
	uint64_t deleted;
	struct digest root; /* zero: not known */
};

struct guest {
	bool with_store;
	char folder[300], runtime[300], store_folder[300];
	uint64_t created; /* position from which on there is a volume */
	uint64_t seed;
	struct store *store;
	struct volume *volume;
	struct model model;
	struct snapshot snapshots[SNAPSHOTS];
	unsigned snapshot_count;
	struct {
		uint64_t size, begin, end;
	} growths[SNAPSHOTS + 1];
	unsigned growth_count;
};

static uint64_t dice(struct guest *guest, uint64_t sides)
{
	return random_next(&guest->seed) % sides;
}

static void name_folders(struct guest *guest, const char *root)
{
	snprintf(guest->folder, sizeof guest->folder, "%s/vol", root);
	snprintf(guest->runtime, sizeof guest->runtime, "%s/" RECORDING_TMPFS, root);
	snprintf(guest->store_folder, sizeof guest->store_folder, "%s/store", root);
}

static int open_all(struct guest *guest, struct error *err)
{
	if (guest->with_store && !guest->store && store_open(guest->store_folder, &guest->store, err))
		return -1;
	return volume_open(guest->folder, guest->runtime, guest->store, &guest->volume, err);
}

static void close_all(struct guest *guest, bool store_as_well)
{
	volume_close(guest->volume);
	guest->volume = NULL;
	/* its last flush may have been what failed */
	if (simulated_disk_has_failed())
		model_sync_failed(&guest->model);
	if (store_as_well) {
		store_close(guest->store);
		guest->store = NULL;
	}
}

static int change(struct guest *guest, struct error *err)
{
	static uint64_t data[LONGEST / 8];
	uint64_t limit = volume_size(guest->volume) / SECTOR_SIZE;
	uint64_t sectors = 1 + dice(guest, dice(guest, 3) ? 24 : LONGEST / SECTOR_SIZE);
	/* half of them in a part of the disk that is small enough to be written again and again */
	uint64_t first = dice(guest, dice(guest, 2) ? 200 : limit);
	bool zero = dice(guest, 4) == 0;
	if (dice(guest, 3) == 0) {
		first -= first % 8;
		sectors = (sectors + 7) / 8 * 8;
	}
	if (first + sectors > limit)
		sectors = limit - first;
	uint64_t offset = first * SECTOR_SIZE, size = sectors * SECTOR_SIZE;
	model_begin(&guest->model, zero ? NULL : data, offset, size);
	int result = zero ? volume_zero(guest->volume, offset, size, err)
			  : volume_write(guest->volume, data, offset, (uint32_t)size, err);
	model_end(&guest->model, result != 0);
	return result;
}

static int flush(struct guest *guest, struct error *err)
{
	size_t changes = guest->model.change_count;
	int result = volume_flush(guest->volume, err);
	if (result)
		model_sync_failed(&guest->model);
	else
		model_flushed(&guest->model, changes);
	return result;
}

static int grow(struct guest *guest, struct error *err)
{
	uint64_t size = volume_size(guest->volume) + GROWTH;
	if (guest->growth_count == SNAPSHOTS)
		return 0;
	unsigned n = guest->growth_count++;
	guest->growths[n].size = size;
	guest->growths[n].begin = simulated_disk_position();
	guest->growths[n].end = NEVER;
	int result = volume_grow(guest->volume, size, err);
	if (!result)
		guest->growths[n].end = simulated_disk_position();
	return result;
}

static int freeze(struct guest *guest, struct error *err)
{
	if (guest->snapshot_count == SNAPSHOTS)
		return 0;
	struct snapshot *snapshot = &guest->snapshots[guest->snapshot_count];
	*snapshot = (struct snapshot){ .durable = NEVER, .published = NEVER, .deleted = NEVER };
	if (volume_freeze(guest->volume, &snapshot->layer, err))
		return -1;
	guest->snapshot_count++;
	snapshot->changes = guest->model.change_count;
	snapshot->size = volume_size(guest->volume);
	if (volume_sync_frozen(guest->volume, snapshot->layer, err)) {
		model_sync_failed(&guest->model);
		return -1;
	}
	snapshot->durable = simulated_disk_position();
	/* which makes it as good as flushed */
	model_flushed(&guest->model, snapshot->changes);
	return 0;
}

/* Seals, publishes and rebases the oldest snapshot that is durable and was not yet. */
static int seal(struct guest *guest, struct error *err)
{
	struct store_session *session;
	struct volume_seal_result result;
	struct digest root;
	unsigned i = 0;
	while (i < guest->snapshot_count &&
		(guest->snapshots[i].published != NEVER || guest->snapshots[i].durable == NEVER))
		i++;
	if (i == guest->snapshot_count || store_session_open(guest->store, &session, err))
		return 0;
	struct snapshot *snapshot = &guest->snapshots[i];
	int failed = volume_seal(
		guest->folder, guest->runtime, snapshot->layer, guest->store, session, &root, &result, err);
	if (!failed) {
		snapshot->root = root;
		snapshot->published = simulated_disk_position();
		failed = volume_rebase(guest->volume, snapshot->layer, &root, err);
	}
	store_session_close(session);
	return failed;
}

/* Roots that must be kept: those published and not deleted, then the volume's base. */
struct roots {
	const struct guest *guest;
	uint64_t position;
	unsigned next;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct roots *roots = context;
	const struct guest *guest = roots->guest;
	while (roots->next < guest->snapshot_count) {
		const struct snapshot *snapshot = &guest->snapshots[roots->next++];
		if (snapshot->published > roots->position || snapshot->deleted <= roots->position)
			continue;
		*root = snapshot->root;
		return 1;
	}
	if (roots->next++ > guest->snapshot_count)
		return 0;
	struct volume_info info;
	if (volume_inspect(guest->folder, &info, err))
		return -1;
	*root = info.base;
	return 1;
}

static int delete_and_collect(struct guest *guest, struct error *err)
{
	struct store_collect_result result;
	if (guest->snapshot_count) {
		struct snapshot *snapshot = &guest->snapshots[dice(guest, guest->snapshot_count)];
		if (snapshot->published != NEVER && snapshot->deleted == NEVER)
			snapshot->deleted = simulated_disk_position();
	}
	struct roots roots = { .guest = guest, .position = simulated_disk_position() };
	return store_collect(guest->store, next_root, &roots, &result, err);
}

static int step(struct guest *guest, struct error *err)
{
	uint64_t number = dice(guest, 100);
	if (number < 50)
		return change(guest, err);
	if (number < 68)
		return flush(guest, err);
	if (number < 77)
		return freeze(guest, err);
	if (number < 80)
		return grow(guest, err);
	if (number < 84) {
		close_all(guest, dice(guest, 2));
		return open_all(guest, err);
	}
	if (!guest->with_store)
		return change(guest, err);
	return number < 93 ? seal(guest, err) : delete_and_collect(guest, err);
}

/* What amid does after an error: the volume's server, and amid itself, are started again, if need be a few times. */
static int start_again(struct guest *guest)
{
	enum { TRIES = 3 };
	struct error err;
	model_sync_failed(&guest->model);
	close_all(guest, true);
	for (int i = 0; i < TRIES; i++)
		if (!open_all(guest, &err))
			return 0;
	return -1;
}

static int create(struct guest *guest, struct error *err)
{
	if (volume_create(guest->folder, FIRST_SIZE, NULL, err))
		return -1;
	guest->created = simulated_disk_position();
	guest->growths[0].size = FIRST_SIZE;
	guest->growths[0].end = guest->created;
	guest->growth_count = 1;
	return 0;
}

static void *run(const char *folder, uint64_t seed, bool with_store)
{
	enum { STEPS = 55, STEPS_WITH_STORE = 40 };
	struct error err;
	struct guest *guest = memory_alloc(sizeof *guest);
	memset(guest, 0, sizeof *guest);
	guest->with_store = with_store;
	guest->seed = seed;
	guest->created = NEVER;
	name_folders(guest, folder);
	if (create(guest, &err) && create(guest, &err))
		return guest;
	bool works = !open_all(guest, &err) || !start_again(guest);
	for (int i = 0; works && i < (with_store ? STEPS_WITH_STORE : STEPS); i++)
		if (step(guest, &err))
			works = !start_again(guest);
	close_all(guest, true);
	return guest;
}

static void *run_volume(const char *folder, uint64_t seed)
{
	return run(folder, seed, false);
}

static void *run_snapshot(const char *folder, uint64_t seed)
{
	return run(folder, seed, true);
}

static void destroy(void *expected)
{
	struct guest *guest = expected;
	model_free(&guest->model);
	free(guest);
}

/* A guest as it starts after a crash. */
struct survivor {
	struct guest guest; /* its folders and what is open; the rest is a copy of what is expected */
	uint64_t position;
	enum crash_kind kind;
};

static int check_size(const struct survivor *survivor, struct error *err)
{
	const struct guest *guest = &survivor->guest;
	uint64_t size = volume_size(guest->volume), least = 0;
	bool known = false;
	for (unsigned i = 0; i < guest->growth_count; i++) {
		if (guest->growths[i].end <= survivor->position)
			least = guest->growths[i].size;
		known |= guest->growths[i].size == size && guest->growths[i].begin < survivor->position;
	}
	return size < least || !known
		? error_set(err, ERROR_CORRUPT, "the volume has %" PRIu64 " bytes, not %" PRIu64, size, least)
		: 0;
}

static int check_content(const struct survivor *survivor, struct error *err)
{
	uint64_t size = volume_size(survivor->guest.volume);
	uint8_t *data = memory_alloc(size);
	int result = volume_read(survivor->guest.volume, data, 0, (uint32_t)size, err) ||
		model_check(&survivor->guest.model, survivor->position, survivor->kind, data, 0, size, err);
	free(data);
	return result ? -1 : 0;
}

static int check_folders(const struct survivor *survivor, struct error *err)
{
	uint64_t faults = 0;
	struct error found = { .code = ERROR_NONE };
	const struct guest *guest = &survivor->guest;
	if (volume_check(guest->folder, torture_report, &found, &faults, err))
		return -1;
	struct roots roots = { .guest = guest, .position = survivor->position };
	if (!faults && guest->store && store_check(guest->store, torture_report, &found, &faults, err))
		return -1;
	if (!faults && guest->store &&
		store_check_roots(guest->store, next_root, &roots, torture_report, &found, &faults, err))
		return -1;
	return faults ? error_set(err, ERROR_CORRUPT, "%" PRIu64 " faults: %s", faults, found.message) : 0;
}

static int check_block(struct guest *guest, const struct snapshot *snapshot, struct tree *tree,
	uint64_t index, uint8_t *data, struct error *err)
{
	struct digest digest;
	size_t size;
	uint64_t offset = index * STORE_BLOCK_SIZE;
	uint64_t length =
		snapshot->size - offset < STORE_BLOCK_SIZE ? snapshot->size - offset : STORE_BLOCK_SIZE;
	memset(data, 0, STORE_BLOCK_SIZE);
	if (tree_lookup(tree, index, &digest, err) ||
		(!digest_is_zero(&digest) && store_get(guest->store, &digest, data, &size, err)))
		return -1;
	return model_check_snapshot(&guest->model, snapshot->changes, data, offset, length, err);
}

static int check_tree(
	struct guest *guest, const struct snapshot *snapshot, const struct digest *root, struct error *err)
{
	struct tree *tree;
	int result = 0;
	if (tree_open(guest->store, root, &tree, err))
		return -1;
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	if (tree_size(tree) != snapshot->size)
		result = error_set(err, ERROR_CORRUPT, "the tree is of another size");
	for (uint64_t i = 0; !result && i < tree_block_count(tree); i++)
		result = check_block(guest, snapshot, tree, i, data, err);
	free(data);
	tree_close(tree);
	return result ? error_prefix(err, "snapshot of layer %" PRIu64, snapshot->layer) : 0;
}

static int check_snapshots(struct survivor *survivor, struct error *err)
{
	struct guest *guest = &survivor->guest;
	for (unsigned i = 0; i < guest->snapshot_count; i++) {
		const struct snapshot *snapshot = &guest->snapshots[i];
		if (snapshot->published <= survivor->position && snapshot->deleted > survivor->position &&
			check_tree(guest, snapshot, &snapshot->root, err))
			return -1;
	}
	return 0;
}

static bool is_below_base(const struct guest *guest, uint64_t layer)
{
	struct error ignored;
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	bool below = !manifest_read(guest->folder, manifest, &ignored) && layer <= manifest->base_layer;
	free(manifest);
	return below;
}

/* What amid goes on with after a crash: durable snapshots without a root are sealed. */
static int seal_again(struct survivor *survivor, struct error *err)
{
	struct guest *guest = &survivor->guest;
	for (unsigned i = 0; i < guest->snapshot_count; i++) {
		struct snapshot *snapshot = &guest->snapshots[i];
		struct store_session *session;
		struct volume_seal_result result;
		struct digest root;
		/* those with a root are amid's metadata's; those below the base were sealed by the same before another crash */
		if (snapshot->durable > survivor->position || snapshot->published <= survivor->position ||
			is_below_base(guest, snapshot->layer))
			continue;
		if (store_session_open(guest->store, &session, err))
			return -1;
		int failed = volume_seal(guest->folder, guest->runtime, snapshot->layer, guest->store,
				     session, &root, &result, err) ||
			check_tree(guest, snapshot, &root, err) ||
			volume_rebase(guest->volume, snapshot->layer, &root, err);
		store_session_close(session);
		if (failed)
			return error_prefix(err, "sealing layer %" PRIu64 " again", snapshot->layer);
	}
	return 0;
}

static int collect_again(struct survivor *survivor, struct error *err)
{
	struct roots roots = { .guest = &survivor->guest, .position = survivor->position };
	struct store_collect_result result;
	return store_collect(survivor->guest.store, next_root, &roots, &result, err);
}

static int check_opened(struct survivor *survivor, uint64_t seed, struct error *err)
{
	struct guest *guest = &survivor->guest;
	if (check_size(survivor, err) || check_content(survivor, err))
		return -1;
	if (guest->with_store && check_snapshots(survivor, err))
		return error_prefix(err, "published");
	if (guest->with_store && random_next(&seed) % 3 == 0)
		if (seal_again(survivor, err) || collect_again(survivor, err) ||
			check_content(survivor, err) || check_snapshots(survivor, err))
			return error_prefix(err, "going on");
	return 0;
}

static int verify(void *expected, const char *folder, uint64_t position, enum crash_kind kind, uint64_t seed,
	struct error *err)
{
	struct survivor *survivor = memory_alloc(sizeof *survivor);
	*survivor =
		(struct survivor){ .guest = *(struct guest *)expected, .position = position, .kind = kind };
	struct guest *guest = &survivor->guest;
	int result = 0;
	name_folders(guest, folder);
	guest->store = NULL;
	guest->volume = NULL;
	if (guest->created <= position) {
		bool store_is_open =
			guest->with_store && !store_open(guest->store_folder, &guest->store, err);
		result = (guest->with_store && !store_is_open) || check_folders(survivor, err) ||
			open_all(guest, err) || check_opened(survivor, seed, err);
		close_all(guest, false);
		/* once more: what was closed in order is whole without the live maps */
		result = result || check_folders(survivor, err) || open_all(guest, err) ||
			check_content(survivor, err);
		close_all(guest, true);
	}
	free(survivor);
	return result ? -1 : 0;
}

const struct scenario scenario_volume = { "volume", run_volume, verify, destroy };
const struct scenario scenario_snapshot = { "snapshot", run_snapshot, verify, destroy };
