/*
 * Accounting of images and snapshots, by the store's reference counts (store/account.h).
 *
 * Alone is what deleting the snapshot, or deregistering the image and deleting its snapshots with it, would give back. A root goes only if nobody else has published it: no other snapshot, no volume's record, no manifest;
 * and a snapshot goes with an image only if no other image uses it. Added is over the snapshot that the record names as parent, while that exists. Nothing is stored and nothing locked: figures of a moment.
 */
#include "svc/du.h"

#include <string.h>

#include "api/records.h"
#include "base/text.h"
#include "store/account.h"
#include "svc/published.h"
#include "base/banned.h"

/* More in one answer would keep the store busy for too long. */
enum { RESOURCES_MAX = 10000 };

struct du {
	struct call *call;
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct published_roots bases; /* of volumes' manifests */
	json_t *list;
};

/* An image or a snapshot. */
struct resource {
	const char *id, *name;
	const struct image_record *image;   /* NULL: a snapshot */
	struct snapshot_record **snapshots; /* those that have a root */
	size_t count;
};

static int read_root(const struct snapshot_record *snapshot, struct digest *root, struct error *err)
{
	if (!snapshot->root || text_unhex(snapshot->root, root->bytes, DIGEST_SIZE))
		return error_set(
			err, ERROR_CORRUPT, "snapshot %s has no readable root digest", snapshot->record.id);
	return 0;
}

static bool is_among(const struct resource *resource, const char *snapshot_id)
{
	for (size_t i = 0; i < resource->count; i++)
		if (strcmp(resource->snapshots[i]->record.id, snapshot_id) == 0)
			return true;
	return false;
}

static int list_by(struct du *du, const struct record_kind *kind, const char *index, const char *value,
	struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .region = du->region->name, .index = index, .value = value };
	return meta_list(du->amid->meta, kind, &query, du->arena, rows, err);
}

/* Whether a snapshot would go with the resource. */
static int would_go(struct du *du, const struct resource *resource, const struct snapshot_record *snapshot,
	bool *goes, struct error *err)
{
	struct meta_rows users;
	*goes = true;
	if (!resource->image)
		return 0;
	if (list_by(du, &record_image, "snapshot", snapshot->record.id, &users, err))
		return -1;
	for (size_t i = 0; i < users.count; i++)
		*goes &= strcmp(((struct record *)users.items[i])->id, resource->id) == 0;
	return 0;
}

