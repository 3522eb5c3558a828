/*
 * The instance types that amid offers. The figures are those of AWS's documentation, because guests are really given this much memory and these vCPUs;
 * an image that fits a type there fits it here. amid.tiny and amid.small are amid's own: what the tiny image needs, for many guests on one
 * small machine.
 *
 * max_volumes counts the root volume. Nitro machines have 28 slots that volumes share with network interfaces (one, here) and with
 * local NVMe disks; Xen machines take 40 volumes.
 */
#include "svc/instance_types.h"
#include "base/banned.h"

#define NITRO .hypervisor = "nitro", .nvme_ebs = true, .current_generation = true, .max_volumes = 27
#define XEN .hypervisor = "xen", .max_volumes = 40

const struct instance_type instance_types[] = {
	{ "amid.small", .vcpus = 1, .cores = 1, .memory_mib = 256, NITRO },
	{ "amid.tiny", .vcpus = 1, .cores = 1, .memory_mib = 96, NITRO },
	{ "c5.large", .vcpus = 2, .cores = 1, .memory_mib = 4096, NITRO },
	{ "c5.xlarge", .vcpus = 4, .cores = 2, .memory_mib = 8192, NITRO },
	{ "c6i.large", .vcpus = 2, .cores = 1, .memory_mib = 4096, NITRO },
	{ "m1.small", .vcpus = 1, .cores = 1, .memory_mib = 1740, XEN, .paravirtual = true,
		.instance_storage_gib = 160 },
	{ "m5.2xlarge", .vcpus = 8, .cores = 4, .memory_mib = 32768, NITRO },
	{ "m5.large", .vcpus = 2, .cores = 1, .memory_mib = 8192, NITRO },
	{ "m5.xlarge", .vcpus = 4, .cores = 2, .memory_mib = 16384, NITRO },
	{ "m5d.large", .vcpus = 2, .cores = 1, .memory_mib = 8192, .hypervisor = "nitro", .nvme_ebs = true,
		.current_generation = true, .max_volumes = 26, .instance_storage_gib = 75 },
	{ "m6i.large", .vcpus = 2, .cores = 1, .memory_mib = 8192, NITRO },
	{ "m6i.xlarge", .vcpus = 4, .cores = 2, .memory_mib = 16384, NITRO },
	{ "r5.large", .vcpus = 2, .cores = 1, .memory_mib = 16384, NITRO },
	{ "r5.xlarge", .vcpus = 4, .cores = 2, .memory_mib = 32768, NITRO },
	{ "t1.micro", .vcpus = 1, .cores = 1, .memory_mib = 627, XEN, .paravirtual = true },
	{ "t2.large", .vcpus = 2, .cores = 2, .memory_mib = 8192, XEN, .current_generation = true,
		.burstable = true },
	{ "t2.medium", .vcpus = 2, .cores = 2, .memory_mib = 4096, XEN, .current_generation = true,
		.burstable = true },
	{ "t2.micro", .vcpus = 1, .cores = 1, .memory_mib = 1024, XEN, .current_generation = true,
		.burstable = true, .free_tier = true },
	{ "t2.nano", .vcpus = 1, .cores = 1, .memory_mib = 512, XEN, .current_generation = true,
		.burstable = true },
	{ "t2.small", .vcpus = 1, .cores = 1, .memory_mib = 2048, XEN, .current_generation = true,
		.burstable = true },
	{ "t3.large", .vcpus = 2, .cores = 1, .memory_mib = 8192, NITRO, .burstable = true },
	{ "t3.medium", .vcpus = 2, .cores = 1, .memory_mib = 4096, NITRO, .burstable = true },
	{ "t3.micro", .vcpus = 2, .cores = 1, .memory_mib = 1024, NITRO, .burstable = true,
		.free_tier = true },
	{ "t3.nano", .vcpus = 2, .cores = 1, .memory_mib = 512, NITRO, .burstable = true },
	{ "t3.small", .vcpus = 2, .cores = 1, .memory_mib = 2048, NITRO, .burstable = true },
	{ "t3.xlarge", .vcpus = 4, .cores = 2, .memory_mib = 16384, NITRO, .burstable = true },
	{ "t3a.medium", .vcpus = 2, .cores = 1, .memory_mib = 4096, NITRO, .burstable = true },
	{ "t3a.micro", .vcpus = 2, .cores = 1, .memory_mib = 1024, NITRO, .burstable = true },
	{ "t3a.nano", .vcpus = 2, .cores = 1, .memory_mib = 512, NITRO, .burstable = true },
	{ "t3a.small", .vcpus = 2, .cores = 1, .memory_mib = 2048, NITRO, .burstable = true },
	{ NULL },
};

const struct instance_type *instance_type_find(const char *name)
{
	for (const struct instance_type *type = instance_types; type->name; type++)
		if (strcmp(type->name, name) == 0)
			return type;
	return NULL;
}
