/*
 * Both go part by part, each small enough to stay in the processor's cache. Reads are decrypted where they have been read to. Writes are encrypted into buffers of our own, since the guest's must not change; there is one for each
 * stripe of threads, made up front.
 *
 * Any thread.
 */
#include "volume/encrypted.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "volume/gate.h"
#include "base/banned.h"

enum { BUFFER_SIZE = 128 * 1024 };

struct encrypted {
	struct volume *volume;
	struct cipher *cipher;
	struct {
		pthread_mutex_t lock;
		uint8_t *bytes;
	} buffers[GATE_STRIPES];
};

struct encrypted *encrypted_create(struct volume *volume, struct cipher *cipher)
{
	struct encrypted *encrypted = memory_alloc(sizeof *encrypted);
	encrypted->volume = volume;
	encrypted->cipher = cipher;
	for (unsigned i = 0; i < GATE_STRIPES; i++) {
		pthread_mutex_init(&encrypted->buffers[i].lock, NULL);
		encrypted->buffers[i].bytes = memory_alloc(BUFFER_SIZE);
	}
	return encrypted;
}

void encrypted_destroy(struct encrypted *encrypted)
{
	if (!encrypted)
		return;
	for (unsigned i = 0; i < GATE_STRIPES; i++) {
		pthread_mutex_destroy(&encrypted->buffers[i].lock);
		free(encrypted->buffers[i].bytes);
	}
	free(encrypted);
}

static int check_aligned(uint64_t offset, uint64_t size, struct error *err)
{
	if (offset % CIPHER_SECTOR_SIZE || size % CIPHER_SECTOR_SIZE)
		return error_set(err, ERROR_INVALID,
			"%" PRIu64 " bytes at %" PRIu64 " are not whole sectors of an encrypted disk", size,
			offset);
	return 0;
}

int encrypted_read(struct encrypted *encrypted, void *data, uint64_t offset, uint32_t size, struct error *err)
{
	uint8_t *to = data;
	if (check_aligned(offset, size, err))
		return -1;
	for (uint32_t at = 0, part; at < size; at += part) {
		part = size - at < BUFFER_SIZE ? size - at : BUFFER_SIZE;
		if (volume_read(encrypted->volume, to + at, offset + at, part, err) ||
			cipher_unseal(encrypted->cipher, to + at, to + at, (offset + at) / CIPHER_SECTOR_SIZE,
				part, err))
			return -1;
	}
	return 0;
}

static unsigned take_buffer(struct encrypted *encrypted)
{
	unsigned first = gate_stripe();
	for (unsigned i = 0; i < GATE_STRIPES; i++)
		if (pthread_mutex_trylock(&encrypted->buffers[(first + i) % GATE_STRIPES].lock) == 0)
			return (first + i) % GATE_STRIPES;
	pthread_mutex_lock(&encrypted->buffers[first].lock);
	return first;
}

int encrypted_write(
	struct encrypted *encrypted, const void *data, uint64_t offset, uint32_t size, struct error *err)
{
	const uint8_t *from = data;
	int result = 0;
	if (check_aligned(offset, size, err))
		return -1;
	unsigned number = take_buffer(encrypted);
	uint8_t *buffer = encrypted->buffers[number].bytes;
	for (uint32_t at = 0, part; result == 0 && at < size; at += part) {
		part = size - at < BUFFER_SIZE ? size - at : BUFFER_SIZE;
		result = cipher_seal(encrypted->cipher, buffer, from + at, (offset + at) / CIPHER_SECTOR_SIZE,
				 part, err) ||
				volume_write(encrypted->volume, buffer, offset + at, part, err)
			? -1
			: 0;
	}
	pthread_mutex_unlock(&encrypted->buffers[number].lock);
	return result;
}

int encrypted_zero(struct encrypted *encrypted, uint64_t offset, uint64_t size, struct error *err)
{
	return check_aligned(offset, size, err) || volume_zero(encrypted->volume, offset, size, err) ? -1 : 0;
}
