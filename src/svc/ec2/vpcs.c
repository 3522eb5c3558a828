/*
 * DescribeVpcs, DescribeSubnets. The default network is made when it is first looked at (src/svc/network.c). How many addresses a subnet has left is counted
 * from the instances of its VPC, not stored. Runs on the thread of the call.
 */
#include "svc/ec2/describe.h"
#include "svc/ec2/places.h"
#include "svc/network.h"
#include "base/banned.h"

/* Network, router, DNS, future use, broadcast: what AWS keeps of each subnet. */
enum { RESERVED_ADDRESSES = 5 };

static const struct describe_kind vpcs = {
	.shape = &ec2_shape_Vpc,
	.key = "VpcId",
	.filters =
		(const struct describe_filter[]){
			{ "cidr", "CidrBlock" },
			{ "cidr-block", "CidrBlock" },
			{ "cidrBlock", "CidrBlock" },
			{ "cidr-block-association.association-id", "CidrBlockAssociationSet.AssociationId" },
			{ "cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock" },
			{ "cidr-block-association.state", "CidrBlockAssociationSet.CidrBlockState.State" },
			{ "dhcp-options-id", "DhcpOptionsId" },
			{ "dhcpOptionsId", "DhcpOptionsId" },
			{ "ipv6-cidr-block-association.association-id", NULL },
			{ "ipv6-cidr-block-association.ipv6-cidr-block", NULL },
			{ "ipv6-cidr-block-association.ipv6-pool", NULL },
			{ "ipv6-cidr-block-association.state", NULL },
			{ "is-default", "IsDefault" },
			{ "isDefault", "IsDefault" },
			{ "owner-id", "OwnerId" },
			{ "state", "State" },
			{ "vpc-id", "VpcId" },
			{ NULL },
		},
};

static const struct describe_kind subnets = {
	.shape = &ec2_shape_Subnet,
	.key = "SubnetId",
	.filters =
		(const struct describe_filter[]){
			{ "availability-zone", "AvailabilityZone" },
			{ "availability-zone-id", "AvailabilityZoneId" },
			{ "availabilityZone", "AvailabilityZone" },
			{ "availabilityZoneId", "AvailabilityZoneId" },
			{ "available-ip-address-count", "AvailableIpAddressCount" },
			{ "cidr", "CidrBlock" },
			{ "cidr-block", "CidrBlock" },
			{ "cidrBlock", "CidrBlock" },
			{ "customer-owned-ipv4-pool", NULL },
			{ "default-for-az", "DefaultForAz" },
			{ "defaultForAz", "DefaultForAz" },
			{ "enable-dns64", "EnableDns64" },
			{ "enable-lni-at-device-index", NULL },
			{ "ipv6-cidr-block-association.association-id", NULL },
			{ "ipv6-cidr-block-association.ipv6-cidr-block", NULL },
			{ "ipv6-cidr-block-association.state", NULL },
			{ "ipv6-native", "Ipv6Native" },
			{ "map-customer-owned-ip-on-launch", "MapCustomerOwnedIpOnLaunch" },
			{ "map-public-ip-on-launch", "MapPublicIpOnLaunch" },
			{ "outpost-arn", NULL },
			{ "owner-id", "OwnerId" },
			{ "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
				"PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord" },
			{ "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
				"PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord" },
			{ "private-dns-name-options-on-launch.hostname-type",
				"PrivateDnsNameOptionsOnLaunch.HostnameType" },
			{ "state", "State" },
			{ "subnet-arn", "SubnetArn" },
			{ "subnet-id", "SubnetId" },
			{ "vpc-id", "VpcId" },
			{ NULL },
		},
};

/* Every id asked for must be among the caller's records of a kind. */
static int check_ids(const struct meta_rows *rows, const char *const *ids, size_t count, enum error_code code,
	const char *what, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;
		for (size_t j = 0; j < rows->count && !found; j++)
			found = text_equal(((const struct record *)rows->items[j])->id, ids[i]);
		if (!found)
			return error_set(
				err, code, "The %s ID '%.64s' does not exist", what, text_or(ids[i], ""));
	}
	return 0;
}

/* All of the caller's records of a kind in the region. */
static int list_own(
	struct call *call, const struct record_kind *kind, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };

	if (network_ensure_default(call->amid, call->account, call->region, err) != 0)
		return -1;
	return meta_list(call->amid->meta, kind, &query, call->arena, rows, err);
}

/* "vpc-cidr-assoc-0123..." for "vpc-0123...": ids of what goes with a VPC and has no record. */
static char *sibling_id(struct call *call, const char *prefix, const char *id)
{
	const char *dash = strchr(id, '-');

	return arena_printf(call->arena, "%s-%s", prefix, dash ? dash + 1 : id);
}

