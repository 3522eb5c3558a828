/*
 * Both go part by part, each small enough to stay in the processor's cache. Reads are decrypted where they have been read to. Writes are encrypted into buffers of our own, since the guest's must not change; there is one for each
 * stripe of threads, made up front.
 *
 * A guest that reads or writes much at once waits for it, and a core is free meanwhile: so half of a large request is handed to a helper thread, if one is idle. Nobody waits for a helper to become idle.
 *
 * Any thread; HELPERS threads of its own.
 */
#include "volume/encrypted.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/arena.h"
#include "volume/gate.h"
#include "base/banned.h"

enum {
	BUFFER_SIZE = 128 * 1024,
	SHARED_SIZE = 2 * BUFFER_SIZE /* requests from this size on are shared */,
	HELPERS = 2
};

/* A request, or half of one. */
struct transfer {
	int (*run)(struct encrypted *encrypted, const struct transfer *transfer, struct error *err);
	uint8_t *to;         /* of reads */
	const uint8_t *from; /* of writes */
	uint64_t offset;
	uint32_t size;
};

struct helper {
	struct encrypted *encrypted;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t given, done;
	bool running; /* there is a thread */
	bool busy;    /* somebody has it, until he has seen what came of it */
	bool stopping;
	const struct transfer *transfer; /* NULL: done */
	struct error err;
	int result;
};

struct encrypted {
	struct volume *volume;
	struct cipher *cipher;
	struct helper helpers[HELPERS];
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
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *helper = &encrypted->helpers[i];
		*helper = (struct helper){ .encrypted = encrypted };
		pthread_mutex_init(&helper->lock, NULL);
		pthread_cond_init(&helper->given, NULL);
		pthread_cond_init(&helper->done, NULL);
	}
	return encrypted;
}

static void *help(void *context)
{
	struct helper *helper = context;
	pthread_mutex_lock(&helper->lock);
	for (;;) {
		while (!helper->transfer && !helper->stopping)
			pthread_cond_wait(&helper->given, &helper->lock);
		const struct transfer *transfer = helper->transfer;
		if (!transfer)
			break;
		pthread_mutex_unlock(&helper->lock);
		int result = transfer->run(helper->encrypted, transfer, &helper->err);
		pthread_mutex_lock(&helper->lock);
		helper->result = result;
		helper->transfer = NULL;
		pthread_cond_signal(&helper->done);
	}
	pthread_mutex_unlock(&helper->lock);
	return NULL;
}

int encrypted_start(struct encrypted *encrypted, struct error *err)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *helper = &encrypted->helpers[i];
		int error = pthread_create(&helper->thread, NULL, help, helper);
		if (error)
			return error_set_errno(err, error, "cannot start a thread");
		pthread_mutex_lock(&helper->lock);
		helper->running = true;
		pthread_mutex_unlock(&helper->lock);
	}
	return 0;
}

static void stop_helper(struct helper *helper)
{
	pthread_mutex_lock(&helper->lock);
	helper->stopping = true;
	pthread_cond_signal(&helper->given);
	pthread_mutex_unlock(&helper->lock);
	if (helper->running)
		pthread_join(helper->thread, NULL);
	pthread_cond_destroy(&helper->given);
	pthread_cond_destroy(&helper->done);
	pthread_mutex_destroy(&helper->lock);
}

void encrypted_destroy(struct encrypted *encrypted)
{
	if (!encrypted)
		return;
	for (unsigned i = 0; i < HELPERS; i++)
		stop_helper(&encrypted->helpers[i]);
	for (unsigned i = 0; i < GATE_STRIPES; i++) {
		pthread_mutex_destroy(&encrypted->buffers[i].lock);
		free(encrypted->buffers[i].bytes);
	}
	free(encrypted);
}

/* An idle helper, which is at it when this returns; NULL: there is none. */
static struct helper *give(struct encrypted *encrypted, const struct transfer *transfer)
{
	for (unsigned i = 0; i < HELPERS; i++) {
		struct helper *helper = &encrypted->helpers[i];
		if (pthread_mutex_trylock(&helper->lock))
			continue;
		bool idle = helper->running && !helper->busy;
		if (idle) {
			helper->busy = true;
			helper->transfer = transfer;
			pthread_cond_signal(&helper->given);
		}
		pthread_mutex_unlock(&helper->lock);
		if (idle)
			return helper;
	}
	return NULL;
}

