/*
 * The upkeep controllers. A look does one step, of about STEP_BYTES, and asks for the next one in STEP_MS; so the disk is shared, and a worker is never held for long.
 *
 * In a region: first a step of compaction, if a collection has been since the last one that found nothing; else a step of the compression that is under way; else, now and then, a look for what has
 * gone cold. Bringing a tree back has a key of its own and puts an end to the compression under way, which was planned without it: the next look plans anew.
 * When objects were moved the volume servers are told, since they hold open what was removed, and keep what they had remembered for reads that had begun; also once after the start, as the process
 * before may have died in between.
 *
 * Threads: one look at a region at a time (work queue); `lock` guards what others see and ask for.
 */
#include "svc/control/upkeep.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/rewrite.h"
#include "svc/cold.h"
#include "svc/control/internal.h"
#include "base/banned.h"

enum {
	STEP_BYTES = 32 << 20,
	STEP_MS = 1000,
	WAIT_MS = 200,
	PERIOD_MAX_MS = 3600 * 1000,
	PERIOD_MIN_MS = 60 * 1000
};

struct region_upkeep {
	struct amid_region *region;
	/* of the look */
	struct store_rewrite *rewrite; /* the compression under way */
	struct store_rewrite_result result;
	int64_t begun_ms;
	char **planned; /* its snapshots */
	size_t planned_count;
	int64_t next_search_ms;
	/* guarded by lock */
	bool compact, search, drop, compressing, told;
	struct upkeep_figures figures;
};

struct upkeep {
	struct amid *amid;
	pthread_mutex_t lock;
	unsigned count;
	struct region_upkeep regions[];
};

struct upkeep *upkeep_create(struct amid *amid)
{
	size_t size = sizeof(struct upkeep) + amid->region_count * sizeof(struct region_upkeep);
	struct upkeep *upkeep = memory_alloc(size);
	memset(upkeep, 0, size);
	upkeep->amid = amid;
	upkeep->count = amid->region_count;
	pthread_mutex_init(&upkeep->lock, NULL);
	for (unsigned i = 0; i < upkeep->count; i++) {
		upkeep->regions[i].region = &amid->regions[i];
		amid->regions[i].cold = cold_list_create();
		upkeep->regions[i].compact = true;
	}
	return upkeep;
}

static void end_compression(struct region_upkeep *state)
{
	store_rewrite_close(state->rewrite);
	state->rewrite = NULL;
	for (size_t i = 0; i < state->planned_count; i++)
		free(state->planned[i]);
	free(state->planned);
	state->planned = NULL;
	state->planned_count = 0;
}

void upkeep_destroy(struct upkeep *upkeep)
{
	if (!upkeep)
		return;
	for (unsigned i = 0; i < upkeep->count; i++) {
		end_compression(&upkeep->regions[i]);
		cold_list_destroy(upkeep->regions[i].region->cold);
		upkeep->regions[i].region->cold = NULL;
	}
	pthread_mutex_destroy(&upkeep->lock);
	free(upkeep);
}

static struct region_upkeep *find_region(struct upkeep *upkeep, const char *name)
{
	for (unsigned i = 0; upkeep && i < upkeep->count; i++)
		if (strcmp(upkeep->regions[i].region->name, name) == 0)
			return &upkeep->regions[i];
	return NULL;
}

void upkeep_after_collection(struct amid *amid, const char *region)
{
	struct region_upkeep *state = find_region(amid->upkeep, region);
	if (!state)
		return;
	pthread_mutex_lock(&amid->upkeep->lock);
	state->compact = true;
	pthread_mutex_unlock(&amid->upkeep->lock);
	work_enqueue(amid->work, "upkeep", region);
}

void upkeep_after_archival(struct amid *amid, const char *region)
{
	struct region_upkeep *state = find_region(amid->upkeep, region);
	if (!state)
		return;
	pthread_mutex_lock(&amid->upkeep->lock);
	state->search = true;
	pthread_mutex_unlock(&amid->upkeep->lock);
	work_enqueue(amid->work, "upkeep", region);
}

