/* Filters: nothing is collected; each value that a getter offers is matched where it is. */
#include "aws/filter.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/banned.h"

struct filter_match {
	const struct ec2_Filter *filter;
	bool matched;
};

void filter_offer(struct filter_match *match, const char *text)
{
	const struct ec2_ValueStringList *values = &match->filter->values;
	for (size_t i = 0; text && !match->matched && i < values->count; i++)
		match->matched = text_match(values->items[i], text);
}

void filter_offer_boolean(struct filter_match *match, struct shape_boolean boolean)
{
	if (boolean.set)
		filter_offer(match, boolean.value ? "true" : "false");
}

void filter_offer_integer(struct filter_match *match, struct shape_integer integer)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, integer.value);
	if (integer.set)
		filter_offer(match, text);
}

void filter_offer_time(struct filter_match *match, struct shape_timestamp time)
{
	char text[32];
	if (time.set)
		filter_offer(match, clock_format_iso8601(time.ms, text));
}

static const struct filter_field *find_field(const struct filter_table *table, const char *name)
{
	for (const struct filter_field *field = table->fields; field->name; field++) {
		if (strcmp(field->name, name) == 0)
			return field;
	}
	return NULL;
}

static bool is_tag_filter(const char *name)
{
	return text_starts_with(name, "tag:") || strcmp(name, "tag-key") == 0 ||
		strcmp(name, "tag-value") == 0;
}

int filter_check(const struct filter_table *table, const struct ec2_FilterList *filters, struct error *err)
{
	for (size_t i = 0; i < filters->count; i++) {
		const struct ec2_Filter *filter = &filters->items[i];
		if (!filter->name)
			return error_set(err, ERROR_MISSING_PARAMETER,
				"The request must contain the parameter Filter.%zu.Name", i + 1);
		if (!find_field(table, filter->name) && !(table->tags && is_tag_filter(filter->name)))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "The filter '%.100s' is invalid",
				filter->name);
		if (!filter->values.count)
			return error_set(err, ERROR_MISSING_PARAMETER,
				"The request must contain the parameter Filter.%zu.Value", i + 1);
	}
	return 0;
}

static void offer_tags(const struct record_tag_list *tags, struct filter_match *match)
{
	const char *name = match->filter->name;
	for (size_t i = 0; i < tags->count; i++) {
		const struct record_tag *tag = &tags->items[i];
		if (strcmp(name, "tag-key") == 0)
			filter_offer(match, tag->key);
		else if (strcmp(name, "tag-value") == 0 || text_equal(name + strlen("tag:"), tag->key))
			filter_offer(match, tag->value ? tag->value : "");
	}
}

bool filter_passes(
	const struct filter_table *table, const struct ec2_FilterList *filters, const void *resource)
{
	for (size_t i = 0; i < filters->count; i++) {
		struct filter_match match = { .filter = &filters->items[i] };
		const struct filter_field *field = find_field(table, match.filter->name);
		if (field)
			field->offer(resource, &match);
		else
			offer_tags(table->tags(resource), &match);
		if (!match.matched)
			return false;
	}
	return true;
}
