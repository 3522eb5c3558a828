/*
 * Freezing, syncing what was frozen, rebasing, growing: all that changes the stack.
 *
 * A freeze only switches in memory: while the gate is held and no write is under way, the spare layer, made ready beforehand, becomes the top. That it did stands at
 * once in the header of its live map, so the death of the process loses nothing; the manifest follows with volume_sync_frozen, or with the next flush.
 * The maintenance lock serializes the slow ones, the stack lock guards the switch itself.
 */
#include "volume/volume_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "store/store.h"
#include "base/banned.h"

enum { FREEZE_LIMIT_MS = 5000 };

void volume_free_retired(struct volume *volume)
{
	/* taken off first and waited for outside the lock: a freeze must not wait for a slow read */
	pthread_mutex_lock(&volume->stack_lock);
	struct stack *retired = volume->retired;
	volume->retired = NULL;
	pthread_mutex_unlock(&volume->stack_lock);
	if (retired)
		volume_drain_readers(volume);
	for (struct stack *next; retired; retired = next) {
		next = retired->next;
		free(retired);
	}
}

/* Publishes a new stack. The caller holds stack_lock. */
static void replace_stack(struct volume *volume, struct stack *stack)
{
	struct stack *old = atomic_exchange(&volume->stack, stack);
	old->next = volume->retired;
	volume->retired = old;
}

/* Makes the spare. The caller holds stack_lock. */
static int make_spare(struct volume *volume, struct error *err)
{
	if (volume->spare)
		return 0;
	return layer_create(&volume->place, volume->stack->layers[0]->number + 1, volume_size(volume),
		&volume->spare, err);
}

void volume_prepare_spare(struct volume *volume)
{
	struct error err;
	pthread_mutex_lock(&volume->stack_lock);
	if (make_spare(volume, &err))
		log_warning("spare-layer-failed", "volume=%s message=\"%s\"", volume->name, err.message);
	pthread_mutex_unlock(&volume->stack_lock);
}

int volume_hold(struct volume *volume, unsigned limit_ms, struct error *err)
{
	return gate_hold(&volume->gate, limit_ms, err);
}

void volume_release(struct volume *volume)
{
	gate_release(&volume->gate);
}

/* The switch. The caller holds the gate and stack_lock; there is a spare. */
static uint64_t switch_layers(struct volume *volume)
{
	struct stack *old = volume->stack, *stack = stack_create(old->base, old->count + 1);
	struct layer *frozen = old->layers[0];
	memcpy(stack->layers + 1, old->layers, old->count * sizeof old->layers[0]);
	stack->layers[0] = volume->spare;
	volume->spare = NULL;
	frozen->frozen_size = volume_size(volume);
	/* before anything is written to it */
	map_mark_active(stack->layers[0]->map, frozen->frozen_size);
	atomic_store(&volume->unsynced, true);
	replace_stack(volume, stack);
	return frozen->number;
}

static int freeze_held(struct volume *volume, uint64_t *layer, struct error *err)
{
	int result = -1;
	bool expired;
	pthread_mutex_lock(&volume->stack_lock);
	if (volume->stack->count >= MANIFEST_LAYER_LIMIT) {
		error_set(err, ERROR_CONFLICT, "volume %s has %u layers that wait to be sealed", volume->name,
			volume->stack->count);
	} else if (!make_spare(volume, err)) {
		if (gate_lock_held(&volume->gate, &expired)) {
			*layer = switch_layers(volume);
			gate_unlock(&volume->gate);
			result = 0;
		} else {
			error_set(err, ERROR_TIMEOUT, "the hold of volume %s has ended", volume->name);
		}
	}
	pthread_mutex_unlock(&volume->stack_lock);
	return result;
}

int volume_freeze(struct volume *volume, uint64_t *layer, struct error *err)
{
	bool expired;
	if (gate_lock_held(&volume->gate, &expired)) {
		gate_unlock(&volume->gate);
		return freeze_held(volume, layer, err);
	}
	if (expired)
		return error_set(err, ERROR_TIMEOUT, "the hold of volume %s has ended", volume->name);
	if (volume_hold(volume, FREEZE_LIMIT_MS, err))
		return -1;
	int result = freeze_held(volume, layer, err);
	volume_release(volume);
	return result;
}

/* The stack's layers, lowest first, as the manifest says it. */
static void describe_layers(const struct stack *stack, struct manifest *manifest)
{
	manifest->layer_count = stack->count;
	for (unsigned i = 0; i < stack->count; i++) {
		const struct layer *layer = stack->layers[stack->count - 1 - i];
		bool top = i + 1 == stack->count;
		manifest->layers[i] = (struct manifest_layer){ .number = layer->number,
			.frozen_size = top ? 0 : layer->frozen_size,
			.durable = !top && layer->durable };
	}
}

