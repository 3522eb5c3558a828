/* Reading through a stack: runs of grains that the top layer has are read from it, runs that it lacks from what is below. No state, no locks. */
#include "volume/stack.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/disk.h"
#include "store/store.h"
#include "volume/volume.h"
#include "base/banned.h"

struct stack *stack_create(struct base *base, unsigned count)
{
	struct stack *stack = memory_alloc(sizeof *stack + count * sizeof stack->layers[0]);
	memset(stack, 0, sizeof *stack + count * sizeof stack->layers[0]);
	stack->base = base;
	stack->count = count;
	return stack;
}

/* The state of the layer at `offset`, and for how many bytes, at most `size`. */
static enum map_state run_at(const struct layer *layer, uint64_t offset, uint64_t size, uint64_t *length)
{
	uint64_t grain = offset / VOLUME_GRAIN_SIZE, grains;
	uint64_t end = (offset + size + VOLUME_GRAIN_SIZE - 1) / VOLUME_GRAIN_SIZE;
	enum map_state state = map_run(layer->map, grain, end, &grains);
	uint64_t bytes = (grain + grains) * VOLUME_GRAIN_SIZE - offset;
	*length = bytes < size ? bytes : size;
	return state;
}

/* `laid`: what the base holds is there already. */
static int read_layers(const struct stack *stack, unsigned level, bool laid, void *data, uint64_t offset,
	uint64_t size, struct error *err)
{
	uint8_t *at = data;
	if (level == stack->count)
		return laid ? 0 : base_read(stack->base, data, offset, size, err);
	const struct layer *layer = stack->layers[level];
	for (uint64_t length; size; at += length, offset += length, size -= length) {
		switch (run_at(layer, offset, size, &length)) {
		case MAP_DATA:
			if (layer_data_read(&layer->data, at, length, offset))
				return error_set_errno(err, errno,
					"cannot read layer %" PRIu64 " at %" PRIu64, layer->number, offset);
			break;
		case MAP_ZERO:
			memset(at, 0, length);
			break;
		case MAP_ABSENT:
			if (read_layers(stack, level + 1, laid, at, offset, length, err))
				return -1;
			break;
		case MAP_DAMAGED:
			return error_set(err, ERROR_CORRUPT,
				"the map of layer %" PRIu64 " is damaged at %" PRIu64, layer->number, offset);
		}
	}
	return 0;
}

int stack_read(const struct stack *stack, unsigned level, void *data, uint64_t offset, uint64_t size,
	struct error *err)
{
	return read_layers(stack, level, false, data, offset, size, err);
}

static bool reaches_base(const struct stack *stack, unsigned level, uint64_t offset, uint64_t size)
{
	if (level == stack->count)
		return true;
	for (uint64_t length; size; offset += length, size -= length)
		if (run_at(stack->layers[level], offset, size, &length) == MAP_ABSENT &&
			reaches_base(stack, level + 1, offset, length))
			return true;
	return false;
}

int stack_read_block(const struct stack *stack, uint64_t block, void *data, uint64_t size, struct error *err)
{
	uint64_t offset = block * STORE_BLOCK_SIZE;
	if (reaches_base(stack, 0, offset, size) && base_read_block(stack->base, block, data, err))
		return -1;
	return read_layers(stack, 0, true, data, offset, size, err);
}

static int extent_at(const struct stack *stack, unsigned level, uint64_t offset, uint64_t size, bool *zero,
	uint64_t *length, struct error *err)
{
	uint64_t limit = size;
	for (; level < stack->count; level++) {
		enum map_state state = run_at(stack->layers[level], offset, limit, &limit);
		if (state != MAP_ABSENT) {
			*zero = state == MAP_ZERO;
			*length = limit;
			return 0;
		}
	}
	return base_extent(stack->base, offset, limit, zero, length, err);
}

int stack_extent(const struct stack *stack, uint64_t offset, uint64_t size, bool *zero, uint64_t *length,
	struct error *err)
{
	/* joins neighbours, but not for ever: the answer need not be the longest */
	enum { JOIN_LIMIT = 64 };
	bool next_zero;
	uint64_t next;
	if (extent_at(stack, 0, offset, size, zero, length, err))
		return -1;
	for (int i = 0; i < JOIN_LIMIT && *length < size; i++) {
		if (extent_at(stack, 0, offset + *length, size - *length, &next_zero, &next, err))
			return -1;
		if (next_zero != *zero)
			break;
		*length += next;
	}
	return 0;
}
