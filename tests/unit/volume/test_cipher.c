/* The cipher against the vectors of IEEE 1619 (XTS-AES-256), holes, many threads, and a volume written through it. */
#include <pthread.h>

#include "place.h"
#include "base/text.h"
#include "volume/encrypted.h"

enum {
	SECTOR = CIPHER_SECTOR_SIZE,
	UNIT_SECTORS = CIPHER_UNIT_SIZE / SECTOR,
	RUN = 64 * 1024,
	MIB = 1 << 20
};

static const char standard_key[] = "2718281828459045235360287471352662497757247093699959574966967627"
				   "3141592653589793238462643383279502884197169399375105820974944592";

/* Vectors 10 to 14: the plain unit is 00 01 02 ... ff, twice; one of 4 KiB begins as one of 512 bytes does. */
static const struct vector {
	uint64_t number;
	const char *sealed; /* the first 32 bytes */
} vectors[] = {
	{ 0xff, "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b" },
	{ 0xffff, "77a31251618a15e6b92d1d66dffe7b50b50bad552305ba0217a610688eff7e11" },
	{ 0xffffff, "e387aaa58ba483afa7e8eb469778317ecf4cf573aa9d4eac23f2cdf914e4e200" },
	{ 0xffffffff, "bf53d2dade78e822a4d949a9bc6766b01b06a8ef70d26748c6a7fc36d80ae4c5" },
	{ 0xffffffffff, "64497e5a831e4a932c09be3e5393376daa599548b816031d224bbf50a818ed23" },
};

static struct cipher *open_standard(void)
{
	struct error err;
	uint8_t key[CIPHER_KEY_SIZE];
	struct cipher *cipher;
	assert_int_equal(text_unhex(standard_key, key, sizeof key), 0);
	ASSERT_OK(cipher_open(key, &cipher, &err));
	return cipher;
}

static void seals_as_the_standard_says(void **state)
{
	struct error err;
	uint8_t plain[SECTOR], sealed[SECTOR], opened[SECTOR], wanted[32];
	struct cipher *cipher = open_standard();
	(void)state;
	for (unsigned i = 0; i < SECTOR; i++)
		plain[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		assert_int_equal(text_unhex(vectors[i].sealed, wanted, sizeof wanted), 0);
		ASSERT_OK(cipher_seal(cipher, sealed, plain, vectors[i].number * UNIT_SECTORS, SECTOR, &err));
		assert_memory_equal(sealed, wanted, sizeof wanted);
		ASSERT_OK(cipher_unseal(
			cipher, opened, sealed, vectors[i].number * UNIT_SECTORS, SECTOR, &err));
		assert_memory_equal(opened, plain, SECTOR);
	}
	cipher_close(cipher);
}

static void a_run_is_its_sectors(void **state)
{
	struct error err;
	static uint8_t plain[RUN], run[RUN], one[SECTOR];
	struct cipher *cipher = open_standard();
	(void)state;
	scratch_fill(plain, sizeof plain, 1);
	ASSERT_OK(cipher_seal(cipher, run, plain, 1ULL << 36, RUN, &err));
	for (unsigned i = 0; i < RUN / SECTOR; i++) {
		ASSERT_OK(cipher_seal(cipher, one, plain + i * SECTOR, (1ULL << 36) + i, SECTOR, &err));
		assert_memory_equal(one, run + i * SECTOR, SECTOR);
	}
	ASSERT_OK(cipher_unseal(cipher, run, run, 1ULL << 36, RUN, &err)); /* in place */
	assert_memory_equal(run, plain, RUN);
	cipher_close(cipher);
}

