/* Subnet, security groups and addresses of a new instance. */
#include "svc/ec2/placement.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "svc/network.h"
#include "base/banned.h"

enum { RESERVED_FIRST = 4, RESERVED_LAST = 1 }; /* addresses of a subnet that AWS keeps */

/* Public addresses: 127.100.0.0 to 127.199.255.255, on the host's loopback. */
enum { PUBLIC_FIRST = 100, PUBLIC_COUNT = 100 };

static int parse_subnet(
	const struct subnet_record *subnet, uint32_t *first, uint32_t *size, struct error *err)
{
	char text[32];
	struct in_addr in;
	const char *slash = strchr(subnet->cidr, '/');
	int64_t bits;
	if (!slash || (size_t)(slash - subnet->cidr) >= sizeof text || text_parse_int64(slash + 1, &bits) ||
		bits < 8 || bits > 28)
		return error_set(err, ERROR_INTERNAL, "subnet %s has an unreadable CIDR block %s",
			subnet->record.id, subnet->cidr);
	memcpy(text, subnet->cidr, (size_t)(slash - subnet->cidr));
	text[slash - subnet->cidr] = '\0';
	if (inet_pton(AF_INET, text, &in) != 1)
		return error_set(err, ERROR_INTERNAL, "subnet %s has an unreadable CIDR block %s",
			subnet->record.id, subnet->cidr);
	*first = ntohl(in.s_addr);
	*size = 1U << (32 - bits);
	return 0;
}

static int compare_addresses(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

static bool is_used(const struct placement *placement, uint32_t address)
{
	return placement->used_count &&
		bsearch(&address, placement->used, placement->used_count, sizeof address, compare_addresses);
}

static int load_used(struct call *call, struct placement *placement, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .account = call->account,
		.region = call->region,
		.index = "vpc",
		.value = placement->subnet->vpc };
	if (meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		struct instance_record *instance = rows.items[i];
		struct in_addr in;
		if (instance->private_address && inet_pton(AF_INET, instance->private_address, &in) == 1)
			*ARENA_APPEND(call->arena, placement->used, placement->used_count) = ntohl(in.s_addr);
	}
	if (placement->used_count)
		qsort(placement->used, placement->used_count, sizeof *placement->used, compare_addresses);
	return 0;
}

static void mark_used(struct call *call, struct placement *placement, uint32_t address)
{
	*ARENA_APPEND(call->arena, placement->used, placement->used_count) = address;
	qsort(placement->used, placement->used_count, sizeof *placement->used, compare_addresses);
}

static const char *format_address(struct call *call, uint32_t address)
{
	return arena_printf(call->arena, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
		address >> 8 & 255, address & 255);
}

static int take_wanted(struct call *call, struct placement *placement, uint32_t first, uint32_t size,
	const char **address, struct error *err)
{
	struct in_addr in;
	const char *wanted = placement->wanted_private_address;
	if (inet_pton(AF_INET, wanted, &in) != 1)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%s) for parameter privateIpAddress is invalid.", wanted);
	uint32_t value = ntohl(in.s_addr);
	if (value - first >= size)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Address %s does not fall within the subnet's address range", wanted);
	if (value - first < RESERVED_FIRST || value - first >= size - RESERVED_LAST)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Address %s is in subnet's reserved address range", wanted);
	if (is_used(placement, value))
		return error_set(err, ERROR_IP_IN_USE, "Address %s is in use.", wanted);
	mark_used(call, placement, value);
	*address = wanted;
	return 0;
}

int placement_take_private_address(
	struct call *call, struct placement *placement, const char **address, struct error *err)
{
	uint32_t first = 0, size = 0, start;
	if (parse_subnet(placement->subnet, &first, &size, err))
		return -1;
	if (placement->wanted_private_address)
		return take_wanted(call, placement, first, size, address, err);
	uint32_t usable = size - RESERVED_FIRST - RESERVED_LAST;
	text_random_bytes(&start, sizeof start);
	for (uint32_t i = 0; i < usable; i++) {
		uint32_t candidate = first + RESERVED_FIRST + (start % usable + i) % usable;
		if (is_used(placement, candidate))
			continue;
		mark_used(call, placement, candidate);
		*address = format_address(call, candidate);
		return 0;
	}
	return error_set(err, ERROR_INSUFFICIENT_ADDRESSES,
		"There are not enough free addresses in subnet '%s' to satisfy the requested number of instances.",
		placement->subnet->record.id);
}

