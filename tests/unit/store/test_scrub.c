/* Scrubbing: what is damaged is found and named, its place in trees too; it is stored anew when it comes by again; nothing else is called damaged. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/text.h"
#include "scratch.h"
#include "store/page.h"
#include "store/scrub.h"
#include "store/tree.h"

enum { BLOCKS = 4 };

static uint8_t data[STORE_BLOCK_SIZE], copy[STORE_BLOCK_SIZE];
/* the last is under a second page of level 1 */
static const uint64_t places[BLOCKS] = { 0, 1, 7, 1500 };

struct fixture {
	struct store *store;
	struct store_session *session;
	struct digest blocks[BLOCKS], root, smaller;
};

static struct digest put(struct store_session *session, uint64_t seed, uint64_t *added)
{
	struct error err;
	struct digest digest;
	scratch_fill(data, sizeof data, seed);
	digest_sha256(data, sizeof data, &digest);
	ASSERT_OK(store_put(session, STORE_BLOCK, &digest, data, sizeof data, added, &err));
	return digest;
}

/* A tree of four blocks, and one of the first of them alone that shares no page with it. */
static void make(struct fixture *fixture, const char *folder)
{
	struct error err;
	struct tree_builder *builder;
	ASSERT_OK(store_open(folder, &fixture->store, &err));
	ASSERT_OK(store_session_open(fixture->store, &fixture->session, &err));
	ASSERT_OK(tree_builder_create(fixture->session, NULL, 1ULL << 30, &builder, &err));
	for (unsigned i = 0; i < BLOCKS; i++) {
		fixture->blocks[i] = put(fixture->session, i + 1, NULL);
		ASSERT_OK(tree_builder_set(builder, places[i], &fixture->blocks[i], &err));
	}
	ASSERT_OK(tree_builder_finish(builder, &fixture->root, NULL, &err));
	tree_builder_destroy(builder);
	ASSERT_OK(tree_builder_create(fixture->session, NULL, STORE_BLOCK_SIZE, &builder, &err));
	ASSERT_OK(tree_builder_set(builder, 0, &fixture->blocks[0], &err));
	ASSERT_OK(tree_builder_finish(builder, &fixture->smaller, NULL, &err));
	tree_builder_destroy(builder);
}

static void take_apart(struct fixture *fixture)
{
	store_session_close(fixture->session);
	store_close(fixture->store);
}

