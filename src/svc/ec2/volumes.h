/* Volumes as their handlers share them. */
#pragma once

#include "svc/ec2/common.h"

/* The caller's own volume. InvalidVolumeID.Malformed, InvalidVolume.NotFound. */
int volume_find(struct call *call, const char *id, struct volume_record **volume, struct error *err);
void volume_result(struct call *call, const struct volume_record *volume, struct ec2_Volume *result);
