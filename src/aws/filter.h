/*
 * Filters of Describe operations. A handler supplies a table: the names it knows, each with a getter that offers what a resource has for it.
 *
 *	static void offer_state(const void *resource, struct filter_match *match)
 *	{
 *		filter_offer(match, ((const struct image_record *)resource)->state);
 *	}
 *	static const struct filter_field fields[] = { { "state", offer_state }, ..., { 0 } };
 *	static const struct filter_table table = { fields, image_tags };
 *
 * A resource passes if, for each filter given, one of the values offered matches one of the filter's: * stands for any run of characters, ? for one, \ takes the next literally;
 * case counts. The names "tag:KEY", "tag-key" and "tag-value" come with a table that has tags. No state; safe from every thread.
 */
#pragma once

#include <stdbool.h>

#include "api/ec2.h"
#include "api/records.h"
#include "base/error.h"

struct filter_match; /* one filter looking at one resource */

struct filter_field {
	const char *name; /* "block-device-mapping.snapshot-id" */
	void (*offer)(const void *resource, struct filter_match *match);
};
struct filter_table {
	const struct filter_field *fields;                           /* the last one has no name */
	const struct record_tag_list *(*tags)(const void *resource); /* NULL: these resources have none */
};

/* What a getter calls, once for each value that the resource has; absent ones offer nothing. */
void filter_offer(struct filter_match *match, const char *text);
void filter_offer_boolean(struct filter_match *match, struct shape_boolean boolean); /* "true", "false" */
void filter_offer_integer(struct filter_match *match, struct shape_integer integer);
void filter_offer_time(
	struct filter_match *match, struct shape_timestamp time); /* "2026-11-21T07:00:00.000Z" */

/* Before any resource is looked at: InvalidParameterValue for a name that the table does not have, MissingParameter for a filter without values. */
int filter_check(const struct filter_table *table, const struct ec2_FilterList *filters, struct error *err);
/* Whether a resource passes all of them. */
bool filter_passes(
	const struct filter_table *table, const struct ec2_FilterList *filters, const void *resource);
