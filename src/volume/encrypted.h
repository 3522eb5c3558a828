/*
 * A volume as its guest sees it, when what lies in the volume is encrypted: the one place where data and ciphertext meet. Everything below (layers, seals, the store) has ciphertext only, and needs no key.
 *
 * Offsets and sizes are multiples of CIPHER_SECTOR_SIZE (ERROR_INVALID otherwise). Zeroing and trimming go to the volume as they are. All functions are safe from every thread.
 */
#pragma once

#include "volume/cipher.h"
#include "volume/volume.h"

struct encrypted;

/* Both are the caller's, and outlive it. */
struct encrypted *encrypted_create(struct volume *volume, struct cipher *cipher);
/* Its own threads, which take a part in large requests; without them it works as well. Once; in the process that serves (threads do not survive a fork), with the signals blocked that they must not get. */
int encrypted_start(struct encrypted *encrypted, struct error *err);
void encrypted_destroy(struct encrypted *encrypted); /* after all requests; NULL is legal */
int encrypted_read(
	struct encrypted *encrypted, void *data, uint64_t offset, uint32_t size, struct error *err);
/* `data` is not changed. A freeze may come between two parts of a write of more than 128 KiB. */
int encrypted_write(
	struct encrypted *encrypted, const void *data, uint64_t offset, uint32_t size, struct error *err);
int encrypted_zero(struct encrypted *encrypted, uint64_t offset, uint64_t size, struct error *err);
