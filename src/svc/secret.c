/*
 * The master key and what is sealed under it. It lies in a page of its own, which is neither swapped nor dumped; each purpose has a key derived from it, so that no key seals more than some things. The record `root_key` holds the
 * master key sealed under the root key: opening it is the proof that the root key is right. The root key itself is in memory only while that is done.
 */
#include "svc/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "api/records.h"
#include "base/aead.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "svc/amid.h"
#include "svc/root_key.h"
#include "base/banned.h"

enum {
	KEY_SIZE = AEAD_KEY_SIZE,
	VERSION = 1,
};

#define RECORD_ID "master"
#define MASTER_CONTEXT "amid master key 1"

struct secrets {
	uint8_t master[KEY_SIZE];
};

/* Puts the master key under the root key `root`. */
static void seal_master(const struct secrets *secrets, const uint8_t root[KEY_SIZE], struct arena *arena,
	struct root_key_record *record)
{
	uint8_t sealed[1 + KEY_SIZE + AEAD_OVERHEAD] = { VERSION };
	aead_seal(root, MASTER_CONTEXT, strlen(MASTER_CONTEXT), secrets->master, KEY_SIZE, sealed + 1);
	record->sealed = text_base64(arena, sealed, sizeof sealed);
}

static int put_record(struct meta *meta, const struct root_key_record *record, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_batch *batch = meta_batch_create(meta, arena);
	meta_batch_put(batch, &record_root_key, record);
	return meta_commit(meta, batch, err);
}

/* A key's file is durable before the first thing is sealed with it. */
static int make_master(const struct secrets_config *config, struct meta *meta, struct secrets *secrets,
	struct arena *arena, struct error *err)
{
	uint8_t root[KEY_SIZE];
	struct root_key_record record = { .record = { .account = "", .region = "", .id = RECORD_ID },
		.created = some_timestamp(clock_now_ms()) };
	if (root_key_choose(config, true, arena, &record, root, err))
		return -1;
	text_random_bytes(secrets->master, KEY_SIZE);
	seal_master(secrets, root, arena, &record);
	OPENSSL_cleanse(root, sizeof root);
	return put_record(meta, &record, err);
}

/* `root` is the caller's to cleanse. */
static int open_master(const struct secrets_config *config, const struct root_key_record *record,
	struct secrets *secrets, struct arena *arena, uint8_t root[KEY_SIZE], struct error *err)
{
	size_t size;
	const uint8_t *sealed = record->sealed ? text_unbase64(arena, record->sealed, &size) : NULL;
	if (!record->kdf || !sealed || size != 1 + KEY_SIZE + AEAD_OVERHEAD || sealed[0] != VERSION)
		return error_set(err, ERROR_CORRUPT, "the record of the root key is damaged");
	if (root_key_read(config, record, root, err))
		return -1;
	if (aead_open(root, MASTER_CONTEXT, strlen(MASTER_CONTEXT), sealed + 1, size - 1, secrets->master) ==
		0)
		return 0;
	return error_set(err, ERROR_INVALID, "%s is not the root key of the data folder %s",
		root_key_name(config, arena), config->data);
}

