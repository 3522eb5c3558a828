/*
 * Limits of a disk's I/O: QEMU's own throttling at the device, above the node that a resize exchanges, so that limits stay through one. What is in force is asked of QEMU (query-block), and only what differs is set: setting
 * empties the throttle's buckets, which would give a bursting disk its credits back. Runs on the caller's thread.
 *
 * QEMU's bursts are AWS's credits: a bucket of burst_iops * burst_seconds fills with what goes beyond `iops`, and drains at `iops`.
 */
#include "compute/qemu_internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/text.h"
#include "compute/qemu_arguments.h"
#include "base/banned.h"

enum { IO_SIZE = 256 * 1024 };

static bool is_device(const char *path, const char *device_id)
{
	static const char folder[] = "/machine/peripheral/";
	size_t size = strlen(device_id);
	if (!path || !text_starts_with(path, folder))
		return false;
	path += sizeof folder - 1;
	/* virtio devices have an inner one */
	return strncmp(path, device_id, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

/* What query-block says of the disk, borrowed from `blocks`; NULL: no such disk. */
static const json_t *find_block(const json_t *blocks, const char *device_id)
{
	const json_t *block;
	size_t i;
	json_array_foreach(blocks, i, block)
	{
		if (is_device(json_string_value(json_object_get(block, "qdev")), device_id))
			return block;
	}
	return NULL;
}

static json_int_t number(const json_t *block, const char *name)
{
	return json_integer_value(json_object_get(block, name));
}

static bool is_in_force(const json_t *disk, const struct machine_disk_limits *limits)
{
	const json_t *block = json_object_get(disk, "inserted");
	return number(block, "iops") == limits->iops && number(block, "bps") == limits->bytes_per_second &&
		number(block, "iops_max") == limits->burst_iops &&
		(!limits->burst_iops || number(block, "iops_max_length") == limits->burst_seconds);
}

/* `path`: the device as query-block names it. */
static json_t *throttle_json(const char *path, const struct machine_disk_limits *limits)
{
	json_t *arguments = json_pack("{s:s, s:I, s:i, s:i, s:I, s:i, s:i}", "id", path, "bps",
		(json_int_t)limits->bytes_per_second, "bps_rd", 0, "bps_wr", 0, "iops",
		(json_int_t)limits->iops, "iops_rd", 0, "iops_wr", 0);
	if (limits->iops)
		json_object_set_new(arguments, "iops_size", json_integer(IO_SIZE));
	if (limits->burst_iops) {
		json_object_set_new(arguments, "iops_max", json_integer(limits->burst_iops));
		json_object_set_new(arguments, "iops_max_length", json_integer(limits->burst_seconds));
	}
	return arguments;
}

int qemu_limit_disk(struct compute *compute, const char *id, const char *device_id,
	const struct machine_disk_limits *limits, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	struct machine_disk named = { .device_id = device_id, .nbd_socket = "", .export_name = "" };
	json_t *blocks;
	if (qemu_check_disk(&named, err) || machine_get(compute, id, &machine, err))
		return -1;
	if (qmp_command(machine->qmp, "query-block", NULL, COMMAND_TIMEOUT_MS, &blocks, err))
		return error_prefix(err, "machine %s", id);
	const json_t *disk = find_block(blocks, device_id);
	int result = 0;
	if (!disk)
		result = error_set(err, ERROR_NOT_FOUND, "machine %s has no disk %s", id, device_id);
	else if (!is_in_force(disk, limits) &&
		qmp_command(machine->qmp, "block_set_io_throttle",
			throttle_json(json_string_value(json_object_get(disk, "qdev")), limits),
			COMMAND_TIMEOUT_MS, NULL, err))
		result = error_prefix(err, "machine %s", id);
	json_decref(blocks);
	return result;
}
