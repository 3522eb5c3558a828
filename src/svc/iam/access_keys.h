/* Access keys, for what happens to their user. */
#pragma once

#include "svc/iam/common.h"

/* The user of that name; without a name the caller: NULL for the account's root. Other callers must name one (ERROR_VALIDATION_QUERY). */
int iam_find_user_or_caller(
	struct call *call, const char *name, struct iam_user_record **user, struct error *err);
int iam_keys_of(
	struct call *call, const struct iam_user_record *user, struct meta_rows *keys, struct error *err);
/* Puts a user's keys into the batch, under what it is called now. */
void iam_rename_keys(struct call *call, const struct meta_rows *keys, const struct iam_entity *user,
	struct meta_batch *batch);