/* Writes a manifest with these changes; ours follows only if that succeeds. The caller holds maintenance. */
static int write_manifest(struct volume *volume, const struct manifest *manifest, struct error *err)
{
	if (manifest_write(volume->folder, manifest, err))
		return -1;
	*volume->manifest = *manifest;
	return 0;
}

/* The caller holds maintenance, so no layer goes away; freezes may add some. */
static int sync_stack(struct volume *volume, struct manifest *manifest, struct error *err)
{
	pthread_mutex_lock(&volume->stack_lock);
	/* cleared first: a freeze that comes now sets it again, and is for the next round */
	atomic_store(&volume->unsynced, false);
	struct stack *stack = volume->stack;
	struct stack *copy = stack_create(stack->base, stack->count);
	memcpy(copy->layers, stack->layers, stack->count * sizeof stack->layers[0]);
	pthread_mutex_unlock(&volume->stack_lock);
	int result = 0;
	for (unsigned i = copy->count; !result && --i > 0;) {
		struct layer *layer = copy->layers[i];
		if (layer->durable)
			continue;
		result = layer_flush(layer, err);
		if (!result)
			layer->durable = true;
		else if (layer->broken)
			atomic_store(&volume->failed, true);
	}
	/* names of layers that the manifest is going to speak of are durable before it is */
	if (!result)
		result = file_sync_folder(volume->folder, err);
	*manifest = *volume->manifest;
	describe_layers(copy, manifest);
	if (!result)
		result = write_manifest(volume, manifest, err);
	for (unsigned i = 1; !result && i < copy->count; i++)
		layer_remove_live(&volume->place, copy->layers[i]->number);
	if (result)
		atomic_store(&volume->unsynced, true);
	free(copy);
	return result;
}

int volume_sync_stack(struct volume *volume, struct error *err)
{
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	int result = 0;
	pthread_mutex_lock(&volume->maintenance);
	if (atomic_load(&volume->unsynced))
		result = sync_stack(volume, manifest, err);
	pthread_mutex_unlock(&volume->maintenance);
	free(manifest);
	return result;
}

int volume_sync_frozen(struct volume *volume, uint64_t layer, struct error *err)
{
	unsigned stripe = gate_stripe();
	struct stack *stack = volume_stack_enter(volume, stripe);
	uint64_t top = stack->layers[0]->number;
	volume_stack_leave(volume, stripe);
	if (layer >= top)
		return error_set(err, ERROR_INVALID, "layer %" PRIu64 " of volume %s is not frozen", layer,
			volume->name);
	if (atomic_load(&volume->failed))
		return error_set(
			err, ERROR_INTERNAL, "volume %s has failed: a sync of it went wrong", volume->name);
	if (volume_sync_stack(volume, err))
		return -1;
	volume_free_retired(volume);
	volume_prepare_spare(volume);
	return 0;
}

/* Puts the stack on its new base: without the layers up to `layer`. Returns the old one; its base and those layers are the caller's to free. */
static struct stack *drop_layers(struct volume *volume, uint64_t layer, struct base *base)
{
	pthread_mutex_lock(&volume->stack_lock);
	struct stack *old = volume->stack;
	unsigned kept = 0;
	while (kept < old->count && old->layers[kept]->number > layer)
		kept++;
	struct stack *stack = stack_create(base, kept);
	memcpy(stack->layers, old->layers, kept * sizeof old->layers[0]);
	struct stack *dropped = stack_create(old->base, old->count - kept);
	memcpy(dropped->layers, old->layers + kept, (old->count - kept) * sizeof old->layers[0]);
	replace_stack(volume, stack);
	pthread_mutex_unlock(&volume->stack_lock);
	volume_free_retired(volume);
	volume_drain_readers(
		volume); /* even if another thread took the list: what is dropped is freed next */
	return dropped;
}

static void *close_layers(void *context)
{
	struct stack *dropped = context;
	for (unsigned i = 0; i < dropped->count; i++)
		layer_close(dropped->layers[i]);
	free(dropped);
	return NULL;
}

void volume_await_dropped(struct volume *volume)
{
	if (volume->dropping)
		pthread_join(volume->dropper, NULL);
	volume->dropping = false;
}

/*
 * With its last descriptor a file without a name gives back its blocks and what it has in the page cache, which takes a while for a large one: nobody needs to wait for that. If this process dies the kernel does the
 * same, and after a loss of power the file system. The caller holds maintenance.
 */