static int take_result(struct helper *helper, struct error *err)
{
	pthread_mutex_lock(&helper->lock);
	while (helper->transfer)
		pthread_cond_wait(&helper->done, &helper->lock);
	int result = helper->result;
	if (result)
		*err = helper->err;
	helper->busy = false;
	pthread_mutex_unlock(&helper->lock);
	return result;
}

static int run_shared(struct encrypted *encrypted, const struct transfer *transfer, struct error *err)
{
	uint32_t half = transfer->size / 2 / BUFFER_SIZE * BUFFER_SIZE;
	struct transfer first = *transfer, second = *transfer;
	struct error other;
	first.size = half;
	second.size -= half;
	second.offset += half;
	second.to = transfer->to ? transfer->to + half : NULL;
	second.from = transfer->from ? transfer->from + half : NULL;
	struct helper *helper = transfer->size >= SHARED_SIZE ? give(encrypted, &second) : NULL;
	if (!helper)
		return transfer->run(encrypted, transfer, err);
	int result = transfer->run(encrypted, &first, err);
	if (take_result(helper, &other) == 0 || result)
		return result;
	*err = other;
	return -1;
}

static int check_aligned(uint64_t offset, uint64_t size, struct error *err)
{
	if (offset % CIPHER_SECTOR_SIZE || size % CIPHER_SECTOR_SIZE)
		return error_set(err, ERROR_INVALID,
			"%" PRIu64 " bytes at %" PRIu64 " are not whole sectors of an encrypted disk", size,
			offset);
	return 0;
}

static int run_read(struct encrypted *encrypted, const struct transfer *transfer, struct error *err)
{
	uint8_t *to = transfer->to;
	for (uint32_t at = 0, part; at < transfer->size; at += part) {
		uint64_t offset = transfer->offset + at;
		part = transfer->size - at < BUFFER_SIZE ? transfer->size - at : BUFFER_SIZE;
		if (volume_read(encrypted->volume, to + at, offset, part, err) ||
			cipher_unseal(
				encrypted->cipher, to + at, to + at, offset / CIPHER_SECTOR_SIZE, part, err))
			return -1;
	}
	return 0;
}

int encrypted_read(struct encrypted *encrypted, void *data, uint64_t offset, uint32_t size, struct error *err)
{
	const struct transfer transfer = { run_read, data, NULL, offset, size };
	return check_aligned(offset, size, err) || run_shared(encrypted, &transfer, err) ? -1 : 0;
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

static int run_write(struct encrypted *encrypted, const struct transfer *transfer, struct error *err)
{
	int result = 0;
	unsigned number = take_buffer(encrypted);
	uint8_t *buffer = encrypted->buffers[number].bytes;
	for (uint32_t at = 0, part; result == 0 && at < transfer->size; at += part) {
		uint64_t offset = transfer->offset + at;
		part = transfer->size - at < BUFFER_SIZE ? transfer->size - at : BUFFER_SIZE;
		result = cipher_seal(encrypted->cipher, buffer, transfer->from + at,
				 offset / CIPHER_SECTOR_SIZE, part, err) ||
				volume_write(encrypted->volume, buffer, offset, part, err)
			? -1
			: 0;
	}
	pthread_mutex_unlock(&encrypted->buffers[number].lock);
	return result;
}

int encrypted_write(
	struct encrypted *encrypted, const void *data, uint64_t offset, uint32_t size, struct error *err)
{
	const struct transfer transfer = { run_write, NULL, data, offset, size };
	return check_aligned(offset, size, err) || run_shared(encrypted, &transfer, err) ? -1 : 0;
}

int encrypted_zero(struct encrypted *encrypted, uint64_t offset, uint64_t size, struct error *err)
{
	return check_aligned(offset, size, err) || volume_zero(encrypted->volume, offset, size, err) ? -1 : 0;
}