static void fill_vpc(struct call *call, const struct vpc_record *vpc, struct ec2_Vpc *out)
{
	struct ec2_VpcCidrBlockAssociation *association = ARENA_APPEND(
		call->arena, out->cidr_block_association_set.items, out->cidr_block_association_set.count);

	out->cidr_block_association_set.set = true;
	association->association_id = sibling_id(call, "vpc-cidr-assoc", vpc->record.id);
	association->cidr_block = vpc->cidr;
	association->cidr_block_state = arena_alloc(call->arena, sizeof *association->cidr_block_state);
	association->cidr_block_state->state = "associated";
	out->vpc_id = vpc->record.id;
	out->owner_id = vpc->record.account;
	out->cidr_block = vpc->cidr;
	out->state = vpc->state;
	out->is_default = some_boolean(boolean_or(vpc->is_default, false));
	out->instance_tenancy = "default";
	out->dhcp_options_id = sibling_id(call, "dopt", vpc->record.id);
	out->tags = ec2_tags_result(call, &vpc->tags);
}

int ec2_describe_vpcs(struct call *call, const struct ec2_DescribeVpcsRequest *request,
	struct ec2_DescribeVpcsResult *result, struct error *err)
{
	const struct ec2_VpcIdStringList *ids = &request->vpc_ids;
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows;

	if (list_own(call, &record_vpc, &rows, err) != 0 ||
		check_ids(&rows, ids->items, ids->count, ERROR_VPC_NOT_FOUND, "vpc", err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct vpc_record *vpc = rows.items[i];
		if (describe_wants(ids->items, ids->count, vpc->record.id))
			fill_vpc(
				call, vpc, ARENA_APPEND(call->arena, result->vpcs.items, result->vpcs.count));
	}
	return describe_finish(call, &vpcs, &request->filters, &page, &result->vpcs, err);
}

/* Addresses that instances hold in a subnet; a terminated one holds none. */
static size_t count_used(const struct meta_rows *instances, const char *subnet_id)
{
	size_t count = 0;

	for (size_t i = 0; i < instances->count; i++) {
		const struct instance_record *instance = instances->items[i];
		count += text_equal(instance->subnet, subnet_id) && instance->private_address &&
			!text_equal(instance->state, "terminated");
	}
	return count;
}

static int64_t count_addresses(const char *cidr)
{
	const char *slash = strchr(cidr, '/');
	int64_t bits;

	if (!slash || text_parse_int64(slash + 1, &bits) != 0 || bits < 0 || bits > 32)
		return 0;
	return ((int64_t)1 << (32 - bits)) - RESERVED_ADDRESSES;
}

static void fill_subnet(
	struct call *call, const struct subnet_record *subnet, size_t used, struct ec2_Subnet *out)
{
	out->subnet_id = subnet->record.id;
	out->subnet_arn = arena_printf(call->arena, "arn:aws:ec2:%s:%s:subnet/%s", subnet->record.region,
		subnet->record.account, subnet->record.id);
	out->owner_id = subnet->record.account;
	out->vpc_id = subnet->vpc;
	out->state = "available";
	out->cidr_block = subnet->cidr;
	out->available_ip_address_count = some_integer(count_addresses(subnet->cidr) - (int64_t)used);
	out->availability_zone = subnet->zone;
	out->availability_zone_id = places_zone_id(call->arena, subnet->record.region, subnet->zone);
	out->default_for_az = some_boolean(boolean_or(subnet->is_default, false));
	out->map_public_ip_on_launch = some_boolean(boolean_or(subnet->map_public, false));
	out->map_customer_owned_ip_on_launch = some_boolean(false);
	out->assign_ipv6_address_on_creation = some_boolean(false);
	out->ipv6_cidr_block_association_set.set = true;
	out->enable_dns64 = some_boolean(false);
	out->ipv6_native = some_boolean(false);
	out->private_dns_name_options_on_launch =
		arena_alloc(call->arena, sizeof *out->private_dns_name_options_on_launch);
	out->private_dns_name_options_on_launch->hostname_type = "ip-name";
	out->private_dns_name_options_on_launch->enable_resource_name_dns_a_record = some_boolean(false);
	out->private_dns_name_options_on_launch->enable_resource_name_dns_aaaa_record = some_boolean(false);
	out->tags = ec2_tags_result(call, &subnet->tags);
}

int ec2_describe_subnets(struct call *call, const struct ec2_DescribeSubnetsRequest *request,
	struct ec2_DescribeSubnetsResult *result, struct error *err)
{
	const struct ec2_SubnetIdStringList *ids = &request->subnet_ids;
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_rows rows, instances = { 0 };
	const char *vpc_id = NULL; /* whose instances were listed last */

	if (list_own(call, &record_subnet, &rows, err) != 0 ||
		check_ids(&rows, ids->items, ids->count, ERROR_SUBNET_NOT_FOUND, "subnet", err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct subnet_record *subnet = rows.items[i];
		struct meta_query query = { call->account, call->region, "vpc", subnet->vpc };
		if (!describe_wants(ids->items, ids->count, subnet->record.id))
			continue;
		if (!text_equal(vpc_id, subnet->vpc) &&
			meta_list(call->amid->meta, &record_instance, &query, call->arena, &instances, err) !=
				0)
			return -1;
		vpc_id = subnet->vpc;
		fill_subnet(call, subnet, count_used(&instances, subnet->record.id),
			ARENA_APPEND(call->arena, result->subnets.items, result->subnets.count));
	}
	return describe_finish(call, &subnets, &request->filters, &page, &result->subnets, err);
}
