/*
 * Reading, writing, zeroing and flushing.
 *
 * Overwriting grains that the top layer has is one pwrite, without a lock. The first write to a grain takes the lock of its region of 1 MiB, because a write to a part of a grain the layer lacks
 * has to bring in the rest from below, and must neither lose nor be lost to another first write. Data always goes to the file before the map says so.
 *
 * Any thread.
 */
#include "volume/volume_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/banned.h"

struct stack *volume_stack_enter(struct volume *volume, unsigned stripe)
{
	pthread_rwlock_rdlock(&volume->readers[stripe].lock);
	return atomic_load_explicit(&volume->stack, memory_order_acquire);
}

void volume_stack_leave(struct volume *volume, unsigned stripe)
{
	pthread_rwlock_unlock(&volume->readers[stripe].lock);
}

void volume_drain_readers(struct volume *volume)
{
	for (int i = 0; i < GATE_STRIPES; i++) {
		pthread_rwlock_wrlock(&volume->readers[i].lock);
		pthread_rwlock_unlock(&volume->readers[i].lock);
	}
}

static int check_range(const struct volume *volume, uint64_t offset, uint64_t size, struct error *err)
{
	uint64_t limit = volume_size(volume);
	if (atomic_load_explicit(&volume->failed, memory_order_relaxed))
		return error_set(
			err, ERROR_INTERNAL, "volume %s has failed: a sync of it went wrong", volume->name);
	if (offset > limit || size > limit - offset)
		return error_set(err, ERROR_INVALID,
			"%" PRIu64 " bytes at %" PRIu64 " are beyond the end of volume %s", size, offset,
			volume->name);
	return 0;
}

int volume_read(struct volume *volume, void *data, uint64_t offset, uint32_t size, struct error *err)
{
	if (check_range(volume, offset, size, err))
		return -1;
	unsigned stripe = gate_stripe();
	struct stack *stack = volume_stack_enter(volume, stripe);
	int result = stack_read(stack, 0, data, offset, size, err);
	volume_stack_leave(volume, stripe);
	return result;
}

/* Locks the regions that a range touches; returns which, for unlock_regions. */
static uint64_t lock_regions(struct volume *volume, uint64_t offset, uint64_t size)
{
	uint64_t first = offset / FILL_REGION, last = (offset + size - 1) / FILL_REGION, taken = 0;
	for (uint64_t region = first; region <= last && region - first < FILL_STRIPES; region++)
		taken |= 1ULL << region % FILL_STRIPES;
	/* in ascending order, whatever the range: no two can wait for each other */
	for (unsigned i = 0; i < FILL_STRIPES; i++)
		if (taken >> i & 1)
			pthread_mutex_lock(&volume->fill[i]);
	return taken;
}

static void unlock_regions(struct volume *volume, uint64_t taken)
{
	for (unsigned i = 0; i < FILL_STRIPES; i++)
		if (taken >> i & 1)
			pthread_mutex_unlock(&volume->fill[i]);
}

static int write_data(struct layer *top, const void *data, uint64_t offset, uint64_t size, struct error *err)
{
	if (layer_data_write(&top->data, data, size, offset))
		return error_set_errno(
			err, errno, "cannot write layer %" PRIu64 " at %" PRIu64, top->number, offset);
	return 0;
}

/* A part of one grain. The caller holds its region. `data` NULL: zeros. */
static int write_part(
	struct stack *stack, const void *data, uint64_t offset, uint64_t size, struct error *err)
{
	struct layer *top = stack->layers[0];
	uint8_t grain[VOLUME_GRAIN_SIZE];
	uint64_t number = offset / VOLUME_GRAIN_SIZE, start = number * VOLUME_GRAIN_SIZE;
	enum map_state state = map_get(top->map, number);
	if (state == MAP_ZERO && !data)
		return 0;
	if (stack_read(stack, 0, grain, start, sizeof grain, err))
		return -1;
	if (data)
		memcpy(grain + (offset - start), data, size);
	else
		memset(grain + (offset - start), 0, size);
	if (state == MAP_DATA)
		return write_data(top, grain + (offset - start), offset, size, err);
	if (write_data(top, grain, start, sizeof grain, err))
		return -1;
	return map_set(top->map, number, number + 1, MAP_DATA, err);
}

