/* Where an account stands in its organization. */
#pragma once

#include "svc/amid.h"
#include "api/records.h"

struct organization_level {
	const char *id;                     /* "r-...", "ou-...", the account */
	struct record_string_list policies; /* service control policies attached there, by id */
};
struct organization_path {
	const char *id; /* "o-..."; NULL: it is in none */
	const char *management_account;
	const struct organization_level *levels; /* from the root down to the account */
	size_t level_count;
};

int organizations_path(struct amid *amid, const char *account, struct arena *arena,
	struct organization_path *path, struct error *err);
