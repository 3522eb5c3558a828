/*
 * DescribeImages: of the images that a caller may see, those asked for. What the owner alone may know (tags, the source instance, protection, last launches) is left out for others, and so cannot be filtered by either.
 * Runs on the thread of the call.
 */
#include <string.h>

#include "base/clock.h"
#include "svc/allowed_images.h"
#include "svc/ec2/block_devices.h"
#include "svc/ec2/describe.h"
#include "svc/ec2/image_lifecycle.h"
#include "svc/ec2/images.h"
#include "base/banned.h"

static const struct describe_kind images = {
	.shape = &ec2_shape_Image,
	.key = "ImageId",
	.page_rules = { .min = 1, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "architecture", "Architecture" },
			{ "block-device-mapping.delete-on-termination",
				"BlockDeviceMappings.Ebs.DeleteOnTermination" },
			{ "block-device-mapping.device-name", "BlockDeviceMappings.DeviceName" },
			{ "block-device-mapping.encrypted", "BlockDeviceMappings.Ebs.Encrypted" },
			{ "block-device-mapping.snapshot-id", "BlockDeviceMappings.Ebs.SnapshotId" },
			{ "block-device-mapping.volume-size", "BlockDeviceMappings.Ebs.VolumeSize" },
			{ "block-device-mapping.volume-type", "BlockDeviceMappings.Ebs.VolumeType" },
			{ "boot-mode", "BootMode" },
			{ "creation-date", "CreationDate" },
			{ "description", "Description" },
			{ "ena-support", "EnaSupport" },
			{ "free-tier-eligible", "FreeTierEligible" },
			{ "hypervisor", "Hypervisor" },
			{ "image-allowed", "ImageAllowed" },
			{ "image-id", "ImageId" },
			{ "image-type", "ImageType" },
			{ "imds-support", "ImdsSupport" },
			{ "is-public", "Public" },
			{ "kernel-id", "KernelId" },
			{ "manifest-location", "ImageLocation" },
			{ "name", "Name" },
			{ "owner-alias", "ImageOwnerAlias" },
			{ "owner-id", "OwnerId" },
			{ "platform", "Platform" },
			{ "product-code", "ProductCodes.ProductCodeId" },
			{ "product-code.type", "ProductCodes.ProductCodeType" },
			{ "ramdisk-id", "RamdiskId" },
			{ "root-device-name", "RootDeviceName" },
			{ "root-device-type", "RootDeviceType" },
			{ "source-image-id", "SourceImageId" },
			{ "source-image-region", "SourceImageRegion" },
			{ "source-instance-id", "SourceInstanceId" },
			{ "sriov-net-support", "SriovNetSupport" },
			{ "state", "State" },
			{ "state-reason-code", "StateReason.Code" },
			{ "state-reason-message", "StateReason.Message" },
			{ "virtualization-type", "VirtualizationType" },
			{ NULL },
		},
};

static bool matches_owner(const struct call *call, const struct image_record *image, const char *owner)
{
	if (strcmp(owner, "self") == 0)
		return strcmp(image->record.account, call->account) == 0;
	return strcmp(image->record.account, owner) == 0 || text_equal(image_owner_alias(image), owner);
}

/*
 * ExecutableBy: "all" (public); "self" or the caller's account (shared with it, its organization or one of its units); another account that the caller's own image is shared with. Whom else an image is shared with is its owner's
 * business.
 */
static bool matches_user(
	const struct call *call, const struct image_record *image, enum sharing_way way, const char *user)
{
	if (strcmp(user, "all") == 0)
		return boolean_or(image->public, false);
	if (strcmp(user, "self") == 0 || strcmp(user, call->account) == 0)
		return way == SHARING_ACCOUNT || way == SHARING_ORGANIZATION || way == SHARING_UNIT;
	for (size_t i = 0; way == SHARING_OWN && i < image->launch_permissions.count; i++)
		if (text_equal(image->launch_permissions.items[i].user, user))
			return true;
	return false;
}

