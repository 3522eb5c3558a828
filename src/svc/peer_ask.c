/* Requests to peers, as JSON, and their answers taken apart. What a peer says is checked where amid itself would be misled; whether a tree is what it says to be shows when it comes. No state; on the threads of calls and controllers. */
#include "svc/peer_ask.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "shape/json.h"
#include "svc/organization.h"
#include "svc/peer_client.h"
#include "base/banned.h"

enum { SIZE_GIB_MAX = 65536, DEVICES_MAX = 64 };

static int wrong_answer(const struct peer *peer, const char *what, struct error *err)
{
	return error_set(err, ERROR_CORRUPT, "what region %s answered is no %s", peer->region, what);
}

/* Takes the reference. */
static int ask(struct amid *amid, const struct peer *peer, const char *what, json_t *body,
	struct buffer *answer, struct error *err)
{
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return error_set(err, ERROR_INTERNAL, "a request to a peer cannot be written");
	int result = peer_send(amid->peers, peer, what, text, answer, err);
	free(text);
	return result;
}

/* On whose behalf: the account, and how it stands in its organization here. */
static int name_account(struct amid *amid, const char *account, json_t **body, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct organization_path path;
	if (organizations_path(amid, account, arena, &path, err))
		return -1;
	json_t *units = json_array();
	for (size_t i = 0; i < path.unit_count; i++)
		json_array_append_new(units, json_string(path.unit_arns[i]));
	*body = json_pack("{s:s, s:s*, s:o}", "account", account, "organization", path.organization_arn,
		"units", units);
	return 0;
}

static int ask_about(struct amid *amid, const struct peer *peer, const char *account, const char *what,
	const char *id, json_t **answer, struct error *err)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	json_t *body;
	if (name_account(amid, account, &body, err))
		return -1;
	json_object_set_new(body, "id", json_string(id));
	if (ask(amid, peer, what, body, &text, err))
		return -1;
	*answer = json_loadb(buffer_text(&text), text.size, 0, NULL);
	return *answer ? 0 : wrong_answer(peer, what, err);
}

/* A record's body and head. */
static int take_record(const struct peer *peer, json_t *object, const char *member,
	const struct record_kind *kind, struct arena *arena, struct record *record, struct error *err)
{
	const char *account = json_string_value(json_object_get(object, "account")),
		   *id = json_string_value(json_object_get(object, "id"));
	char *text = json_dumps(json_object_get(object, member), JSON_COMPACT);
	int result = !text || !account || !id
		? wrong_answer(peer, member, err)
		: json_decode(arena, kind->shape, text, strlen(text), true, record, err);
	free(text);
	if (result)
		return wrong_answer(peer, member, err);
	/* every record begins with its head */
	*record = (struct record){
		.account = arena_strdup(arena, account), .region = peer->region, .id = arena_strdup(arena, id)
	};
	return 0;
}

static int take_snapshot(const struct peer *peer, json_t *object, struct arena *arena,
	struct peer_snapshot *found, struct error *err)
{
	struct snapshot_record *snapshot = &found->snapshot;
	const char *lease = json_string_value(json_object_get(object, "lease"));
	struct digest root;
	*found = (struct peer_snapshot){ 0 };
	if (take_record(peer, object, "snapshot", &record_snapshot, arena, &snapshot->record, err))
		return -1;
	int64_t size = integer_or(snapshot->volume_size_gib, 0);
	if (!lease || !snapshot->root || text_unhex(snapshot->root, root.bytes, DIGEST_SIZE) || size < 1 ||
		size > SIZE_GIB_MAX || !text_equal(snapshot->state, "completed"))
		return wrong_answer(peer, "snapshot", err);
	found->lease = arena_strdup(arena, lease);
	return 0;
}

int peer_ask_snapshot(struct amid *amid, const struct peer *peer, const char *account, const char *id,
	struct arena *arena, struct peer_snapshot *found, struct error *err)
{
	json_t *answer;
	if (ask_about(amid, peer, account, "snapshot", id, &answer, err))
		return -1;
	int result = take_snapshot(peer, answer, arena, found, err);
	json_decref(answer);
	if (result == 0 && strcmp(found->snapshot.record.id, id) != 0)
		return wrong_answer(peer, "snapshot that was asked for", err);
	return result;
}

