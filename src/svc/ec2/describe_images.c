/* DescribeImages. */
#include <string.h>

#include "aws/filter.h"
#include "aws/page.h"
#include "base/clock.h"
#include "svc/ec2/block_devices.h"
#include "svc/ec2/images.h"
#include "base/banned.h"

#define OFFER_TEXT(name, expression) \
	static void name(const void *resource, struct filter_match *match) \
	{ \
		const struct image_record *image = resource; \
		filter_offer(match, (expression)); \
	}

OFFER_TEXT(offer_architecture, image->architecture)
OFFER_TEXT(offer_boot_mode, image->boot_mode)
OFFER_TEXT(offer_description, image->description)
OFFER_TEXT(offer_hypervisor, image->state ? "xen" : NULL)
OFFER_TEXT(offer_id, image->record.id)
OFFER_TEXT(offer_type, image->state ? "machine" : NULL)
OFFER_TEXT(offer_name, image->name)
OFFER_TEXT(offer_owner_alias, image_owner_alias(image))
OFFER_TEXT(offer_owner, image->record.account)
OFFER_TEXT(offer_platform, image->platform)
OFFER_TEXT(offer_root_device_name, image->root_device_name)
OFFER_TEXT(offer_root_device_type, image->root_device_type)
OFFER_TEXT(offer_source_instance, image->source_instance)
OFFER_TEXT(offer_source_image, image->source_image)
OFFER_TEXT(offer_state, image->state)
OFFER_TEXT(offer_state_reason_code, image->state_reason_code)
OFFER_TEXT(offer_state_reason_message, image->state_reason)
OFFER_TEXT(offer_sriov, image->sriov_net_support)
OFFER_TEXT(offer_virtualization_type, image->virtualization_type)
OFFER_TEXT(offer_imds_support, image->imds_support)

static void offer_created(const void *resource, struct filter_match *match)
{
	filter_offer_time(match, ((const struct image_record *)resource)->created);
}

static void offer_public(const void *resource, struct filter_match *match)
{
	filter_offer_boolean(match, some_boolean(boolean_or(((const struct image_record *)resource)->public, false)));
}

static void offer_ena(const void *resource, struct filter_match *match)
{
	filter_offer_boolean(match, some_boolean(boolean_or(((const struct image_record *)resource)->ena_support, false)));
}

#define OFFER_DEVICES(name, offer) \
	static void name(const void *resource, struct filter_match *match) \
	{ \
		const struct image_record *image = resource; \
		for (size_t i = 0; i < image->block_devices.count; i++) { \
			const struct record_image_block_device *device = &image->block_devices.items[i]; \
			offer; \
		} \
	}

OFFER_DEVICES(offer_device_name, filter_offer(match, device->device))
OFFER_DEVICES(offer_device_snapshot, filter_offer(match, device->snapshot))
OFFER_DEVICES(offer_device_size, filter_offer_integer(match, device->size_gib))
OFFER_DEVICES(offer_device_type, filter_offer(match, device->volume_type))
OFFER_DEVICES(offer_device_delete, filter_offer_boolean(match, some_boolean(boolean_or(device->delete_on_termination, false))))
OFFER_DEVICES(offer_device_encrypted, filter_offer_boolean(match, some_boolean(boolean_or(device->encrypted, false))))

static const struct filter_field fields[] = {
	{ "architecture", offer_architecture },
	{ "block-device-mapping.delete-on-termination", offer_device_delete },
	{ "block-device-mapping.device-name", offer_device_name },
	{ "block-device-mapping.encrypted", offer_device_encrypted },
	{ "block-device-mapping.snapshot-id", offer_device_snapshot },
	{ "block-device-mapping.volume-size", offer_device_size },
	{ "block-device-mapping.volume-type", offer_device_type },
	{ "boot-mode", offer_boot_mode },
	{ "creation-date", offer_created },
	{ "description", offer_description },
	{ "ena-support", offer_ena },
	{ "hypervisor", offer_hypervisor },
	{ "image-id", offer_id },
	{ "image-type", offer_type },
	{ "imds-support", offer_imds_support },
	{ "is-public", offer_public },
	{ "name", offer_name },
	{ "owner-alias", offer_owner_alias },
	{ "owner-id", offer_owner },
	{ "platform", offer_platform },
	{ "root-device-name", offer_root_device_name },
	{ "root-device-type", offer_root_device_type },
	{ "source-image-id", offer_source_image },
	{ "source-instance-id", offer_source_instance },
	{ "sriov-net-support", offer_sriov },
	{ "state", offer_state },
	{ "state-reason-code", offer_state_reason_code },
	{ "state-reason-message", offer_state_reason_message },
	{ "virtualization-type", offer_virtualization_type },
	{ 0 },
};

