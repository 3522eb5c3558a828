/* Peers: what a lying or damaged one gives is refused, and who has no key is. */
#include "handlers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/tree.h"
#include "svc/control/copy_blocks.h"
#include "svc/peer_answer.h"
#include "svc/peer_lease.h"
#include "svc/peers.h"

enum { BLOCKS = 12, BLOCK_SIZE = 1000, WHOLE = -1 };
static const uint64_t SIZE = 1ULL << 30;

/* ---- copies from somebody who cannot be trusted ---- */

/* Gives the tree of a store, but for one byte. */
struct liar {
	struct store *store;
	struct tree *tree;
	int damaged_level; /* of the page that is damaged; WHOLE: none */
	int damaged_block; /* WHOLE: none */
	unsigned pages_read, blocks_read;
};

static int give_page(void *context, unsigned level, uint64_t index, const struct digest *digest, void *data,
	size_t room, size_t *size, struct error *err)
{
	struct liar *liar = context;
	uint8_t *buffer = memory_alloc(STORE_BLOCK_SIZE);
	int result = store_get(liar->store, digest, buffer, size, err);
	assert_true(result || *size <= room);
	if (result == 0)
		memcpy(data, buffer, *size);
	free(buffer);
	if ((int)level == liar->damaged_level)
		((uint8_t *)data)[*size - 1] ^= 1;
	liar->pages_read++;
	return result;
}

static int give_blocks(void *context, const struct copy_wanted *wanted, size_t count, uint8_t *data,
	size_t *sizes, struct error *err)
{
	struct liar *liar = context;
	assert_true(count > 0 && count <= COPY_BATCH);
	for (size_t i = 0; i < count; i++) {
		struct digest digest;
		if (tree_lookup(liar->tree, wanted[i].index, &digest, err) ||
			store_get(liar->store, &digest, data + i * STORE_BLOCK_SIZE, &sizes[i], err))
			return -1;
		if ((int)wanted[i].index == liar->damaged_block)
			data[i * STORE_BLOCK_SIZE] ^= 0x80;
		liar->blocks_read++;
	}
	return 0;
}

static void open_store(struct scene *s, const char *name, struct store **store)
{
	const char *folder = arena_printf(s->arena, "%s/%s", s->folder, name);
	assert_int_equal(store_open(folder, store, &s->err), 0);
}

/* Some blocks, of which two are alike. */
static struct digest make_tree(struct store *store, struct error *err)
{
	struct store_session *session;
	struct tree_builder *builder;
	struct digest root;
	uint8_t data[BLOCK_SIZE];
	assert_int_equal(store_session_open(store, &session, err), 0);
	assert_int_equal(tree_builder_create(session, NULL, SIZE, &builder, err), 0);
	for (int i = 0; i < BLOCKS; i++) {
		struct digest block;
		memset(data, i == 1 ? 2 : i + 1, sizeof data);
		digest_sha256(data, sizeof data, &block);
		assert_int_equal(store_put(session, STORE_BLOCK, &block, data, sizeof data, NULL, err), 0);
		assert_int_equal(tree_builder_set(builder, (uint64_t)i, &block, err), 0);
	}
	/* the block of 1 once more */
	struct digest again;
	memset(data, 2, sizeof data);
	digest_sha256(data, sizeof data, &again);
	assert_int_equal(tree_builder_set(builder, BLOCKS, &again, err), 0);
	assert_int_equal(tree_builder_finish(builder, &root, NULL, err), 0);
	tree_builder_destroy(builder);
	store_session_close(session);
	return root;
}

/* One step of a copy of everything; what came of it. */
static int copy_all(struct liar *liar, struct store *to, const struct digest *root,
	struct copy_blocks_step *step, struct error *err)
{
	const struct copy_source source = { .pages = { give_page, liar }, .read_blocks = give_blocks };
	struct copy_blocks *copy;
	if (copy_blocks_open(&source, to, root, NULL, &copy, err))
		return -1;
	int result = copy_blocks_step(copy, 100, step, err);
	copy_blocks_close(copy);
	return result;
}

