/*
 * The master key and what is sealed under it. It lies in a page of its own, which is neither swapped nor dumped; each purpose has a key derived from it, so that no key seals more than some things. The record `root_key` holds the
 * master key sealed under the root key: opening it is the proof that the root key is right. The root key itself is in memory only while that is done.
 */
#include "svc/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "api/records.h"
#include "base/aead.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "svc/amid.h"
#include "base/banned.h"

enum {
	KEY_SIZE = AEAD_KEY_SIZE,
	VERSION = 1,
	SALT_SIZE = 16,
	PASSPHRASE_MAX = 4096,
	/* scrypt: 128 MiB, about half a second */
	SCRYPT_N = 1 << 17,
	SCRYPT_R = 8,
	SCRYPT_P = 1,
	SCRYPT_N_MAX = 1 << 22,
};

#define RECORD_ID "master"
#define MASTER_CONTEXT "amid master key 1"

struct secrets {
	uint8_t master[KEY_SIZE];
};

/* A secret file is the operator's alone. */
static int read_private(
	const char *path, size_t limit, struct arena *arena, char **data, size_t *size, struct error *err)
{
	struct stat found;
	if (stat(path, &found))
		return error_set_errno(err, errno, "cannot read the root key %s", path);
	if (found.st_mode & 077)
		return error_set(err, ERROR_INVALID,
			"others may read %s (mode %03o): make it 0600, and think about who has read it", path,
			(unsigned)found.st_mode & 0777);
	return file_read(path, limit, arena, data, size, err);
}

