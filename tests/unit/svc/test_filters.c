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
static const char *const of_images[] = {
	"architecture",
	"block-device-mapping.delete-on-termination",
	"block-device-mapping.device-name",
	"block-device-mapping.encrypted",
	"block-device-mapping.snapshot-id",
	"block-device-mapping.volume-size",
	"block-device-mapping.volume-type",
	"boot-mode",
	"creation-date",
	"description",
	"ena-support",
	"free-tier-eligible",
	"hypervisor",
	"image-allowed",
	"image-id",
	"image-type",
	"imds-support",
	"is-public",
	"kernel-id",
	"manifest-location",
	"name",
	"owner-alias",
	"owner-id",
	"platform",
	"product-code",
	"product-code.type",
	"ramdisk-id",
	"root-device-name",
	"root-device-type",
	"source-image-id",
	"source-image-region",
	"source-instance-id",
	"sriov-net-support",
	"state",
	"state-reason-code",
	"state-reason-message",
	"virtualization-type",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_instances[] = {
	"affinity",
	"architecture",
	"availability-zone",
	"availability-zone-id",
	"block-device-mapping.attach-time",
	"block-device-mapping.delete-on-termination",
	"block-device-mapping.device-name",
	"block-device-mapping.status",
	"block-device-mapping.volume-id",
	"boot-mode",
	"capacity-reservation-id",
	"client-token",
	"current-instance-boot-mode",
	"dns-name",
	"ebs-optimized",
	"ena-support",
	"enclave-options.enabled",
	"group-id",
	"group-name",
	"hibernation-options.configured",
	"host-id",
	"hypervisor",
	"iam-instance-profile.arn",
	"iam-instance-profile.id",
	"image-id",
	"instance-id",
	"instance-lifecycle",
	"instance-state-code",
	"instance-state-name",
	"instance-type",
	"instance.group-id",
	"instance.group-name",
	"ip-address",
	"ipv6-address",
	"kernel-id",
	"key-name",
	"launch-index",
	"launch-time",
	"maintenance-options.auto-recovery",
	"metadata-options.http-endpoint",
	"metadata-options.http-protocol-ipv4",
	"metadata-options.http-protocol-ipv6",
	"metadata-options.http-put-response-hop-limit",
	"metadata-options.http-tokens",
	"metadata-options.instance-metadata-tags",
	"metadata-options.state",
	"monitoring-state",
	"network-interface.addresses.association.ip-owner-id",
	"network-interface.addresses.association.public-ip",
	"network-interface.addresses.primary",
	"network-interface.addresses.private-ip-address",
	"network-interface.association.ip-owner-id",
	"network-interface.association.public-ip",
	"network-interface.attachment.attach-time",
	"network-interface.attachment.attachment-id",
	"network-interface.attachment.delete-on-termination",
	"network-interface.attachment.device-index",
	"network-interface.attachment.instance-id",
	"network-interface.attachment.instance-owner-id",
	"network-interface.attachment.status",
	"network-interface.availability-zone",
	"network-interface.description",
	"network-interface.group-id",
	"network-interface.group-name",
	"network-interface.ipv6-addresses.ipv6-address",
	"network-interface.mac-address",
	"network-interface.network-interface-id",
	"network-interface.owner-id",
	"network-interface.private-dns-name",
	"network-interface.private-ip-address",
	"network-interface.requester-id",
	"network-interface.requester-managed",
	"network-interface.source-dest-check",
	"network-interface.status",
	"network-interface.subnet-id",
	"network-interface.vpc-id",
	"outpost-arn",
	"owner-id",
	"placement-group-name",
	"placement-partition-number",
	"platform",
	"platform-details",
	"private-dns-name",
	"private-ip-address",
	"product-code",
	"product-code.type",
	"ramdisk-id",
	"reason",
	"requester-id",
	"reservation-id",
	"root-device-name",
	"root-device-type",
	"source-dest-check",
	"spot-instance-request-id",
	"state-reason-code",
	"state-reason-message",
	"subnet-id",
	"tenancy",
	"tpm-support",
	"usage-operation",
	"usage-operation-update-time",
	"virtualization-type",
	"vpc-id",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_instance_status[] = {
	"attached-ebs-status.status",
	"availability-zone",
	"availability-zone-id",
	"event.code",
	"event.description",
	"event.instance-event-id",
	"event.not-after",
	"event.not-before",
	"event.not-before-deadline",
	"instance-state-code",
	"instance-state-name",
	"instance-status.reachability",
	"instance-status.status",
	"operator.managed",
	"operator.principal",
	"system-status.reachability",
	"system-status.status",
	NULL,
};
static const char *const of_volumes[] = {
	"attachment.attach-time",
	"attachment.delete-on-termination",
	"attachment.device",
	"attachment.instance-id",
	"attachment.status",
	"availability-zone",
	"availability-zone-id",
	"create-time",
	"encrypted",
	"fast-restored",
	"multi-attach-enabled",
	"operator.managed",
	"operator.principal",
	"size",
	"snapshot-id",
	"status",
	"volume-id",
	"volume-type",
	"tag:a",
	"tag-key",
	"tag-value",
	NULL,
};
static const char *const of_snapshots[] = {
	"description",
	"encrypted",
	"owner-alias",
	"owner-id",
	"progress",
	"snapshot-id",
	"start-time",
	"status",
	"storage-tier",
	"transfer-type",
	"volume-id",
	"volume-size",
	"tag:a",
	"tag-key",
	"tag-value",
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

static void filters_of_images_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_images; *name; name++) {
		struct ec2_DescribeImagesRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeImagesResult result;
		assert_ok(RUN(s, DescribeImages, ec2_describe_images, &request, &result));
	}
}

static void filters_of_instances_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_instances; *name; name++) {
		struct ec2_DescribeInstancesRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeInstancesResult result;
		assert_ok(RUN(s, DescribeInstances, ec2_describe_instances, &request, &result));
	}
}

static void filters_of_instance_status_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_instance_status; *name; name++) {
		struct ec2_DescribeInstanceStatusRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeInstanceStatusResult result;
		assert_ok(RUN(s, DescribeInstanceStatus, ec2_describe_instance_status, &request, &result));
	}
}

static void filters_of_volumes_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_volumes; *name; name++) {
		struct ec2_DescribeVolumesRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeVolumesResult result;
		assert_ok(RUN(s, DescribeVolumes, ec2_describe_volumes, &request, &result));
	}
}

static void filters_of_snapshots_are_sound(void **state)
{
	struct scene *s = *state;

	for (const char *const *name = of_snapshots; *name; name++) {
		struct ec2_DescribeSnapshotsRequest request = { .filters = FILTER(*name, "none such") };
		struct ec2_DescribeSnapshotsResult result;
		assert_ok(RUN(s, DescribeSnapshots, ec2_describe_snapshots, &request, &result));
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
		SCENE_TEST(filters_of_images_are_sound),
		SCENE_TEST(filters_of_instances_are_sound),
		SCENE_TEST(filters_of_instance_status_are_sound),
		SCENE_TEST(filters_of_volumes_are_sound),
		SCENE_TEST(filters_of_snapshots_are_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
