/*
 * DescribeInstances and DescribeInstanceStatus.
 *
 * DescribeInstances pages and filters by instances, but answers with reservations, whose members are filters too. So the list is made of reservations of one instance each, and those of the
 * same id are joined when the page is cut. Runs on the thread of the call.
 */
#include <string.h>

#include "svc/ec2/describe.h"
#include "svc/ec2/instances.h"
#include "base/banned.h"

static const struct describe_kind instances = {
	.shape = &ec2_shape_Reservation,
	.tags = "Instances.Tags",
	.key = "Instances.InstanceId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "affinity", "Instances.Placement.Affinity" },
			{ "architecture", "Instances.Architecture" },
			{ "availability-zone", "Instances.Placement.AvailabilityZone" },
			{ "availability-zone-id", "Instances.Placement.AvailabilityZoneId" },
			{ "block-device-mapping.attach-time",
				"Instances.BlockDeviceMappings.Ebs.AttachTime" },
			{ "block-device-mapping.delete-on-termination",
				"Instances.BlockDeviceMappings.Ebs.DeleteOnTermination" },
			{ "block-device-mapping.device-name", "Instances.BlockDeviceMappings.DeviceName" },
			{ "block-device-mapping.status", "Instances.BlockDeviceMappings.Ebs.Status" },
			{ "block-device-mapping.volume-id", "Instances.BlockDeviceMappings.Ebs.VolumeId" },
			{ "boot-mode", "Instances.BootMode" },
			{ "capacity-reservation-id", "Instances.CapacityReservationId" },
			{ "client-token", "Instances.ClientToken" },
			{ "current-instance-boot-mode", "Instances.CurrentInstanceBootMode" },
			{ "dns-name", "Instances.PublicDnsName" },
			{ "ebs-optimized", "Instances.EbsOptimized" },
			{ "ena-support", "Instances.EnaSupport" },
			{ "enclave-options.enabled", "Instances.EnclaveOptions.Enabled" },
			{ "group-id", "Instances.SecurityGroups.GroupId" },
			{ "group-name", "Instances.SecurityGroups.GroupName" },
			{ "hibernation-options.configured", "Instances.HibernationOptions.Configured" },
			{ "host-id", "Instances.Placement.HostId" },
			{ "hypervisor", "Instances.Hypervisor" },
			{ "iam-instance-profile.arn", "Instances.IamInstanceProfile.Arn" },
			{ "iam-instance-profile.id", "Instances.IamInstanceProfile.Id" },
			{ "image-id", "Instances.ImageId" },
			{ "instance-id", "Instances.InstanceId" },
			{ "instance-lifecycle", "Instances.InstanceLifecycle" },
			{ "instance-state-code", "Instances.State.Code" },
			{ "instance-state-name", "Instances.State.Name" },
			{ "instance-type", "Instances.InstanceType" },
			{ "instance.group-id", "Instances.SecurityGroups.GroupId" },
			{ "instance.group-name", "Instances.SecurityGroups.GroupName" },
			{ "ip-address", "Instances.PublicIpAddress" },
			{ "ipv6-address", "Instances.Ipv6Address" },
			{ "kernel-id", "Instances.KernelId" },
			{ "key-name", "Instances.KeyName" },
			{ "launch-index", "Instances.AmiLaunchIndex" },
			{ "launch-time", "Instances.LaunchTime" },
			{ "maintenance-options.auto-recovery", "Instances.MaintenanceOptions.AutoRecovery" },
			{ "metadata-options.http-endpoint", "Instances.MetadataOptions.HttpEndpoint" },
			{ "metadata-options.http-protocol-ipv4", NULL },
			{ "metadata-options.http-protocol-ipv6",
				"Instances.MetadataOptions.HttpProtocolIpv6" },
			{ "metadata-options.http-put-response-hop-limit",
				"Instances.MetadataOptions.HttpPutResponseHopLimit" },
			{ "metadata-options.http-tokens", "Instances.MetadataOptions.HttpTokens" },
			{ "metadata-options.instance-metadata-tags",
				"Instances.MetadataOptions.InstanceMetadataTags" },
			{ "metadata-options.state", "Instances.MetadataOptions.State" },
			{ "monitoring-state", "Instances.Monitoring.State" },
			{ "network-interface.addresses.association.ip-owner-id",
				"Instances.NetworkInterfaces.PrivateIpAddresses.Association.IpOwnerId" },
			{ "network-interface.addresses.association.public-ip",
				"Instances.NetworkInterfaces.PrivateIpAddresses.Association.PublicIp" },
			{ "network-interface.addresses.primary",
				"Instances.NetworkInterfaces.PrivateIpAddresses.Primary" },
			{ "network-interface.addresses.private-ip-address",
				"Instances.NetworkInterfaces.PrivateIpAddresses.PrivateIpAddress" },
			{ "network-interface.association.ip-owner-id",
				"Instances.NetworkInterfaces.Association.IpOwnerId" },
			{ "network-interface.association.public-ip",
				"Instances.NetworkInterfaces.Association.PublicIp" },
			{ "network-interface.attachment.attach-time",
				"Instances.NetworkInterfaces.Attachment.AttachTime" },
			{ "network-interface.attachment.attachment-id",
				"Instances.NetworkInterfaces.Attachment.AttachmentId" },
			{ "network-interface.attachment.delete-on-termination",
				"Instances.NetworkInterfaces.Attachment.DeleteOnTermination" },
			{ "network-interface.attachment.device-index",
				"Instances.NetworkInterfaces.Attachment.DeviceIndex" },
			{ "network-interface.attachment.instance-id", "Instances.InstanceId" },
			{ "network-interface.attachment.instance-owner-id", "OwnerId" },
			{ "network-interface.attachment.status",
				"Instances.NetworkInterfaces.Attachment.Status" },
			{ "network-interface.availability-zone", "Instances.Placement.AvailabilityZone" },
			{ "network-interface.description", "Instances.NetworkInterfaces.Description" },
			{ "network-interface.group-id", "Instances.NetworkInterfaces.Groups.GroupId" },
			{ "network-interface.group-name", "Instances.NetworkInterfaces.Groups.GroupName" },
			{ "network-interface.ipv6-addresses.ipv6-address",
				"Instances.NetworkInterfaces.Ipv6Addresses.Ipv6Address" },
			{ "network-interface.mac-address", "Instances.NetworkInterfaces.MacAddress" },
			{ "network-interface.network-interface-id",
				"Instances.NetworkInterfaces.NetworkInterfaceId" },
			{ "network-interface.owner-id", "Instances.NetworkInterfaces.OwnerId" },
			{ "network-interface.private-dns-name",
				"Instances.NetworkInterfaces.PrivateDnsName" },
			{ "network-interface.private-ip-address",
				"Instances.NetworkInterfaces.PrivateIpAddress" },
			{ "network-interface.requester-id", NULL },
			{ "network-interface.requester-managed", NULL },
			{ "network-interface.source-dest-check",
				"Instances.NetworkInterfaces.SourceDestCheck" },
			{ "network-interface.status", "Instances.NetworkInterfaces.Status" },
			{ "network-interface.subnet-id", "Instances.NetworkInterfaces.SubnetId" },
			{ "network-interface.vpc-id", "Instances.NetworkInterfaces.VpcId" },
			{ "outpost-arn", "Instances.OutpostArn" },
			{ "owner-id", "OwnerId" },
			{ "placement-group-name", "Instances.Placement.GroupName" },
			{ "placement-partition-number", "Instances.Placement.PartitionNumber" },
			{ "platform", "Instances.Platform" },
			{ "platform-details", "Instances.PlatformDetails" },
			{ "private-dns-name", "Instances.PrivateDnsName" },
			{ "private-ip-address", "Instances.PrivateIpAddress" },
			{ "product-code", "Instances.ProductCodes.ProductCodeId" },
			{ "product-code.type", "Instances.ProductCodes.ProductCodeType" },
			{ "ramdisk-id", "Instances.RamdiskId" },
			{ "reason", "Instances.StateTransitionReason" },
			{ "requester-id", "RequesterId" },
			{ "reservation-id", "ReservationId" },
			{ "root-device-name", "Instances.RootDeviceName" },
			{ "root-device-type", "Instances.RootDeviceType" },
			{ "source-dest-check", "Instances.SourceDestCheck" },
			{ "spot-instance-request-id", "Instances.SpotInstanceRequestId" },
			{ "state-reason-code", "Instances.StateReason.Code" },
			{ "state-reason-message", "Instances.StateReason.Message" },
			{ "subnet-id", "Instances.SubnetId" },
			{ "tenancy", "Instances.Placement.Tenancy" },
			{ "tpm-support", "Instances.TpmSupport" },
			{ "usage-operation", "Instances.UsageOperation" },
			{ "usage-operation-update-time", "Instances.UsageOperationUpdateTime" },
			{ "virtualization-type", "Instances.VirtualizationType" },
			{ "vpc-id", "Instances.VpcId" },
			{ NULL },
		},
};