/* Whole grains. */
static int write_whole(
	struct stack *stack, const void *data, uint64_t offset, uint64_t size, struct error *err)
{
	struct layer *top = stack->layers[0];
	if (write_data(top, data, offset, size, err))
		return -1;
	return map_set(
		top->map, offset / VOLUME_GRAIN_SIZE, (offset + size) / VOLUME_GRAIN_SIZE, MAP_DATA, err);
}

/* Whole grains become zeros. */
static int zero_whole(struct stack *stack, uint64_t offset, uint64_t size, struct error *err)
{
	struct layer *top = stack->layers[0];
	uint64_t grain = offset / VOLUME_GRAIN_SIZE, end = grain + size / VOLUME_GRAIN_SIZE, length;
	bool nothing_below = stack->count == 1 && !stack->base;
	for (; grain < end; grain += length) {
		enum map_state state = map_run(top->map, grain, end, &length);
		if (state == MAP_ZERO || (state == MAP_ABSENT && nothing_below))
			continue;
		if (map_set(top->map, grain, grain + length, MAP_ZERO, err))
			return -1;
		/* the map decides; that the space comes back as well is worth trying, no more */
		if (state == MAP_DATA)
			(void)layer_data_punch(
				&top->data, grain * VOLUME_GRAIN_SIZE, length * VOLUME_GRAIN_SIZE);
	}
	return 0;
}

typedef int change_whole(
	struct stack *stack, const void *data, uint64_t offset, uint64_t size, struct error *err);

static int zero_whole_as_write(
	struct stack *stack, const void *data, uint64_t offset, uint64_t size, struct error *err)
{
	(void)data;
	return zero_whole(stack, offset, size, err);
}

/* Cuts a range into a part of a grain, whole grains, and a part of a grain. The caller holds its regions. */
static int change_range(struct stack *stack, const uint8_t *data, uint64_t offset, uint64_t size,
	change_whole *whole, struct error *err)
{
	uint64_t within = offset % VOLUME_GRAIN_SIZE;
	if (within) {
		uint64_t part = VOLUME_GRAIN_SIZE - within < size ? VOLUME_GRAIN_SIZE - within : size;
		if (write_part(stack, data, offset, part, err))
			return -1;
		offset += part;
		size -= part;
		data = data ? data + part : NULL;
	}
	uint64_t middle = size - size % VOLUME_GRAIN_SIZE;
	if (middle && whole(stack, data, offset, middle, err))
		return -1;
	if (size == middle)
		return 0;
	return write_part(stack, data ? data + middle : NULL, offset + middle, size - middle, err);
}

static bool has_data(const struct layer *layer, uint64_t offset, uint64_t size)
{
	uint64_t first = offset / VOLUME_GRAIN_SIZE,
		 end = (offset + size + VOLUME_GRAIN_SIZE - 1) / VOLUME_GRAIN_SIZE;
	uint64_t length;
	return map_run(layer->map, first, end, &length) == MAP_DATA && length == end - first;
}

/* For all grains of a range, though the layer may have some of them. */
static int take_space(struct volume *volume, uint64_t offset, uint64_t size, struct error *err)
{
	uint64_t first = offset / VOLUME_GRAIN_SIZE,
		 end = (offset + size + VOLUME_GRAIN_SIZE - 1) / VOLUME_GRAIN_SIZE;
	return volume_space_take(
		&volume->space, volume->folder, volume->name, (end - first) * VOLUME_GRAIN_SIZE, err);
}

static void note_run(struct volume *volume, struct layer *top, uint64_t offset, uint64_t size)
{
	if (offset + size <= top->data_size)
		ahead_note_write(&top->ahead, top->data.fds[0], top->data_size, offset, size, volume->folder,
			&volume->space.reserve);
}