void upkeep_warm(struct amid *amid, const char *region, const char *root)
{
	struct region_upkeep *state = find_region(amid->upkeep, region);
	char id[160];
	if (!state || (size_t)snprintf(id, sizeof id, "%s/%s", region, root) >= sizeof id)
		return;
	pthread_mutex_lock(&amid->upkeep->lock);
	state->drop = true;
	pthread_mutex_unlock(&amid->upkeep->lock);
	work_enqueue(amid->work, "warm", id);
}

void upkeep_get_figures(struct amid *amid, const char *region, struct upkeep_figures *figures)
{
	struct region_upkeep *state = find_region(amid->upkeep, region);
	*figures = (struct upkeep_figures){ 0 };
	if (!state)
		return;
	pthread_mutex_lock(&amid->upkeep->lock);
	*figures = state->figures;
	pthread_mutex_unlock(&amid->upkeep->lock);
}

/* Has the volume servers that run let go of packs that were removed. One that cannot be told keeps them until it is told again; it reads on in any case. */
static int tell_servers(struct upkeep *upkeep, struct region_upkeep *state, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	DIR *folder = opendir(state->region->volumes_folder);
	if (!folder)
		return error_set(err, ERROR_INTERNAL, "cannot list %s", state->region->volumes_folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		struct error found;
		if (!text_starts_with(entry->d_name, "vol-"))
			continue;
		struct volume_server_paths paths =
			amid_volume_paths(upkeep->amid, state->region, entry->d_name, arena);
		if (volume_server_let_go(&paths, &found) && found.code != ERROR_NOT_FOUND)
			log_warning(
				"server-not-told", "volume=%s message=\"%s\"", entry->d_name, found.message);
	}
	closedir(folder);
	return 0;
}

/* The volume servers are to be told, by the next look at the region. */
static void note_moved(struct upkeep *upkeep, struct region_upkeep *state)
{
	pthread_mutex_lock(&upkeep->lock);
	state->told = false;
	pthread_mutex_unlock(&upkeep->lock);
}

static int tell_if_due(struct upkeep *upkeep, struct region_upkeep *state, struct error *err)
{
	pthread_mutex_lock(&upkeep->lock);
	bool told = state->told;
	state->told = true;
	pthread_mutex_unlock(&upkeep->lock);
	return told ? 0 : tell_servers(upkeep, state, err);
}

/* A step of compaction; *busy: there is more to do. */
static int compact(struct upkeep *upkeep, struct region_upkeep *state, bool *busy, struct error *err)
{
	struct store_compact_result result = { 0 };
	pthread_mutex_lock(&upkeep->lock);
	*busy = state->compact;
	/* now, so that a collection during the step counts */
	state->compact = false;
	pthread_mutex_unlock(&upkeep->lock);
	if (!*busy)
		return 0;
	int failed = store_compact(state->region->store, STEP_BYTES, &result, err);
	*busy = result.more && !failed;
	pthread_mutex_lock(&upkeep->lock);
	state->compact |= *busy || failed;
	state->figures.compacted_bytes += result.bytes_moved;
	state->figures.packs_removed += result.packs_removed;
	pthread_mutex_unlock(&upkeep->lock);
	if (result.bytes_moved || result.packs_removed)
		log_info("packs-compacted",
			"region=%s moved_bytes=%" PRIu64 " packs_removed=%u freed_bytes=%" PRIu64,
			state->region->name, result.bytes_moved, result.packs_removed, result.bytes_freed);
	if (result.packs_removed)
		note_moved(upkeep, state);
	return failed;
}

struct root_list {
	const struct digest *roots;
	size_t count, next;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct root_list *list = context;
	(void)err;
	if (list->next == list->count)
		return 0;
	*root = list->roots[list->next++];
	return 1;
}

