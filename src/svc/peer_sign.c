/*
 * Nonces are kept in two sets: a new one is begun every NONCES_MS, and the older one forgotten. So each is remembered for as long at least as its request could come again: from the time that it is dated too early by to
 * the time that it is dated too late by.
 */
#include "svc/peer_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/crypto.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

enum {
	SECRET_SIZE = 32,
	NONCES_MS = 2 * PEER_SKEW_MS,
	SLOTS = 1 << 18, /* of a set: 4 MiB; filled to three quarters at most */
	NONCES_MAX = SLOTS / 4 * 3,
};

static void derive(const uint8_t secret[SECRET_SIZE], const char *purpose, struct digest *key)
{
	digest_hmac_sha256(secret, SECRET_SIZE, purpose, strlen(purpose), key);
}

void peer_key_derive(const uint8_t secret[SECRET_SIZE], struct peer_key *key)
{
	struct digest id;
	char hex[2 * DIGEST_SIZE + 1];
	derive(secret, "amid peer 1 id", &id);
	derive(secret, "amid peer 1 request", &key->request);
	derive(secret, "amid peer 1 answer", &key->answer);
	text_hex(id.bytes, DIGEST_SIZE, hex);
	memcpy(key->id, hex, sizeof key->id - 1);
	key->id[sizeof key->id - 1] = '\0';
}

int peer_key_read(const char *path, struct peer_key *key, struct error *err)
{
	uint8_t secret[SECRET_SIZE];
	struct stat found;
	int fd FILE_SCOPED = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &found))
		return error_set_errno(err, errno, "cannot read the peer key %s", path);
	if (found.st_mode & 077)
		return error_set(err, ERROR_INVALID,
			"others may read the peer key %s (mode %03o): make it 0600", path,
			(unsigned)found.st_mode & 0777);
	if (found.st_size != SECRET_SIZE || file_pread_full(fd, secret, sizeof secret, 0))
		return error_set(err, ERROR_INVALID, "%s is no peer key: it has %lld bytes, not %d", path,
			(long long)found.st_size, SECRET_SIZE);
	peer_key_derive(secret, key);
	OPENSSL_cleanse(secret, sizeof secret);
	return 0;
}

static const char *hex_digest(const void *body, size_t size, char hex[2 * DIGEST_SIZE + 1])
{
	struct digest digest;
	digest_sha256(body, size, &digest);
	return text_hex(digest.bytes, DIGEST_SIZE, hex);
}

void peer_sign_request(const struct peer_key *key, const struct peer_request *request, struct digest *mac)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	char hex[2 * DIGEST_SIZE + 1], nonce[2 * PEER_NONCE_SIZE + 1];
	buffer_printf(&text, "POST\n%s\n%" PRId64 "\n%s\n%s\n", request->path, request->time_ms,
		text_hex(request->nonce, PEER_NONCE_SIZE, nonce),
		hex_digest(request->body, request->body_size, hex));
	digest_hmac_sha256(key->request.bytes, DIGEST_SIZE, text.data, text.size, mac);
}

void peer_sign_answer(const struct peer_key *key, const uint8_t nonce[PEER_NONCE_SIZE], int status,
	const void *body, size_t body_size, struct digest *mac)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	char hex[2 * DIGEST_SIZE + 1], nonce_hex[2 * PEER_NONCE_SIZE + 1];
	buffer_printf(&text, "%s\n%d\n%s\n", text_hex(nonce, PEER_NONCE_SIZE, nonce_hex), status,
		hex_digest(body, body_size, hex));
	digest_hmac_sha256(key->answer.bytes, DIGEST_SIZE, text.data, text.size, mac);
}

struct nonce_set {
	uint8_t (*slots)
		[PEER_NONCE_SIZE]; /* by the nonce's first bytes, open addressing; all zeros: free; NULL: none yet */
	unsigned count;
};

struct peer_nonces {
	pthread_mutex_t lock;
	struct nonce_set sets[2]; /* the newer one first */
	int64_t begun_ms;         /* the newer one was */
};

struct peer_nonces *peer_nonces_create(void)
{
	struct peer_nonces *nonces = memory_alloc(sizeof *nonces);
	*nonces = (struct peer_nonces){ 0 };
	pthread_mutex_init(&nonces->lock, NULL);
	return nonces;
}

void peer_nonces_destroy(struct peer_nonces *nonces)
{
	if (!nonces)
		return;
	free(nonces->sets[0].slots);
	free(nonces->sets[1].slots);
	pthread_mutex_destroy(&nonces->lock);
	free(nonces);
}

/* Its slot, or the free one where it would be. */
static uint8_t *find_slot(const struct nonce_set *set, const uint8_t nonce[PEER_NONCE_SIZE])
{
	static const uint8_t nothing[PEER_NONCE_SIZE];
	uint32_t hash;
	memcpy(&hash, nonce, sizeof hash);
	for (;; hash++) {
		uint8_t *slot = set->slots[hash % SLOTS];
		if (memcmp(slot, nonce, PEER_NONCE_SIZE) == 0 || memcmp(slot, nothing, PEER_NONCE_SIZE) == 0)
			return slot;
	}
}

static void begin_set(struct peer_nonces *nonces, int64_t now_ms)
{
	free(nonces->sets[1].slots);
	nonces->sets[1] = now_ms - nonces->begun_ms < 2 * (int64_t)NONCES_MS ? nonces->sets[0]
									     : (struct nonce_set){ 0 };
	if (!nonces->sets[1].slots)
		free(nonces->sets[0].slots);
	nonces->sets[0] = (struct nonce_set){ .slots = calloc(SLOTS, PEER_NONCE_SIZE) };
	nonces->begun_ms = now_ms;
}

static int check(
	struct peer_nonces *nonces, const uint8_t nonce[PEER_NONCE_SIZE], int64_t now_ms, struct error *err)
{
	if (!nonces->sets[0].slots || now_ms - nonces->begun_ms >= NONCES_MS)
		begin_set(nonces, now_ms);
	struct nonce_set *set = &nonces->sets[0];
	if (!set->slots || set->count == NONCES_MAX)
		return error_set(err, ERROR_UNAVAILABLE, "there are too many requests of peers");
	uint8_t *slot = find_slot(set, nonce);
	if (memcmp(slot, nonce, PEER_NONCE_SIZE) == 0 ||
		(nonces->sets[1].slots &&
			memcmp(find_slot(&nonces->sets[1], nonce), nonce, PEER_NONCE_SIZE) == 0))
		return error_set(err, ERROR_ACCESS_DENIED, "the same request was here before");
	memcpy(slot, nonce, PEER_NONCE_SIZE);
	set->count++;
	return 0;
}

int peer_nonces_check(
	struct peer_nonces *nonces, const uint8_t nonce[PEER_NONCE_SIZE], int64_t now_ms, struct error *err)
{
	pthread_mutex_lock(&nonces->lock);
	int result = check(nonces, nonce, now_ms, err);
	pthread_mutex_unlock(&nonces->lock);
	return result;
}
