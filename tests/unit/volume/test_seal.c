/* What a seal counts and reads, however the base it stands on came about. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "place.h"
#include "base/disk.h"

enum { BLOCKS = 8, SIZE = BLOCKS * STORE_BLOCK_SIZE, PIECE = 4096 };

static uint8_t data[STORE_BLOCK_SIZE], read_back[STORE_BLOCK_SIZE];

static void write_piece(struct volume *volume, uint64_t offset, unsigned seed)
{
	struct error err;
	scratch_fill(data, PIECE, seed);
	ASSERT_OK(volume_write(volume, data, offset, PIECE, &err));
}

static void assert_piece(struct volume *volume, uint64_t offset, unsigned seed)
{
	struct error err;
	scratch_fill(data, PIECE, seed);
	ASSERT_OK(volume_read(volume, read_back, offset, PIECE, &err));
	assert_memory_equal(read_back, data, PIECE);
}

static struct volume *open_new(struct place *place, void **state)
{
	struct error err;
	struct volume *volume;
	place_open(place, state);
	ASSERT_OK(volume_create(place->folder, SIZE, NULL, &err));
	ASSERT_OK(volume_open(place->folder, place->runtime, place->store, &volume, &err));
	return volume;
}

/* place_snapshot compares each count with the tree. */
static void blocks_that_come_and_go_are_counted(void **state)
{
	struct error err;
	struct place place;
	struct volume_seal_result sealed;
	struct volume *volume = open_new(&place, state);
	place_snapshot(&place, volume, &sealed);
	assert_int_equal(sealed.blocks, 0);
	for (unsigned i = 0; i < BLOCKS; i++)
		write_piece(volume, (uint64_t)i * STORE_BLOCK_SIZE, i + 1);
	place_snapshot(&place, volume, &sealed);
	assert_int_equal(sealed.blocks, BLOCKS);
	ASSERT_OK(volume_zero(volume, 0, 3ULL * STORE_BLOCK_SIZE, &err));
	write_piece(volume, STORE_BLOCK_SIZE, 77);
	place_snapshot(&place, volume, &sealed);
	assert_int_equal(sealed.blocks, BLOCKS - 2);
	assert_int_equal(sealed.changed_blocks, 3);
	/* what was zeros stays zeros, what was something becomes something else */
	ASSERT_OK(volume_zero(volume, 0, PIECE, &err));
	write_piece(volume, STORE_BLOCK_SIZE, 78);
	place_snapshot(&place, volume, &sealed);
	assert_int_equal(sealed.blocks, BLOCKS - 2);
	ASSERT_OK(volume_grow(volume, 2ULL * SIZE - PIECE, &err));
	write_piece(volume, 2ULL * SIZE - 2ULL * PIECE, 79);
	place_snapshot(&place, volume, &sealed);
	assert_int_equal(sealed.blocks, BLOCKS - 1);
	assert_piece(volume, 2ULL * SIZE - 2ULL * PIECE, 79);
	assert_piece(volume, 5ULL * STORE_BLOCK_SIZE, 6);
	volume_close(volume);
	place_close(&place);
}

static void spoil(const char *path, uint64_t offset)
{
	uint8_t byte;
	int fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static void what_was_sealed_before_is_counted_again(void **state)
{
	struct error err;
	struct place place;
	struct volume_seal_result sealed;
	struct volume *volume = open_new(&place, state);
	struct volume_info info;
	struct store_session *session;
	struct digest again;
	write_piece(volume, 3ULL * STORE_BLOCK_SIZE, 1);
	struct digest root = place_snapshot(&place, volume, &sealed);
	/* and rebased: asked for once more after a crash */
	ASSERT_OK(volume_inspect(place.folder, &info, &err));
	ASSERT_OK(store_session_open(place.store, &session, &err));
	ASSERT_OK(volume_seal(place.folder, place.runtime, info.top_layer - 1, place.store, session, &again,
		&sealed, &err));
	store_session_close(session);
	assert_memory_equal(&again, &root, sizeof root);
	assert_int_equal(sealed.blocks, 1);
	volume_close(volume);
	place_close(&place);
}

static void flip_stored_block(const struct place *place, const struct digest *digest)
{
	struct error err;
	struct store_location location;
	char path[400];
	ASSERT_OK(store_locate(place->store, digest, &location, &err));
	snprintf(path, sizeof path, "%s/packs/%010u.pack", place->store_folder, location.pack);
	spoil(path, location.offset + 12345);
	store_return_pack(place->store, location.pack);
}

/* Sealing a damaged block together with what was written over part of it would give the damage a good digest. */
static void damage_in_the_base_is_not_sealed(void **state)
{
	struct error err;
	struct place place;
	struct tree *tree;
	struct digest block, root;
	struct store_session *session;
	uint64_t layer;
	struct volume *volume = open_new(&place, state);
	for (unsigned i = 0; i < STORE_BLOCK_SIZE / PIECE; i++)
		write_piece(volume, (uint64_t)i * PIECE, i);
	root = place_snapshot(&place, volume, &(struct volume_seal_result){ 0 });
	ASSERT_OK(tree_open(place.store, &root, &tree, &err));
	ASSERT_OK(tree_lookup(tree, 0, &block, &err));
	tree_close(tree);
	flip_stored_block(&place, &block);
	write_piece(volume, 0, 1000);
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(store_session_open(place.store, &session, &err));
	ASSERT_FAILS(volume_seal(place.folder, place.runtime, layer, place.store, session, &root, NULL, &err),
		ERROR_CORRUPT);
	/* once all of the block has been written again, nothing is needed of what is damaged */
	for (unsigned i = 1; i < STORE_BLOCK_SIZE / PIECE; i++)
		write_piece(volume, (uint64_t)i * PIECE, i + 2000);
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(volume_seal(place.folder, place.runtime, layer, place.store, session, &root, NULL, &err));
	ASSERT_OK(volume_rebase(volume, layer, &root, &err));
	store_session_close(session);
	assert_piece(volume, 0, 1000);
	assert_piece(volume, 3ULL * PIECE, 2003);
	volume_close(volume);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(blocks_that_come_and_go_are_counted),
		TEST(what_was_sealed_before_is_counted_again),
		TEST(damage_in_the_base_is_not_sealed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
