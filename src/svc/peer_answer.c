/*
 * A request is signed with a key that the operator gave (peers.c), dated now, and new. Whom it says it asks for is believed: an operator who gives a peer a key trusts the other one with identities. What that account may see is decided
 * here, by sharing.h, when a lease is made; pages and blocks are given of leased trees only, by their place in the tree.
 *
 * Runs on the thread of the call.
 */
#include "svc/peer_answer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "shape/json.h"
#include "store/page.h"
#include "store/tree.h"
#include "svc/control/copy_blocks.h"
#include "svc/organization.h"
#include "svc/peer_lease.h"
#include "svc/peers.h"
#include "svc/sharing.h"
#include "svc/snapshot_state.h"
#include "base/banned.h"

enum { CONFLICT_TRIES = 8, UNITS_MAX = 32, ACCOUNT_DIGITS = 12, BODY_MAX = 64 * 1024 };

struct asking {
	struct amid *amid;
	struct amid_region *region;
	const struct peer_key *key;
	struct arena *arena;
	json_t *body;
	struct buffer *answer;
	const char *content_type;
};

static int wrong_body(const char *member, struct error *err)
{
	return error_set(err, ERROR_INVALID, "the request has no good %s", member);
}

/* Ids and digests: nothing that could be anything else. */
static int get_text(const struct asking *asking, const char *member, const char **text, struct error *err)
{
	*text = json_string_value(json_object_get(asking->body, member));
	if (*text && **text && strlen(*text) <= 128 &&
		(*text)[strspn(*text, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0')
		return 0;
	return wrong_body(member, err);
}

static int get_number(const struct asking *asking, const char *member, uint64_t *number, struct error *err)
{
	json_t *value = json_object_get(asking->body, member);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return wrong_body(member, err);
	*number = (uint64_t)json_integer_value(value);
	return 0;
}

/* ---- what an account may copy ---- */

static int open_view(
	const struct asking *asking, const char **account, struct sharing **view, struct error *err)
{
	struct organization_path *claimed = arena_alloc(asking->arena, sizeof *claimed);
	json_t *units = json_object_get(asking->body, "units"), *unit;
	const char **arns = arena_alloc_array(asking->arena, UNITS_MAX, sizeof *arns);
	size_t i;
	if (get_text(asking, "account", account, err))
		return -1;
	if (strlen(*account) != ACCOUNT_DIGITS || strspn(*account, "0123456789") != ACCOUNT_DIGITS)
		return wrong_body("account", err);
	*claimed = (struct organization_path){ .organization_arn = json_string_value(
						       json_object_get(asking->body, "organization")),
		.unit_arns = arns };
	json_array_foreach(units, i, unit) if (json_is_string(unit) && claimed->unit_count < UNITS_MAX)
		arns[claimed->unit_count++] = json_string_value(unit);
	return sharing_open_claimed(
		asking->amid, *account, asking->region->name, claimed, asking->arena, view, err);
}

static int find_snapshot(const struct asking *asking, struct sharing *view, const char *id,
	struct snapshot_record **snapshot, struct error *err)
{
	enum sharing_way way = SHARING_NONE;
	if (meta_get_any(asking->amid->meta, &record_snapshot, asking->region->name, id, asking->arena,
		    snapshot, err) ||
		(*snapshot && sharing_snapshot_way(view, *snapshot, &way, err)))
		return -1;
	if (way == SHARING_NONE)
		return error_set(err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' does not exist.", id);
	if (snapshot_check_usable(*snapshot, err))
		return -1;
	if (boolean_or((*snapshot)->encrypted, false))
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The snapshot %s is encrypted. Keys do not cross to another amid: share a copy that is not, "
			"or copy within the amid that has its key.",
			id);
	return 0;
}

static void begin_object(struct buffer *out, const struct record *head)
{
	buffer_append_text(out, "{\"account\":");
	json_encode_text(out, head->account);
	buffer_append_text(out, ",\"id\":");
	json_encode_text(out, head->id);
}

static void tell_snapshot(
	const struct asking *asking, const struct snapshot_record *snapshot, const char *lease)
{
	const struct snapshot_record told = { .state = snapshot->state,
		.volume_size_gib = snapshot->volume_size_gib,
		.root = snapshot->root,
		.full_bytes = snapshot->full_bytes };
	begin_object(asking->answer, &snapshot->record);
	buffer_append_text(asking->answer, ",\"lease\":");
	json_encode_text(asking->answer, lease);
	buffer_append_text(asking->answer, ",\"snapshot\":");
	json_encode(asking->answer, record_snapshot.shape, &told);
	buffer_append_char(asking->answer, '}');
}

static int describe_snapshot(struct asking *asking, struct error *err)
{
	const char *id, *account;
	struct sharing *view;
	struct snapshot_record *snapshot;
	if (get_text(asking, "id", &id, err) || open_view(asking, &account, &view, err) ||
		find_snapshot(asking, view, id, &snapshot, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(asking->amid->meta, asking->arena);
	const char *lease = peer_lease_put(snapshot, asking->key->id, account, NULL, batch, asking->arena);
	if (meta_commit(asking->amid->meta, batch, err))
		return -1;
	tell_snapshot(asking, snapshot, lease);
	return 0;
}

/* What a copy takes of an image; of its owner's tags only the owner is told. */
static void tell_image(const struct asking *asking, const struct image_record *image, const char *account)
{
	struct image_record told = {
		.state = image->state,
		.architecture = image->architecture,
		.virtualization_type = image->virtualization_type,
		.root_device_name = image->root_device_name,
		.root_device_type = image->root_device_type,
		.boot_mode = image->boot_mode,
		.ena_support = image->ena_support,
		.sriov_net_support = image->sriov_net_support,
		.imds_support = image->imds_support,
		.tpm_support = image->tpm_support,
		.platform = image->platform,
		.product_codes = image->product_codes,
		.consistency = image->consistency,
		.block_devices = image->block_devices,
	};
	if (strcmp(image->record.account, account) == 0)
		told.tags = image->tags;
	begin_object(asking->answer, &image->record);
	buffer_append_text(asking->answer, ",\"image\":");
	json_encode(asking->answer, record_image.shape, &told);
}

static int lease_snapshots(const struct asking *asking, struct sharing *view,
	const struct image_record *image, const char *account, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(asking->amid->meta, asking->arena);
	const struct record_image_block_device_list *devices = &image->block_devices;
	size_t told = 0;
	buffer_append_text(asking->answer, ",\"snapshots\":[");
	for (size_t i = 0; i < devices->count; i++) {
		struct snapshot_record *snapshot;
		const char *id = devices->items[i].snapshot;
		bool before = !id;
		for (size_t j = 0; j < i; j++)
			before |= text_equal(devices->items[j].snapshot, id);
		if (before)
			continue;
		if (find_snapshot(asking, view, id, &snapshot, err))
			return err->code != ERROR_SNAPSHOT_NOT_FOUND
				? -1
				: error_set(err, ERROR_INVALID_REQUEST,
					  "You do not have permission to access the storage of this ami");
		const char *lease =
			peer_lease_put(snapshot, asking->key->id, account, NULL, batch, asking->arena);
		if (told++)
			buffer_append_char(asking->answer, ',');
		tell_snapshot(asking, snapshot, lease);
	}
	buffer_append_text(asking->answer, "]}");
	return meta_commit(asking->amid->meta, batch, err);
}

static int describe_image(struct asking *asking, struct error *err)
{
	const char *id, *account;
	struct sharing *view;
	struct image_record *image;
	if (get_text(asking, "id", &id, err) || open_view(asking, &account, &view, err) ||
		meta_get_any(asking->amid->meta, &record_image, asking->region->name, id, asking->arena,
			&image, err))
		return -1;
	if (!image || !sharing_image_is_visible(view, image))
		return error_set(err, ERROR_AMI_ID_NOT_FOUND, "The image id '[%s]' does not exist", id);
	tell_image(asking, image, account);
	return lease_snapshots(asking, view, image, account, err);
}

/* ---- leases, and what they give ---- */

static int find_lease(const struct asking *asking, struct peer_lease_record **lease, struct error *err)
{
	const char *id;
	return get_text(asking, "lease", &id, err) ||
			peer_lease_find(asking->amid, asking->region->name, asking->key->id, id,
				asking->arena, lease, err)
		? -1
		: 0;
}

/* The other amid was away for too long: as long as the snapshot is there, nothing is lost. */
static int lease_again(struct asking *asking, struct error *err)
{
	const char *lease, *id, *account, *root;
	struct sharing *view;
	struct snapshot_record *snapshot;
	if (get_text(asking, "lease", &lease, err) || get_text(asking, "snapshot", &id, err) ||
		get_text(asking, "root", &root, err) || open_view(asking, &account, &view, err) ||
		find_snapshot(asking, view, id, &snapshot, err))
		return -1;
	if (!text_starts_with(lease, "lease-"))
		return wrong_body("lease", err);
	if (!text_equal(snapshot->root, root))
		return error_set(err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' is another one now.", id);
	struct meta_batch *batch = meta_batch_create(asking->amid->meta, asking->arena);
	peer_lease_put(snapshot, asking->key->id, account, lease, batch, asking->arena);
	return meta_commit(asking->amid->meta, batch, err);
}

static int renew(struct asking *asking, struct error *err)
{
	struct peer_lease_record *lease;
	if (find_lease(asking, &lease, err) ||
		(lease ? peer_lease_renew(asking->amid, lease, asking->arena, err)
		       : lease_again(asking, err)))
		return -1;
	buffer_append_text(asking->answer, "{}");
	return 0;
}

static int release(struct asking *asking, struct error *err)
{
	struct peer_lease_record *lease;
	if (find_lease(asking, &lease, err) ||
		(lease && peer_lease_end(asking->amid, lease, asking->arena, err)))
		return -1;
	buffer_append_text(asking->answer, "{}");
	return 0;
}

static int open_leased(
	const struct asking *asking, struct tree **tree, struct digest *root, struct error *err)
{
	struct peer_lease_record *lease;
	if (find_lease(asking, &lease, err))
		return -1;
	if (!lease)
		return error_set(err, ERROR_NOT_FOUND, "there is no such lease, or no longer");
	if (!lease->root || text_unhex(lease->root, root->bytes, DIGEST_SIZE))
		return error_set(
			err, ERROR_CORRUPT, "the root digest of lease %s is unreadable", lease->record.id);
	return tree_open(asking->region->store, root, tree, err);
}

/* Behind its size. */
static int append_object(
	const struct asking *asking, const struct digest *digest, uint8_t *data, struct error *err)
{
	size_t size;
	if (digest_is_zero(digest))
		return error_set(err, ERROR_INVALID, "there is nothing at that place of the tree");
	if (store_get(asking->region->store, digest, data, &size, err))
		return -1;
	const uint8_t prefix[4] = { (uint8_t)size, (uint8_t)(size >> 8), (uint8_t)(size >> 16), 0 };
	buffer_append(asking->answer, prefix, sizeof prefix);
	buffer_append(asking->answer, data, size);
	return 0;
}

static int get_indexes(const struct asking *asking, size_t most, json_t **indexes, struct error *err)
{
	json_t *index;
	size_t i;
	*indexes = json_object_get(asking->body, "indexes");
	if (json_array_size(*indexes) == 0 || json_array_size(*indexes) > most)
		return wrong_body("indexes", err);
	json_array_foreach(*indexes, i, index)
	{
		if (!json_is_integer(index) || json_integer_value(index) < 0)
			return wrong_body("indexes", err);
	}
	return 0;
}

static int append_pages(
	struct asking *asking, struct tree *tree, const struct digest *root, uint8_t *data, struct error *err)
{
	json_t *indexes, *index;
	uint64_t level = 0;
	struct digest digest = *root;
	size_t i;
	if (get_number(asking, "level", &level, err) || get_indexes(asking, PEER_PAGES_MAX, &indexes, err))
		return -1;
	if (level > TREE_LEVELS_LIMIT)
		return wrong_body("level", err);
	json_array_foreach(indexes, i, index)
	{
		if ((level &&
			    tree_get_digest(tree, (unsigned)level, (uint64_t)json_integer_value(index),
				    &digest, err)) ||
			append_object(asking, &digest, data, err))
			return -1;
	}
	return 0;
}

static int append_blocks(
	struct asking *asking, struct tree *tree, const struct digest *root, uint8_t *data, struct error *err)
{
	json_t *indexes, *index;
	struct digest digest;
	size_t i;
	(void)root;
	if (get_indexes(asking, COPY_BATCH, &indexes, err))
		return -1;
	json_array_foreach(indexes, i, index)
	{
		if (tree_lookup(tree, (uint64_t)json_integer_value(index), &digest, err) ||
			append_object(asking, &digest, data, err))
			return -1;
	}
	return 0;
}

static int give(struct asking *asking,
	int (*append)(struct asking *, struct tree *, const struct digest *, uint8_t *, struct error *),
	struct error *err)
{
	struct digest root;
	struct tree *tree;
	if (open_leased(asking, &tree, &root, err))
		return -1;
	uint8_t *data = memory_alloc(STORE_BLOCK_SIZE);
	asking->content_type = "application/octet-stream";
	int result = append(asking, tree, &root, data, err);
	free(data);
	tree_close(tree);
	return result;
}

static int give_pages(struct asking *asking, struct error *err)
{
	return give(asking, append_pages, err);
}

static int give_blocks(struct asking *asking, struct error *err)
{
	return give(asking, append_blocks, err);
}

static const struct what {
	const char *name;
	int (*answer)(struct asking *asking, struct error *err);
} whats[] = {
	{ "snapshot", describe_snapshot },
	{ "image", describe_image },
	{ "lease", renew },
	{ "release", release },
	{ "pages", give_pages },
	{ "blocks", give_blocks },
};

/* ---- the request ---- */

/* One error for all, so that nothing can be learned from which it was. What it was is logged. */
static int refuse(const char *why, struct error *err)
{
	log_info("peer-refused", "why=\"%s\"", why);
	return error_set(err, ERROR_ACCESS_DENIED, "The request is not signed with the key of a peer.");
}

static int authenticate(struct call *call, const struct http_request *http, struct peer_request *request,
	const struct peer_key **key, struct error *err)
{
	const char *id = http_request_header(http, "x-amid-peer-key"),
		   *time = http_request_header(http, "x-amid-peer-time"),
		   *nonce = http_request_header(http, "x-amid-peer-nonce"),
		   *given = http_request_header(http, "x-amid-peer-mac");
	struct digest mac, claimed;
	*request =
		(struct peer_request){ .path = http->path, .body = http->body, .body_size = http->body_size };
	if (!id || !time || !nonce || !given || text_parse_int64(time, &request->time_ms) ||
		text_unhex(nonce, request->nonce, PEER_NONCE_SIZE) ||
		text_unhex(given, claimed.bytes, DIGEST_SIZE) || *http->query)
		return refuse("it is not signed", err);
	if (!(*key = peers_find_key(call->amid->peers, id)))
		return refuse("the key is unknown", err);
	peer_sign_request(*key, request, &mac);
	if (!digest_equal(&mac, &claimed))
		return refuse("the signature is wrong", err);
	int64_t now_ms = clock_real_ms();
	if (request->time_ms < now_ms - PEER_SKEW_MS || request->time_ms > now_ms + PEER_SKEW_MS)
		return refuse("its time is not now", err);
	if (peers_check_nonce(call->amid->peers, request->nonce, err))
		return err->code == ERROR_UNAVAILABLE ? -1 : refuse(err->message, err);
	return 0;
}

static int dispatch(struct asking *asking, const char *path, struct error *err)
{
	const char *what = strrchr(path, '/') + 1;
	char *region = arena_strndup(asking->arena, path + strlen(PEER_PATH),
		what - path > (ptrdiff_t)strlen(PEER_PATH) ? (size_t)(what - path) - strlen(PEER_PATH) - 1
							   : 0);
	if (!(asking->region = amid_find_region(asking->amid, region)))
		return error_set(err, ERROR_NOT_FOUND, "the region %.64s is not served here", region);
	if (!json_is_object(asking->body))
		return wrong_body("body", err);
	for (size_t i = 0; i < sizeof whats / sizeof *whats; i++) {
		if (strcmp(whats[i].name, what) != 0)
			continue;
		for (int tries = 0; tries < CONFLICT_TRIES; tries++) {
			buffer_clear(asking->answer);
			if (whats[i].answer(asking, err) == 0)
				return 0;
			if (err->code != ERROR_CONFLICT && err->code != ERROR_DUPLICATE)
				return -1;
		}
		return -1;
	}
	return error_set(err, ERROR_NOT_FOUND, "there is no %.64s for peers", what);
}

static void word_error(struct asking *asking, const struct error *err)
{
	bool inner = err->code == ERROR_INTERNAL || err->code == ERROR_NONE;
	if (inner || err->code == ERROR_CORRUPT)
		log_error("peer-answer-failed", "error=\"%s\"", err->message);
	buffer_clear(asking->answer);
	buffer_append_text(asking->answer, "{\"code\":");
	json_encode_text(asking->answer, error_aws_code(inner ? ERROR_INTERNAL : err->code));
	buffer_append_text(asking->answer, ",\"message\":");
	json_encode_text(asking->answer, inner ? "an inner error, which is in the log there" : err->message);
	buffer_append_char(asking->answer, '}');
	asking->content_type = "application/json";
}

int peer_answer(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	struct peer_request request;
	const struct peer_key *key = NULL;
	struct error failed = { 0 };
	struct digest mac;
	char hex[2 * DIGEST_SIZE + 1];
	if (authenticate(call, http, &request, &key, err))
		return -1;
	struct asking asking = { .amid = call->amid,
		.key = key,
		.arena = call->arena,
		.answer = &response->body,
		.content_type = "application/json",
		.body = json_loadb(http->body, http->body_size > BODY_MAX ? 0 : http->body_size, 0, NULL) };
	response->status = 200;
	if (dispatch(&asking, http->path, &failed)) {
		response->status = error_http_status(failed.code ? failed.code : ERROR_INTERNAL);
		word_error(&asking, &failed);
	}
	json_decref(asking.body);
	response->content_type = asking.content_type;
	peer_sign_answer(key, request.nonce, response->status, buffer_text(&response->body),
		response->body.size, &mac);
	http_response_add_header(response, call->arena, "x-amid-peer-mac",
		arena_strdup(call->arena, text_hex(mac.bytes, DIGEST_SIZE, hex)));
	return 0;
}
