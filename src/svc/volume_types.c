/*
 * EBS volume types, as the EBS documentation gives them. The handlers check with this table what is asked for, and the controllers take from it what a disk may do, so both mean the same. Runs on any thread; owns nothing.
 */
#include "svc/volume_types.h"

#include <string.h>

#include "base/banned.h"

#define MIB INT64_C(1048576)
enum {
	IO_SIZE_KIB = 256, /* what one I/O of an SSD volume may carry */
	GP2_BURST_IOPS = 3000,
	GP2_CREDITS = 5400000,
};

struct volume_type {
	const char *name;
	int64_t min_gib, max_gib;
	int64_t min_iops, max_iops, default_iops; /* max 0: takes no IOPS */
	int64_t max_iops_per_gib;
	int64_t min_throughput, max_throughput, default_throughput; /* MiB/s; max 0: takes none */
	int64_t iops_per_throughput;                                /* IOPS that a MiB/s needs */
	int64_t promised_throughput; /* of types that take none: the most, at 256 KiB an I/O; 0: no limit */
};

static const struct volume_type volume_types[] = {
	{ "gp3", 1, 65536, 3000, 80000, 3000, 500, 125, 2000, 125, 4, 0 },
	{ "gp2", 1, 16384, 0, 0, 0, 0, 0, 0, 0, 0, 250 },
	{ "io1", 4, 16384, 100, 64000, 0, 50, 0, 0, 0, 0, 1000 },
	{ "io2", 4, 65536, 100, 256000, 0, 1000, 0, 0, 0, 0, 4000 },
	{ "st1", 125, 16384, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
	{ "sc1", 125, 16384, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
	{ "standard", 1, 1024, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
};

static const struct volume_type *find_type(const char *name)
{
	for (size_t i = 0; i < sizeof volume_types / sizeof *volume_types; i++)
		if (strcmp(volume_types[i].name, name) == 0)
			return &volume_types[i];
	return NULL;
}

static int check_iops(
	const struct volume_type *type, int64_t size_gib, struct shape_integer *iops, struct error *err)
{
	if (!type->max_iops)
		return iops->set ? error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
					   "The parameter iops is not supported for %s volumes.", type->name)
				 : 0;
	if (!iops->set && type->default_iops)
		*iops = some_integer(type->default_iops);
	if (!iops->set)
		return error_set(err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter iops for %s volumes.", type->name);
	if (iops->value < type->min_iops || iops->value > type->max_iops)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Volume iops of %lld is out of range; it must be between %lld and %lld for %s volumes.",
			(long long)iops->value, (long long)type->min_iops, (long long)type->max_iops,
			type->name);
	if (iops->value > type->default_iops && iops->value > size_gib * type->max_iops_per_gib)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Iops to volume size ratio of %lld:%lld is too high; the maximum is %lld:1 for %s volumes.",
			(long long)iops->value, (long long)size_gib, (long long)type->max_iops_per_gib,
			type->name);
	return 0;
}

/* After check_iops: the IOPS are known. */
static int check_throughput(
	const struct volume_type *type, int64_t iops, struct shape_integer *throughput, struct error *err)
{
	if (!type->max_throughput)
		return throughput->set
			? error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
				  "The parameter throughput is not supported for %s volumes.", type->name)
			: 0;
	if (!throughput->set)
		*throughput = some_integer(type->default_throughput);
	if (throughput->value < type->min_throughput || throughput->value > type->max_throughput)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Throughput of %lld is out of range; it must be between %lld and %lld MiB/s for %s volumes.",
			(long long)throughput->value, (long long)type->min_throughput,
			(long long)type->max_throughput, type->name);
	if (throughput->value * type->iops_per_throughput > iops)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Throughput (MiBps) to iops ratio of %lld:%lld is too high; the maximum is 1:%lld for %s volumes.",
			(long long)throughput->value, (long long)iops, (long long)type->iops_per_throughput,
			type->name);
	return 0;
}

int volume_type_check(const char *name, int64_t size_gib, struct shape_integer *iops,
	struct shape_integer *throughput, struct error *err)
{
	const struct volume_type *type = find_type(name);
	if (!type)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter volumeType is invalid.", name);
	if (size_gib < type->min_gib || size_gib > type->max_gib)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Volume size of %lld GiB is invalid; it must be between %lld and %lld GiB for %s volumes.",
			(long long)size_gib, (long long)type->min_gib, (long long)type->max_gib, type->name);
	if (check_iops(type, size_gib, iops, err))
		return -1;
	return check_throughput(type, iops->value, throughput, err);
}

bool volume_type_takes_iops(const char *name)
{
	const struct volume_type *type = find_type(name);
	return type && type->max_iops;
}

bool volume_type_takes_throughput(const char *name)
{
	const struct volume_type *type = find_type(name);
	return type && type->max_throughput;
}

/* 3 IOPS a GiB; small ones burst from credits, which fill at the rate of the baseline and hold 5.4 million I/Os. */
static struct volume_performance perform_gp2(int64_t size_gib)
{
	int64_t baseline = size_gib * 3 < 100 ? 100 : size_gib * 3 > 16000 ? 16000 : size_gib * 3;
	struct volume_performance performance = { .iops = baseline,
		.bytes_per_second = (size_gib <= 170 ? 128 : 250) * MIB };
	if (baseline < GP2_BURST_IOPS) {
		performance.burst_iops = GP2_BURST_IOPS;
		performance.burst_seconds = GP2_CREDITS / GP2_BURST_IOPS;
	}
	return performance;
}

struct volume_performance volume_type_performance(
	const char *name, int64_t size_gib, struct shape_integer iops, struct shape_integer throughput)
{
	const struct volume_type *type = find_type(name);
	if (type && strcmp(name, "gp2") == 0)
		return perform_gp2(size_gib);
	if (!type || !type->max_iops || !iops.set)
		return (struct volume_performance){ 0 };
	if (throughput.set)
		return (struct volume_performance){ .iops = iops.value,
			.bytes_per_second = throughput.value * MIB };
	int64_t carried = iops.value * IO_SIZE_KIB * 1024, most = type->promised_throughput * MIB;
	return (struct volume_performance){ .iops = iops.value,
		.bytes_per_second = carried < most ? carried : most };
}
