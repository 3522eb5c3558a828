/*
 * EnableAllowedImagesSettings, DisableAllowedImagesSettings, GetAllowedImagesSettings, ReplaceImageCriteriaInAllowedImagesSettings: the settings, as they are checked and shown. Criteria stay when the settings are disabled. What
 * they do: ../allowed_images.h.
 */
#include "svc/allowed_images.h"

#include <string.h>

#include "svc/ec2/common.h"
#include "base/banned.h"

enum {
	CRITERIA_MAX = 10,
	PROVIDERS_MAX = 200,
	NAMES_MAX = 50,
	CODES_MAX = 50,
	NAME_SIZE_MAX = 128,
	CODE_SIZE_MAX = 25
};

static const char name_characters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[]./-'@_*? ";
static const char code_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static int load(struct call *call, struct allowed_images_record **settings, struct error *err)
{
	return allowed_images_load(call->amid->meta, call->account, call->region, call->arena, settings, err);
}

static int store(struct call *call, struct allowed_images_record *settings, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_put(batch, &record_allowed_images, settings);
	if (meta_commit(call->amid->meta, batch, err) == 0)
		return 0;
	if (err->code == ERROR_DUPLICATE) /* another call has made the record since: run again */
		err->code = ERROR_CONFLICT;
	return -1;
}

static int change_state(struct call *call, const char *state, struct error *err)
{
	struct allowed_images_record *settings;
	if (load(call, &settings, err))
		return -1;
	settings->state = state;
	return store(call, settings, err);
}

int ec2_enable_allowed_images_settings(struct call *call,
	const struct ec2_EnableAllowedImagesSettingsRequest *request,
	struct ec2_EnableAllowedImagesSettingsResult *result, struct error *err)
{
	result->allowed_images_settings_state = request->allowed_images_settings_state;
	return change_state(call, request->allowed_images_settings_state, err);
}

int ec2_disable_allowed_images_settings(struct call *call,
	const struct ec2_DisableAllowedImagesSettingsRequest *request,
	struct ec2_DisableAllowedImagesSettingsResult *result, struct error *err)
{
	(void)request;
	result->allowed_images_settings_state = ALLOWED_IMAGES_DISABLED;
	return change_state(call, ALLOWED_IMAGES_DISABLED, err);
}

static struct ec2_ImageCriterion criterion_result(
	struct call *call, const struct record_image_criterion *criterion)
{
	struct ec2_ImageCriterion result = {
		.image_providers = { criterion->providers.items, criterion->providers.count,
			criterion->providers.count > 0 },
		.marketplace_product_codes = { criterion->product_codes.items, criterion->product_codes.count,
			criterion->product_codes.count > 0 },
		.image_names = { criterion->names.items, criterion->names.count, criterion->names.count > 0 },
	};
	if (criterion->max_deprecated_days.set) {
		result.deprecation_time_condition =
			arena_alloc(call->arena, sizeof *result.deprecation_time_condition);
		result.deprecation_time_condition->maximum_days_since_deprecated =
			criterion->max_deprecated_days;
	}
	if (criterion->max_age_days.set) {
		result.creation_date_condition =
			arena_alloc(call->arena, sizeof *result.creation_date_condition);
		result.creation_date_condition->maximum_days_since_created = criterion->max_age_days;
	}
	return result;
}

int ec2_get_allowed_images_settings(struct call *call,
	const struct ec2_GetAllowedImagesSettingsRequest *request,
	struct ec2_GetAllowedImagesSettingsResult *result, struct error *err)
{
	struct allowed_images_record *settings;
	(void)request;
	if (load(call, &settings, err))
		return -1;
	result->state = settings->state;
	result->managed_by = "account";
	result->image_criteria.set = true;
	for (size_t i = 0; i < settings->criteria.count; i++)
		*ARENA_APPEND(call->arena, result->image_criteria.items, result->image_criteria.count) =
			criterion_result(call, &settings->criteria.items[i]);
	return 0;
}

static int refuse(const char *parameter, const char *value, struct error *err)
{
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "Value (%.128s) for parameter %s is invalid.",
		value, parameter);
}

