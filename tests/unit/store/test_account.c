/* Accounting of single cases, in bytes; the model in test_references.c has the rest. */
#include "model.h"
#include "store/account.h"

static void added_is_what_differs_from_the_parent(void **state)
{
	struct error err;
	struct model model;
	struct store_session *session;
	uint64_t added, full;
	model_prepare(&model, *state, 1);
	struct model_tree parent = { .size = 110ULL << 20, .blocks = { 1, 2, 3, 4, 5, 6 } };
	struct model_tree child = parent, taller = { .size = 900ULL << 30, .blocks = { 9, 9 } };
	ASSERT_OK(store_session_open(model.store, &session, &err));
	model_put_tree(&model, session, &parent, NULL);
	child.blocks[0] = 10;
	child.blocks[1] = 10; /* once: the same block, in the same leaf */
	model_put_tree(&model, session, &child, &parent);
	ASSERT_OK(store_account_added(model.store, &child.root, &child.root, &added, &err));
	assert_int_equal(added, 0);
	/* the block; leaf of four ids, top of two, root, in units of 64 bytes with a header each */
	uint64_t leaf = 64 + (8 + 16 + 4 * 32 + 63) / 64 * 64, top = 64 + (8 + 16 + 2 * 32 + 63) / 64 * 64;
	ASSERT_OK(store_account_added(model.store, &child.root, &parent.root, &added, &err));
	assert_int_equal(added, 4096 + STORE_BLOCK_SIZE + leaf + top + 64 + 64);
	model_put_tree(&model, session, &taller, NULL);
	ASSERT_OK(store_account_added(model.store, &taller.root, &parent.root, &added, &err));
	ASSERT_OK(store_account_full(model.store, &taller.root, 1, &full, &err));
	assert_int_equal(added, full);
	ASSERT_OK(store_account_added(model.store, &parent.root, &taller.root, &added, &err));
	ASSERT_OK(store_account_full(model.store, &parent.root, 1, &full, &err));
	assert_int_equal(added, full);
	store_session_close(session);
	store_close(model.store);
}

static void several_roots_are_accounted_as_one(void **state)
{
	struct error err;
	struct model model;
	struct store_session *session;
	uint64_t one, two, both;
	model_prepare(&model, *state, 1);
	struct model_tree *a = &model.trees[0], *b = &model.trees[1];
	*a = (struct model_tree){ .size = 50ULL << 20, .blocks = { 1, 2 } };
	*b = (struct model_tree){ .size = 50ULL << 20, .blocks = { 1, 3 } };
	ASSERT_OK(store_session_open(model.store, &session, &err));
	model_put_tree(&model, session, a, NULL);
	model_put_tree(&model, session, b, NULL);
	a->published = b->published = true;
	store_session_close(session);
	struct digest roots[] = { a->root, b->root, a->root };
	ASSERT_OK(store_account_alone(model.store, &roots[0], 1, &one, &err));
	ASSERT_OK(store_account_alone(model.store, &roots[1], 1, &two, &err));
	ASSERT_OK(store_account_alone(model.store, roots, 3, &both, &err));
	/* the block that they share goes only with both */
	assert_int_equal(both, one + two + 4096 + STORE_BLOCK_SIZE);
	a->published = b->published = false;
	store_retire(model.store, &a->root);
	store_retire(model.store, &b->root);
	assert_int_equal(model_free_retired(&model).bytes_freed, both);
	store_close(model.store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(added_is_what_differs_from_the_parent),
		TEST(several_roots_are_accounted_as_one) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
