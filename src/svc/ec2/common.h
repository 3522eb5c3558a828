/* What the EC2 handlers share: ids, tags, times, defaults, refusal of parameters that amid does not have. */
#pragma once

#include "api/ec2.h"
#include "api/records.h"
#include "aws/call.h"
#include "base/text.h"
#include "svc/amid.h"

/* Whether an id is PREFIX-, then 8 or 17 lower-case hexadecimal digits. -1 with `malformed` and AWS's message otherwise ('Invalid id: "x" (expecting "ami-...")'). */
int ec2_check_id(const char *id, const char *prefix, enum error_code malformed, struct error *err);

/*
 * The tags for a resource that is being made, from a call's TagSpecifications: those whose ResourceType is `resource_type`. Checks keys and values (length, "aws:", duplicates, 50 at most). Each specification's type must be one of
 * `allowed` (NULL-terminated): InvalidParameterValue otherwise.
 */
int ec2_tags_from_specifications(struct call *call, const struct ec2_TagSpecificationList *specifications,
	const char *resource_type, const char *const *allowed, struct record_tag_list *tags,
	struct error *err);
/* Checks one tag (key 1..127 characters, not "aws:...", value at most 255). */
int ec2_check_tag(const char *key, const char *value, struct error *err);
/* Sets a tag in a list, replacing the one with its key; TagLimitExceeded over 50. */
int ec2_tags_set(struct call *call, struct record_tag_list *tags, const char *key, const char *value,
	struct error *err);
void ec2_tags_remove(struct record_tag_list *tags, const char *key);
struct ec2_TagList ec2_tags_result(struct call *call, const struct record_tag_list *tags);
/* The value of a tag; NULL: none. */
const char *ec2_tags_find(const struct record_tag_list *tags, const char *key);

/* "2026-11-21T07:00:00.000Z"; NULL if it is not set. */
const char *ec2_time_text(struct call *call, struct shape_timestamp time);
struct shape_timestamp ec2_now(void);

/*
 * Refuses top-level members of a request that make sense on AWS but are not implemented: `names` (C member names as in the model, "ElasticGpuSpecification", NULL-terminated). The first that is present
 * gives UnsupportedOperation naming it. Better an error than a parameter that is silently ignored.
 */
int ec2_refuse_members(
	const struct call *call, const void *request, const char *const *names, struct error *err);

/* `value` or, when NULL, the fallback. */
static inline const char *text_or(const char *value, const char *fallback)
{
	return value ? value : fallback;
}

/* The caller's own record of a kind in the call's region, or NULL in *found. */
#define EC2_GET(call, kind, id, found, err) \
	meta_get((call)->amid->meta, &(kind), (call)->account, (call)->region, (id), (call)->arena, (found), \
		(err))