static void a_sector_within_a_unit_is_sealed_as_part_of_it(void **state)
{
	struct error err;
	static uint8_t plain[CIPHER_UNIT_SIZE], whole[CIPHER_UNIT_SIZE], part[CIPHER_UNIT_SIZE];
	struct cipher *cipher = open_standard();
	(void)state;
	scratch_fill(plain, sizeof plain, 5);
	ASSERT_OK(cipher_seal(cipher, whole, plain, 16, sizeof plain, &err));
	for (unsigned first = 0; first < UNIT_SECTORS; first++)
		for (unsigned count = 1; first + count <= UNIT_SECTORS; count++) {
			ASSERT_OK(cipher_seal(
				cipher, part, plain + first * SECTOR, 16 + first, count * SECTOR, &err));
			assert_memory_equal(part, whole + first * SECTOR, count * SECTOR);
			ASSERT_OK(cipher_unseal(cipher, part, part, 16 + first, count * SECTOR, &err));
			assert_memory_equal(part, plain + first * SECTOR, count * SECTOR);
		}
	/* two sectors of a unit that hold the same look different */
	memcpy(plain + SECTOR, plain, SECTOR);
	ASSERT_OK(cipher_seal(cipher, whole, plain, 16, sizeof plain, &err));
	assert_memory_not_equal(whole, whole + SECTOR, SECTOR);
	cipher_close(cipher);
}

static void holes_stay_holes_and_written_zeros_do_not(void **state)
{
	struct error err;
	static uint8_t data[4 * SECTOR], sealed[4 * SECTOR], zeros[SECTOR];
	struct cipher *cipher = open_standard();
	(void)state;
	memset(data + SECTOR, 7, SECTOR);
	data[3 * SECTOR + 500] = 1;
	ASSERT_OK(cipher_unseal(cipher, sealed, zeros, 9, SECTOR, &err));
	assert_memory_equal(sealed, zeros, SECTOR);
	ASSERT_OK(cipher_seal_sparse(cipher, sealed, data, 5, sizeof data, &err));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(memcmp(sealed + i * SECTOR, zeros, SECTOR) == 0, i % 2 == 0);
	ASSERT_OK(cipher_unseal(cipher, sealed, sealed, 5, sizeof data, &err));
	assert_memory_equal(sealed, data, sizeof data);
	ASSERT_OK(cipher_seal(cipher, sealed, data, 5, sizeof data, &err));
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(memcmp(sealed + i * SECTOR, zeros, SECTOR), 0);
	ASSERT_OK(cipher_unseal(cipher, sealed, sealed, 5, sizeof data, &err));
	assert_memory_equal(sealed, data, sizeof data);
	cipher_close(cipher);
}

static void refuses_parts_of_sectors_and_weak_keys(void **state)
{
	struct error err;
	uint8_t data[SECTOR] = { 0 }, key[CIPHER_KEY_SIZE] = { 0 };
	struct cipher *cipher = open_standard();
	(void)state;
	ASSERT_FAILS(cipher_seal(cipher, data, data, 0, 511, &err), ERROR_INVALID);
	ASSERT_FAILS(cipher_unseal(cipher, data, data, 0, 1, &err), ERROR_INVALID);
	cipher_close(cipher);
	ASSERT_FAILS(cipher_open(key, &cipher, &err), ERROR_INVALID);
	cipher_close(NULL);
}

struct worker {
	struct cipher *cipher;
	pthread_t thread;
	unsigned number;
	bool failed;
};

static void *work(void *context)
{
	struct worker *worker = context;
	struct error err;
	uint8_t plain[8 * SECTOR], data[8 * SECTOR];
	scratch_fill(plain, sizeof plain, worker->number);
	for (uint64_t i = 0; i < 300 && !worker->failed; i++) {
		uint64_t first = worker->number * 1000 + i;
		worker->failed = cipher_seal(worker->cipher, data, plain, first, sizeof data, &err) ||
			memcmp(data, plain, sizeof data) == 0 ||
			cipher_unseal(worker->cipher, data, data, first, sizeof data, &err) ||
			memcmp(data, plain, sizeof data) != 0;
	}
	return NULL;
}

