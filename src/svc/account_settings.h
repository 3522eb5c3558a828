/* What an account has set for a region, one word a setting ("image-block-public-access"). */
#pragma once

#include "api/records.h"
#include "aws/call.h"
#include "meta/meta.h"

/*
 * The setting's record; one that does not exist yet (version 0, which a batch may put or expect) has the value `fallback`. It lies in the arena.
 */
int account_setting_load(struct meta *meta, const char *account, const char *region, const char *id,
	const char *fallback, struct arena *arena, struct account_setting_record **setting,
	struct error *err);
/* Sets it for the caller's account in the call's region. */
int account_setting_change(struct call *call, const char *id, const char *value, struct error *err);
