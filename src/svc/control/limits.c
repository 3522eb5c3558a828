/*
 * What a disk may do: the IOPS and the throughput that its volume's type promises, held to by the machine (compute's limit_disk). Nothing is remembered: at each look the driver is told, and it changes only what differs. So a
 * modified volume, a disk that was just plugged, a machine that another amid had started and an operator's change of --io-limits are one case. Runs on the work queue's threads, for the instance's controller.
 */
#include <string.h>

#include "svc/control/internal.h"
#include "svc/volume_types.h"
#include "base/banned.h"

static int limit(struct instance_view *view, const struct volume_record *volume, struct error *err)
{
	struct machine_disk_limits limits = { 0 };
	if (!view->amid->config->io_unlimited) {
		struct volume_performance promised = volume_type_performance(
			volume->volume_type, volume->size_gib.value, volume->iops, volume->throughput);
		limits = (struct machine_disk_limits){ .iops = promised.iops,
			.burst_iops = promised.burst_iops,
			.burst_seconds = promised.burst_seconds,
			.bytes_per_second = promised.bytes_per_second };
	}
	if (view->amid->config->compute->limit_disk(
		    view->amid->compute, view->instance->record.id, volume->record.id, &limits, err) == 0)
		return 0;
	/* a guest may eject a disk by itself */
	return err->code == ERROR_NOT_FOUND ? 0 : -1;
}

int limits_apply(struct instance_view *view, struct error *err)
{
	for (unsigned i = 0; i < view->volume_count; i++)
		if (strcmp(view->volumes[i]->attachment->state, "attached") == 0 &&
			limit(view, view->volumes[i], err))
			return -1;
	return 0;
}
