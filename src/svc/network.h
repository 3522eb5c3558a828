/* The default network of an account in a region, as AWS gives to every account: a VPC 172.31.0.0/16 with a /20 subnet in each zone and a security group "default". */
#pragma once

#include "base/error.h"
#include "svc/amid.h"

/* Makes what is missing of it. Ids are derived from account and region, so that running it twice, or at the same time, makes one. */
int network_ensure_default(struct amid *amid, const char *account, const char *region, struct error *err);
/* Its ids, in the arena. `zone_index` 0, 1, 2 for a, b, c. */
char *network_default_vpc_id(const char *account, const char *region, struct arena *arena);
char *network_default_subnet_id(
	const char *account, const char *region, unsigned zone_index, struct arena *arena);
char *network_default_group_id(const char *account, const char *region, struct arena *arena);