static bool has_snapshot(const struct peer_image *found, const char *id)
{
	for (size_t i = 0; i < found->snapshot_count; i++)
		if (strcmp(found->snapshots[i].snapshot.record.id, id) == 0)
			return true;
	return false;
}

static int take_image(const struct peer *peer, json_t *object, struct arena *arena, struct peer_image *found,
	struct error *err)
{
	struct image_record *image = &found->image;
	json_t *snapshots = json_object_get(object, "snapshots"), *snapshot;
	size_t i;
	*found = (struct peer_image){ 0 };
	if (take_record(peer, object, "image", &record_image, arena, &image->record, err))
		return -1;
	if (!image->state || image->block_devices.count > DEVICES_MAX ||
		json_array_size(snapshots) > DEVICES_MAX)
		return wrong_answer(peer, "image", err);
	found->snapshots = arena_alloc_array(arena, DEVICES_MAX, sizeof *found->snapshots);
	json_array_foreach(snapshots, i,
		snapshot) if (take_snapshot(peer, snapshot, arena, &found->snapshots[found->snapshot_count++],
				      err)) return -1;
	for (i = 0; i < image->block_devices.count; i++)
		if (image->block_devices.items[i].snapshot &&
			!has_snapshot(found, image->block_devices.items[i].snapshot))
			return wrong_answer(peer, "image with all its snapshots", err);
	return 0;
}

int peer_ask_image(struct amid *amid, const struct peer *peer, const char *account, const char *id,
	struct arena *arena, struct peer_image *found, struct error *err)
{
	json_t *answer;
	if (ask_about(amid, peer, account, "image", id, &answer, err))
		return -1;
	int result = take_image(peer, answer, arena, found, err);
	json_decref(answer);
	if (result == 0 && strcmp(found->image.record.id, id) != 0)
		return wrong_answer(peer, "image that was asked for", err);
	return result;
}

int peer_ask_lease(
	struct amid *amid, const struct peer *peer, const struct snapshot_record *copy, struct error *err)
{
	struct buffer answer BUFFER_SCOPED = { 0 };
	json_t *body;
	if (name_account(amid, copy->record.account, &body, err))
		return -1;
	json_object_set_new(body, "lease", json_string(copy->copy->lease));
	json_object_set_new(body, "snapshot", json_string(copy->source_snapshot));
	json_object_set_new(body, "root", json_string(copy->copy->root));
	return ask(amid, peer, "lease", body, &answer, err);
}

void peer_ask_release(struct amid *amid, const struct peer *peer, const char *lease)
{
	struct buffer answer BUFFER_SCOPED = { 0 };
	struct error err;
	if (ask(amid, peer, "release", json_pack("{s:s}", "lease", lease), &answer, &err))
		log_info("peer-lease-left", "lease=%s region=%s error=\"%s\"", lease, peer->region,
			err.message);
}

/* The next object of a list, each behind its size: `at` and `left` go on behind it. */
static int take_object(const uint8_t **at, size_t *left, size_t most, const uint8_t **data, size_t *size)
{
	const uint8_t *bytes = *at;
	if (*left < 4)
		return -1;
	*size = bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
	if (*size > most || *size > *left - 4)
		return -1;
	*data = bytes + 4;
	*at += 4 + *size;
	*left -= 4 + *size;
	return 0;
}

static bool read_here(
	const struct peer_tree *tree, const struct digest *digest, void *data, size_t room, size_t *size)
{
	struct error missing;
	return store_stat(tree->here, digest, size, &missing) == 0 && *size <= room &&
		store_get(tree->here, digest, data, size, &missing) == 0;
}

static bool read_waiting(
	const struct peer_tree *tree, const struct digest *digest, void *data, size_t room, size_t *size)
{
	for (size_t i = 0; i < tree->waiting_count; i++) {
		const struct peer_page *page = &tree->waiting[i];
		if (!digest_equal(&page->digest, digest) || page->size > room)
			continue;
		*size = page->size;
		memcpy(data, buffer_text(&tree->pages) + page->offset, *size);
		return true;
	}
	return false;
}

static bool is_waiting(const struct peer_tree *tree, const struct digest *digest)
{
	for (size_t i = 0; i < tree->waiting_count; i++)
		if (digest_equal(&tree->waiting[i].digest, digest))
			return true;
	return false;
}