static bool is_wanted(const struct call *call, const struct sharing *view,
	const struct ec2_DescribeImagesRequest *request, const struct image_record *image)
{
	bool owner = !request->owners.count, user = !request->executable_users.count,
	     named = request->image_ids.count > 0;
	if (!sharing_image_is_visible(view, image))
		return false;
	enum sharing_way way = sharing_image_way(view, image);
	for (size_t i = 0; i < request->owners.count && !owner; i++)
		owner = matches_owner(call, image, request->owners.items[i]);
	for (size_t i = 0; i < request->executable_users.count && !user; i++)
		user = matches_user(call, image, way, request->executable_users.items[i]);
	bool deprecated = image->deprecated_at.set && image->deprecated_at.ms <= clock_now_ms();
	if (deprecated && way != SHARING_OWN && !named && !boolean_or(request->include_deprecated, false))
		return false;
	if (strcmp(image->state, "disabled") == 0 && !named && !boolean_or(request->include_disabled, false))
		return false;
	return owner && user;
}

/* "true" or "false" where the account has criteria for images, be they enforced or looked at. */
static struct shape_boolean allowed_result(const struct sharing *view, const struct image_record *image)
{
	struct shape_boolean allowed = { 0 };
	if (strcmp(sharing_allowed_images_state(view), ALLOWED_IMAGES_DISABLED) != 0)
		allowed = some_boolean(sharing_image_is_allowed(view, image));
	return allowed;
}

static void image_result(struct call *call, const struct sharing *view, const struct image_record *image,
	struct ec2_Image *result)
{
	bool own = strcmp(image->record.account, call->account) == 0;
	*result = (struct ec2_Image){
		.image_id = image->record.id,
		.name = image->name,
		.description = image->description,
		.state = image->state,
		.owner_id = image->record.account,
		.image_owner_alias = image_owner_alias(image),
		.image_location = arena_printf(call->arena, "%s/%s",
			text_or(image_owner_alias(image), image->record.account), image->name),
		.creation_date = ec2_time_text(call, image->created),
		.deprecation_time = ec2_time_text(call, image->deprecated_at),
		.public = some_boolean(boolean_or(image->public, false)),
		.architecture = image->architecture,
		.image_type = "machine",
		.platform = image->platform,
		.platform_details = "Linux/UNIX",
		.usage_operation = "RunInstances",
		.hypervisor = "xen",
		.virtualization_type = image->virtualization_type,
		.root_device_name = image->root_device_name,
		.root_device_type = image->root_device_type,
		.block_device_mappings = block_devices_result(call, &image->block_devices),
		.boot_mode = image->boot_mode,
		.ena_support = image->ena_support,
		.sriov_net_support = image->sriov_net_support,
		.imds_support = image->imds_support,
		.source_instance_id = own ? image->source_instance : NULL,
		.source_image_id = image->source_image,
		.source_image_region =
			image->source_image ? text_or(image->source_region, image->record.region) : NULL,
		.image_allowed = allowed_result(view, image),
		.deregistration_protection = own ? image_protection(image) : NULL,
		.last_launched_time = own ? ec2_time_text(call, image_last_launched(call, image)) : NULL,
		.tags = own ? ec2_tags_result(call, &image->tags) : (struct ec2_TagList){ .set = true },
	};
	if (image->state_reason) {
		result->state_reason = arena_alloc(call->arena, sizeof *result->state_reason);
		*result->state_reason = (struct ec2_StateReason){ .code = image->state_reason_code,
			.message = image->state_reason };
	}
}

/* The records to look at: the named ones, or all of the region. */
static int load(struct call *call, const struct sharing *view, const struct ec2_ImageIdStringList *asked,
	struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .region = call->region };
	const char *const *ids;
	size_t count = asked->count;

	if (!count)
		return meta_list(call->amid->meta, &record_image, &query, call->arena, rows, err);
	if (describe_sort_ids(call, asked->items, &count, NULL, (struct shape_integer){ 0 }, &ids, err))
		return -1;
	rows->items = arena_alloc_array(call->arena, count, sizeof *rows->items);
	for (rows->count = 0; rows->count < count; rows->count++) {
		struct image_record *image;
		if (image_find_viewed(call, view, ids[rows->count], &image, err))
			return -1;
		rows->items[rows->count] = image;
	}
	return 0;
}

int ec2_describe_images(struct call *call, const struct ec2_DescribeImagesRequest *request,
	struct ec2_DescribeImagesResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct sharing *view;
	struct meta_rows rows;

	if (image_view_open(call, call->region, &view, err) ||
		load(call, view, &request->image_ids, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (is_wanted(call, view, request, rows.items[i]))
			image_result(call, view, rows.items[i],
				ARENA_APPEND(call->arena, result->images.items, result->images.count));
	return describe_finish(call, &images, &request->filters, &page, &result->images, err);
}
