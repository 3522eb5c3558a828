/*
 * The cipher of encrypted disks: AES-256 in XTS mode (IEEE 1619) over data units of 4 KiB, the tweak being the unit's number on the disk. Sectors of 512 bytes are read and written. See docs/design/encryption.md.
 *
 * A sealed sector that is all zeros is a hole, and opens as zeros: what was never written, trimmed or zeroed needs no key to be made. No data can be mistaken for that: at one place under one key exactly one
 * of the 2^4096 plain sectors seals to zeros, and whoever could name it would have to have the key.
 *
 * All functions are safe from every thread and allocate nothing but in cipher_open.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
	CIPHER_KEY_SIZE = 64, /* two AES-256 keys: of the data, of the tweak */
	CIPHER_SECTOR_SIZE = 512,
	CIPHER_UNIT_SIZE = 4096,
};

struct cipher;

/* The key is the caller's to cleanse. ERROR_INVALID: its halves are equal. */
int cipher_open(const uint8_t key[CIPHER_KEY_SIZE], struct cipher **cipher, struct error *err);
void cipher_close(struct cipher *cipher); /* leaves nothing of the key in memory; NULL is legal */

/* `size` bytes that begin at the sector `first`, a multiple of the sector's size; `to` and `from` are the same, or do not overlap. */
int cipher_seal(
	struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, struct error *err);
/* The same for what stands in a tree: sectors of zeros stay holes. */
int cipher_seal_sparse(
	struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, struct error *err);
int cipher_unseal(
	struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, struct error *err);

/*
 * A key (CIPHER_KEY_SIZE) in memory that is neither swapped out nor dumped: zeros at first. Freeing cleanses it; NULL is legal. Without the right to lock memory (RLIMIT_MEMLOCK) it may be swapped out.
 */
uint8_t *cipher_key_alloc(void);
void cipher_key_free(uint8_t *key);

/* For a process that is there for encrypted disks only: no core dump of it has keys or data, nobody but root may look into it, nothing of it is swapped out (if it may lock memory). */
void cipher_protect_process(void);