int volume_write(struct volume *volume, const void *data, uint64_t offset, uint32_t size, struct error *err)
{
	int result;
	if (check_range(volume, offset, size, err))
		return -1;
	if (!size)
		return 0;
	unsigned stripe = gate_enter(&volume->gate);
	struct stack *stack = volume_stack_enter(volume, stripe);
	if (has_data(stack->layers[0], offset, size)) {
		result = write_data(stack->layers[0], data, offset, size, err);
	} else if (!(result = take_space(volume, offset, size, err))) {
		note_run(volume, stack->layers[0], offset, size);
		uint64_t regions = lock_regions(volume, offset, size);
		result = change_range(stack, data, offset, size, write_whole, err);
		unlock_regions(volume, regions);
	}
	volume_stack_leave(volume, stripe);
	gate_leave(&volume->gate, stripe);
	return result;
}

static int zero_piece(struct volume *volume, uint64_t offset, uint64_t size, struct error *err)
{
	/* parts of grains are written */
	if ((offset % VOLUME_GRAIN_SIZE || size % VOLUME_GRAIN_SIZE) &&
		take_space(volume, offset, size < VOLUME_GRAIN_SIZE ? size : 2 * VOLUME_GRAIN_SIZE, err))
		return -1;
	unsigned stripe = gate_enter(&volume->gate);
	struct stack *stack = volume_stack_enter(volume, stripe);
	uint64_t regions = lock_regions(volume, offset, size);
	int result = change_range(stack, NULL, offset, size, zero_whole_as_write, err);
	unlock_regions(volume, regions);
	volume_stack_leave(volume, stripe);
	gate_leave(&volume->gate, stripe);
	return result;
}

int volume_zero(struct volume *volume, uint64_t offset, uint64_t size, struct error *err)
{
	/* pieces, so that a freeze need not wait for the whole of a large one */
	enum { PIECE = 1 << 30 };
	if (check_range(volume, offset, size, err))
		return -1;
	if (!size)
		return 0;
	/* the last grain of a volume whose size is no multiple of it counts as whole */
	uint64_t end = offset + size;
	if (end == volume_size(volume))
		end = (end + VOLUME_GRAIN_SIZE - 1) / VOLUME_GRAIN_SIZE * VOLUME_GRAIN_SIZE;
	for (uint64_t next; offset < end; offset = next) {
		next = (offset / PIECE + 1) * PIECE < end ? (offset / PIECE + 1) * PIECE : end;
		if (zero_piece(volume, offset, next - offset, err))
			return -1;
	}
	return 0;
}

int volume_flush(struct volume *volume, struct error *err)
{
	if (check_range(volume, 0, 0, err))
		return -1;
	unsigned stripe = gate_stripe();
	struct stack *stack;
	/* a freeze sets `unsynced` before it replaces the stack: whoever sees the new one sees that, too, and syncs the layer below first */
	while (stack = volume_stack_enter(volume, stripe), atomic_load(&volume->unsynced)) {
		volume_stack_leave(volume, stripe);
		if (volume_sync_stack(volume, err))
			return -1;
	}
	int result = layer_flush(stack->layers[0], err);
	if (result && stack->layers[0]->broken)
		atomic_store(&volume->failed, true);
	volume_stack_leave(volume, stripe);
	return result;
}

int volume_extent(struct volume *volume, uint64_t offset, uint64_t size, bool *zero, uint64_t *length,
	struct error *err)
{
	if (check_range(volume, offset, size, err))
		return -1;
	if (!size)
		return error_set(err, ERROR_INVALID, "an extent of no bytes");
	unsigned stripe = gate_stripe();
	struct stack *stack = volume_stack_enter(volume, stripe);
	int result = stack_extent(stack, offset, size, zero, length, err);
	volume_stack_leave(volume, stripe);
	return result;
}
