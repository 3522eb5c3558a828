/* Multi-Region keys: records of the same key in several regions. */
#pragma once

#include "svc/kms/common.h"

struct kms_related {
	struct kms_key_record **items;
	size_t count;
};

/* The records of the key in the other regions that have it; none if it is not a multi-Region key. */
int kms_find_related(struct amid *amid, const struct kms_key_record *key, struct arena *arena,
	struct kms_related *related, struct error *err);
/* Gives a key new material, and its related keys the same; puts all of them into the batch. */
int kms_rotate(struct amid *amid, struct kms_key_record *key, const char *rotation, struct arena *arena,
	struct meta_batch *batch, struct error *err);