int placement_take_public_address(struct call *call, const char **address, struct error *err)
{
	for (int i = 0; i < 100; i++) {
		uint8_t random[3];
		struct meta_rows rows;
		text_random_bytes(random, sizeof random);
		if (random[2] == 0 || random[2] == 255)
			continue;
		*address = arena_printf(call->arena, "127.%u.%u.%u", PUBLIC_FIRST + random[0] % PUBLIC_COUNT,
			random[1], random[2]);
		struct meta_query query = { .index = "public", .value = *address, .limit = 1 };
		if (meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err))
			return -1;
		if (rows.count == 0)
			return 0;
	}
	return error_set(err, ERROR_INSUFFICIENT_ADDRESSES, "There are not enough free public addresses.");
}

static int choose_subnet(struct call *call, const char *subnet_id, const char *zone,
	struct placement *placement, struct error *err)
{
	struct amid_region *region = amid_find_region(call->amid, call->region);
	if (zone && !amid_is_zone(region, zone))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "Invalid availability zone: [%s]", zone);
	const char *id = subnet_id;
	if (!id)
		id = network_default_subnet_id(call->account, call->region,
			zone ? (unsigned)(zone[strlen(zone) - 1] - 'a') : 0, call->arena);
	if (EC2_GET(call, record_subnet, id, &placement->subnet, err))
		return -1;
	if (!placement->subnet)
		return error_set(err, ERROR_SUBNET_NOT_FOUND, "The subnet ID '%s' does not exist", id);
	if (zone && strcmp(placement->subnet->zone, zone) != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The zone '%s' is not that of subnet '%s' (%s).", zone, id, placement->subnet->zone);
	return 0;
}

static int add_group(struct call *call, struct placement *placement, struct security_group_record *group,
	struct error *err)
{
	if (strcmp(group->vpc, placement->subnet->vpc) != 0)
		return error_set(err, ERROR_INVALID_PARAMETER,
			"Security group %s and subnet %s belong to different networks.", group->record.id,
			placement->subnet->record.id);
	for (size_t i = 0; i < placement->groups.count; i++)
		if (strcmp(placement->groups.items[i], group->record.id) == 0)
			return 0;
	*ARENA_APPEND(call->arena, placement->groups.items, placement->groups.count) = group->record.id;
	placement->groups.set = true;
	return 0;
}

static int add_group_by_id(struct call *call, struct placement *placement, const char *id, struct error *err)
{
	struct security_group_record *group;
	if (ec2_check_id(id, "sg", ERROR_GROUP_ID_MALFORMED, err) ||
		EC2_GET(call, record_security_group, id, &group, err))
		return -1;
	if (!group)
		return error_set(err, ERROR_GROUP_NOT_FOUND, "The security group '%s' does not exist", id);
	return add_group(call, placement, group, err);
}

static int add_group_by_name(
	struct call *call, struct placement *placement, const char *name, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "name", .value = name
	};
	if (meta_list(call->amid->meta, &record_security_group, &query, call->arena, &rows, err))
		return -1;
	if (!rows.count)
		return error_set(err, ERROR_GROUP_NOT_FOUND,
			"The security group '%s' does not exist in default VPC '%s'", name,
			placement->subnet->vpc);
	return add_group(call, placement, rows.items[0], err);
}

static int choose_groups(struct call *call, const struct ec2_SecurityGroupIdStringList *ids,
	const struct ec2_SecurityGroupStringList *names, struct placement *placement, struct error *err)
{
	for (size_t i = 0; i < ids->count; i++)
		if (add_group_by_id(call, placement, ids->items[i], err))
			return -1;
	for (size_t i = 0; i < names->count; i++)
		if (add_group_by_name(call, placement, names->items[i], err))
			return -1;
	if (placement->groups.count)
		return 0;
	return add_group_by_name(call, placement, "default", err);
}

