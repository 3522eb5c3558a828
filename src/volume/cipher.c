/*
 * AES-256-XTS, by libgcrypt, a data unit at a time. (OpenSSL 3.0 is half as fast at it where the processor has VAES: 6.5 GB/s instead of 12.6 in units of 4 KiB. It is loaded when the first
 * encrypted disk is opened: linked, it would take 0.3 MiB in the server of each plain one.)
 *
 * What the library needs for one call (an expanded key) is made up front, SLOTS times. A thread takes the slot of its stripe, or the next one that is free; so it neither waits nor allocates
 * as long as no more than SLOTS are at it. Setting the tweak of a unit costs as much as a few hundred bytes of cipher, which is why a unit is eight sectors. A call begins at the beginning of a unit; for sectors
 * further in, whatever stands before them goes through the cipher too, in the slot's scratch. (Within a unit, each 16 bytes are sealed by themselves, so sectors of one unit can be written apart.)
 *
 * Any thread.
 */
#include "volume/cipher.h"

#include <dlfcn.h>
#include <gcrypt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "volume/gate.h"
#include "base/banned.h"

enum { SLOTS = GATE_STRIPES, TWEAK_SIZE = 16, UNIT_SECTORS = CIPHER_UNIT_SIZE / CIPHER_SECTOR_SIZE };

struct slot {
	_Alignas(64) pthread_mutex_t lock;
	gcry_cipher_hd_t handle; /* NULL: not opened */
	uint8_t scratch[CIPHER_UNIT_SIZE];
};

struct cipher {
	struct slot slots[SLOTS];
};

static const uint8_t zeros[CIPHER_SECTOR_SIZE];

static int fail(struct error *err)
{
	return error_set(err, ERROR_INTERNAL, "the cipher library failed");
}

/* What is used of the library. */
#define FUNCTIONS(F) \
	F(check_version) \
	F(control) \
	F(cipher_open) \
	F(cipher_close) \
	F(cipher_setkey) \
	F(cipher_setiv) \
	F(cipher_encrypt) \
	F(cipher_decrypt)
#define DECLARE(name) __typeof__(&gcry_##name) name;
#define FIND(name) found = (gcrypt.name = (__typeof__(&gcry_##name))dlsym(handle, "gcry_" #name)) && found;

static struct {
	FUNCTIONS(DECLARE)
	bool loaded;
} gcrypt;

/* Once in a process, whoever else in it uses the library. It stays. */
static void load_library(void)
{
	bool found = true;
	void *handle = dlopen("libgcrypt.so.20", RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return;
	FUNCTIONS(FIND)
	if (!found)
		return;
	if (!gcrypt.control(GCRYCTL_INITIALIZATION_FINISHED_P)) {
		gcrypt.check_version(NULL);
		/* all of the process is locked: cipher_protect_process */
		gcrypt.control(GCRYCTL_DISABLE_SECMEM);
		gcrypt.control(GCRYCTL_INITIALIZATION_FINISHED);
	}
	gcrypt.loaded = true;
}

static int open_slot(struct slot *slot, const uint8_t *key, struct error *err)
{
	if (gcrypt.cipher_open(&slot->handle, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_XTS, 0) ||
		gcrypt.cipher_setkey(slot->handle, key, CIPHER_KEY_SIZE))
		return fail(err);
	return 0;
}

int cipher_open(const uint8_t key[CIPHER_KEY_SIZE], struct cipher **result, struct error *err)
{
	if (CRYPTO_memcmp(key, key + CIPHER_KEY_SIZE / 2, CIPHER_KEY_SIZE / 2) == 0)
		return error_set(err, ERROR_INVALID, "the two halves of a disk's key are equal");
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, load_library);
	if (!gcrypt.loaded)
		return error_set(err, ERROR_INTERNAL, "libgcrypt.so.20 cannot be loaded");
	struct cipher *cipher = aligned_alloc(_Alignof(struct cipher), sizeof *cipher);
	if (!cipher)
		abort(); /* as when any small allocation fails */
	int failed = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		cipher->slots[i] = (struct slot){ 0 };
		pthread_mutex_init(&cipher->slots[i].lock, NULL);
		failed |= open_slot(&cipher->slots[i], key, err);
	}
	if (failed) {
		cipher_close(cipher);
		return -1;
	}
	*result = cipher;
	return 0;
}

void cipher_close(struct cipher *cipher)
{
	if (!cipher)
		return;
	for (unsigned i = 0; i < SLOTS; i++) {
		OPENSSL_cleanse(cipher->slots[i].scratch, CIPHER_UNIT_SIZE);
		gcrypt.cipher_close(cipher->slots[i].handle); /* cleanses the expanded key; NULL is legal */
		pthread_mutex_destroy(&cipher->slots[i].lock);
	}
	free(cipher);
}

static struct slot *take_slot(struct cipher *cipher)
{
	unsigned first = gate_stripe();
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &cipher->slots[(first + i) % SLOTS];
		if (pthread_mutex_trylock(&slot->lock) == 0)
			return slot;
	}
	pthread_mutex_lock(&cipher->slots[first].lock);
	return &cipher->slots[first];
}

