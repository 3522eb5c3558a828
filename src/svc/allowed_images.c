/* Allowed images: criteria are alternatives, the conditions within one must all hold. No state; on the thread of the caller. */
#include "svc/allowed_images.h"

#include <string.h>

#include "base/text.h"
#include "svc/amid.h"
#include "base/banned.h"

#define DAY_MS (24 * 60 * 60 * 1000LL)

int allowed_images_load(struct meta *meta, const char *account, const char *region, struct arena *arena,
	struct allowed_images_record **settings, struct error *err)
{
	static const char id[] = "allowed-images";
	if (meta_get(meta, &record_allowed_images, account, region, id, arena, settings, err))
		return -1;
	if (*settings)
		return 0;
	*settings = arena_alloc(arena, sizeof **settings);
	**settings = (struct allowed_images_record){
		.record = { .account = account, .region = region, .id = id },
		.state = ALLOWED_IMAGES_DISABLED,
	};
	return 0;
}

/* An account, or an alias of owners. "none" and aliases that nobody has name no image of another account. */
static bool is_of_provider(const struct image_record *image, const struct record_string_list *providers)
{
	for (size_t i = 0; i < providers->count; i++) {
		const char *provider = providers->items[i];
		if (strcmp(provider, image->record.account) == 0 ||
			(strcmp(provider, ALIAS_PLATFORM) == 0 &&
				strcmp(image->record.account, ACCOUNT_PLATFORM) == 0))
			return true;
	}
	return false;
}

static bool has_product_code(const struct image_record *image, const struct record_string_list *codes)
{
	for (size_t i = 0; i < codes->count; i++)
		for (size_t j = 0; j < image->product_codes.count; j++)
			if (text_equal(codes->items[i], image->product_codes.items[j]))
				return true;
	return false;
}

static bool has_name(const struct image_record *image, const struct record_string_list *patterns)
{
	for (size_t i = 0; i < patterns->count; i++)
		if (image->name && text_match(patterns->items[i], image->name))
			return true;
	return false;
}

/* 0 days: none that is deprecated. */
static bool is_within(struct shape_timestamp since, int64_t days, int64_t now_ms)
{
	return !since.set || since.ms > now_ms || (days && now_ms - since.ms <= days * DAY_MS);
}

static bool criterion_match(
	const struct record_image_criterion *criterion, const struct image_record *image, int64_t now_ms)
{
	return (!criterion->providers.count || is_of_provider(image, &criterion->providers)) &&
		(!criterion->product_codes.count || has_product_code(image, &criterion->product_codes)) &&
		(!criterion->names.count || has_name(image, &criterion->names)) &&
		(!criterion->max_deprecated_days.set ||
			is_within(image->deprecated_at, criterion->max_deprecated_days.value, now_ms)) &&
		(!criterion->max_age_days.set ||
			is_within(image->created, criterion->max_age_days.value, now_ms));
}

bool allowed_images_match(
	const struct allowed_images_record *settings, const struct image_record *image, int64_t now_ms)
{
	for (size_t i = 0; i < settings->criteria.count; i++)
		if (criterion_match(&settings->criteria.items[i], image, now_ms))
			return true;
	return false;
}
