/* The instance types that amid offers: a table of facts (vCPUs, memory, architecture, limits), the same in every region and zone. */
#pragma once

#include <stdbool.h>

struct instance_type {
	const char *name; /* "t3.micro" */
	unsigned vcpus;
	unsigned cores;
	unsigned memory_mib;
	const char *hypervisor; /* "nitro" or "xen" */
	bool nvme_ebs;          /* EBS volumes appear as NVMe (nitro) */
	bool paravirtual;       /* takes PV images */
	bool current_generation;
	bool burstable;
	bool free_tier;
	unsigned instance_storage_gib; /* 0: none */
	unsigned max_volumes;
};

extern const struct instance_type instance_types[]; /* ends with a NULL name, sorted by name */
/* NULL: no such type. */
const struct instance_type *instance_type_find(const char *name);
