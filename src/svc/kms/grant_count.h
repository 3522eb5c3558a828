/*
 * How many grants a key may still be given: AWS's quota of grants a key. Safe from every thread. NULL for `counts` is legal: everything is counted each time.
 */
#pragma once

#include "api/records.h"
#include "meta/meta.h"

struct grant_counts;

struct grant_counts *grant_counts_create(void);
void grant_counts_destroy(struct grant_counts *counts);
/* Called for each grant that is to be made. LimitExceededException when the key has as many as it can have; AWS managed keys may have any number. Calls at the same time may go beyond it by one each. */
int grant_counts_take(
	struct grant_counts *counts, struct meta *meta, const struct kms_key_record *key, struct error *err);