static int check_interface(const struct ec2_RunInstancesRequest *request,
	const struct ec2_InstanceNetworkInterfaceSpecification *interface, struct error *err)
{
	if (request->subnet_id || request->security_group_ids.count || request->security_groups.count ||
		request->private_ip_address)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"Network interfaces and an instance-level subnet ID, security groups or private IP address may not be specified on the same request");
	const char *name = request->network_interfaces.count > 1 ? "NetworkInterface.2"
		: interface->network_interface_id                ? "NetworkInterfaceId"
		: interface->ipv6_address_count.set || interface->ipv6_addresses.count ||
			interface->ipv6_prefixes.count || interface->ipv6_prefix_count.set ||
			interface->primary_ipv6.set
		? "Ipv6Addresses"
		: interface->private_ip_addresses.count > 1 ||
			interface->secondary_private_ip_address_count.set
		? "SecondaryPrivateIpAddressCount"
		: interface->ipv4_prefixes.count || interface->ipv4_prefix_count.set ? "Ipv4Prefixes"
		: interface->associate_carrier_ip_address.set         ? "AssociateCarrierIpAddress"
		: interface->ena_srd_specification                    ? "EnaSrdSpecification"
		: interface->connection_tracking_specification        ? "ConnectionTrackingSpecification"
		: interface->ena_queue_count.set                      ? "EnaQueueCount"
		: integer_or(interface->network_card_index, 0)        ? "NetworkCardIndex"
		: !boolean_or(interface->delete_on_termination, true) ? "DeleteOnTermination=false"
		: interface->interface_type && strcmp(interface->interface_type, "interface") != 0
		? "InterfaceType"
		: NULL;
	if (name)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"The network interface parameter %s is not supported by amid.", name);
	if (integer_or(interface->device_index, 0) != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The first network interface must have DeviceIndex 0, not %lld.",
			(long long)interface->device_index.value);
	return 0;
}

static int refuse_placement(const struct ec2_Placement *placement, struct error *err)
{
	const char *name = !placement                                              ? NULL
		: placement->affinity                                              ? "Affinity"
		: placement->group_name                                            ? "GroupName"
		: placement->group_id                                              ? "GroupId"
		: placement->partition_number.set                                  ? "PartitionNumber"
		: placement->host_id                                               ? "HostId"
		: placement->spread_domain                                         ? "SpreadDomain"
		: placement->host_resource_group_arn                               ? "HostResourceGroupArn"
		: placement->availability_zone_id                                  ? "AvailabilityZoneId"
		: placement->tenancy && strcmp(placement->tenancy, "default") != 0 ? "Tenancy"
										   : NULL;
	return name ? error_set(err, ERROR_UNSUPPORTED_OPERATION,
			      "The parameter Placement.%s is not supported by amid.", name)
		    : 0;
}

int placement_choose(struct call *call, const struct ec2_RunInstancesRequest *request,
	struct placement *placement, struct error *err)
{
	*placement = (struct placement){ .wanted_private_address = request->private_ip_address };
	const char *zone = request->placement ? request->placement->availability_zone : NULL;
	const char *subnet_id = request->subnet_id;
	const struct ec2_SecurityGroupIdStringList *group_ids = &request->security_group_ids;
	const struct ec2_InstanceNetworkInterfaceSpecification *interface =
		request->network_interfaces.count ? &request->network_interfaces.items[0] : NULL;
	if (refuse_placement(request->placement, err) ||
		(interface && check_interface(request, interface, err)))
		return -1;
	if (interface) {
		subnet_id = interface->subnet_id;
		group_ids = &interface->groups;
		placement->wanted_private_address = interface->private_ip_addresses.count
			? interface->private_ip_addresses.items[0].private_ip_address
			: interface->private_ip_address;
	}
	if (choose_subnet(call, subnet_id, zone, placement, err) ||
		choose_groups(call, group_ids, &request->security_groups, placement, err))
		return -1;
	placement->public_address = boolean_or(placement->subnet->map_public, false);
	if (interface && interface->associate_public_ip_address.set)
		placement->public_address = interface->associate_public_ip_address.value;
	return load_used(call, placement, err);
}
