/* The last few blocks of a base that had to be decompressed. For base.c. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block_cache;

struct block_cache *block_cache_create(void);        /* takes memory for blocks as they come, 4 MiB at most */
void block_cache_destroy(struct block_cache *cache); /* NULL is legal */
/* Copies a piece of a block, if it is there. */
bool block_cache_read(struct block_cache *cache, uint64_t block, void *data, size_t within, size_t size);
/* Takes `data` over: STORE_BLOCK_SIZE bytes from memory_alloc. */
void block_cache_enter(struct block_cache *cache, uint64_t block, uint8_t *data);