static int refuse_count(const char *parameter, size_t count, unsigned most, struct error *err)
{
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
		"Value (%zu) for parameter %s is invalid. At most %u can be given.", count, parameter, most);
}

static int check_provider(const char *provider, size_t providers, struct error *err)
{
	static const char *const aliases[] = { "amazon", "aws-marketplace", "aws-backup-vault" };
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		if (strcmp(provider, aliases[i]) == 0)
			return 0;
	if (strcmp(provider, "none") == 0)
		return providers == 1
			? 0
			: error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
				  "The image provider none stands for itself; it cannot be given beside others.");
	return strlen(provider) == 12 && strspn(provider, "0123456789") == 12
		? 0
		: refuse("ImageProvider", provider, err);
}

static int check_name(const char *name, struct error *err)
{
	size_t size = strlen(name), least = strchr(name, '?') ? 3 : 1;
	return size >= least && size <= NAME_SIZE_MAX && strspn(name, name_characters) == size
		? 0
		: refuse("ImageName", name, err);
}

static int check_code(const char *code, struct error *err)
{
	size_t size = strlen(code);
	return size >= 1 && size <= CODE_SIZE_MAX && strspn(code, code_characters) == size
		? 0
		: refuse("MarketplaceProductCode", code, err);
}

static int check_criterion(const struct record_image_criterion *criterion, struct error *err)
{
	if (criterion->names.count > NAMES_MAX)
		return refuse_count("ImageName", criterion->names.count, NAMES_MAX, err);
	if (criterion->product_codes.count > CODES_MAX)
		return refuse_count("MarketplaceProductCode", criterion->product_codes.count, CODES_MAX, err);
	for (size_t i = 0; i < criterion->providers.count; i++)
		if (check_provider(criterion->providers.items[i], criterion->providers.count, err))
			return -1;
	for (size_t i = 0; i < criterion->names.count; i++)
		if (check_name(criterion->names.items[i], err))
			return -1;
	for (size_t i = 0; i < criterion->product_codes.count; i++)
		if (check_code(criterion->product_codes.items[i], err))
			return -1;
	if (criterion->providers.count || criterion->names.count || criterion->product_codes.count ||
		criterion->max_deprecated_days.set || criterion->max_age_days.set)
		return 0;
	return error_set(
		err, ERROR_MISSING_PARAMETER, "An image criterion must have at least one condition.");
}

static void read_criterion(
	const struct ec2_ImageCriterionRequest *request, struct record_image_criterion *criterion)
{
	*criterion = (struct record_image_criterion){
		.providers = { request->image_providers.items, request->image_providers.count, true },
		.product_codes = { request->marketplace_product_codes.items,
			request->marketplace_product_codes.count, true },
		.names = { request->image_names.items, request->image_names.count, true },
	};
	if (request->deprecation_time_condition)
		criterion->max_deprecated_days =
			request->deprecation_time_condition->maximum_days_since_deprecated;
	if (request->creation_date_condition)
		criterion->max_age_days = request->creation_date_condition->maximum_days_since_created;
}

int ec2_replace_image_criteria_in_allowed_images_settings(struct call *call,
	const struct ec2_ReplaceImageCriteriaInAllowedImagesSettingsRequest *request,
	struct ec2_ReplaceImageCriteriaInAllowedImagesSettingsResult *result, struct error *err)
{
	struct allowed_images_record *settings;
	size_t providers = 0, count = request->image_criteria.count;
	if (count > CRITERIA_MAX)
		return refuse_count("ImageCriterion", count, CRITERIA_MAX, err);
	if (load(call, &settings, err))
		return -1;
	struct record_image_criterion *criteria = arena_alloc_array(call->arena, count + 1, sizeof *criteria);
	for (size_t i = 0; i < count; i++) {
		read_criterion(&request->image_criteria.items[i], &criteria[i]);
		if (check_criterion(&criteria[i], err))
			return -1;
		providers += criteria[i].providers.count;
	}
	if (providers > PROVIDERS_MAX)
		return refuse_count("ImageProvider", providers, PROVIDERS_MAX, err);
	settings->criteria = (struct record_image_criterion_list){ criteria, count, true };
	result->return_value = some_boolean(true);
	return store(call, settings, err);
}
