/* Every filter that a Describe operation declares leads somewhere in its answer: a wrong path is an assertion when the filter is first used, so each is used here. */
#include "handlers.h"

/* clang-format off */
static const char *const of_vpcs[] = {
	"cidr",
	"cidr-block",
	"cidrBlock",
	"cidr-block-association.association-id",
	"cidr-block-association.cidr-block",
	"cidr-block-association.state",
	"dhcp-options-id",
	"dhcpOptionsId",
	"ipv6-cidr-block-association.association-id",
	"ipv6-cidr-block-association.ipv6-cidr-block",
	"ipv6-cidr-block-association.ipv6-pool",
	"ipv6-cidr-block-association.state",
	"is-default",
	"isDefault",
	"owner-id",
	"state",
	"vpc-id",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_subnets[] = {
	"availability-zone",
	"availability-zone-id",
	"availabilityZone",
	"availabilityZoneId",
	"available-ip-address-count",
	"cidr",
	"cidr-block",
	"cidrBlock",
	"customer-owned-ipv4-pool",
	"default-for-az",
	"defaultForAz",
	"enable-dns64",
	"enable-lni-at-device-index",
	"ipv6-cidr-block-association.association-id",
	"ipv6-cidr-block-association.ipv6-cidr-block",
	"ipv6-cidr-block-association.state",
	"ipv6-native",
	"map-customer-owned-ip-on-launch",
	"map-public-ip-on-launch",
	"outpost-arn",
	"owner-id",
	"private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
	"private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
	"private-dns-name-options-on-launch.hostname-type",
	"state",
	"subnet-arn",
	"subnet-id",
	"vpc-id",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_regions[] = {
	"endpoint",
	"opt-in-status",
	"region-name",
	NULL,
};
static const char *const of_zones[] = {
	"group-long-name",
	"group-name",
	"message",
	"opt-in-status",
	"parent-zone-id",
	"parent-zone-name",
	"parent-zoneID",
	"parent-zoneName",
	"region-name",
	"state",
	"zone-id",
	"zone-name",
	"zone-type",
	NULL,
};
static const char *const of_types[] = {
	"auto-recovery-supported",
	"bare-metal",
	"burstable-performance-supported",
	"current-generation",
	"dedicated-hosts-supported",
	"ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
	"ebs-info.ebs-optimized-info.baseline-iops",
	"ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
	"ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
	"ebs-info.ebs-optimized-info.maximum-iops",
	"ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
	"ebs-info.ebs-optimized-support",
	"ebs-info.encryption-support",
	"ebs-info.nvme-support",
	"free-tier-eligible",
	"hibernation-supported",
	"hypervisor",
	"instance-storage-info.disk.count",
	"instance-storage-info.disk.size-in-gb",
	"instance-storage-info.disk.type",
	"instance-storage-info.encryption-support",
	"instance-storage-info.nvme-support",
	"instance-storage-info.total-size-in-gb",
	"instance-storage-supported",
	"instance-type",
	"memory-info.size-in-mib",
	"network-info.efa-info.maximum-efa-interfaces",
	"network-info.efa-supported",
	"network-info.ena-support",
	"network-info.encryption-in-transit-supported",
	"network-info.ipv4-addresses-per-interface",
	"network-info.ipv6-addresses-per-interface",
	"network-info.ipv6-supported",
	"network-info.maximum-network-cards",
	"network-info.maximum-network-interfaces",
	"network-info.network-performance",
	"nitro-enclaves-support",
	"nitro-tpm-info.supported-versions",
	"nitro-tpm-support",
	"processor-info.supported-architecture",
	"processor-info.supported-features",
	"processor-info.sustained-clock-speed-in-ghz",
	"supported-boot-mode",
	"supported-root-device-type",
	"supported-usage-class",
	"supported-virtualization-type",
	"vcpu-info.default-cores",
	"vcpu-info.default-threads-per-core",
	"vcpu-info.default-vcpus",
	"vcpu-info.valid-cores",
	"vcpu-info.valid-threads-per-core",
	NULL,
};
static const char *const of_offerings[] = {
	"instance-type",
	"location",
	NULL,
};
static const char *const of_security_groups[] = {
	"description",
	"egress.ip-permission.cidr",
	"egress.ip-permission.from-port",
	"egress.ip-permission.group-id",
	"egress.ip-permission.group-name",
	"egress.ip-permission.ipv6-cidr",
	"egress.ip-permission.prefix-list-id",
	"egress.ip-permission.protocol",
	"egress.ip-permission.to-port",
	"egress.ip-permission.user-id",
	"group-id",
	"group-name",
	"ip-permission.cidr",
	"ip-permission.from-port",
	"ip-permission.group-id",
	"ip-permission.group-name",
	"ip-permission.ipv6-cidr",
	"ip-permission.prefix-list-id",
	"ip-permission.protocol",
	"ip-permission.to-port",
	"ip-permission.user-id",
	"owner-id",
	"vpc-id",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_key_pairs[] = {
	"fingerprint",
	"key-name",
	"key-pair-id",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_shown_tags[] = {
	"key",
	"resource-id",
	"resource-type",
	"value",
	NULL,
};
/* clang-format on */

static void filters_of_vpcs_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_vpcs; *name; name++) {
		struct ec2_DescribeVpcsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeVpcsResult result;
		assert_ok(RUN(s, DescribeVpcs, ec2_describe_vpcs, &request, &result));
	}
}

static void filters_of_subnets_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_subnets; *name; name++) {
		struct ec2_DescribeSubnetsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeSubnetsResult result;
		assert_ok(RUN(s, DescribeSubnets, ec2_describe_subnets, &request, &result));
	}
}

