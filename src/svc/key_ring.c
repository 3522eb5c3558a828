/* A list of keys, each in a page of locked memory of its own. There are as many as encrypted disks in use: some hundreds. The lock is not held while KMS is asked. */
#include "svc/key_ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "svc/keys.h"
#include "base/banned.h"

_Static_assert((int)KEYS_DATA_KEY_SIZE == (int)CIPHER_KEY_SIZE, "a data key is a disk's key");

struct held_key {
	struct held_key *next;
	char *disk;
	uint8_t *key;
};

struct key_ring {
	pthread_mutex_t lock;
	struct held_key *first;
};

struct key_ring *key_ring_create(void)
{
	struct key_ring *ring = memory_alloc(sizeof *ring);
	*ring = (struct key_ring){ 0 };
	pthread_mutex_init(&ring->lock, NULL);
	return ring;
}

static void free_key(struct held_key *held)
{
	cipher_key_free(held->key);
	free(held->disk);
	free(held);
}

void key_ring_destroy(struct key_ring *ring)
{
	if (!ring)
		return;
	while (ring->first) {
		struct held_key *held = ring->first;
		ring->first = held->next;
		free_key(held);
	}
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}

/* Where the key of a disk hangs, or would. Under the lock. */
static struct held_key **find(struct key_ring *ring, const char *disk)
{
	struct held_key **at = &ring->first;
	while (*at && strcmp((*at)->disk, disk) != 0)
		at = &(*at)->next;
	return at;
}

int data_key_open(struct amid *amid, const char *account, const char *disk,
	const struct record_data_key *data_key, uint8_t *key, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	if (!data_key || !data_key->wrapped)
		return error_set(err, ERROR_INVALID, "%s is encrypted, but its record has no data key", disk);
	return keys_open_data_key(
		amid, data_key->wrapped, data_key->id, keys_grantee(arena, account, disk), key, err);
}

int data_key_open_cipher(struct amid *amid, const char *account, const char *disk,
	const struct record_data_key *data_key, struct cipher **cipher, struct error *err)
{
	uint8_t *key = cipher_key_alloc();
	int result = data_key_open(amid, account, disk, data_key, key, err) || cipher_open(key, cipher, err)
		? -1
		: 0;
	cipher_key_free(key);
	return result;
}

int key_ring_take(struct amid *amid, const char *account, const char *disk,
	const struct record_data_key *data_key, uint8_t *key, struct error *err)
{
	struct key_ring *ring = amid->key_ring;
	pthread_mutex_lock(&ring->lock);
	struct held_key *held = *find(ring, disk);
	if (held)
		memcpy(key, held->key, CIPHER_KEY_SIZE);
	pthread_mutex_unlock(&ring->lock);
	if (held)
		return 0;
	if (data_key_open(amid, account, disk, data_key, key, err))
		return -1;
	held = memory_alloc(sizeof *held);
	*held = (struct held_key){ .disk = memory_strdup(disk), .key = cipher_key_alloc() };
	memcpy(held->key, key, CIPHER_KEY_SIZE);
	pthread_mutex_lock(&ring->lock);
	struct held_key **at = find(ring, disk), *other = *at;
	if (!other)
		*at = held;
	pthread_mutex_unlock(&ring->lock);
	if (other)
		free_key(held);
	return 0;
}

void key_ring_drop(struct amid *amid, const char *disk)
{
	pthread_mutex_lock(&amid->key_ring->lock);
	struct held_key **at = find(amid->key_ring, disk), *held = *at;
	if (held)
		*at = held->next;
	pthread_mutex_unlock(&amid->key_ring->lock);
	if (held)
		free_key(held);
}

bool data_key_is_refused(const struct error *err)
{
	switch (err->code) {
	case ERROR_KMS_NOT_FOUND:
	case ERROR_KMS_DISABLED:
	case ERROR_KMS_INVALID_STATE:
	case ERROR_KMS_INVALID_KEY_USAGE:
	case ERROR_KMS_INVALID_CIPHERTEXT:
	case ERROR_KMS_INVALID_ARN:
	case ERROR_KMS_INVALID_ALIAS_NAME:
	case ERROR_ACCESS_DENIED:
	case ERROR_UNAUTHORIZED: /* the same, as EC2 words it */
		return true;
	default:
		return false;
	}
}

char *data_key_words(struct arena *arena, const struct error *err)
{
	const char *encoded = strstr(err->message, " Encoded authorization failure message");
	size_t size = encoded ? (size_t)(encoded - err->message) : strlen(err->message);
	return arena_strndup(arena, err->message, size);
}

char *data_key_reason(struct arena *arena, const struct error *err)
{
	const char *code = err->code == ERROR_NO_SPACE ? "Server.InsufficientVolumeCapacity: "
		: err->code == ERROR_KMS_DISABLED || err->code == ERROR_KMS_INVALID_STATE
		? "Client.InvalidKMSKey.InvalidState: The KMS key provided is in an incorrect state. "
		: data_key_is_refused(err) ? "Client.InternalError: Client error on launch. "
					   : "Server.InternalError: ";
	return arena_printf(arena, "%s%s", code, data_key_words(arena, err));
}

void data_key_retire(struct amid *amid, const char *grant)
{
	struct error err;
	if (grant && keys_retire_grant(amid, grant, &err))
		log_warning("grant-not-retired", "grant=%s error=\"%s\"", grant, err.message);
}

const char *data_key_take_grant(struct record_data_key *data_key)
{
	const char *grant = data_key ? data_key->grant : NULL;
	if (data_key)
		data_key->grant = NULL;
	return grant;
}
