/*
 * Arena: one owner for everything that a request reads and writes; freed in one go.
 *
 * Allocation never returns NULL: amid is crash-only (everything acknowledged is on disk), so when the machine has no memory left for a small
 * allocation the process says so and ends. Whatever is sized by input (bodies, block buffers) is bounded before it gets here.
 * An arena is used by one thread at a time.
 */
#pragma once

#include <stddef.h>
#include <stdarg.h>

struct arena;

struct arena *arena_create(void);
/* Frees everything allocated from it. NULL is legal. */
void arena_destroy(struct arena *arena);
/* From now on the arena holds secrets: its memory is overwritten before it is given back. Whoever puts one into an arena says so. */
void arena_wipe(struct arena *arena);
/* Has `release(object)` called when the arena is destroyed, before its memory goes; the newest first. For counted objects that what lies in the arena refers to. */
void arena_defer(struct arena *arena, void (*release)(void *object), void *object);
/* Zeroed memory, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull, malloc));
/* count * size, zeroed; ends the process if the product overflows. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
	__attribute__((returns_nonnull, malloc));
/* A NUL-terminated copy. arena_strdup(arena, NULL) is NULL. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t size) __attribute__((returns_nonnull));
void *arena_memdup(struct arena *arena, const void *data, size_t size) __attribute__((returns_nonnull));
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3), returns_nonnull));

static inline void arena_cleanup(struct arena **arena)
{
	arena_destroy(*arena);
}
/* struct arena *scratch ARENA_SCOPED = arena_create(); */
#define ARENA_SCOPED __attribute__((cleanup(arena_cleanup)))

/*
 * A growable array in an arena. ARENA_APPEND(arena, items, count) makes room for one more element in `items` (doubling; the old array stays in
 * the arena) and evaluates to a pointer to the new zeroed element.
 */
void *arena_grow_array(struct arena *arena, void *items, size_t count, size_t size)
	__attribute__((returns_nonnull));
#define ARENA_APPEND(arena, items, count) \
	((items) = arena_grow_array((arena), (items), (count), sizeof *(items)), &(items)[(count)++])

/* malloc and friends that end the process when there is no memory; for long-lived objects. Freed with free(). */
void *memory_alloc(size_t size) __attribute__((returns_nonnull, malloc));
/* Not zeroed; both a multiple of `alignment`, a power of two. */
void *memory_alloc_aligned(size_t alignment, size_t size) __attribute__((returns_nonnull, malloc));
void *memory_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *memory_strdup(const char *text) __attribute__((returns_nonnull));
