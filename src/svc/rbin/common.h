/* What the handlers of rbin share. */
#pragma once

#include "api/rbin.h"
#include "api/records.h"
#include "aws/call.h"
#include "svc/amid.h"

enum { RULE_ID_SIZE = 11 };

/* The caller's rule. ResourceNotFoundException. */
int rule_find(struct call *call, const char *id, struct retention_rule_record **rule, struct error *err);
/* "locked", "pending_unlock" or "unlocked", now. */
const char *rule_lock_state(const struct retention_rule_record *rule);
/* The same, and nothing may be changed while it is locked or being unlocked (ConflictException). */
int rule_find_unlocked(
	struct call *call, const char *id, struct retention_rule_record **rule, struct error *err);
int rule_put(struct call *call, const struct retention_rule_record *rule, struct error *err);

const char *rule_arn(struct call *call, const struct retention_rule_record *rule);
/* Parts of answers. */
struct rbin_RetentionPeriod *rule_period(struct call *call, const struct retention_rule_record *rule);
struct rbin_ResourceTags rule_resource_tags(struct call *call, const struct record_tag_list *tags);
struct rbin_ExcludeResourceTags rule_exclude_tags(
	struct call *call, const struct retention_rule_record *rule);
/* Of a rule that is not locked: NULL. */
struct rbin_LockConfiguration *rule_lock(struct call *call, const struct retention_rule_record *rule);
/* Set while the rule is being unlocked. */
struct shape_timestamp rule_lock_end(const struct retention_rule_record *rule);