static void close_dropped(struct volume *volume, struct stack *dropped)
{
	volume_await_dropped(volume);
	volume->dropping = !pthread_create(&volume->dropper, NULL, close_layers, dropped);
	if (!volume->dropping)
		close_layers(dropped);
}

/* The caller holds maintenance. */
static int rebase(struct volume *volume, uint64_t layer, const struct digest *root, struct manifest *manifest,
	struct error *err)
{
	struct base *base;
	uint32_t i = 0;
	*manifest = *volume->manifest;
	if (layer <= manifest->base_layer)
		return 0; /* done before */
	while (i < manifest->layer_count && manifest->layers[i].number != layer)
		i++;
	if (i >= manifest->layer_count || !manifest->layers[i].durable)
		return error_set(err, ERROR_INVALID,
			"volume %s has no frozen layer %" PRIu64 " that is on disk", volume->name, layer);
	manifest->base = *root;
	manifest->base_size = manifest->layers[i].frozen_size;
	manifest->base_layer = layer;
	manifest->layer_count -= i + 1;
	memmove(manifest->layers, manifest->layers + i + 1,
		manifest->layer_count * sizeof manifest->layers[0]);
	if (base_open(volume->store, root, manifest->base_size, volume->name, &base, err))
		return -1;
	if (write_manifest(volume, manifest, err)) {
		base_close(base);
		return -1;
	}
	struct stack *dropped = drop_layers(volume, layer, base);
	for (unsigned n = 0; n < dropped->count; n++)
		layer_remove(&volume->place, dropped->layers[n]->number, NULL);
	base_close(dropped->base);
	dropped->base = NULL;
	close_dropped(volume, dropped);
	return 0;
}

int volume_rebase(struct volume *volume, uint64_t layer, const struct digest *root, struct error *err)
{
	/* a frozen layer that is not on disk yet would be forgotten by the manifest's copy */
	if (atomic_load(&volume->unsynced) && volume_sync_stack(volume, err))
		return -1;
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	pthread_mutex_lock(&volume->maintenance);
	int result = rebase(volume, layer, root, manifest, err);
	pthread_mutex_unlock(&volume->maintenance);
	free(manifest);
	return result;
}

/* The caller holds stack_lock. */
static int extend_top(struct volume *volume, uint64_t size, struct error *err)
{
	struct layer *layers[] = { volume->stack->layers[0], volume->spare };
	int result = 0;
	for (int i = 0; i < 2 && !result; i++)
		if (layers[i])
			result = layer_data_extend(
				&layers[i]->data, volume->folder, layers[i]->number, size, err);
	return result;
}

int volume_extend_top(struct volume *volume, uint64_t size, struct error *err)
{
	pthread_mutex_lock(&volume->stack_lock);
	int result = extend_top(volume, size, err);
	pthread_mutex_unlock(&volume->stack_lock);
	return result;
}

int volume_let_go(struct volume *volume, struct error *err)
{
	struct base_view *replaced;
	/* keeps the base */
	pthread_mutex_lock(&volume->maintenance);
	unsigned stripe = gate_stripe();
	struct base *base = volume_stack_enter(volume, stripe)->base;
	volume_stack_leave(volume, stripe);
	int result = base_renew(base, &replaced, err);
	if (replaced)
		volume_drain_readers(volume);
	base_free_views(replaced);
	if (volume->store)
		store_let_go(volume->store);
	pthread_mutex_unlock(&volume->maintenance);
	return result;
}

/* The caller holds maintenance. */
static int grow(struct volume *volume, uint64_t size, struct manifest *manifest, struct error *err)
{
	uint64_t current = volume_size(volume);
	if (size == current)
		return 0;
	if (size < current || size % VOLUME_SECTOR_SIZE || size > MAP_VOLUME_LIMIT)
		return error_set(err, ERROR_INVALID,
			"volume %s has %" PRIu64 " bytes and cannot have %" PRIu64, volume->name, current,
			size);
	*manifest = *volume->manifest;
	manifest->size = size;
	/* the files before the manifest that speaks of them */
	if (volume_extend_top(volume, size, err) || write_manifest(volume, manifest, err))
		return -1;
	pthread_mutex_lock(&volume->stack_lock);
	/* once more: freezes since then may have made a spare of the old size */
	int result = extend_top(volume, size, err);
	if (!result)
		atomic_store(&volume->size, size);
	pthread_mutex_unlock(&volume->stack_lock);
	return result;
}

int volume_grow(struct volume *volume, uint64_t size, struct error *err)
{
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	pthread_mutex_lock(&volume->maintenance);
	int result = grow(volume, size, manifest, err);
	pthread_mutex_unlock(&volume->maintenance);
	free(manifest);
	return result;
}