static const struct describe_kind statuses = {
	.shape = &ec2_shape_InstanceStatus,
	.key = "InstanceId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "attached-ebs-status.status", "AttachedEbsStatus.Status" },
			{ "availability-zone", "AvailabilityZone" },
			{ "availability-zone-id", "AvailabilityZoneId" },
			{ "event.code", "Events.Code" },
			{ "event.description", "Events.Description" },
			{ "event.instance-event-id", "Events.InstanceEventId" },
			{ "event.not-after", "Events.NotAfter" },
			{ "event.not-before", "Events.NotBefore" },
			{ "event.not-before-deadline", "Events.NotBeforeDeadline" },
			{ "instance-state-code", "InstanceState.Code" },
			{ "instance-state-name", "InstanceState.Name" },
			{ "instance-status.reachability", "InstanceStatus.Details.Status" },
			{ "instance-status.status", "InstanceStatus.Status" },
			{ "operator.managed", "Operator.Managed" },
			{ "operator.principal", "Operator.Principal" },
			{ "system-status.reachability", "SystemStatus.Details.Status" },
			{ "system-status.status", "SystemStatus.Status" },
			{ NULL },
		},
};

static int load(struct call *call, const struct ec2_InstanceIdStringList *asked,
	struct shape_integer max_results, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .account = call->account, .region = call->region };
	const char *const *ids;
	size_t count = asked->count;

	if (!count)
		return meta_list(call->amid->meta, &record_instance, &query, call->arena, rows, err);
	if (describe_sort_ids(call, asked->items, &count, "instancesSet", max_results, &ids, err))
		return -1;
	rows->items = arena_alloc_array(call->arena, count, sizeof *rows->items);
	for (rows->count = 0; rows->count < count; rows->count++) {
		struct instance_record *instance;
		if (instance_find(call, ids[rows->count], &instance, err))
			return -1;
		rows->items[rows->count] = instance;
	}
	return 0;
}