/* The page that is wanted, and if it is a leaf, those behind it that will be wanted next: that are not here. */
static json_t *choose_pages(
	struct peer_tree *tree, unsigned level, uint64_t index, const struct digest *digest)
{
	json_t *indexes = json_array();
	struct error missing;
	size_t size;
	tree->waiting[0].digest = *digest;
	tree->waiting_count = 1;
	json_array_append_new(indexes, json_integer((json_int_t)index));
	if (level != 1 || !tree->above || tree->above_index != index >> PAGE_FANOUT_BITS)
		return indexes;
	for (uint64_t next = index + 1; next % PAGE_FANOUT && tree->waiting_count < PEER_PAGES_MAX; next++) {
		const struct digest *beside = &tree->above->ids[next % PAGE_FANOUT];
		if (digest_is_zero(beside) || is_waiting(tree, beside) ||
			store_stat(tree->here, beside, &size, &missing) == 0)
			continue;
		tree->waiting[tree->waiting_count++].digest = *beside;
		json_array_append_new(indexes, json_integer((json_int_t)next));
	}
	return indexes;
}

static int ask_pages(struct peer_tree *tree, unsigned level, uint64_t index, const struct digest *digest,
	size_t room, struct error *err)
{
	json_t *indexes = choose_pages(tree, level, index, digest);
	size_t count = tree->waiting_count;
	tree->waiting_count = 0;
	if (ask(tree->amid, tree->peer, "pages",
		    json_pack(
			    "{s:s, s:i, s:o}", "lease", tree->lease, "level", (int)level, "indexes", indexes),
		    &tree->pages, err))
		return -1;
	const uint8_t *begin = (const uint8_t *)buffer_text(&tree->pages), *at = begin, *data;
	size_t left = tree->pages.size;
	for (size_t i = 0; i < count; i++) {
		struct peer_page *page = &tree->waiting[i];
		if (take_object(&at, &left, room, &data, &page->size))
			return wrong_answer(tree->peer, "list of pages", err);
		page->offset = (size_t)(data - begin);
		tree->page_bytes += page->size;
	}
	if (left)
		return wrong_answer(tree->peer, "list of pages", err);
	tree->waiting_count = count;
	return 0;
}

/* Only so that more can be asked for at once: one that is not what it should be is found where it is used. */
static void note_above(struct peer_tree *tree, uint64_t index, const void *data, size_t size)
{
	if (!tree->above)
		tree->above = memory_alloc(sizeof *tree->above);
	tree->above_index = index;
	if (page_decode(data, size, tree->above)) {
		free(tree->above);
		tree->above = NULL;
	}
}

/* Pages that are here already, as those of a copy of an earlier snapshot, need not come. */
static int read_page(void *context, unsigned level, uint64_t index, const struct digest *digest, void *data,
	size_t room, size_t *size, struct error *err)
{
	struct peer_tree *tree = context;
	if (!read_here(tree, digest, data, room, size) && !read_waiting(tree, digest, data, room, size)) {
		if (ask_pages(tree, level, index, digest, room, err))
			return -1;
		read_waiting(tree, digest, data, room, size);
	}
	if (level == 2)
		note_above(tree, index, data, *size);
	return 0;
}

static int read_blocks(void *context, const struct copy_wanted *wanted, size_t count, uint8_t *data,
	size_t *sizes, struct error *err)
{
	struct peer_tree *tree = context;
	json_t *indexes = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(indexes, json_integer((json_int_t)wanted[i].index));
	if (ask(tree->amid, tree->peer, "blocks",
		    json_pack("{s:s, s:o}", "lease", tree->lease, "indexes", indexes), &tree->answer, err))
		return -1;
	const uint8_t *at = (const uint8_t *)buffer_text(&tree->answer), *block;
	size_t left = tree->answer.size;
	for (size_t i = 0; i < count; i++) {
		if (take_object(&at, &left, STORE_BLOCK_SIZE, &block, &sizes[i]))
			return wrong_answer(tree->peer, "list of blocks", err);
		memcpy(data + i * STORE_BLOCK_SIZE, block, sizes[i]);
	}
	return left ? wrong_answer(tree->peer, "list of blocks", err) : 0;
}

void peer_tree_free(struct peer_tree *tree)
{
	buffer_free(&tree->answer);
	buffer_free(&tree->pages);
	free(tree->above);
}

struct copy_source peer_tree_source(struct peer_tree *tree)
{
	return (struct copy_source){ .pages = { read_page, tree }, .read_blocks = read_blocks };
}