/* Plans the compression of what has gone cold since. */
static int search_cold(struct upkeep *upkeep, struct region_upkeep *state, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct cold_roots roots;
	int64_t after_ms = upkeep->amid->config->compress_after_ms;
	if (cold_list_look(state->region->cold, upkeep->amid, state->region, after_ms ? after_ms : INT64_MAX,
		    arena, &roots, err))
		return -1;
	if (!roots.cold_count)
		return 0;
	struct root_list cold = { roots.cold, roots.cold_count, 0 },
			 warm = { roots.warm, roots.warm_count, 0 };
	if (store_plan_compression(
		    state->region->store, next_root, &cold, next_root, &warm, &state->rewrite, err)) {
		if (err->code != ERROR_CORRUPT)
			return -1;
		/* deleted since it was listed; or it is damaged, which is not for compression to insist on */
		log_warning("compression-postponed", "region=%s message=\"%s\"", state->region->name,
			err->message);
		return 0;
	}
	state->result = (struct store_rewrite_result){ 0 };
	state->begun_ms = clock_monotonic_ms();
	state->planned = memory_alloc((cold.next + 1) * sizeof *state->planned);
	for (; state->planned_count < cold.next; state->planned_count++)
		state->planned[state->planned_count] = memory_strdup(roots.cold_ids[state->planned_count]);
	return 0;
}

static void finish_compression(struct upkeep *upkeep, struct region_upkeep *state)
{
	const struct store_rewrite_result *result = &state->result;
	for (size_t i = 0; i < state->planned_count; i++)
		cold_list_note_done(state->region->cold, state->planned[i]);
	if (result->blocks)
		log_info("blocks-compressed",
			"region=%s snapshots=%zu blocks=%" PRIu64 " unchanged=%" PRIu64
			" bytes_before=%" PRIu64 " bytes_after=%" PRIu64 " ms=%" PRId64,
			state->region->name, state->planned_count, result->blocks, result->unchanged,
			result->bytes_before, result->bytes_after, clock_monotonic_ms() - state->begun_ms);
	end_compression(state);
}

/* A step of the compression under way, or its end. */
static int compress(struct upkeep *upkeep, struct region_upkeep *state, struct error *err)
{
	struct store_rewrite_result before = state->result;
	int failed = store_rewrite_step(state->rewrite, STEP_BYTES, &state->result, err);
	pthread_mutex_lock(&upkeep->lock);
	state->figures.compressed_blocks += state->result.blocks - before.blocks;
	state->figures.compression_saved_bytes += (state->result.bytes_before - before.bytes_before) -
		(state->result.bytes_after - before.bytes_after);
	pthread_mutex_unlock(&upkeep->lock);
	if (state->result.blocks > before.blocks)
		note_moved(upkeep, state);
	if (failed)
		end_compression(state);
	else if (!store_rewrite_left(state->rewrite))
		finish_compression(upkeep, state);
	return failed;
}

static int64_t search_period(const struct amid *amid)
{
	int64_t period = amid->config->compress_after_ms / 4;
	return period < PERIOD_MIN_MS ? PERIOD_MIN_MS : period > PERIOD_MAX_MS ? PERIOD_MAX_MS : period;
}

/* Compression's turn; *busy: there is more to do. */
static int look_at_cold(struct upkeep *upkeep, struct region_upkeep *state, bool *busy, struct error *err)
{
	int failed = 0;
	pthread_mutex_lock(&upkeep->lock);
	bool search = state->search && !state->rewrite;
	state->search = state->search && !search;
	pthread_mutex_unlock(&upkeep->lock);
	if (state->rewrite) {
		failed = compress(upkeep, state, err);
	} else if (search ||
		(upkeep->amid->config->compress_after_ms && clock_now_ms() >= state->next_search_ms)) {
		state->next_search_ms = clock_now_ms() + search_period(upkeep->amid);
		failed = search_cold(upkeep, state, err);
	}
	pthread_mutex_lock(&upkeep->lock);
	state->compressing = state->rewrite != NULL;
	pthread_mutex_unlock(&upkeep->lock);
	*busy = state->rewrite != NULL;
	return failed;
}

