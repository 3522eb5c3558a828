/*
 * Arena allocator: chunks of at least 8 KiB in a list, bump allocation in the newest. A request larger than a quarter of a chunk gets a chunk of its own,
 * put behind the newest so that the room left there stays in use.
 */
#include "base/arena.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

enum { CHUNK_SIZE = 8192, ALIGNMENT = 16 };

struct chunk {
	struct chunk *next;
	size_t size; /* bytes of data */
	size_t used;
	_Alignas(ALIGNMENT) char data[];
};

struct deferred {
	struct deferred *next;
	void (*release)(void *object);
	void *object;
};

struct arena {
	struct chunk *newest;
	struct deferred *deferred; /* in the arena itself */
	bool wiped;
};

static void out_of_memory(size_t size)
{
	fprintf(stderr, "level=error event=out-of-memory bytes=%zu\n", size);
	abort();
}

void *memory_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);
	if (!p)
		out_of_memory(size);
	return p;
}

void *memory_alloc_aligned(size_t alignment, size_t size)
{
	void *p = aligned_alloc(alignment, size);
	if (!p)
		out_of_memory(size);
	return p;
}

void *memory_realloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);
	if (!p)
		out_of_memory(size);
	return p;
}

char *memory_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	return memcpy(memory_alloc(size), text, size);
}

struct arena *arena_create(void)
{
	return memory_alloc(sizeof(struct arena));
}

void arena_destroy(struct arena *arena)
{
	if (!arena)
		return;
	for (struct deferred *deferred = arena->deferred; deferred; deferred = deferred->next)
		deferred->release(deferred->object);
	for (struct chunk *chunk = arena->newest, *next; chunk; chunk = next) {
		next = chunk->next;
		if (arena->wiped)
			OPENSSL_cleanse(chunk->data, chunk->used);
		free(chunk);
	}
	free(arena);
}

void arena_wipe(struct arena *arena)
{
	arena->wiped = true;
}

static struct chunk *chunk_create(size_t size)
{
	if (size > SIZE_MAX - sizeof(struct chunk))
		out_of_memory(size);
	struct chunk *chunk = memory_alloc(sizeof *chunk + size);
	chunk->size = size;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	if (size > SIZE_MAX - ALIGNMENT)
		out_of_memory(size);
	size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	struct chunk *newest = arena->newest;
	if (newest && newest->size - newest->used >= size) {
		void *p = newest->data + newest->used;
		newest->used += size;
		return p;
	}
	bool own = size > CHUNK_SIZE / 4;
	struct chunk *chunk = chunk_create(own ? size : CHUNK_SIZE);
	chunk->used = size;
	if (own && newest) {
		chunk->next = newest->next;
		newest->next = chunk;
	} else {
		chunk->next = newest;
		arena->newest = chunk;
	}
	return chunk->data;
}

void arena_defer(struct arena *arena, void (*release)(void *object), void *object)
{
	struct deferred *deferred = arena_alloc(arena, sizeof *deferred);
	*deferred = (struct deferred){ .next = arena->deferred, .release = release, .object = object };
	arena->deferred = deferred;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes))
		out_of_memory(SIZE_MAX);
	return arena_alloc(arena, bytes);
}

void *arena_memdup(struct arena *arena, const void *data, size_t size)
{
	void *copy = arena_alloc(arena, size);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t size)
{
	char *copy = arena_alloc(arena, size + 1);
	if (size)
		memcpy(copy, text, size);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return text ? arena_strndup(arena, text, strlen(text)) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(size >= 0);
	char *text = arena_alloc(arena, (size_t)size + 1);
	vsnprintf(text, (size_t)size + 1, format, again);
	va_end(again);
	return text;
}

/* The capacity is not stored: an array is full exactly when its count is 0 or a power of two of at least 4. */
void *arena_grow_array(struct arena *arena, void *items, size_t count, size_t size)
{
	if (count != 0 && (count < 4 || (count & (count - 1)) != 0))
		return items;
	void *grown = arena_alloc_array(arena, count ? count * 2 : 4, size);
	if (count)
		memcpy(grown, items, count * size);
	return grown;
}