static const struct record_tag_list *image_tags(const void *resource)
{
	return &((const struct image_record *)resource)->tags;
}

static const struct filter_table table = { fields, image_tags };

static bool matches_owner(const struct call *call, const struct image_record *image, const char *owner)
{
	if (strcmp(owner, "self") == 0)
		return strcmp(image->record.account, call->account) == 0;
	return strcmp(image->record.account, owner) == 0 || text_equal(image_owner_alias(image), owner);
}

/* ExecutableBy: "self" (explicitly allowed), "all" (public), or an account that the caller's own image is shared with. */
static bool matches_user(const struct call *call, const struct image_record *image, const char *user)
{
	if (strcmp(user, "all") == 0)
		return boolean_or(image->public, false);
	const char *account = strcmp(user, "self") == 0 ? call->account : user;
	for (size_t i = 0; i < image->launch_permissions.count; i++)
		if (text_equal(image->launch_permissions.items[i].user, account))
			return true;
	return false;
}

static bool is_wanted(const struct call *call, const struct ec2_DescribeImagesRequest *request, const struct image_record *image)
{
	bool own = strcmp(image->record.account, call->account) == 0;
	bool owner = !request->owners.count, user = !request->executable_users.count, named = request->image_ids.count > 0;
	if (!image_is_visible(call, image))
		return false;
	for (size_t i = 0; i < request->owners.count && !owner; i++)
		owner = matches_owner(call, image, request->owners.items[i]);
	for (size_t i = 0; i < request->executable_users.count && !user; i++)
		user = matches_user(call, image, request->executable_users.items[i]);
	bool deprecated = image->deprecated_at.set && image->deprecated_at.ms <= clock_now_ms();
	if (deprecated && !own && !named && !boolean_or(request->include_deprecated, false))
		return false;
	if (strcmp(image->state, "disabled") == 0 && !named && !boolean_or(request->include_disabled, false))
		return false;
	return owner && user && filter_passes(&table, &request->filters, image);
}

static void image_result(struct call *call, const struct image_record *image, struct ec2_Image *result)
{
	bool own = strcmp(image->record.account, call->account) == 0;
	*result = (struct ec2_Image){
		.image_id = image->record.id,
		.name = image->name,
		.description = image->description,
		.state = image->state,
		.owner_id = image->record.account,
		.image_owner_alias = image_owner_alias(image),
		.image_location = arena_printf(call->arena, "%s/%s", text_or(image_owner_alias(image), image->record.account), image->name),
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
		.source_image_region = image->source_image ? image->record.region : NULL,
		.deregistration_protection = "disabled",
		.tags = own ? ec2_tags_result(call, &image->tags) : (struct ec2_TagList){ .set = true },
	};
	if (image->state_reason) {
		result->state_reason = arena_alloc(call->arena, sizeof *result->state_reason);
		*result->state_reason = (struct ec2_StateReason){ .code = image->state_reason_code, .message = image->state_reason };
	}
}

/* The records to look at: the named ones, or all of the region that the caller can see. */
static int load(struct call *call, const struct ec2_DescribeImagesRequest *request, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .region = call->region };
	if (!request->image_ids.count)
		return meta_list(call->amid->meta, &record_image, &query, call->arena, rows, err);
	rows->items = arena_alloc_array(call->arena, request->image_ids.count, sizeof *rows->items);
	rows->count = 0;
	for (size_t i = 0; i < request->image_ids.count; i++) {
		struct image_record *image;
		if (image_find(call, request->image_ids.items[i], &image, err))
			return -1;
		rows->items[rows->count++] = image;
	}
	return 0;
}

int ec2_describe_images(struct call *call, const struct ec2_DescribeImagesRequest *request, struct ec2_DescribeImagesResult *result, struct error *err)
{
	static const struct page_rules rules = { .min = 1, .max = 1000 };
	struct meta_rows rows;
	struct page page;
	if (filter_check(&table, &request->filters, err) || load(call, request, &rows, err) ||
		page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token, &page, err))
		return -1;
	result->images.set = true;
	for (size_t i = 0; i < rows.count; i++) {
		const struct image_record *image = rows.items[i];
		if (!page_is_ahead(&page, image->record.id) || !is_wanted(call, request, image))
			continue;
		if (!page_take(&page, image->record.id))
			break;
		image_result(call, image, ARENA_APPEND(call->arena, result->images.items, result->images.count));
	}
	result->next_token = page_close(&page);
	return 0;
}