/* Flips a bit of an object `from_payload` bytes from where its payload begins. */
static void flip(struct store *store, const struct digest *digest, int from_payload)
{
	struct error err;
	struct store_location at;
	uint8_t byte;
	ASSERT_OK(store_locate(store, digest, &at, &err));
	off_t offset = (off_t)at.offset + from_payload;
	assert_int_equal(pread(at.fd, &byte, 1, offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(at.fd, &byte, 1, offset), 1);
}

static void count_report(void *context, const struct digest *digest, const char *line)
{
	char hex[2 * DIGEST_SIZE + 1];
	assert_non_null(strstr(line, text_hex(digest->bytes, DIGEST_SIZE, hex)));
	++*(unsigned *)context;
}

/* To the end of the pass; how many objects were newly found damaged. */
static unsigned go_on(struct store *store, unsigned *steps)
{
	struct error err;
	unsigned found = 0;
	uint64_t bytes;
	*steps = 0;
	for (bool ended = false; !ended; *steps += bytes > 0)
		ASSERT_OK(store_scrub_step(store, 2000, count_report, &found, &bytes, &ended, &err));
	return found;
}

static unsigned scrub(struct store *store)
{
	struct error err;
	unsigned steps;
	ASSERT_OK(store_scrub_begin(store, 1000, &err));
	return go_on(store, &steps);
}

struct ranges {
	unsigned count;
	uint64_t offsets[BLOCKS], sizes[BLOCKS];
};

static int note_range(void *context, uint64_t offset, uint64_t size, struct error *err)
{
	struct ranges *ranges = context;
	(void)err;
	assert_true(ranges->count < BLOCKS);
	ranges->offsets[ranges->count] = offset;
	ranges->sizes[ranges->count++] = size;
	return 0;
}

static struct ranges search(struct store *store, const struct digest *root)
{
	struct error err;
	struct ranges ranges = { 0 };
	struct store_damage_search *looking = store_damage_search_create(store);
	ASSERT_OK(store_damage_search_root(looking, root, note_range, &ranges, &err));
	store_damage_search_destroy(looking);
	return ranges;
}

static void a_sound_store_is_read_once_and_has_no_damage(void **state)
{
	struct fixture fixture;
	struct store_scrub_state scrubbed;
	struct store_usage usage;
	make(&fixture, *state);
	assert_int_equal(scrub(fixture.store), 0);
	store_scrub_get_state(fixture.store, &scrubbed);
	store_get_usage(fixture.store, &usage);
	assert_int_equal(scrubbed.pass, 1);
	assert_false(scrubbed.running);
	assert_int_equal(scrubbed.begun_ms, 1000);
	assert_int_equal(scrubbed.ended_ms, 2000);
	assert_int_equal(scrubbed.objects, usage.objects);
	assert_true(scrubbed.bytes >= BLOCKS * STORE_BLOCK_SIZE && scrubbed.bytes < usage.bytes);
	assert_int_equal(search(fixture.store, &fixture.root).count, 0);
	take_apart(&fixture);
}

static void a_damaged_block_is_found_in_all_its_trees(void **state)
{
	struct fixture fixture;
	make(&fixture, *state);
	flip(fixture.store, &fixture.blocks[0], 300000);
	flip(fixture.store, &fixture.blocks[3], 0);
	assert_int_equal(scrub(fixture.store), 2);
	assert_int_equal(scrub(fixture.store), 0); /* known already */
	struct ranges ranges = search(fixture.store, &fixture.root);
	assert_int_equal(ranges.count, 2);
	assert_int_equal(ranges.offsets[0], 0);
	assert_int_equal(ranges.offsets[1], places[3] * STORE_BLOCK_SIZE);
	assert_int_equal(ranges.sizes[1], STORE_BLOCK_SIZE);
	ranges = search(fixture.store, &fixture.smaller);
	assert_int_equal(ranges.count, 1);
	assert_int_equal(ranges.offsets[0], 0);
	take_apart(&fixture);
}

/* The first page of level 1: where it lies is found out by trying what a scrub reports. */
static void note_digest(void *context, const struct digest *digest, const char *line)
{
	if (strstr(line, "page"))
		*(struct digest *)context = *digest;
}

static void a_damaged_page_takes_what_lies_below_it(void **state)
{
	struct fixture fixture;
	struct error err;
	struct tree *tree;
	struct digest page = { .bytes = { 0 } };
	uint64_t bytes;
	bool ended = false;
	char path[512];
	make(&fixture, *state);
	/* every page of the small pack, one after another, from the second object header on: the first is that over blocks 0 to 127 */
	snprintf(path, sizeof path, "%s/packs/0000000002.pack", (char *)*state);
	int fd = open(path, O_RDWR);
	uint8_t byte;
	assert_int_equal(pread(fd, &byte, 1, 4096 + 64 + 20), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 4096 + 64 + 20), 1);
	close(fd);
	ASSERT_OK(store_scrub_begin(fixture.store, 1, &err));
	while (!ended)
		ASSERT_OK(store_scrub_step(fixture.store, 2, note_digest, &page, &bytes, &ended, &err));
	assert_false(digest_is_zero(&page));
	struct ranges ranges = search(fixture.store, &fixture.root);
	assert_int_equal(ranges.count, 1);
	assert_int_equal(ranges.offsets[0], 0);
	assert_int_equal(ranges.sizes[0], PAGE_FANOUT * (uint64_t)STORE_BLOCK_SIZE);
	/* never handed out */
	ASSERT_OK(tree_open(fixture.store, &fixture.root, &tree, &err));
	ASSERT_FAILS(tree_lookup(tree, 0, &page, &err), ERROR_CORRUPT);
	ASSERT_OK(tree_lookup(tree, places[3], &page, &err));
	tree_close(tree);
	take_apart(&fixture);
}

static void a_damaged_root_or_header_is_found(void **state)
{
	struct fixture fixture;
	struct error err;
	struct tree *tree;
	make(&fixture, *state);
	flip(fixture.store, &fixture.root, 20);
	flip(fixture.store, &fixture.blocks[1], -4096 + 17);
	assert_int_equal(scrub(fixture.store), 2);
	struct ranges ranges = search(fixture.store, &fixture.root);
	assert_int_equal(ranges.count, 1);
	assert_true(ranges.sizes[0] == UINT64_MAX);
	ASSERT_FAILS(tree_open(fixture.store, &fixture.root, &tree, &err), ERROR_CORRUPT);
	take_apart(&fixture);
}

