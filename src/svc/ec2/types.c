/*
 * DescribeInstanceTypes, DescribeInstanceTypeOfferings: the table of src/svc/instance_types.c as the API shows it. What is said of a type is what amid does for it
 * (one network interface, no spot market), except where that would only be a number of AWS's hardware. Runs on the thread of the call.
 */
#include "svc/ec2/describe.h"
#include "svc/ec2/places.h"
#include "svc/instance_types.h"
#include "base/banned.h"

enum { ZONES = 3 };

static const struct describe_kind types = {
	.shape = &ec2_shape_InstanceTypeInfo,
	.key = "InstanceType",
	.filters =
		(const struct describe_filter[]){
			{ "auto-recovery-supported", "AutoRecoverySupported" },
			{ "bare-metal", "BareMetal" },
			{ "burstable-performance-supported", "BurstablePerformanceSupported" },
			{ "current-generation", "CurrentGeneration" },
			{ "dedicated-hosts-supported", "DedicatedHostsSupported" },
			{ "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps", NULL },
			{ "ebs-info.ebs-optimized-info.baseline-iops", NULL },
			{ "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps", NULL },
			{ "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps", NULL },
			{ "ebs-info.ebs-optimized-info.maximum-iops", NULL },
			{ "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps", NULL },
			{ "ebs-info.ebs-optimized-support", "EbsInfo.EbsOptimizedSupport" },
			{ "ebs-info.encryption-support", "EbsInfo.EncryptionSupport" },
			{ "ebs-info.nvme-support", "EbsInfo.NvmeSupport" },
			{ "free-tier-eligible", "FreeTierEligible" },
			{ "hibernation-supported", "HibernationSupported" },
			{ "hypervisor", "Hypervisor" },
			{ "instance-storage-info.disk.count", "InstanceStorageInfo.Disks.Count" },
			{ "instance-storage-info.disk.size-in-gb", "InstanceStorageInfo.Disks.SizeInGB" },
			{ "instance-storage-info.disk.type", "InstanceStorageInfo.Disks.Type" },
			{ "instance-storage-info.encryption-support",
				"InstanceStorageInfo.EncryptionSupport" },
			{ "instance-storage-info.nvme-support", "InstanceStorageInfo.NvmeSupport" },
			{ "instance-storage-info.total-size-in-gb", "InstanceStorageInfo.TotalSizeInGB" },
			{ "instance-storage-supported", "InstanceStorageSupported" },
			{ "instance-type", "InstanceType" },
			{ "memory-info.size-in-mib", "MemoryInfo.SizeInMiB" },
			{ "network-info.efa-info.maximum-efa-interfaces", NULL },
			{ "network-info.efa-supported", "NetworkInfo.EfaSupported" },
			{ "network-info.ena-support", "NetworkInfo.EnaSupport" },
			{ "network-info.encryption-in-transit-supported",
				"NetworkInfo.EncryptionInTransitSupported" },
			{ "network-info.ipv4-addresses-per-interface",
				"NetworkInfo.Ipv4AddressesPerInterface" },
			{ "network-info.ipv6-addresses-per-interface",
				"NetworkInfo.Ipv6AddressesPerInterface" },
			{ "network-info.ipv6-supported", "NetworkInfo.Ipv6Supported" },
			{ "network-info.maximum-network-cards", "NetworkInfo.MaximumNetworkCards" },
			{ "network-info.maximum-network-interfaces", "NetworkInfo.MaximumNetworkInterfaces" },
			{ "network-info.network-performance", NULL },
			{ "nitro-enclaves-support", "NitroEnclavesSupport" },
			{ "nitro-tpm-info.supported-versions", NULL },
			{ "nitro-tpm-support", "NitroTpmSupport" },
			{ "processor-info.supported-architecture", "ProcessorInfo.SupportedArchitectures" },
			{ "processor-info.supported-features", NULL },
			{ "processor-info.sustained-clock-speed-in-ghz", NULL },
			{ "supported-boot-mode", "SupportedBootModes" },
			{ "supported-root-device-type", "SupportedRootDeviceTypes" },
			{ "supported-usage-class", "SupportedUsageClasses" },
			{ "supported-virtualization-type", "SupportedVirtualizationTypes" },
			{ "vcpu-info.default-cores", "VCpuInfo.DefaultCores" },
			{ "vcpu-info.default-threads-per-core", "VCpuInfo.DefaultThreadsPerCore" },
			{ "vcpu-info.default-vcpus", "VCpuInfo.DefaultVCpus" },
			{ "vcpu-info.valid-cores", "VCpuInfo.ValidCores" },
			{ "vcpu-info.valid-threads-per-core", "VCpuInfo.ValidThreadsPerCore" },
			{ NULL },
		},
};

