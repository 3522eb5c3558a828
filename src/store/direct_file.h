/*
 * Writing to a pack, and reading from it, past the page cache, for blocks that come in a stream and that nobody is about to read: it spares the copy into pages of the cache, the wait for the file's lock, and what other files have in the cache.
 * For packs.c. The page cache and such writes agree as long as they are to different pages of the file, as an object's always are.
 */
#pragma once

#include <stdint.h>

enum { DIRECT_ALIGNMENT = 4096 }; /* of addresses, sizes and offsets; what any disk is content with */

struct direct_files;

/* `folder` stays the caller's. */
struct direct_files *direct_files_create(const char *folder);
void direct_files_destroy(struct direct_files *files); /* no write is under way; NULL is legal */

/*
 * Writes a header page and a payload, both aligned in memory, size and place. 1: done, as durable as any write is; 0: this file system cannot do that, or not now, and the caller writes in the ordinary way; nothing
 * that was written stands in the way of that. Any thread.
 */
int direct_files_write(struct direct_files *files, uint32_t pack, const void *header, const void *payload,
	uint32_t payload_size, uint64_t offset);
/* The pack is about to lose its name: its descriptor is closed, now or by who writes through it last. */
void direct_files_forget(struct direct_files *files, uint32_t pack);
/* Reads, everything aligned likewise. -1: not done, and the caller reads in the ordinary way, whatever the reason is. Any thread. */
int direct_files_read(struct direct_files *files, uint32_t pack, void *data, uint32_t size, uint64_t offset);