static void the_position_and_the_damage_survive(void **state)
{
	struct fixture fixture;
	struct store_scrub_state scrubbed;
	struct store_usage usage;
	struct error err;
	unsigned steps;
	uint64_t bytes;
	bool ended;
	make(&fixture, *state);
	flip(fixture.store, &fixture.blocks[0], 5);
	store_get_usage(fixture.store, &usage);
	ASSERT_OK(store_scrub_begin(fixture.store, 1000, &err));
	for (int i = 0; i < 3; i++)
		ASSERT_OK(store_scrub_step(fixture.store, 1000, NULL, NULL, &bytes, &ended, &err));
	ASSERT_OK(store_scrub_save(fixture.store, &err));
	take_apart(&fixture);
	ASSERT_OK(store_open(*state, &fixture.store, &err));
	store_scrub_get_state(fixture.store, &scrubbed);
	assert_true(scrubbed.running);
	assert_int_equal(scrubbed.damaged, 1);
	assert_int_equal(go_on(fixture.store, &steps), 0);
	assert_int_equal(steps, usage.objects - 3);
	store_close(fixture.store);
	/* a damaged state file counts as none */
	char path[512];
	snprintf(path, sizeof path, "%s/scrub", (char *)*state);
	assert_int_equal(truncate(path, 70), 0);
	ASSERT_OK(store_open(*state, &fixture.store, &err));
	store_scrub_get_state(fixture.store, &scrubbed);
	assert_int_equal(scrubbed.pass, 0);
	assert_int_equal(scrub(fixture.store), 1);
	store_close(fixture.store);
}

static void a_put_of_the_same_content_heals(void **state)
{
	struct fixture fixture;
	struct error err;
	uint64_t added, faults;
	size_t size;
	char path[512];
	make(&fixture, *state);
	flip(fixture.store, &fixture.blocks[2], 4000);
	/* found by a read, this time */
	ASSERT_FAILS(store_get(fixture.store, &fixture.blocks[2], copy, &size, &err), ERROR_CORRUPT);
	put(fixture.session, 3, &added);
	assert_true(added > STORE_BLOCK_SIZE);
	ASSERT_OK(store_get(fixture.store, &fixture.blocks[2], copy, &size, &err));
	assert_memory_equal(copy, data, size);
	put(fixture.session, 3, &added);
	assert_int_equal(added, 0);
	assert_int_equal(scrub(fixture.store), 0);
	assert_int_equal(search(fixture.store, &fixture.root).count, 0);
	ASSERT_OK(store_check(fixture.store, NULL, NULL, &faults, &err));
	assert_int_equal(faults, 0);
	take_apart(&fixture);
	/* an index made again from the packs finds the good one */
	snprintf(path, sizeof path, "%s/index", (char *)*state);
	assert_int_equal(unlink(path), 0);
	ASSERT_OK(store_open(*state, &fixture.store, &err));
	ASSERT_OK(store_get(fixture.store, &fixture.blocks[2], copy, &size, &err));
	assert_int_equal(scrub(fixture.store), 0);
	store_close(fixture.store);
}

static int no_root(void *context, struct digest *root, struct error *err)
{
	(void)context;
	(void)root;
	(void)err;
	return 0;
}

struct churn {
	struct store *store;
	_Atomic bool stop;
};

/* Puts objects and frees them again. */
static void *churn(void *context)
{
	struct churn *self = context;
	static uint8_t bytes[STORE_BLOCK_SIZE];
	struct store_collect_result result;
	struct error err;
	for (uint64_t seed = 100; !atomic_load(&self->stop); seed += 10) {
		struct store_session *session;
		ASSERT_OK(store_session_open(self->store, &session, &err));
		for (uint64_t i = 0; i < 10; i++) {
			struct digest digest;
			scratch_fill(bytes, 40000, seed + i);
			digest_sha256(bytes, 40000, &digest);
			ASSERT_OK(store_put(session, STORE_PAGE, &digest, bytes, 40000, NULL, &err));
		}
		store_session_close(session);
		ASSERT_OK(store_collect(self->store, no_root, NULL, &result, &err));
	}
	return NULL;
}

static void what_is_freed_meanwhile_is_no_damage(void **state)
{
	struct fixture fixture;
	pthread_t thread;
	make(&fixture, *state);
	struct churn self = { .store = fixture.store };
	assert_int_equal(pthread_create(&thread, NULL, churn, &self), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(scrub(fixture.store), 0);
	atomic_store(&self.stop, true);
	pthread_join(thread, NULL);
	take_apart(&fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_create, scratch_remove)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_sound_store_is_read_once_and_has_no_damage),
		TEST(a_damaged_block_is_found_in_all_its_trees),
		TEST(a_damaged_page_takes_what_lies_below_it), TEST(a_damaged_root_or_header_is_found),
		TEST(the_position_and_the_damage_survive), TEST(a_put_of_the_same_content_heals),
		TEST(what_is_freed_meanwhile_is_no_damage) };
	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