static int create_secrets(struct secrets **result, struct error *err)
{
	struct secrets *secrets =
		mmap(NULL, sizeof *secrets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (secrets == MAP_FAILED)
		return error_set_errno(err, errno, "no memory for the master key");
	mlock(secrets, sizeof *secrets); /* where the limits allow it */
	madvise(secrets, sizeof *secrets, MADV_DONTDUMP);
	*result = secrets;
	return 0;
}

int secrets_open(
	const struct secrets_config *config, struct meta *meta, struct secrets **result, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct root_key_record *record;
	struct secrets *secrets;
	uint8_t root[KEY_SIZE] = { 0 };
	(void)prctl(PR_SET_DUMPABLE,
		0); /* from now on keys pass through this process: no core dumps, no debuggers but root's */
	if (root_key_check(config, err) ||
		meta_get(meta, &record_root_key, "", "", RECORD_ID, arena, &record, err) ||
		create_secrets(&secrets, err))
		return -1;
	int failed = record ? open_master(config, record, secrets, arena, root, err)
			    : make_master(config, meta, secrets, arena, err);
	OPENSSL_cleanse(root, sizeof root);
	if (failed) {
		secrets_close(secrets);
		return -1;
	}
	*result = secrets;
	return 0;
}

/* Whether `from` would read the root key `root` from the new record as well: the same key, passphrase, or key of a token. 1: it would; -1: it cannot be told. */
static int is_same_source(const struct secrets_config *from, const char *kdf,
	const struct root_key_record *record, const uint8_t root[KEY_SIZE], struct error *err)
{
	uint8_t again[KEY_SIZE] = { 0 };
	if (strcmp(kdf, record->kdf) != 0)
		return 0;
	if (root_key_read(from, record, again, err))
		return -1;
	int same = CRYPTO_memcmp(again, root, KEY_SIZE) == 0;
	OPENSSL_cleanse(again, sizeof again);
	return same;
}

/* The master key stays as it is, and so does all that is sealed under it; the record's version keeps two changes from crossing. */
static int change_root(const struct secrets_config *from, const struct secrets_config *to, struct meta *meta,
	struct root_key_record *record, struct secrets *secrets, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	uint8_t root[KEY_SIZE] = { 0 };
	const char *kdf = record->kdf;
	int result = open_master(from, record, secrets, arena, root, err) ||
			root_key_choose(to, false, arena, record, root, err)
		? -1
		: is_same_source(from, kdf, record, root, err);
	if (result > 0)
		result =
			error_set(err, ERROR_INVALID, "%s is the root key already", root_key_name(to, arena));
	if (result == 0) {
		record->created = some_timestamp(clock_now_ms());
		seal_master(secrets, root, arena, record);
		result = put_record(meta, record, err);
	}
	OPENSSL_cleanse(root, sizeof root);
	return result;
}

int secrets_change_root(const struct secrets_config *from, const struct secrets_config *to, struct meta *meta,
	struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct root_key_record *record;
	struct secrets *secrets;
	if (root_key_check(from, err) || root_key_check(to, err) ||
		meta_get(meta, &record_root_key, "", "", RECORD_ID, arena, &record, err))
		return -1;
	if (!record)
		return error_set(err, ERROR_NOT_FOUND,
			"the data folder %s has no root key yet: its first start makes it", from->data);
	if (create_secrets(&secrets, err))
		return -1;
	int result = change_root(from, to, meta, record, secrets, err);
	secrets_close(secrets);
	return result;
}

void secrets_close(struct secrets *secrets)
{
	if (!secrets)
		return;
	OPENSSL_cleanse(secrets, sizeof *secrets);
	munmap(secrets, sizeof *secrets);
}

static void derive_key(const struct amid *amid, const char *purpose, struct digest *key)
{
	digest_hmac_sha256(amid->secrets->master, KEY_SIZE, purpose, strlen(purpose), key);
}

int secret_seal(struct amid *amid, const char *purpose, const void *data, size_t size, struct arena *arena,
	char **sealed, struct error *err)
{
	struct digest key;
	size_t total = 1 + size + AEAD_OVERHEAD;
	uint8_t *bytes = arena_alloc(arena, total);
	(void)err;
	arena_wipe(arena); /* what is sealed lies there, mostly */
	derive_key(amid, purpose, &key);
	bytes[0] = VERSION;
	aead_seal(key.bytes, purpose, strlen(purpose), data, size, bytes + 1);
	OPENSSL_cleanse(&key, sizeof key);
	*sealed = text_base64(arena, bytes, total);
	return 0;
}

int secret_open(struct amid *amid, const char *purpose, const char *sealed, struct arena *arena, void **data,
	size_t *size, struct error *err)
{
	struct digest key;
	size_t total;
	int opened = -1;
	const uint8_t *bytes = text_unbase64(arena, sealed, &total);
	arena_wipe(arena);
	if (bytes && total >= 1 + AEAD_OVERHEAD && bytes[0] == VERSION) {
		*size = total - 1 - AEAD_OVERHEAD;
		*data = arena_alloc(arena, *size + 1);
		derive_key(amid, purpose, &key);
		opened = aead_open(key.bytes, purpose, strlen(purpose), bytes + 1, total - 1, *data);
		OPENSSL_cleanse(&key, sizeof key);
	}
	if (opened)
		return error_set(err, ERROR_CORRUPT, "what is sealed for %.100s does not open", purpose);
	return 0;
}
