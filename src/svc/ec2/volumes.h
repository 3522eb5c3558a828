/* Volumes as their handlers share them. */
#pragma once

#include "svc/ec2/common.h"

/* The caller's own volume. InvalidVolumeID.Malformed, InvalidVolume.NotFound. */
int volume_find(struct call *call, const char *id, struct volume_record **volume, struct error *err);
/*
 * Those named, sorted by id, or all of the caller's if none is named. Errors of volume_find, and of describe_sort_ids.
 */
int volume_list(struct call *call, const struct ec2_VolumeIdStringList *ids, struct shape_integer max_results,
	struct meta_rows *rows, struct error *err);
void volume_result(struct call *call, const struct volume_record *volume, struct ec2_Volume *result);
