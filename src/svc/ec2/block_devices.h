/* Block device mappings: from a request, onto an image's, checked, and back into answers. Used by RegisterImage, CreateImage and RunInstances. */
#pragma once

#include "svc/ec2/common.h"

struct block_device_list {
	struct record_image_block_device *items;
	size_t count;
};

/*
 * Lays the mappings of a request over `base` (an image's, or an instance's volumes; NULL: none): a device named there is changed member by member, NoDevice drops it, others are added. Checks what can be checked without the
 * snapshots: device names, duplicates, that an added device has a size or a snapshot, parameters that amid does not have. The result lies in the arena; `base` is not changed.
 */
int block_devices_merge(struct call *call, const struct record_image_block_device_list *base,
	const struct ec2_BlockDeviceMappingRequestList *request, struct block_device_list *result,
	struct error *err);

/* What of a request's mappings is for launches only, or is for empty volumes only, in the making of an image: KmsKeyId; Encrypted beside a snapshot. */
int block_devices_check_image(const struct ec2_BlockDeviceMappingRequestList *request, struct error *err);

/*
 * Completes and checks one EBS mapping against its snapshot (NULL: none): size (at least the snapshot's), volume type (default gp3, as images of amid), IOPS and throughput within the type's limits,
 * whether it is encrypted (asked for, or because the snapshot is).
 */
int block_device_complete(struct call *call, struct record_image_block_device *device,
	const struct snapshot_record *snapshot, struct error *err);

struct ec2_BlockDeviceMappingList block_devices_result(
	struct call *call, const struct record_image_block_device_list *devices);