static bool is_zero(const uint8_t *sector)
{
	/* data differ from zeros early */
	return memcmp(sector, zeros, 16) == 0 && memcmp(sector, zeros, CIPHER_SECTOR_SIZE) == 0;
}

static void make_tweak(uint64_t unit, uint8_t tweak[TWEAK_SIZE])
{
	memset(tweak, 0, TWEAK_SIZE);
	for (unsigned i = 0; i < 8; i++)
		tweak[i] = (uint8_t)(unit >> 8 * i);
}

/* Encrypting or decrypting. */
typedef gcry_error_t crypt_function(
	gcry_cipher_hd_t handle, void *to, size_t room, const void *from, size_t size);

/* Sectors that follow each other in a unit, `skip` bytes behind its beginning. */
static int run_part(struct slot *slot, crypt_function *crypt, uint64_t unit, size_t skip, uint8_t *to,
	const uint8_t *from, size_t size)
{
	uint8_t tweak[TWEAK_SIZE];
	make_tweak(unit, tweak);
	if (gcrypt.cipher_setiv(slot->handle, tweak, sizeof tweak))
		return -1;
	if (!skip)
		return crypt(slot->handle, to, size, from, size) ? -1 : 0;
	memcpy(slot->scratch + skip, from, size);
	if (crypt(slot->handle, slot->scratch, skip + size, NULL, 0)) /* in place */
		return -1;
	memcpy(to, slot->scratch + skip, size);
	return 0;
}

/* What of a unit is asked for; `skip_zeros`: sectors of zeros stay so. */
static int run_unit(struct slot *slot, crypt_function *crypt, uint64_t unit, size_t skip, uint8_t *to,
	const uint8_t *from, size_t size, bool skip_zeros)
{
	for (size_t at = 0, end; at < size; at = end) {
		bool zero = skip_zeros && is_zero(from + at);
		end = at + CIPHER_SECTOR_SIZE;
		while (end < size && (skip_zeros && is_zero(from + end)) == zero)
			end += CIPHER_SECTOR_SIZE;
		if (zero)
			memset(to + at, 0, end - at);
		else if (run_part(slot, crypt, unit, skip + at, to + at, from + at, end - at))
			return -1;
	}
	return 0;
}

/* A run of sectors in one direction. */
static int run(struct slot *slot, crypt_function *crypt, uint8_t *to, const uint8_t *from, uint64_t first,
	size_t size, bool skip_zeros)
{
	for (size_t at = 0, part; at < size; at += part) {
		uint64_t sector = first + at / CIPHER_SECTOR_SIZE;
		size_t skip = sector % UNIT_SECTORS * CIPHER_SECTOR_SIZE;
		part = size - at < CIPHER_UNIT_SIZE - skip ? size - at : CIPHER_UNIT_SIZE - skip;
		if (run_unit(slot, crypt, sector / UNIT_SECTORS, skip, to + at, from + at, part, skip_zeros))
			return -1;
	}
	return 0;
}

static int check_size(size_t size, struct error *err)
{
	return size % CIPHER_SECTOR_SIZE
		? error_set(err, ERROR_INVALID, "%zu bytes are not whole sectors of an encrypted disk", size)
		: 0;
}

static int seal(struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, bool sparse,
	struct error *err)
{
	if (check_size(size, err))
		return -1;
	struct slot *slot = take_slot(cipher);
	int result = run(slot, gcrypt.cipher_encrypt, to, from, first, size, sparse);
	pthread_mutex_unlock(&slot->lock);
	return result ? fail(err) : 0;
}

int cipher_seal(
	struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, struct error *err)
{
	return seal(cipher, to, from, first, size, false, err);
}

int cipher_seal_sparse(
	struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, struct error *err)
{
	return seal(cipher, to, from, first, size, true, err);
}

int cipher_unseal(
	struct cipher *cipher, void *to, const void *from, uint64_t first, size_t size, struct error *err)
{
	if (check_size(size, err))
		return -1;
	struct slot *slot = take_slot(cipher);
	int result = run(slot, gcrypt.cipher_decrypt, to, from, first, size, true);
	pthread_mutex_unlock(&slot->lock);
	return result ? fail(err) : 0;
}

/* A page each: pages are what is locked and left out of dumps. */
uint8_t *cipher_key_alloc(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *key = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (key == MAP_FAILED)
		abort(); /* as when any small allocation fails */
	madvise(key, size, MADV_DONTDUMP);
	madvise(key, size, MADV_WIPEONFORK); /* children between fork and exec have no use for it */
	(void)mlock(key, size);
	return key;
}

void cipher_key_free(uint8_t *key)
{
	if (!key)
		return;
	OPENSSL_cleanse(key, CIPHER_KEY_SIZE);
	munmap(key, (size_t)sysconf(_SC_PAGESIZE));
}

void cipher_protect_process(void)
{
	struct rlimit limit;
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* with a limit on locked memory, later allocations would fail */
	bool unlimited =
		geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY);
	if (unlimited)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}
