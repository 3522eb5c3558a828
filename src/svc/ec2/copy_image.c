/*
 * CopyImage: an image of the caller whose snapshots are copies of the source's. They are copies as CopySnapshot makes them, brought by the same controller: within a region no bytes move, from another region those that this one
 * lacks. The image is available when all of them are completed (../control/image.c). All of it is one batch, so that nothing is left of a copy that was not promised; what becomes of the source afterwards does not matter.
 *
 * Whoever may launch an image may not have its disks for that: the caller needs permission on every snapshot.
 */
#include <string.h>

#include "aws/idempotency.h"
#include "base/clock.h"
#include "svc/ec2/image_names.h"
#include "svc/ec2/images.h"
#include "svc/ec2/snapshot_copy.h"
#include "svc/ec2/snapshots.h"
#include "svc/peer_ask.h"
#include "base/banned.h"

static const char *const taggable[] = { "image", "snapshot", NULL };

struct image_copying {
	struct call *call;
	const struct ec2_CopyImageRequest *request;
	struct image_record *source;
	const struct peer *peer; /* that has the source; NULL: it is in this amid */
	struct peer_image there; /* what the peer has told */
	struct sharing *view;    /* the caller's, of the source's region; NULL with a peer */
	struct snapshot_record *
		*snapshots;  /* of the source's devices; NULL: none, or that of an earlier device */
	const char **leases; /* of these, from a peer */
	size_t snapshot_count;
	struct record_tag_list image_tags, snapshot_tags;
};

static int check_request(struct image_copying *copying, struct error *err)
{
	struct call *call = copying->call;
	const struct ec2_CopyImageRequest *request = copying->request;
	static const char *const refused[] = { "DestinationOutpostArn",
		"SnapshotCopyCompletionDurationMinutes", "DestinationAvailabilityZone",
		"DestinationAvailabilityZoneId", NULL };
	if (ec2_refuse_members(call, request, refused, err))
		return -1;
	if (snapshot_copy_check_region(call, request->source_region, &copying->peer, err))
		return -1;
	return image_check_name(request->name, err);
}

/* Whether the caller may see it is the peer's to say. */
static int ask_peer(struct image_copying *copying, struct error *err)
{
	struct call *call = copying->call;
	const char *id = copying->request->source_image_id;
	if (ec2_check_id(id, "ami", ERROR_AMI_ID_MALFORMED, err))
		return -1;
	if (peer_ask_image(call->amid, copying->peer, call->account, id, call->arena, &copying->there, err))
		return snapshot_copy_word_error(err);
	copying->source = &copying->there.image;
	return 0;
}

static int find_here(struct image_copying *copying, struct error *err)
{
	struct call *call = copying->call;
	const struct ec2_CopyImageRequest *request = copying->request;
	return image_view_open(call, request->source_region, &copying->view, err) ||
			image_find_visible(
				call, request->source_region, request->source_image_id, &copying->source, err)
		? -1
		: 0;
}

static int find_source(struct image_copying *copying, struct error *err)
{
	struct call *call = copying->call;
	if (copying->peer ? ask_peer(copying, err) : find_here(copying, err))
		return -1;
	const struct image_record *source = copying->source;
	if (strcmp(source->state, "available") != 0)
		return error_set(err, ERROR_AMI_ID_UNAVAILABLE,
			"The image ID '%s' is not available: its state is %s", source->record.id,
			source->state);
	if (source->product_codes.count && strcmp(source->record.account, call->account) != 0)
		return error_set(err, ERROR_INVALID_REQUEST,
			"The image %s has product codes of another account and cannot be copied.",
			source->record.id);
	return 0;
}

static int find_snapshot(
	struct image_copying *copying, const char *id, struct snapshot_record **snapshot, struct error *err)
{
	struct call *call = copying->call;
	const char *region = copying->source->record.region;
	enum sharing_way way = SHARING_NONE;
	if (meta_get_any(call->amid->meta, &record_snapshot, region, id, call->arena, snapshot, err) ||
		(*snapshot && sharing_snapshot_way(copying->view, *snapshot, &way, err)))
		return -1;
	if (way == SHARING_NONE)
		return error_set(err, ERROR_INVALID_REQUEST,
			"You do not have permission to access the storage of this ami");
	return snapshot_check_usable(*snapshot, err);
}

/* It was told with the image, with all of them. */
static struct peer_snapshot *find_told(struct image_copying *copying, const char *id)
{
	struct peer_snapshot *told = copying->there.snapshots;
	while (strcmp(told->snapshot.record.id, id) != 0)
		told++;
	return told;
}

/* The first device of the source that has the snapshot of a device. */
static size_t first_alike(const struct image_copying *copying, size_t index)
{
	const struct record_image_block_device *devices = copying->source->block_devices.items;
	size_t first = 0;
	while (!text_equal(devices[first].snapshot, devices[index].snapshot))
		first++;
	return first;
}