/* The key in a file; `make`: it may be made if it is missing. */
static int read_key_file(const char *path, bool make, uint8_t key[KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *data = NULL;
	size_t size;
	if (make && access(path, F_OK) && errno == ENOENT) {
		text_random_bytes(key, KEY_SIZE);
		return file_replace(path, key, KEY_SIZE, 0600, err);
	}
	if (read_private(path, KEY_SIZE, arena, &data, &size, err))
		return -1;
	if (size == KEY_SIZE)
		memcpy(key, data, KEY_SIZE);
	OPENSSL_cleanse(data, size);
	return size == KEY_SIZE ? 0
				: error_set(err, ERROR_INVALID, "%s is no root key: it has %zu bytes, not %d",
					  path, size, KEY_SIZE);
}

static int stretch(
	const char *path, const struct root_key_record *record, uint8_t key[KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *text = NULL;
	size_t size, salt_size;
	uint64_t cost = (uint64_t)record->cost.value;
	const uint8_t *salt = record->salt ? text_unbase64(arena, record->salt, &salt_size) : NULL;
	if (!salt || salt_size != SALT_SIZE || record->cost.value < 2 || cost > SCRYPT_N_MAX)
		return error_set(err, ERROR_CORRUPT, "the record of the root key has no salt or cost");
	if (read_private(path, PASSPHRASE_MAX, arena, &text, &size, err))
		return -1;
	size_t length = strcspn(text, "\r\n");
	int result = 0;
	if (!length)
		result = error_set(err, ERROR_INVALID, "the first line of %s is empty", path);
	else if (EVP_PBE_scrypt(text, length, salt, SALT_SIZE, cost, SCRYPT_R, SCRYPT_P,
			 cost * SCRYPT_R * 256, key, KEY_SIZE) != 1)
		result = error_set(err, ERROR_INTERNAL, "scrypt failed: not enough memory?");
	OPENSSL_cleanse(text, size);
	return result;
}

/* What the root key is read from, for the operator. */
static const char *key_path(const struct secrets_config *config, struct arena *arena)
{
	if (config->passphrase)
		return config->passphrase;
	return config->root_key ? config->root_key : arena_printf(arena, "%s/root-key", config->data);
}

static int read_root_key(const struct secrets_config *config, const char *path,
	const struct root_key_record *record, uint8_t key[KEY_SIZE], struct error *err)
{
	if (config->passphrase && strcmp(record->kdf, "scrypt") != 0)
		return error_set(err, ERROR_INVALID,
			"the data folder's root key is a file, not the passphrase in %s", path);
	if (!config->passphrase && strcmp(record->kdf, "none") != 0)
		return error_set(err, ERROR_INVALID,
			"the data folder's root key is made of a passphrase (--root-key-passphrase-file), not in %s",
			path);
	if (config->passphrase)
		return stretch(path, record, key, err);
	bool first = record->record.version == 0;
	return read_key_file(path, first && !config->root_key, key, err);
}

/* The key's file is durable before the first thing is sealed with it. */
static int make_master(const struct secrets_config *config, const char *path, struct meta *meta,
	struct secrets *secrets, struct arena *arena, struct error *err)
{
	uint8_t root[KEY_SIZE], salt[SALT_SIZE], sealed[1 + KEY_SIZE + AEAD_OVERHEAD] = { VERSION };
	struct root_key_record record = { .record = { .account = "", .region = "", .id = RECORD_ID },
		.kdf = config->passphrase ? "scrypt" : "none",
		.created = some_timestamp(clock_now_ms()) };
	if (config->passphrase) {
		text_random_bytes(salt, sizeof salt);
		record.salt = text_base64(arena, salt, sizeof salt);
		record.cost = some_integer(SCRYPT_N);
	}
	if (read_root_key(config, path, &record, root, err))
		return -1;
	text_random_bytes(secrets->master, KEY_SIZE);
	aead_seal(root, MASTER_CONTEXT, strlen(MASTER_CONTEXT), secrets->master, KEY_SIZE, sealed + 1);
	OPENSSL_cleanse(root, sizeof root);
	record.sealed = text_base64(arena, sealed, sizeof sealed);
	struct meta_batch *batch = meta_batch_create(meta, arena);
	meta_batch_put(batch, &record_root_key, &record);
	return meta_commit(meta, batch, err);
}

static int open_master(const struct secrets_config *config, const char *path,
	const struct root_key_record *record, struct secrets *secrets, struct arena *arena, struct error *err)
{
	uint8_t root[KEY_SIZE];
	size_t size;
	const uint8_t *sealed = record->sealed ? text_unbase64(arena, record->sealed, &size) : NULL;
	if (!record->kdf || !sealed || size != 1 + KEY_SIZE + AEAD_OVERHEAD || sealed[0] != VERSION)
		return error_set(err, ERROR_CORRUPT, "the record of the root key is damaged");
	if (read_root_key(config, path, record, root, err))
		return -1;
	int opened = aead_open(
		root, MASTER_CONTEXT, strlen(MASTER_CONTEXT), sealed + 1, size - 1, secrets->master);
	OPENSSL_cleanse(root, sizeof root);
	if (opened == 0)
		return 0;
	return error_set(
		err, ERROR_INVALID, "%s is not the root key of the data folder %s", path, config->data);
}

int secrets_open(
	const struct secrets_config *config, struct meta *meta, struct secrets **result, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct root_key_record *record;
	const char *path = key_path(config, arena);
	(void)prctl(PR_SET_DUMPABLE,
		0); /* from now on keys pass through this process: no core dumps, no debuggers but root's */
	if (config->root_key && config->passphrase)
		return error_set(err, ERROR_INVALID, "there can be one root key: a file or a passphrase");
	if (meta_get(meta, &record_root_key, "", "", RECORD_ID, arena, &record, err))
		return -1;
	struct secrets *secrets =
		mmap(NULL, sizeof *secrets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (secrets == MAP_FAILED)
		return error_set_errno(err, errno, "no memory for the master key");
	mlock(secrets, sizeof *secrets); /* where the limits allow it */
	madvise(secrets, sizeof *secrets, MADV_DONTDUMP);
	if (record ? open_master(config, path, record, secrets, arena, err)
		   : make_master(config, path, meta, secrets, arena, err)) {
		secrets_close(secrets);
		return -1;
	}
	*result = secrets;
	return 0;
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
