/* EBS volume types: their limits, their defaults, and the performance they promise. Pure functions of a table. */
#pragma once

#include "base/error.h"
#include "shape/value.h"

/*
 * Checks size, IOPS and throughput against the type's limits, and fills in the type's defaults. The one place where they are checked, for whoever makes or changes a volume or maps one. InvalidParameterValue;
 * InvalidParameterCombination for IOPS or throughput that the type does not take; MissingParameter for IOPS that it needs.
 */
int volume_type_check(const char *type, int64_t size_gib, struct shape_integer *iops,
	struct shape_integer *throughput, struct error *err);
/* Whether the type takes a number of IOPS, or a throughput, from its user. */
bool volume_type_takes_iops(const char *type);
bool volume_type_takes_throughput(const char *type);

/* What a volume may do; 0 stands for no limit. IOPS count requests of at most 256 KiB; larger ones count as several. */
struct volume_performance {
	int64_t iops;
	int64_t burst_iops, burst_seconds; /* so long at burst_iops from full credits; 0: no bursts */
	int64_t bytes_per_second;
};
/* For a volume that volume_type_check has passed. st1, sc1 and standard promise nothing that is held to: no limits. */
struct volume_performance volume_type_performance(
	const char *type, int64_t size_gib, struct shape_integer iops, struct shape_integer throughput);
