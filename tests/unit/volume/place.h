/* A store and a volume in a scratch folder, as most tests of volumes need them. */
#pragma once

#include "scratch.h"
#include "store/store.h"
#include "store/tree.h"
#include "volume/volume.h"

struct place {
	char root[256], folder[300], runtime[300], store_folder[300];
	struct store *store;
};

static inline void place_open(struct place *place, void **state)
{
	struct error err;
	snprintf(place->root, sizeof place->root, "%s", (char *)*state);
	snprintf(place->folder, sizeof place->folder, "%s/vol", place->root);
	snprintf(place->runtime, sizeof place->runtime, "%s/run", place->root);
	snprintf(place->store_folder, sizeof place->store_folder, "%s/store", place->root);
	ASSERT_OK(file_make_folder(place->runtime, 0700, &err));
	ASSERT_OK(store_open(place->store_folder, &place->store, &err));
}

static inline void place_close(struct place *place)
{
	store_close(place->store);
}

/* How many blocks of a tree are not all zeros. */
static inline uint64_t place_count_blocks(struct place *place, const struct digest *root)
{
	struct error err;
	struct tree *tree;
	struct digest digest;
	uint64_t blocks = 0, index = 0;
	bool found;
	ASSERT_OK(tree_open(place->store, root, &tree, &err));
	for (;; index++, blocks++) {
		ASSERT_OK(tree_next(tree, &index, &digest, &found, &err));
		if (!found)
			break;
	}
	tree_close(tree);
	return blocks;
}

/* Freezes, seals and rebases; the root. The blocks that the seal counted are those of the tree. */
static inline struct digest place_snapshot(
	struct place *place, struct volume *volume, struct volume_seal_result *result)
{
	struct error err;
	struct store_session *session;
	struct volume_seal_result own;
	struct digest root;
	uint64_t layer;
	ASSERT_OK(volume_freeze(volume, &layer, &err));
	ASSERT_OK(volume_sync_frozen(volume, layer, &err));
	ASSERT_OK(store_session_open(place->store, &session, &err));
	ASSERT_OK(
		volume_seal(place->folder, place->runtime, layer, place->store, session, &root, &own, &err));
	ASSERT_OK(volume_rebase(volume, layer, &root, &err));
	store_session_close(session);
	assert_int_equal(own.blocks, place_count_blocks(place, &root));
	if (result)
		*result = own;
	return root;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)