/* Whether nobody but what goes has published this root. */
static int would_free(struct du *du, const struct resource *going, const struct snapshot_record *snapshot,
	const struct digest *root, bool *frees, struct error *err)
{
	struct meta_rows rows;
	*frees = true;
	if (list_by(du, &record_snapshot, "root", snapshot->root, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		*frees &= is_among(going, ((struct record *)rows.items[i])->id);
	if (list_by(du, &record_volume, "base", snapshot->root, &rows, err))
		return -1;
	*frees &= rows.count == 0;
	for (size_t i = 0; i < du->bases.count; i++)
		*frees &= !digest_equal(root, &du->bases.items[i]);
	return 0;
}

/* The roots that deleting the resource would free. */
static int find_freed(
	struct du *du, const struct resource *resource, struct published_roots *freed, struct error *err)
{
	struct resource going = { .snapshots = arena_alloc_array(
					  du->arena, resource->count + 1, sizeof *going.snapshots) };
	for (size_t i = 0; i < resource->count; i++) {
		bool goes;
		if (would_go(du, resource, resource->snapshots[i], &goes, err))
			return -1;
		if (goes)
			going.snapshots[going.count++] = resource->snapshots[i];
	}
	for (size_t i = 0; i < going.count; i++) {
		struct digest root;
		bool frees;
		if (read_root(going.snapshots[i], &root, err) ||
			would_free(du, &going, going.snapshots[i], &root, &frees, err))
			return -1;
		if (frees)
			*ARENA_APPEND(du->arena, freed->items, freed->count) = root;
	}
	return 0;
}

/* What the resource's snapshots add to their parents; *known: at least one has a parent. */
static int measure_added(
	struct du *du, const struct resource *resource, uint64_t *bytes, bool *known, struct error *err)
{
	*bytes = 0;
	*known = false;
	for (size_t i = 0; i < resource->count; i++) {
		const struct snapshot_record *snapshot = resource->snapshots[i];
		struct snapshot_record *parent = NULL;
		struct digest root, parent_root;
		uint64_t added;
		if (snapshot->parent &&
			meta_get_any(du->amid->meta, &record_snapshot, du->region->name, snapshot->parent,
				du->arena, &parent, err))
			return -1;
		if (!parent || !parent->root || !*parent->root)
			continue;
		if (read_root(snapshot, &root, err) || read_root(parent, &parent_root, err) ||
			store_account_added(du->region->store, &root, &parent_root, &added, err))
			return -1;
		*bytes += added;
		*known = true;
	}
	return 0;
}

static int measure_alone(struct du *du, const struct resource *resource, uint64_t *bytes, struct error *err)
{
	struct published_roots freed = { 0 };
	return find_freed(du, resource, &freed, err) ||
			store_account_alone(du->region->store, freed.items, freed.count, bytes, err)
		? -1
		: 0;
}

static int measure_full(struct du *du, const struct resource *resource, uint64_t *bytes, struct error *err)
{
	struct digest *roots = arena_alloc_array(du->arena, resource->count + 1, sizeof *roots);
	for (size_t i = 0; i < resource->count; i++)
		if (read_root(resource->snapshots[i], &roots[i], err))
			return -1;
	return store_account_full(du->region->store, roots, resource->count, bytes, err);
}

static json_t *bytes_or_null(uint64_t bytes, bool known)
{
	return known ? json_integer((json_int_t)bytes) : json_null();
}

static int add_resource(struct du *du, const struct resource *resource, struct error *err)
{
	uint64_t full = 0, alone = 0, added = 0;
	bool has_parent = false;
	bool known = !measure_full(du, resource, &full, err) && !measure_alone(du, resource, &alone, err) &&
		!measure_added(du, resource, &added, &has_parent, err);
	/* being counted, or deleted meanwhile */
	if (!known && err->code != ERROR_UNAVAILABLE && err->code != ERROR_NOT_FOUND)
		return -1;
	json_array_append_new(du->list,
		json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "id", resource->id, "name",
			resource->name ? resource->name : "", "full_bytes", bytes_or_null(full, known),
			"alone_bytes", bytes_or_null(alone, known), "shared_bytes",
			bytes_or_null(alone < full ? full - alone : 0, known), "added_bytes",
			bytes_or_null(added, known && has_parent)));
	return 0;
}

static bool has_root(const struct snapshot_record *snapshot)
{
	return snapshot->root && *snapshot->root;
}

static int add_snapshot(struct du *du, struct snapshot_record *snapshot, struct error *err)
{
	struct resource resource = {
		.id = snapshot->record.id,
		.name = snapshot->description,
		.snapshots = &snapshot,
		.count = has_root(snapshot) ? 1 : 0,
	};
	for (size_t i = 0; i < snapshot->tags.count; i++)
		if (strcmp(snapshot->tags.items[i].key, "Name") == 0)
			resource.name = snapshot->tags.items[i].value;
	return add_resource(du, &resource, err);
}

static int add_image(struct du *du, const struct image_record *image, struct error *err)
{
	struct resource resource = { .id = image->record.id, .name = image->name, .image = image };
	for (size_t i = 0; i < image->block_devices.count; i++) {
		const char *id = image->block_devices.items[i].snapshot;
		struct snapshot_record *snapshot = NULL;
		if (!id || is_among(&resource, id))
			continue;
		if (meta_get_any(du->amid->meta, &record_snapshot, du->region->name, id, du->arena, &snapshot,
			    err))
			return -1;
		if (snapshot && has_root(snapshot))
			*ARENA_APPEND(du->arena, resource.snapshots, resource.count) = snapshot;
	}
	return add_resource(du, &resource, err);
}

/* The caller's own, and the platform's. */
static bool is_visible(const struct du *du, const struct record *record)
{
	return strcmp(record->account, du->call->account) == 0 ||
		strcmp(record->account, ACCOUNT_PLATFORM) == 0;
}

static int add_by_id(struct du *du, const char *id, struct error *err)
{
	struct image_record *image = NULL;
	struct snapshot_record *snapshot = NULL;
	bool is_image = text_starts_with(id, "ami-");
	if (is_image ? meta_get_any(
			       du->amid->meta, &record_image, du->region->name, id, du->arena, &image, err)
		     : meta_get_any(du->amid->meta, &record_snapshot, du->region->name, id, du->arena,
			       &snapshot, err))
		return -1;
	if (image && is_visible(du, &image->record))
		return add_image(du, image, err);
	if (snapshot && is_visible(du, &snapshot->record))
		return add_snapshot(du, snapshot, err);
	return is_image ? error_set(err, ERROR_AMI_ID_NOT_FOUND, "The image '%s' does not exist.", id)
			: error_set(err, ERROR_SNAPSHOT_NOT_FOUND, "The snapshot '%s' does not exist.", id);
}

static int add_all(struct du *du, struct error *err)
{
	struct meta_rows images, snapshots;
	struct meta_query query = {
		.account = du->call->account, .region = du->region->name, .limit = RESOURCES_MAX + 1
	};
	if (meta_list(du->amid->meta, &record_image, &query, du->arena, &images, err) ||
		meta_list(du->amid->meta, &record_snapshot, &query, du->arena, &snapshots, err))
		return -1;
	if (images.count + snapshots.count > RESOURCES_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"There are more than %d images and snapshots: name those that are meant.",
			RESOURCES_MAX);
	for (size_t i = 0; i < images.count; i++)
		if (add_image(du, images.items[i], err))
			return -1;
	for (size_t i = 0; i < snapshots.count; i++)
		if (add_snapshot(du, snapshots.items[i], err))
			return -1;
	return 0;
}

static int add_wanted(struct du *du, json_t *ids, struct error *err)
{
	json_t *id;
	size_t i;
	if (published_list_bases(du->region, du->arena, &du->bases, err))
		return -1;
	if (json_array_size(ids) > RESOURCES_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "At most %d ids.", RESOURCES_MAX);
	json_array_foreach(ids, i, id)
	{
		if (!json_is_string(id))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"The body must be {\"ids\":[\"ID\",...]}.");
		if (add_by_id(du, json_string_value(id), err))
			return -1;
	}
	return json_array_size(ids) ? 0 : add_all(du, err);
}

int du_answer(struct call *call, const struct http_request *http, json_t **result, struct error *err)
{
	struct du du = { .call = call, .amid = call->amid, .arena = call->arena };
	json_error_t malformed;
	du.region = amid_find_region(du.amid, call->region);
	if (!du.region)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "amid does not serve region %s.",
			call->region ? call->region : "(none)");
	json_t *body = json_loadb(http->body, http->body_size, 0, &malformed);
	if (http->body_size && !json_is_object(body)) {
		json_decref(body);
		return error_set(
			err, ERROR_INVALID_PARAMETER_VALUE, "The body must be {\"ids\":[\"ID\",...]}.");
	}
	du.list = json_array();
	int failed = add_wanted(&du, json_object_get(body, "ids"), err);
	json_decref(body);
	if (failed) {
		json_decref(du.list);
		return -1;
	}
	*result = json_pack("{s:o}", "resources", du.list);
	return 0;
}