static void filters_of_regions_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_regions; *name; name++) {
		struct ec2_DescribeRegionsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeRegionsResult result;
		assert_ok(RUN(s, DescribeRegions, ec2_describe_regions, &request, &result));
	}
}

static void filters_of_zones_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_zones; *name; name++) {
		struct ec2_DescribeAvailabilityZonesRequest request = { .filters =
										FILTER(*name, "none such") };
		struct ec2_DescribeAvailabilityZonesResult result;
		assert_ok(RUN(
			s, DescribeAvailabilityZones, ec2_describe_availability_zones, &request, &result));
	}
}

static void filters_of_types_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_types; *name; name++) {
		struct ec2_DescribeInstanceTypesRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeInstanceTypesResult result;
		assert_ok(RUN(s, DescribeInstanceTypes, ec2_describe_instance_types, &request, &result));
	}
}

static void filters_of_offerings_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_offerings; *name; name++) {
		struct ec2_DescribeInstanceTypeOfferingsRequest request = { .filters = FILTER(
										    *name, "none such") };
		struct ec2_DescribeInstanceTypeOfferingsResult result;
		assert_ok(RUN(s, DescribeInstanceTypeOfferings, ec2_describe_instance_type_offerings,
			&request, &result));
	}
}

static void filters_of_security_groups_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_security_groups; *name; name++) {
		struct ec2_DescribeSecurityGroupsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeSecurityGroupsResult result;
		assert_ok(RUN(s, DescribeSecurityGroups, ec2_describe_security_groups, &request, &result));
	}
}

static void filters_of_key_pairs_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_key_pairs; *name; name++) {
		struct ec2_DescribeKeyPairsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeKeyPairsResult result;
		assert_ok(RUN(s, DescribeKeyPairs, ec2_describe_key_pairs, &request, &result));
	}
}

static void filters_of_shown_tags_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_shown_tags; *name; name++) {
		struct ec2_DescribeTagsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeTagsResult result;
		assert_ok(RUN(s, DescribeTags, ec2_describe_tags, &request, &result));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(filters_of_vpcs_are_sound),
		SCENE_TEST(filters_of_subnets_are_sound),
		SCENE_TEST(filters_of_regions_are_sound),
		SCENE_TEST(filters_of_zones_are_sound),
		SCENE_TEST(filters_of_types_are_sound),
		SCENE_TEST(filters_of_offerings_are_sound),
		SCENE_TEST(filters_of_security_groups_are_sound),
		SCENE_TEST(filters_of_key_pairs_are_sound),
		SCENE_TEST(filters_of_shown_tags_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