static void many_threads_share_a_cipher(void **state)
{
	struct worker workers[24];
	struct cipher *cipher = open_standard();
	(void)state;
	for (unsigned i = 0; i < 24; i++) {
		workers[i] = (struct worker){ .cipher = cipher, .number = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 24; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_false(workers[i].failed);
	}
	cipher_close(cipher);
}

static void a_volume_holds_nothing_plain(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	static uint8_t data[MIB], read_back[MIB], zeros[MIB];
	struct cipher *cipher = open_standard();
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	struct encrypted *encrypted = encrypted_create(volume, cipher);
	scratch_fill(data, sizeof data, 3);
	ASSERT_OK(encrypted_write(encrypted, data, 3 * SECTOR, MIB, &err)); /* more than one buffer */
	ASSERT_OK(volume_read(volume, read_back, 3 * SECTOR, MIB, &err));
	for (unsigned i = 0; i < MIB; i += SECTOR)
		assert_int_not_equal(memcmp(read_back + i, data + i, SECTOR), 0);
	ASSERT_OK(encrypted_read(encrypted, read_back, 3 * SECTOR, MIB, &err));
	assert_memory_equal(read_back, data, MIB);
	ASSERT_OK(encrypted_zero(encrypted, 4 * SECTOR, SECTOR, &err));
	memset(data + SECTOR, 0, SECTOR);
	ASSERT_OK(encrypted_read(encrypted, read_back, 3 * SECTOR, MIB, &err));
	assert_memory_equal(read_back, data, MIB);
	ASSERT_OK(encrypted_read(encrypted, read_back, 4 * MIB, MIB, &err)); /* never written */
	assert_memory_equal(read_back, zeros, MIB);
	ASSERT_FAILS(encrypted_read(encrypted, read_back, 1, SECTOR, &err), ERROR_INVALID);
	ASSERT_FAILS(encrypted_write(encrypted, data, 0, 100, &err), ERROR_INVALID);
	ASSERT_FAILS(encrypted_zero(encrypted, 0, 100, &err), ERROR_INVALID);
	encrypted_destroy(encrypted);
	volume_close(volume);
	cipher_close(cipher);
	place_close(&place);
}

struct guest {
	struct encrypted *encrypted;
	pthread_t thread;
	unsigned number;
	bool failed;
};

/* Writes and reads a MiB of its own, at offsets within units too. */
static void *work_on_disk(void *context)
{
	struct guest *guest = context;
	struct error err;
	uint8_t *data = malloc(MIB), *read_back = malloc(MIB);
	for (unsigned i = 0; i < 20 && !guest->failed; i++) {
		uint64_t offset = guest->number * 2 * MIB + i % 9 * SECTOR;
		uint32_t size = MIB - i * 8192;
		scratch_fill(data, MIB, guest->number * 100 + i);
		guest->failed = encrypted_write(guest->encrypted, data, offset, size, &err) ||
			encrypted_read(guest->encrypted, read_back, offset, size, &err) ||
			memcmp(data, read_back, size) != 0;
	}
	free(data);
	free(read_back);
	return NULL;
}

static void large_requests_are_shared_by_threads(void **state)
{
	enum { GUESTS = 6 };
	struct error err;
	struct place place;
	struct volume *volume;
	struct guest guests[GUESTS];
	uint8_t one[SECTOR];
	struct cipher *cipher = open_standard();
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 2 * GUESTS * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	struct encrypted *encrypted = encrypted_create(volume, cipher);
	ASSERT_OK(encrypted_start(encrypted, &err));
	for (unsigned i = 0; i < GUESTS; i++) {
		guests[i] = (struct guest){ .encrypted = encrypted, .number = i };
		assert_int_equal(pthread_create(&guests[i].thread, NULL, work_on_disk, &guests[i]), 0);
	}
	for (unsigned i = 0; i < GUESTS; i++) {
		pthread_join(guests[i].thread, NULL);
		assert_false(guests[i].failed);
	}
	/* what fails in a helper's half fails */
	uint8_t *data = calloc(1, 2 * MIB);
	ASSERT_FAILS(encrypted_read(encrypted, data, (2 * GUESTS - 1) * MIB, 2 * MIB, &err), ERROR_INVALID);
	free(data);
	ASSERT_OK(encrypted_read(encrypted, one, 0, SECTOR, &err));
	encrypted_destroy(encrypted);
	volume_close(volume);
	cipher_close(cipher);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(seals_as_the_standard_says),
		cmocka_unit_test(a_run_is_its_sectors),
		cmocka_unit_test(a_sector_within_a_unit_is_sealed_as_part_of_it),
		cmocka_unit_test(holes_stay_holes_and_written_zeros_do_not),
		cmocka_unit_test(refuses_parts_of_sectors_and_weak_keys),
		cmocka_unit_test(many_threads_share_a_cipher), TEST(a_volume_holds_nothing_plain),
		TEST(large_requests_are_shared_by_threads) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