/* Joins the reservations of one instance each into those that were made; the first of each stays where it is. */
static void join_reservations(struct call *call, struct ec2_ReservationList *list)
{
	struct ec2_ReservationList joined = { .set = true };

	for (size_t i = 0; i < list->count; i++) {
		const struct ec2_Reservation *single = &list->items[i];
		struct ec2_Reservation *whole = NULL;
		for (size_t j = 0; j < joined.count && !whole; j++)
			if (strcmp(joined.items[j].reservation_id, single->reservation_id) == 0)
				whole = &joined.items[j];
		if (!whole) {
			whole = ARENA_APPEND(call->arena, joined.items, joined.count);
			*whole = *single;
			continue;
		}
		*ARENA_APPEND(call->arena, whole->instances.items, whole->instances.count) =
			single->instances.items[0];
	}
	*list = joined;
}

int ec2_describe_instances(struct call *call, const struct ec2_DescribeInstancesRequest *request,
	struct ec2_DescribeInstancesResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct ec2_ReservationList *list = &result->reservations;
	struct instance_context context;
	struct meta_rows rows;

	if (load(call, &request->instance_ids, request->max_results, &rows, err) ||
		instance_context_load(call, &context, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		instance_reservation_result(
			call, &context, rows.items[i], ARENA_APPEND(call->arena, list->items, list->count));
	if (describe_finish(call, &instances, &request->filters, &page, list, err))
		return -1;
	join_reservations(call, list);
	return 0;
}

/* A machine is reachable when its guest could answer; amid knows that its process runs, which is what these two checks can honestly say. */
static struct ec2_InstanceStatusSummary *summary_result(struct call *call, bool running)
{
	struct ec2_InstanceStatusSummary *summary = arena_alloc(call->arena, sizeof *summary);
	summary->status = running ? "ok" : "not-applicable";
	summary->details.set = true;
	if (running)
		*ARENA_APPEND(call->arena, summary->details.items, summary->details.count) =
			(struct ec2_InstanceStatusDetails){ .name = "reachability", .status = "passed" };
	return summary;
}

static void status_result(
	struct call *call, const struct instance_record *instance, struct ec2_InstanceStatus *result)
{
	bool running = strcmp(instance->state, "running") == 0;

	*result = (struct ec2_InstanceStatus){
		.availability_zone = instance->zone,
		.instance_id = instance->record.id,
		.instance_state = instance_state_result(call, instance->state),
		.instance_status = summary_result(call, running),
		.system_status = summary_result(call, running),
	};
}

int ec2_describe_instance_status(struct call *call, const struct ec2_DescribeInstanceStatusRequest *request,
	struct ec2_DescribeInstanceStatusResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct ec2_InstanceStatusList *list = &result->instance_statuses;
	bool all = boolean_or(request->include_all_instances, false);
	struct meta_rows rows;

	if (load(call, &request->instance_ids, request->max_results, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct instance_record *instance = rows.items[i];
		if (all || strcmp(instance->state, "running") == 0)
			status_result(call, instance, ARENA_APPEND(call->arena, list->items, list->count));
	}
	return describe_finish(call, &statuses, &request->filters, &page, list, err);
}
