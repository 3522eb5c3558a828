/* Headers, pages and roots: what is encoded decodes, and nothing that is not canonical does. */
#include "scratch.h"
#include "store/checksum.h"
#include "store/format.h"
#include "store/page.h"
#include "store/store.h"

static void checksum_is_crc32c(void **state)
{
	(void)state;
	assert_int_equal(checksum_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(checksum_crc32c(checksum_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

/* By the instruction or the table, whatever the length and wherever it begins. */
static void checksum_of_pieces_is_that_of_the_whole(void **state)
{
	(void)state;
	uint8_t bytes[300];
	scratch_fill(bytes, sizeof bytes, 5);
	uint32_t whole = checksum_crc32c(0, bytes, sizeof bytes), single = 0;
	for (size_t i = 0; i < sizeof bytes; i++)
		single = checksum_crc32c(single, bytes + i, 1);
	assert_int_equal(whole, single);
	for (size_t cut = 0; cut < sizeof bytes; cut++)
		assert_int_equal(
			checksum_crc32c(checksum_crc32c(0, bytes, cut), bytes + cut, sizeof bytes - cut),
			whole);
}

static void object_header_round_trip(void **state)
{
	(void)state;
	struct pack_header pack = { .group = PACK_BLOCKS, .number = 7, .nonce = { 1, 2, 3 } }, decoded_pack;
	struct object_header object = {
		.kind = STORE_BLOCK, .state = OBJECT_LIVE, .size = 4096, .stored_size = 4096
	};
	struct object_header decoded;
	uint8_t bytes[OBJECT_HEADER_SIZE];
	format_encode_pack(&pack, bytes);
	assert_int_equal(format_decode_pack(bytes, &decoded_pack), 0);
	assert_int_equal(decoded_pack.number, 7);
	bytes[20] ^= 1;
	assert_int_equal(format_decode_pack(bytes, &decoded_pack), -1);
	scratch_fill(&object.digest, sizeof object.digest, 1);
	format_encode_object(&pack, 8192, &object, bytes);
	assert_int_equal(format_decode_object(&pack, 8192, bytes, &decoded), 0);
	assert_memory_equal(&decoded.digest, &object.digest, sizeof object.digest);
	/* a header that was copied to another place, or into another pack, is none */
	assert_int_equal(format_decode_object(&pack, 12288, bytes, &decoded), -1);
	pack.nonce[0] ^= 1;
	assert_int_equal(format_decode_object(&pack, 8192, bytes, &decoded), -1);
	pack.nonce[0] ^= 1;
	for (size_t i = 0; i < 8 * sizeof bytes; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(format_decode_object(&pack, 8192, bytes, &decoded), -1);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

static void page_round_trip(void **state)
{
	(void)state;
	static struct page page, decoded;
	static uint8_t bytes[PAGE_LIMIT + 1];
	page.level = 2;
	page.ids[0].bytes[0] = 1;
	page.ids[PAGE_FANOUT - 1].bytes[31] = 2;
	size_t size = page_encode(&page, bytes);
	assert_int_equal(size, 8 + 16 + 2 * 32);
	assert_int_equal(page_decode(bytes, size, &decoded), 0);
	assert_memory_equal(page.ids, decoded.ids, sizeof page.ids);
	assert_int_equal(decoded.count, 2);
	assert_int_equal(page_decode(bytes, size - 1, &decoded), -1);
	assert_int_equal(page_decode(bytes, size + 1, &decoded), -1);
	bytes[8] ^= 2; /* a bit without an id */
	assert_int_equal(page_decode(bytes, size, &decoded), -1);
	bytes[8] ^= 2;
	memset(bytes + size - 32, 0, 32); /* a zero id that counts as present */
	assert_int_equal(page_decode(bytes, size, &decoded), -1);
}

static void root_refuses_what_is_not_canonical(void **state)
{
	(void)state;
	struct root root = { .levels = 1, .size = 1 << 30 }, decoded;
	uint8_t bytes[ROOT_SIZE];
	assert_int_equal(root_levels(1), 1);
	assert_int_equal(root_levels(128), 1);
	assert_int_equal(root_levels(129), 2);
	assert_int_equal(root_levels(root_block_count(64ULL << 40)), 4);
	assert_int_equal(root_levels(root_block_count(INT64_MAX)), TREE_LEVELS_LIMIT);
	assert_true(1ULL << PAGE_FANOUT_BITS * TREE_LEVELS_LIMIT >= root_block_count(INT64_MAX));
	root.levels = root_levels(root_block_count(root.size));
	root_encode(&root, bytes);
	assert_int_equal(root_decode(bytes, sizeof bytes, &decoded), 0);
	assert_int_equal(decoded.size, root.size);
	assert_int_equal(decoded.blocks, 0);
	for (size_t i = 0; i < 32; i++) {
		if (i >= 16 && i < 20)
			continue; /* low bytes of the size: other disks, not faults */
		bytes[i] ^= 0x80;
		assert_int_equal(root_decode(bytes, sizeof bytes, &decoded), -1);
		bytes[i] ^= 0x80;
	}
	/* as many blocks as the disk may have, and none only without a page */
	root.top.bytes[0] = 1;
	const struct {
		uint64_t blocks;
		int result;
	} counts[] = { { 0, -1 }, { 1, 0 }, { 2048, 0 }, { 2049, -1 }, { UINT64_MAX, -1 } };
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		root.blocks = counts[i].blocks;
		root_encode(&root, bytes);
		assert_int_equal(root_decode(bytes, sizeof bytes, &decoded), counts[i].result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(checksum_is_crc32c),
		cmocka_unit_test(checksum_of_pieces_is_that_of_the_whole),
		cmocka_unit_test(object_header_round_trip), cmocka_unit_test(page_round_trip),
		cmocka_unit_test(root_refuses_what_is_not_canonical) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
