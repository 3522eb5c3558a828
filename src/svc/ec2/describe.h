/*
 * What the Describe operations share: a handler makes the whole list of what the caller may see, and this filters and pages it.
 *
 * A filter of EC2 tests a member of what the operation shows, so a kind of answer declares its filters as paths through its shape: { "ip-permission.cidr", "IpPermissions.IpRanges.CidrIp" }.
 * Filters "tag:KEY", "tag-key" and "tag-value" are there for every kind that has tags. A filter's value may hold wildcards: * stands for any run of characters, ? for one, \ takes the next
 * literally; case counts.
 */
#pragma once

#include "aws/page.h"
#include "svc/ec2/common.h"

struct describe_filter {
	const char *name;
	const char *
		path; /* model names joined by dots; NULL: a filter of AWS for something that amid's resources never have */
};

struct describe_kind {
	const struct shape *shape; /* of one item */
	const char *tags;          /* path of its tags; NULL: "Tags", if the shape has that */
	/*
	 * Paths of the texts by which the list is sorted and which are unique together: pages go by them. `key` NULL: an operation without pages; `second_key` NULL: one is enough. In a list on
	 * the way, the first element counts.
	 */
	const char *key, *second_key;
	struct page_rules page_rules;
	const struct describe_filter *filters; /* ends with a NULL name */
};

/* The paging members of a request and its result; a zeroed one for operations without. */
struct describe_page {
	struct shape_integer max_results;
	const char *token;
	const char **next_token;
};

/*
 * Leaves in `list` (a generated list of the kind's shape) what matches all filters and is on the page asked for; sets .set, and *next_token if there is more.
 * InvalidParameterValue for a filter that the kind does not have, or that has no values; errors of page_open.
 */
int describe_finish(struct call *call, const struct describe_kind *kind, const struct ec2_FilterList *filters,
	const struct describe_page *page, void *list, struct error *err);

/* Whether `names` is empty or holds `name`. */
bool describe_wants(const char *const *names, size_t count, const char *name);
/*
 * The ids that a caller names, each once and sorted, as the lists of what is described are; *count is brought down to their number. InvalidParameterCombination if `max_results` is set
 * beside them, and `parameter` ("instancesSet") does not allow that; NULL: it does.
 */
int describe_sort_ids(struct call *call, const char *const *ids, size_t *count, const char *parameter,
	struct shape_integer max_results, const char *const **sorted, struct error *err);
