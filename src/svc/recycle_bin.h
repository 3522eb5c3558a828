/*
 * The recycle bin's rules, for whoever deletes something: whether it is kept, and until when. What is in the bin keeps its record, with `recycled` set, and so all that it holds in the store.
 */
#pragma once

#include "api/records.h"
#include "svc/amid.h"

#define RECYCLE_SNAPSHOT "EBS_SNAPSHOT"
#define RECYCLE_IMAGE "EC2_IMAGE"

/* A thing that is deleted: `type` is one of the two above. */
struct recycle_item {
	const char *type;
	const struct record *record;
	const struct record_tag_list *tags;
};

/*
 * What to put into the item's record if a rule of its account and region keeps it (for the longest of the periods of all such rules); *recycled is NULL if none does. It lies in the arena.
 */
int recycle_bin_admit(struct amid *amid, const struct recycle_item *item, struct arena *arena,
	struct record_recycled **recycled, struct error *err);
/* Whether a tag-level rule's, or an exclusion's, tags hold one of those of a resource. A tag without a value stands for all values. */
bool recycle_bin_matches(const struct record_tag_list *wanted, const struct record_tag_list *tags);