static const struct describe_kind offerings = {
	.shape = &ec2_shape_InstanceTypeOffering,
	.key = "InstanceType",
	.second_key = "Location",
	.filters =
		(const struct describe_filter[]){
			{ "instance-type", "InstanceType" },
			{ "location", "Location" },
			{ NULL },
		},
};

/* A list of strings, in the arena; the generated list types differ only in name. */
#define STRINGS(call, list, text) \
	(*ARENA_APPEND((call)->arena, (list).items, (list).count) = (text), (list).set = true)

static void fill_storage(
	struct call *call, const struct instance_type *type, struct ec2_InstanceTypeInfo *out)
{
	out->instance_storage_supported = some_boolean(type->instance_storage_gib > 0);
	if (!type->instance_storage_gib)
		return;
	struct ec2_InstanceStorageInfo *info = arena_alloc(call->arena, sizeof *info);
	struct ec2_DiskInfo *disk = ARENA_APPEND(call->arena, info->disks.items, info->disks.count);
	info->disks.set = true;
	disk->count = some_integer(1);
	disk->size_in_gb = some_integer(type->instance_storage_gib);
	disk->type = type->nvme_ebs ? "ssd" : "hdd";
	info->total_size_in_gb = some_integer(type->instance_storage_gib);
	info->nvme_support = type->nvme_ebs ? "required" : "unsupported";
	info->encryption_support = "unsupported";
	out->instance_storage_info = info;
}

static void fill_processor(
	struct call *call, const struct instance_type *type, struct ec2_InstanceTypeInfo *out)
{
	struct ec2_ProcessorInfo *processor = arena_alloc(call->arena, sizeof *processor);
	struct ec2_VCpuInfo *vcpus = arena_alloc(call->arena, sizeof *vcpus);
	struct ec2_MemoryInfo *memory = arena_alloc(call->arena, sizeof *memory);

	STRINGS(call, processor->supported_architectures, "x86_64");
	vcpus->default_vcpus = some_integer(type->vcpus);
	vcpus->default_cores = some_integer(type->cores);
	vcpus->default_threads_per_core = some_integer(type->vcpus / type->cores);
	memory->size_in_mi_b = some_integer(type->memory_mib);
	out->processor_info = processor;
	out->vcpu_info = vcpus;
	out->memory_info = memory;
}

static void fill_ebs_and_network(
	struct call *call, const struct instance_type *type, struct ec2_InstanceTypeInfo *out)
{
	struct ec2_EbsInfo *ebs = arena_alloc(call->arena, sizeof *ebs);
	struct ec2_NetworkInfo *network = arena_alloc(call->arena, sizeof *network);

	ebs->ebs_optimized_support = type->nvme_ebs ? "default" : "unsupported";
	ebs->encryption_support = "unsupported";
	ebs->nvme_support = type->nvme_ebs ? "required" : "unsupported";
	ebs->maximum_ebs_attachments = some_integer(type->max_volumes);
	ebs->attachment_limit_type = type->nvme_ebs ? "shared" : "dedicated";
	network->maximum_network_interfaces = some_integer(1);
	network->maximum_network_cards = some_integer(1);
	network->default_network_card_index = some_integer(0);
	network->ipv4_addresses_per_interface = some_integer(1);
	network->ipv6_addresses_per_interface = some_integer(0);
	network->ipv6_supported = some_boolean(false);
	network->ena_support = type->nvme_ebs ? "required" : "unsupported";
	network->efa_supported = some_boolean(false);
	network->encryption_in_transit_supported = some_boolean(false);
	out->ebs_info = ebs;
	out->network_info = network;
}

