/* Where a new instance goes: subnet, security groups, private and public addresses. */
#pragma once

#include "svc/ec2/common.h"

struct placement {
	struct subnet_record *subnet;
	struct record_string_list groups;
	bool public_address;
	const char *wanted_private_address; /* NULL: any */
	uint32_t *used; /* host parts taken in the subnet's VPC: addresses, host byte order, sorted */
	size_t used_count;
};

/* From SubnetId, Placement, SecurityGroupIds, SecurityGroups, PrivateIpAddress and NetworkInterfaces[0]. All refusals are AWS's. */
int placement_choose(struct call *call, const struct ec2_RunInstancesRequest *request,
	struct placement *placement, struct error *err);
/* A free private address of the subnet (or the wanted one), marked as used. InsufficientFreeAddressesInSubnet, InvalidIPAddress.InUse. */
int placement_take_private_address(
	struct call *call, struct placement *placement, const char **address, struct error *err);
/* A public address that no instance of this amid has. */
int placement_take_public_address(struct call *call, const char **address, struct error *err);
