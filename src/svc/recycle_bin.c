/*
 * Which rules of the recycle bin hold for a thing that is deleted. A rule with resource tags is for what has one of them; one without is for all of the region but what has one of its exclusion tags. Rules are read when something is deleted, not
 * remembered: a rule made at the same moment may or may not be followed.
 */
#include "svc/recycle_bin.h"

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

#define DAY_MS (24LL * 3600 * 1000)

bool recycle_bin_matches(const struct record_tag_list *wanted, const struct record_tag_list *tags)
{
	for (size_t i = 0; i < wanted->count; i++)
		for (size_t j = 0; j < tags->count; j++)
			if (text_equal(wanted->items[i].key, tags->items[j].key) &&
				(!wanted->items[i].value ||
					text_equal(wanted->items[i].value,
						tags->items[j].value ? tags->items[j].value : "")))
				return true;
	return false;
}

static bool holds(const struct retention_rule_record *rule, const struct record_tag_list *tags)
{
	if (rule->resource_tags.count)
		return recycle_bin_matches(&rule->resource_tags, tags);
	return !recycle_bin_matches(&rule->exclude_tags, tags);
}

int recycle_bin_admit(struct amid *amid, const struct recycle_item *item, struct arena *arena,
	struct record_recycled **recycled, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = item->record->account,
		.region = item->record->region,
		.index = "resource_type",
		.value = item->type };
	int64_t days = 0;
	*recycled = NULL;
	if (meta_list(amid->meta, &record_retention_rule, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct retention_rule_record *rule = rows.items[i];
		if (holds(rule, item->tags) && integer_or(rule->retention_days, 0) > days)
			days = rule->retention_days.value;
	}
	if (!days)
		return 0;
	*recycled = arena_alloc(arena, sizeof **recycled);
	**recycled = (struct record_recycled){ .entered = some_timestamp(clock_now_ms()),
		.exits = some_timestamp(clock_now_ms() + days * DAY_MS) };
	return 0;
}