static void what_a_peer_gives_is_verified(void **state)
{
	struct scene *s = *state;
	struct store *from, *to;
	struct copy_blocks_step step;
	open_store(s, "from", &from);
	open_store(s, "to", &to);
	struct digest root = make_tree(from, &s->err);
	struct liar liar = { .store = from, .damaged_block = WHOLE };
	assert_int_equal(tree_open(from, &root, &liar.tree, &s->err), 0);
	/* the root (level 0), the page above the leaves, a leaf */
	for (int level = 0; level <= 2; level++) {
		liar.damaged_level = level;
		assert_int_equal(copy_all(&liar, to, &root, &step, &s->err), -1);
		assert_int_equal(s->err.code, ERROR_CORRUPT);
	}
	assert_int_equal(liar.blocks_read, 0);
	liar.damaged_level = WHOLE;
	liar.damaged_block = 5;
	assert_int_equal(copy_all(&liar, to, &root, &step, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
	assert_non_null(strstr(s->err.message, "block at 5"));
	/* an honest one: each block once, also what is on the disk twice */
	liar.damaged_block = WHOLE;
	liar.blocks_read = 0;
	assert_int_equal(copy_all(&liar, to, &root, &step, &s->err), 0);
	assert_false(step.more);
	assert_true(digest_equal(&step.root, &root));
	assert_int_equal(step.blocks, BLOCKS + 1);
	assert_int_equal(liar.blocks_read, step.travelled_blocks);
	assert_int_equal(step.travelled_bytes, step.travelled_blocks * BLOCK_SIZE);
	tree_close(liar.tree);
	store_close(from);
	store_close(to);
}

/* ---- signatures ---- */

static const char *write_key(struct scene *s, const char *name, uint8_t fill, mode_t mode)
{
	uint8_t secret[32];
	memset(secret, fill, sizeof secret);
	const char *path = arena_printf(s->arena, "%s/%s", s->folder, name);
	assert_int_equal(file_replace(path, secret, sizeof secret, mode, &s->err), 0);
	return path;
}

static void keys_are_private_files_of_32_bytes(void **state)
{
	struct scene *s = *state;
	struct peer_key key, other;
	assert_int_equal(peer_key_read(write_key(s, "key", 1, 0600), &key, &s->err), 0);
	assert_int_equal(peer_key_read(write_key(s, "key2", 2, 0600), &other, &s->err), 0);
	assert_string_not_equal(key.id, other.id);
	assert_false(digest_equal(&key.request, &key.answer));
	assert_int_equal(peer_key_read(write_key(s, "open", 1, 0640), &key, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_INVALID);
	assert_int_equal(
		file_replace(arena_printf(s->arena, "%s/short", s->folder), "x", 1, 0600, &s->err), 0);
	assert_int_equal(peer_key_read(arena_printf(s->arena, "%s/short", s->folder), &key, &s->err), -1);
}

static void nonces_are_taken_once_while_they_could_come_again(void **state)
{
	struct scene *s = *state;
	struct peer_nonces *nonces = peer_nonces_create();
	const uint8_t one[PEER_NONCE_SIZE] = { 1 }, two[PEER_NONCE_SIZE] = { 1, 0, 0, 0, 2 };
	const int64_t start = 1000, window = 2 * PEER_SKEW_MS;
	assert_int_equal(peer_nonces_check(nonces, one, start, &s->err), 0);
	assert_int_equal(peer_nonces_check(nonces, two, start + window - 1, &s->err), 0);
	assert_int_equal(peer_nonces_check(nonces, one, start + window - 1, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_ACCESS_DENIED);
	/* a set later the second one is still known */
	assert_int_equal(peer_nonces_check(nonces, two, start + window, &s->err), -1);
	assert_int_equal(peer_nonces_check(nonces, two, start + 2 * window - 2, &s->err), -1);
	/* and forgotten when its request is too old by far */
	assert_int_equal(peer_nonces_check(nonces, two, start + 4 * window, &s->err), 0);
	peer_nonces_destroy(nonces);
}

/* A request as it arrives; tests change parts of it. */
struct arrived {
	struct peer_key key;
	struct peer_request request;
	const char *path, *query, *body;
	struct http_response response;
};

static void prepare(struct scene *s, struct arrived *arrived, const char *what, const char *body)
{
	*arrived = (struct arrived){
		.path = arena_printf(s->arena, PEER_PATH "us-east-1/%s", what), .query = "", .body = body
	};
	uint8_t secret[32];
	memset(secret, 1, sizeof secret);
	peer_key_derive(secret, &arrived->key);
	arrived->request = (struct peer_request){
		.path = arrived->path, .time_ms = clock_real_ms(), .body = body, .body_size = strlen(body)
	};
	text_random_bytes(arrived->request.nonce, PEER_NONCE_SIZE);
}

static int arrive(struct scene *s, struct arrived *arrived)
{
	char mac[2 * DIGEST_SIZE + 1], nonce[2 * PEER_NONCE_SIZE + 1];
	struct digest digest;
	peer_sign_request(&arrived->key, &arrived->request, &digest);
	const struct http_header headers[] = { { "X-Amid-Peer-Key", arrived->key.id },
		{ "X-Amid-Peer-Time", arena_printf(s->arena, "%lld", (long long)arrived->request.time_ms) },
		{ "X-Amid-Peer-Nonce", text_hex(arrived->request.nonce, PEER_NONCE_SIZE, nonce) },
		{ "X-Amid-Peer-Mac", text_hex(digest.bytes, DIGEST_SIZE, mac) } };
	const struct http_request http = { .method = "POST",
		.path = arrived->path,
		.query = arrived->query,
		.headers = headers,
		.header_count = 4,
		.body = arrived->body,
		.body_size = strlen(arrived->body) };
	buffer_free(&arrived->response.body);
	arrived->response = (struct http_response){ 0 };
	return peer_answer(&s->call, &http, &arrived->response, &s->err);
}

static void assert_refused(struct scene *s, struct arrived *arrived)
{
	assert_int_equal(arrive(s, arrived), -1);
	assert_int_equal(s->err.code, ERROR_ACCESS_DENIED);
}

/* The answer, which is signed, has a status and a text. */
static void assert_answered(struct scene *s, struct arrived *arrived, int status, const char *text)
{
	struct digest mac, given;
	assert_int_equal(arrive(s, arrived), 0);
	assert_int_equal(arrived->response.status, status);
	assert_non_null(strstr(buffer_text(&arrived->response.body), text));
	assert_int_equal(arrived->response.header_count, 1);
	assert_int_equal(text_unhex(arrived->response.headers[0].value, given.bytes, DIGEST_SIZE), 0);
	peer_sign_answer(&arrived->key, arrived->request.nonce, status, arrived->response.body.data,
		arrived->response.body.size, &mac);
	assert_true(digest_equal(&mac, &given));
	buffer_free(&arrived->response.body);
}

static void open_peers(struct scene *s, struct amid_peer_config *key)
{
	static const char *const regions[] = { "us-east-1", NULL };
	*key = (struct amid_peer_config){ .key = write_key(s, "key", 1, 0600) };
	s->config = (struct amid_config){ .peers = key, .peer_count = 1, .regions = regions };
	assert_int_equal(peers_open(&s->config, &s->amid.peers, &s->err), 0);
}

static void only_peers_are_answered(void **state)
{
	struct scene *s = *state;
	struct amid_peer_config config;
	struct arrived arrived;
	const char *body = "{\"account\":\"111111111111\",\"id\":\"snap-1\"}";
	prepare(s, &arrived, "snapshot", body);
	assert_refused(s, &arrived); /* there are no peers */
	open_peers(s, &config);
	prepare(s, &arrived, "snapshot", body);
	assert_answered(s, &arrived, error_http_status(ERROR_SNAPSHOT_NOT_FOUND), "InvalidSnapshot.NotFound");
	assert_refused(s, &arrived); /* once more the same */
	prepare(s, &arrived, "snapshot", body);
	arrived.body = "{\"account\":\"222222222222\",\"id\":\"snap-1\"}";
	assert_refused(s, &arrived);
	prepare(s, &arrived, "snapshot", body);
	arrived.path = PEER_PATH "us-east-1/image";
	assert_refused(s, &arrived);
	prepare(s, &arrived, "snapshot", body);
	arrived.query = "x=1";
	assert_refused(s, &arrived);
	prepare(s, &arrived, "snapshot", body);
	arrived.key.request.bytes[0] ^= 1;
	assert_refused(s, &arrived);
	prepare(s, &arrived, "snapshot", body);
	arrived.key.id[0] ^= 1;
	assert_refused(s, &arrived);
	for (int sign = -1; sign <= 1; sign += 2) {
		prepare(s, &arrived, "snapshot", body);
		arrived.request.time_ms += sign * (PEER_SKEW_MS + 60 * 1000);
		assert_refused(s, &arrived);
	}
	prepare(s, &arrived, "secrets", body);
	assert_answered(s, &arrived, 404, "there is no secrets");
	prepare(s, &arrived, "snapshot", "[1,");
	assert_answered(s, &arrived, 400, "no good");
	prepare(s, &arrived, "snapshot", "{\"account\":\"1\",\"id\":\"snap-1\"}");
	assert_answered(s, &arrived, 400, "no good account");
	peers_close(s->amid.peers);
	s->amid.peers = NULL;
}

/* What is kept is the peer's that asked for it, and no other's. */
static void leases_are_of_one_peer_and_end(void **state)
{
	struct scene *s = *state;
	struct peer_lease_record *lease;
	struct snapshot_record snapshot = { .record = { .account = "111111111111",
						    .region = "us-east-1",
						    .id = "snap-1" },
		.state = "completed",
		.root = "aa" },
			       *stored;
	int64_t again_ms = -1;
	scene_put(s, &record_snapshot, &snapshot);
	assert_int_equal(
		meta_get_any(s->meta, &record_snapshot, NULL, "snap-1", s->arena, &stored, &s->err), 0);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	const char *id = peer_lease_put(stored, "peer", "111111111111", NULL, batch, s->arena);
	assert_int_equal(meta_commit(s->meta, batch, &s->err), 0);
	assert_int_equal(peer_lease_find(&s->amid, "us-east-1", "other", id, s->arena, &lease, &s->err), 0);
	assert_null(lease);
	assert_int_equal(peer_lease_find(&s->amid, "us-east-1", "peer", id, s->arena, &lease, &s->err), 0);
	assert_string_equal(lease->root, "aa");
	assert_int_equal(peer_lease_control(&s->amid, id, &again_ms, &s->err), 0);
	assert_in_range(again_ms, PEER_LEASE_MS / 2, PEER_LEASE_MS);
	lease->expires = some_timestamp(clock_now_ms() - 1);
	batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_peer_lease, lease);
	assert_int_equal(meta_commit(s->meta, batch, &s->err), 0);
	assert_int_equal(peer_lease_control(&s->amid, id, &again_ms, &s->err), 0);
	assert_int_equal(peer_lease_find(&s->amid, "us-east-1", "peer", id, s->arena, &lease, &s->err), 0);
	assert_null(lease);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_a_peer_gives_is_verified),
		SCENE_TEST(keys_are_private_files_of_32_bytes),
		SCENE_TEST(nonces_are_taken_once_while_they_could_come_again),
		SCENE_TEST(only_peers_are_answered),
		SCENE_TEST(leases_are_of_one_peer_and_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