static void fill_type(struct call *call, const struct instance_type *type, struct ec2_InstanceTypeInfo *out)
{
	bool xen = strcmp(type->hypervisor, "xen") == 0;

	out->instance_type = type->name;
	out->current_generation = some_boolean(type->current_generation);
	out->free_tier_eligible = some_boolean(type->free_tier);
	out->bare_metal = some_boolean(false);
	out->hypervisor = type->hypervisor;
	out->burstable_performance_supported = some_boolean(type->burstable);
	out->hibernation_supported = some_boolean(false);
	out->dedicated_hosts_supported = some_boolean(false);
	out->auto_recovery_supported = some_boolean(false);
	out->nitro_enclaves_support = "unsupported";
	out->nitro_tpm_support = "unsupported";
	STRINGS(call, out->supported_usage_classes, "on-demand");
	STRINGS(call, out->supported_root_device_types, "ebs");
	if (xen && type->instance_storage_gib)
		STRINGS(call, out->supported_root_device_types, "instance-store");
	STRINGS(call, out->supported_virtualization_types, "hvm");
	if (type->paravirtual)
		STRINGS(call, out->supported_virtualization_types, "paravirtual");
	STRINGS(call, out->supported_boot_modes, "legacy-bios");
	if (!xen)
		STRINGS(call, out->supported_boot_modes, "uefi");
	fill_processor(call, type, out);
	fill_storage(call, type, out);
	fill_ebs_and_network(call, type, out);
}

int ec2_describe_instance_types(struct call *call, const struct ec2_DescribeInstanceTypesRequest *request,
	struct ec2_DescribeInstanceTypesResult *result, struct error *err)
{
	const struct ec2_RequestInstanceTypeList *names = &request->instance_types;
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };

	for (size_t i = 0; i < names->count; i++)
		if (!instance_type_find(text_or(names->items[i], "")))
			return error_set(err, ERROR_INSTANCE_TYPE,
				"The following supplied instance types do not exist: [%.64s]",
				text_or(names->items[i], ""));
	for (const struct instance_type *type = instance_types; type->name; type++)
		if (describe_wants(names->items, names->count, type->name))
			fill_type(call, type,
				ARENA_APPEND(call->arena, result->instance_types.items,
					result->instance_types.count));
	return describe_finish(call, &types, &request->filters, &page, &result->instance_types, err);
}

/* Where types are offered: the region, or each of its zones by name or id. All types are offered everywhere. */
static int list_locations(struct call *call, const char *location_type, const char *locations[ZONES],
	size_t *count, struct error *err)
{
	bool by_id = strcmp(location_type, "availability-zone-id") == 0;

	*count = strcmp(location_type, "region") == 0 ? 1 : ZONES;
	if (*count == 1) {
		locations[0] = call->region;
		return 0;
	}
	if (!by_id && strcmp(location_type, "availability-zone") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter LocationType is not supported: it is region, "
			"availability-zone or "
			"availability-zone-id",
			location_type);
	for (size_t i = 0; i < ZONES; i++) {
		const char *zone = arena_printf(call->arena, "%s%c", call->region, (char)('a' + (int)i));
		locations[i] = by_id ? places_zone_id(call->arena, call->region, zone) : zone;
	}
	return 0;
}

int ec2_describe_instance_type_offerings(struct call *call,
	const struct ec2_DescribeInstanceTypeOfferingsRequest *request,
	struct ec2_DescribeInstanceTypeOfferingsResult *result, struct error *err)
{
	const char *location_type = text_or(request->location_type, "region");
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct ec2_InstanceTypeOfferingsList *list = &result->instance_type_offerings;
	const char *locations[ZONES];
	size_t count;

	if (list_locations(call, location_type, locations, &count, err) != 0)
		return -1;
	for (const struct instance_type *type = instance_types; type->name; type++)
		for (size_t i = 0; i < count; i++)
			*ARENA_APPEND(call->arena, list->items, list->count) =
				(struct ec2_InstanceTypeOffering){
					.instance_type = type->name,
					.location_type = location_type,
					.location = locations[i],
				};
	return describe_finish(call, &offerings, &request->filters, &page, list, err);
}
