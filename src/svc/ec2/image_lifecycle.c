/*
 * The stages of an image's life that its owner decides on: EnableImage, DisableImage, EnableImageDeprecation, DisableImageDeprecation, EnableImageDeregistrationProtection, DisableImageDeregistrationProtection.
 *
 * Deprecation and the end of a protection's cooldown are dates in the record; nothing has to happen when they come. On the thread of the call.
 */
#include "svc/ec2/image_lifecycle.h"

#include <string.h>

#include "base/clock.h"
#include "svc/ec2/images.h"
#include "base/banned.h"

#define MINUTE_MS (60 * 1000LL)
#define DAY_MS (24 * 60 * MINUTE_MS)
#define COOLDOWN_MS DAY_MS
#define DEPRECATION_MAX_MS (10 * 365 * DAY_MS)
#define PUBLIC_LIFE_MS (2 * 365 * DAY_MS)

#define WITH_COOLDOWN "enabled-with-cooldown"
#define WITHOUT_COOLDOWN "enabled-without-cooldown"

static int put(struct call *call, const struct image_record *image, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_image, image);
	return meta_commit(call->amid->meta, batch, err);
}

static int change_state(
	struct call *call, const char *id, const char *state, struct image_record **image, struct error *err)
{
	if (image_find_own(call, id, image, err))
		return -1;
	if (strcmp((*image)->state, "available") != 0 && strcmp((*image)->state, "disabled") != 0)
		return error_set(err, ERROR_AMI_ID_UNAVAILABLE,
			"The image ID '%s' is %s; only available and disabled images can be enabled or disabled.",
			id, (*image)->state);
	(*image)->state = state;
	return 0;
}

int ec2_enable_image(struct call *call, const struct ec2_EnableImageRequest *request,
	struct ec2_EnableImageResult *result, struct error *err)
{
	struct image_record *image;
	result->return_ = some_boolean(true);
	return change_state(call, request->image_id, "available", &image, err) || put(call, image, err) ? -1
													: 0;
}

/* Whoever it was shared with loses it, and does not get it back by itself. */
int ec2_disable_image(struct call *call, const struct ec2_DisableImageRequest *request,
	struct ec2_DisableImageResult *result, struct error *err)
{
	struct image_record *image;
	if (change_state(call, request->image_id, "disabled", &image, err))
		return -1;
	image->launch_permissions = (struct record_launch_permission_list){ 0 };
	image->public = some_boolean(false);
	result->return_ = some_boolean(true);
	return put(call, image, err);
}

static bool has_public_life(const struct image_record *image)
{
	return boolean_or(image->public, false) && strcmp(image->record.account, ACCOUNT_PLATFORM) != 0;
}

void image_limit_deprecation(struct image_record *image)
{
	int64_t end = image->created.ms + PUBLIC_LIFE_MS;
	if (!image->deprecated_at.set || image->deprecated_at.ms > end)
		image->deprecated_at = some_timestamp(end);
}

int ec2_enable_image_deprecation(struct call *call, const struct ec2_EnableImageDeprecationRequest *request,
	struct ec2_EnableImageDeprecationResult *result, struct error *err)
{
	struct image_record *image;
	int64_t now = clock_now_ms(), at = request->deprecate_at.ms;
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	int64_t last = has_public_life(image) ? image->created.ms + PUBLIC_LIFE_MS : now + DEPRECATION_MAX_MS;
	if (at < now || at > last)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter DeprecateAt is invalid. It must be in the future and at the latest %s.",
			ec2_time_text(call, request->deprecate_at),
			ec2_time_text(call, some_timestamp(last)));
	image->deprecated_at = some_timestamp((at + MINUTE_MS / 2) / MINUTE_MS * MINUTE_MS);
	result->return_ = some_boolean(true);
	return put(call, image, err);
}

int ec2_disable_image_deprecation(struct call *call, const struct ec2_DisableImageDeprecationRequest *request,
	struct ec2_DisableImageDeprecationResult *result, struct error *err)
{
	struct image_record *image;
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	if (has_public_life(image))
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"The image %s is public, and so will be deprecated; make it private first.",
			image->record.id);
	image->deprecated_at = (struct shape_timestamp){ 0 };
	result->return_ = some_boolean(true);
	return put(call, image, err);
}

const char *image_protection(const struct image_record *image)
{
	bool over = image->protection_ends.set && image->protection_ends.ms <= clock_now_ms();
	return over ? "disabled" : text_or(image->protection, "disabled");
}

int image_check_unprotected(struct call *call, const struct image_record *image, struct error *err)
{
	if (strcmp(image_protection(image), "disabled") == 0)
		return 0;
	if (image->protection_ends.set)
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"The image %s is protected from deregistration until the cooldown ends at %s.",
			image->record.id, ec2_time_text(call, image->protection_ends));
	return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
		"The image %s is protected from deregistration; disable the protection first.",
		image->record.id);
}

int ec2_enable_image_deregistration_protection(struct call *call,
	const struct ec2_EnableImageDeregistrationProtectionRequest *request,
	struct ec2_EnableImageDeregistrationProtectionResult *result, struct error *err)
{
	struct image_record *image;
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	image->protection = boolean_or(request->with_cooldown, false) ? WITH_COOLDOWN : WITHOUT_COOLDOWN;
	image->protection_ends = (struct shape_timestamp){ 0 };
	result->return_ = "true";
	return put(call, image, err);
}

/* Disabling it again does not begin the cooldown anew. */
int ec2_disable_image_deregistration_protection(struct call *call,
	const struct ec2_DisableImageDeregistrationProtectionRequest *request,
	struct ec2_DisableImageDeregistrationProtectionResult *result, struct error *err)
{
	struct image_record *image;
	if (image_find_own(call, request->image_id, &image, err))
		return -1;
	result->return_ = "true";
	if (strcmp(image_protection(image), WITH_COOLDOWN) != 0) {
		image->protection = NULL;
		image->protection_ends = (struct shape_timestamp){ 0 };
	} else if (!image->protection_ends.set) {
		image->protection_ends = some_timestamp(clock_now_ms() + COOLDOWN_MS);
	}
	return put(call, image, err);
}

struct ec2_ProductCodeList image_product_codes(struct call *call, const struct image_record *image)
{
	struct ec2_ProductCodeList list = { .set = true };
	for (size_t i = 0; i < image->product_codes.count; i++)
		*ARENA_APPEND(call->arena, list.items, list.count) =
			(struct ec2_ProductCode){ .product_code_id = image->product_codes.items[i],
				.product_code_type = "marketplace" };
	return list;
}