static int find_snapshots(struct image_copying *copying, struct error *err)
{
	const struct record_image_block_device_list *devices = &copying->source->block_devices;
	copying->snapshots =
		arena_alloc_array(copying->call->arena, devices->count + 1, sizeof *copying->snapshots);
	copying->leases =
		arena_alloc_array(copying->call->arena, devices->count + 1, sizeof *copying->leases);
	for (size_t i = 0; i < devices->count; i++) {
		const char *id = devices->items[i].snapshot;
		if (!id || first_alike(copying, i) < i)
			continue;
		if (copying->peer) {
			copying->snapshots[i] = &find_told(copying, id)->snapshot;
			copying->leases[i] = find_told(copying, id)->lease;
		} else if (find_snapshot(copying, id, &copying->snapshots[i], err)) {
			return -1;
		}
		copying->snapshot_count++;
	}
	return snapshot_copy_check_limit(copying->call, copying->snapshot_count, err);
}

/* Those of the request, then those of the source that it does not name: only its owner's own. */
static int choose_tags(struct image_copying *copying, struct error *err)
{
	struct call *call = copying->call;
	const struct ec2_TagSpecificationList *specifications = &copying->request->tag_specifications;
	const struct image_record *source = copying->source;
	if (ec2_tags_from_specifications(
		    call, specifications, "image", taggable, &copying->image_tags, err) ||
		ec2_tags_from_specifications(
			call, specifications, "snapshot", taggable, &copying->snapshot_tags, err))
		return -1;
	if (!boolean_or(copying->request->copy_image_tags, false) ||
		strcmp(source->record.account, call->account) != 0)
		return 0;
	for (size_t i = 0; i < source->tags.count; i++) {
		const struct record_tag *tag = &source->tags.items[i];
		if (!text_starts_with(tag->key, "aws:") && !ec2_tags_find(&copying->image_tags, tag->key) &&
			ec2_tags_set(call, &copying->image_tags, tag->key, tag->value, err))
			return -1;
	}
	return 0;
}

/* The source's attributes; not its launch permissions, deprecation and protection, nor what became of it. */
static struct image_record make_image(const struct image_copying *copying)
{
	const struct image_record *source = copying->source;
	return (struct image_record){
		.record = { .account = copying->call->account,
			.region = copying->call->region,
			.id = text_random_id(copying->call->arena, "ami") },
		.name = copying->request->name,
		.description = copying->request->description,
		.state = "pending",
		.architecture = source->architecture,
		.virtualization_type = source->virtualization_type,
		.root_device_name = source->root_device_name,
		.root_device_type = source->root_device_type,
		.boot_mode = source->boot_mode,
		.ena_support = source->ena_support,
		.sriov_net_support = source->sriov_net_support,
		.imds_support = source->imds_support,
		.tpm_support = source->tpm_support,
		.platform = source->platform,
		.created = ec2_now(),
		.source_image = source->record.id,
		.source_region = source->record.region,
		.product_codes = source->product_codes,
		.consistency = source->consistency,
		.tags = copying->image_tags,
	};
}

static int put_snapshots(const struct image_copying *copying, struct image_record *image,
	struct meta_batch *batch, struct error *err)
{
	struct call *call = copying->call;
	size_t count = copying->source->block_devices.count;
	struct record_image_block_device *devices =
		arena_alloc_array(call->arena, count + 1, sizeof *devices);
	for (size_t i = 0; i < count; i++) {
		const struct snapshot_record *source = copying->snapshots[i];
		devices[i] = copying->source->block_devices.items[i];
		if (!source && devices[i].snapshot) {
			const struct record_image_block_device *first = &devices[first_alike(copying, i)];
			devices[i].snapshot = first->snapshot;
			devices[i].encrypted = first->encrypted;
		}
		if (!source)
			continue;
		struct snapshot_record snapshot = {
			.description = arena_printf(call->arena,
				"Copied for DestinationAmi %s from SourceAmi %s for SourceSnapshot %s.",
				image->record.id, image->source_image, source->record.id),
			.image = image->record.id,
			.tags = copying->snapshot_tags,
		};
		if (snapshot_copy_put(call, source, copying->leases[i], copying->request->encrypted,
			    copying->request->kms_key_id, batch, &snapshot, err))
			return -1;
		devices[i].snapshot = snapshot.record.id;
		devices[i].encrypted = some_boolean(boolean_or(snapshot.encrypted, false));
	}
	image->block_devices = (struct record_image_block_device_list){ devices, count, true };
	return 0;
}

int ec2_copy_image(struct call *call, const struct ec2_CopyImageRequest *request,
	struct ec2_CopyImageResult *result, struct error *err)
{
	struct image_copying copying = { .call = call, .request = request };
	struct idempotency idempotency;
	if (idempotency_begin(call, call->amid->meta, request, ERROR_IDEMPOTENT_MISMATCH, &idempotency, err))
		return -1;
	if (idempotency.done) {
		result->image_id = idempotency.resource_ids[0];
		return 0;
	}
	if (check_request(&copying, err) || find_source(&copying, err) || find_snapshots(&copying, err) ||
		choose_tags(&copying, err))
		return -1;
	struct image_record image = make_image(&copying);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (put_snapshots(&copying, &image, batch, err))
		return -1;
	if (!copying.peer) /* it is still shared when the copy is promised */
		meta_batch_expect(batch, &record_image, copying.source);
	meta_batch_put(batch, &record_image, &image);
	idempotency_record(&idempotency, batch, &image.record.id, 1);
	if (idempotency_commit(&idempotency, batch, err))
		return image_explain_duplicate(call, request->name, err);
	result->image_id = image.record.id;
	return 0;
}
