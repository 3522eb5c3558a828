/* Manifests: round trip, and no byte of one can be changed unnoticed. */
#include "scratch.h"
#include "volume/manifest.h"

static void round_trip_and_every_flipped_bit_is_noticed(void **state)
{
	(void)state;
	static struct manifest manifest, decoded;
	static uint8_t bytes[MANIFEST_SIZE_LIMIT];
	manifest = (struct manifest){ .size = 8192,
		.base_layer = 3,
		.layer_count = 2,
		.layers = { { .number = 4, .frozen_size = 4096, .durable = true }, { .number = 6 } } };
	size_t size = manifest_encode(&manifest, bytes);
	assert_int_equal(manifest_decode(bytes, size, &decoded), 0);
	assert_int_equal(decoded.layers[0].frozen_size, 4096);
	assert_true(decoded.layers[0].durable);
	assert_int_equal(decoded.layers[1].number, 6);
	for (size_t i = 0; i < 8 * size; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(manifest_decode(bytes, size, &decoded), -1);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(manifest_decode(bytes, cut, &decoded), -1);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	static struct manifest manifest, decoded;
	static uint8_t bytes[MANIFEST_SIZE_LIMIT];
	const struct manifest good = { .size = 8192,
		.layer_count = 2,
		.layers = { { .number = 1, .frozen_size = 4096 }, { .number = 2 } } };
	manifest = good;
	assert_int_equal(manifest_decode(bytes, manifest_encode(&manifest, bytes), &decoded), 0);
	manifest.layers[1].number = 1; /* not ascending */
	assert_int_equal(manifest_decode(bytes, manifest_encode(&manifest, bytes), &decoded), -1);
	manifest = good;
	manifest.layers[1].frozen_size = 512; /* a frozen top */
	assert_int_equal(manifest_decode(bytes, manifest_encode(&manifest, bytes), &decoded), -1);
	manifest = good;
	manifest.layers[0].frozen_size = 16384; /* larger than the volume */
	assert_int_equal(manifest_decode(bytes, manifest_encode(&manifest, bytes), &decoded), -1);
	manifest = good;
	manifest.base_layer = 1; /* a layer that went into the base */
	assert_int_equal(manifest_decode(bytes, manifest_encode(&manifest, bytes), &decoded), -1);
	manifest = good;
	manifest.size = 1000;
	assert_int_equal(manifest_decode(bytes, manifest_encode(&manifest, bytes), &decoded), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(round_trip_and_every_flipped_bit_is_noticed),
		cmocka_unit_test(nonsense_is_refused) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