/* What was planned may not be cold any more; what still is will be found again. */
static void drop_if_asked(struct upkeep *upkeep, struct region_upkeep *state)
{
	pthread_mutex_lock(&upkeep->lock);
	bool drop = state->drop && state->rewrite;
	state->drop = false;
	if (drop)
		state->compressing = false;
	pthread_mutex_unlock(&upkeep->lock);
	if (drop) {
		end_compression(state);
		state->next_search_ms = 0;
	}
}

int control_upkeep(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct amid *amid = context;
	struct region_upkeep *state = find_region(amid->upkeep, id);
	struct error found;
	bool busy = false;
	if (!state)
		return 0;
	drop_if_asked(amid->upkeep, state);
	int failed = compact(amid->upkeep, state, &busy, &found);
	if (!failed && !busy)
		failed = look_at_cold(amid->upkeep, state, &busy, &found);
	if (!failed)
		failed = tell_if_due(amid->upkeep, state, &found);
	*again_ms = busy ? STEP_MS : amid->config->compress_after_ms ? search_period(amid) : -1;
	if (failed && found.code == ERROR_NO_SPACE) {
		/* it comes back with the next deletion, which is the next look */
		log_warning("upkeep-postponed", "region=%s message=\"%s\"", id, found.message);
		return 0;
	}
	return failed ? error_set(err, found.code, "%s", found.message) : 0;
}

/* Brings a step's worth of the tree back; what is left is found anew the next time. */
static int warm_step(struct upkeep *upkeep, struct region_upkeep *state, const struct digest *root,
	bool *busy, struct error *err)
{
	struct store_rewrite *rewrite;
	struct store_rewrite_result result = { 0 };
	if (store_plan_warming(state->region->store, root, &rewrite, err)) {
		*busy = false;
		return err->code == ERROR_NOT_FOUND ? 0 : -1;
	}
	uint64_t blocks = store_rewrite_left(rewrite);
	int failed = blocks ? store_rewrite_step(rewrite, 2 * STEP_BYTES, &result, err) : 0;
	*busy = result.blocks && store_rewrite_left(rewrite);
	store_rewrite_close(rewrite);
	pthread_mutex_lock(&upkeep->lock);
	state->figures.warmed_blocks += result.blocks;
	pthread_mutex_unlock(&upkeep->lock);
	if (result.blocks)
		log_info("blocks-warmed", "region=%s blocks=%" PRIu64 " left=%" PRIu64, state->region->name,
			result.blocks, blocks - result.blocks - result.unchanged);
	if (result.blocks) {
		note_moved(upkeep, state);
		work_enqueue(upkeep->amid->work, "upkeep", state->region->name);
	}
	return failed;
}

int control_warm(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct amid *amid = context;
	const char *slash = strchr(id, '/');
	struct digest root;
	if (!slash || text_unhex(slash + 1, root.bytes, DIGEST_SIZE))
		return 0;
	char *region = arena_strndup(arena, id, (size_t)(slash - id));
	struct region_upkeep *state = find_region(amid->upkeep, region);
	if (!state)
		return 0;
	pthread_mutex_lock(&amid->upkeep->lock);
	bool wait = state->compressing;
	pthread_mutex_unlock(&amid->upkeep->lock);
	if (wait) {
		/* it ends before its next step, as it was planned without this tree */
		work_enqueue(amid->work, "upkeep", region);
		*again_ms = WAIT_MS;
		return 0;
	}
	bool busy;
	if (warm_step(amid->upkeep, state, &root, &busy, err))
		return -1;
	if (busy)
		*again_ms = 0;
	return 0;
}
