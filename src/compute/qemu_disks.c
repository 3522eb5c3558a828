/*
 * Disks that come and go while the guest runs. A disk is an NBD client node, a "raw" node above it that has the disk's name, and the device. Which of these exist
 * is asked of QEMU each time, so every call can be repeated after a failure, or by another amid, from wherever the last one stopped.
 *
 * NBD has no way to tell a client of a new size. To grow a disk, a second client node connects (and learns the new size) and takes the first one's place under the raw
 * node (blockdev-reopen, which drains requests first); then block_resize tells the guest.
 */
#include "compute/qemu_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "compute/qemu_arguments.h"
#include "base/banned.h"

enum {
	/* a deleted device lets go of its node a little after DEVICE_DELETED (RCU), of which there is no event */
	RELEASE_TRIES = 400,
	RELEASE_PAUSE_MS = 5,
};

static int run(
	struct machine *machine, const char *command, json_t *arguments, json_t **result, struct error *err)
{
	if (qmp_command(machine->qmp, command, arguments, COMMAND_TIMEOUT_MS, result, err))
		return error_prefix(err, "machine %s", machine->id);
	return 0;
}

/* Whether `list` (an array of objects) has one whose `key` is `value`. */
static json_t *find_object(json_t *list, const char *key, const char *value)
{
	json_t *item;
	size_t i;
	json_array_foreach(list, i, item)
	{
		if (text_equal(json_string_value(json_object_get(item, key)), value))
			return item;
	}
	return NULL;
}

static int has_device(struct machine *machine, const char *device_id, bool *present, struct error *err)
{
	json_t *list;
	if (run(machine, "qom-list", json_pack("{s:s}", "path", "/machine/peripheral"), &list, err))
		return -1;
	*present = find_object(list, "name", device_id);
	json_decref(list);
	return 0;
}

static int list_nodes(struct machine *machine, json_t **nodes, struct error *err)
{
	return run(machine, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), nodes, err);
}

/* The first port with nothing behind it, in *port (the arena's). */
static int find_port(struct machine *machine, struct arena *arena, const char **port, struct error *err)
{
	json_t *buses, *bus, *device;
	size_t i, k;
	*port = NULL;
	if (run(machine, "query-pci", NULL, &buses, err))
		return -1;
	json_array_foreach(buses, i, bus)
	{
		json_array_foreach(json_object_get(bus, "devices"), k, device)
		{
			const char *id = json_string_value(json_object_get(device, "qdev_id"));
			json_t *behind = json_object_get(json_object_get(device, "pci_bridge"), "devices");
			if (!*port && id && text_starts_with(id, "port") && json_array_size(behind) == 0)
				*port = arena_strdup(arena, id);
		}
	}
	json_decref(buses);
	return *port ? 0
		     : error_set(err, ERROR_CONFLICT, "machine %s has no room for another disk", machine->id);
}

/* Fails while something uses the node. */
static int delete_node(struct machine *machine, const char *name, struct error *err)
{
	return run(machine, "blockdev-del", json_pack("{s:s}", "node-name", name), NULL, err);
}

/* Removes the disk's nodes that exist, from the top down, waiting a little for a device that is just going. */
static int delete_nodes(struct machine *machine, const char *device_id, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *names[] = { device_id, qemu_client_name(scratch, device_id, 0),
		qemu_client_name(scratch, device_id, 1) };
	json_t *nodes;
	int failed = list_nodes(machine, &nodes, err);
	if (failed)
		return -1;
	for (unsigned i = 0; i < 3 && !failed; i++) {
		if (!find_object(nodes, "node-name", names[i]))
			continue;
		for (int tries = 0; (failed = delete_node(machine, names[i], err)) && tries < RELEASE_TRIES;
			tries++)
			nanosleep(&(struct timespec){ .tv_nsec = RELEASE_PAUSE_MS * 1000000L }, NULL);
	}
	json_decref(nodes);
	return failed;
}

static int plug(struct machine *machine, const struct machine_disk *disk, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *port, *client = qemu_client_name(scratch, disk->device_id, 0);
	if (find_port(machine, scratch, &port, err) ||
		run(machine, "blockdev-add", qemu_client_json(scratch, disk, 0), NULL, err))
		return -1;
	if (run(machine, "blockdev-add", qemu_node_json(disk->device_id, client), NULL, err) == 0 &&
		run(machine, "device_add", qemu_device_json(scratch, disk, port), NULL, err) == 0)
		return 0;
	delete_nodes(machine, disk->device_id, NULL);
	return -1;
}

int qemu_attach_disk(
	struct compute *compute, const char *id, const struct machine_disk *disk, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	bool present;
	if (qemu_check_disk(disk, err) || machine_get(compute, id, &machine, err) ||
		has_device(machine, disk->device_id, &present, err))
		return -1;
	if (present)
		return 0;
	/* what an attach or detach left that was broken off */
	if (delete_nodes(machine, disk->device_id, err))
		return -1;
	return plug(machine, disk, err);
}

static void await_device(struct machine *machine, char *device_id)
{
	pthread_mutex_lock(&machine->lock);
	machine->awaited_device = device_id;
	machine->device_deleted = machine->unplug_refused = false;
	pthread_mutex_unlock(&machine->lock);
}

static int wait_deleted(struct machine *machine, const char *device_id, int timeout_ms, struct error *err)
{
	struct timespec deadline;
	int waited = 0;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_ms / 1000;
	deadline.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (deadline.tv_nsec >= 1000000000L) {
		deadline.tv_nsec -= 1000000000L;
		deadline.tv_sec++;
	}
	pthread_mutex_lock(&machine->lock);
	/* a machine that ends meanwhile has let go of everything, but that is state()'s to tell */
	while (!machine->device_deleted && !machine->unplug_refused && machine->end_source && !waited)
		waited = pthread_cond_timedwait(&machine->changed, &machine->lock, &deadline);
	bool deleted = machine->device_deleted, refused = machine->unplug_refused,
	     ended = !machine->end_source;
	pthread_mutex_unlock(&machine->lock);
	if (deleted)
		return 0;
	if (refused)
		return error_set(
			err, ERROR_CONFLICT, "machine %s refuses to let %s go", machine->id, device_id);
	if (ended)
		return error_set(err, ERROR_UNAVAILABLE, "machine %s has ended", machine->id);
	return error_set(err, ERROR_TIMEOUT, "machine %s has not let %s go within %d ms", machine->id,
		device_id, timeout_ms);
}

/* Presses the button beside the slot. That QEMU still waits for the guest since an earlier request is fine. */
static int unplug(struct machine *machine, const char *device_id, int timeout_ms, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct error reason = { 0 };
	bool present = true;
	await_device(machine, arena_strdup(scratch, device_id));
	int failed = run(machine, "device_del", json_pack("{s:s}", "id", device_id), NULL, &reason);
	if (failed && reason.code == ERROR_INVALID) /* "already in the process of unplug" */
		failed = has_device(machine, device_id, &present, &reason);
	else if (failed && reason.code == ERROR_NOT_FOUND)
		failed = present = false;
	if (failed)
		error_set(err, reason.code, "%.500s", reason.message);
	else if (present)
		failed = wait_deleted(machine, device_id, timeout_ms, err);
	await_device(machine, NULL);
	return failed;
}

int qemu_detach_disk(
	struct compute *compute, const char *id, const char *device_id, int timeout_ms, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	bool present;
	struct machine_disk named = { .device_id = device_id, .nbd_socket = "", .export_name = "" };
	if (qemu_check_disk(&named, err) || machine_get(compute, id, &machine, err) ||
		has_device(machine, device_id, &present, err))
		return -1;
	if (present && unplug(machine, device_id, timeout_ms, err))
		return -1;
	return delete_nodes(machine, device_id, err);
}

/* The disk's client node that is in use. */
static int find_client(
	struct machine *machine, const char *device_id, json_t *nodes, unsigned *which, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *names[] = { qemu_client_name(scratch, device_id, 0),
		qemu_client_name(scratch, device_id, 1) };
	bool a = find_object(nodes, "node-name", names[0]), b = find_object(nodes, "node-name", names[1]);
	if (!a && !b)
		return error_set(err, ERROR_NOT_FOUND, "machine %s has no disk %s", machine->id, device_id);
	*which = a ? 0 : 1;
	if (!a || !b)
		return 0;
	/* both: a resize was broken off; the one that is not in use can be deleted */
	if (delete_node(machine, names[1], NULL) == 0)
		return 0;
	*which = 1;
	return delete_node(machine, names[0], err);
}

/* Where that node connects to, of which QEMU keeps record as its file name: "nbd+unix:///EXPORT?socket=PATH". */
static int find_server(struct machine *machine, struct arena *arena, json_t *nodes, const char *client,
	struct machine_disk *disk, struct error *err)
{
	static const char scheme[] = "nbd+unix:///", query[] = "?socket=";
	const char *uri = json_string_value(json_object_get(find_object(nodes, "node-name", client), "file"));
	const char *socket = uri && text_starts_with(uri, scheme) ? strstr(uri, query) : NULL;
	if (!socket)
		return error_set(err, ERROR_INTERNAL, "machine %s: disk %s is served by no socket: '%.200s'",
			machine->id, disk->device_id, uri ? uri : "");
	const char *export = uri + strlen(scheme);
	disk->export_name = arena_strndup(arena, export, (size_t)(socket - export));
	disk->nbd_socket = arena_strdup(arena, socket + strlen(query));
	return 0;
}

/* Puts a newly connected client node under the disk. */
static int swap_client(
	struct machine *machine, const struct machine_disk *disk, unsigned old, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *names[] = { qemu_client_name(scratch, disk->device_id, 0),
		qemu_client_name(scratch, disk->device_id, 1) };
	if (run(machine, "blockdev-add", qemu_client_json(scratch, disk, !old), NULL, err))
		return -1;
	json_t *options = json_pack("{s:[o]}", "options", qemu_node_json(disk->device_id, names[!old]));
	if (run(machine, "blockdev-reopen", options, NULL, err)) {
		delete_node(machine, names[!old], NULL);
		return -1;
	}
	return delete_node(machine, names[old], err);
}

int qemu_resize_disk(
	struct compute *compute, const char *id, const char *device_id, uint64_t size, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct machine *machine MACHINE_SCOPED = NULL;
	struct machine_disk disk = { .device_id = device_id, .nbd_socket = "", .export_name = "" };
	json_t *nodes;
	unsigned which;
	if (size > INT64_MAX)
		return error_set(err, ERROR_INVALID, "a disk of %llu bytes", (unsigned long long)size);
	if (qemu_check_disk(&disk, err) || machine_get(compute, id, &machine, err) ||
		list_nodes(machine, &nodes, err))
		return -1;
	int failed = find_client(machine, device_id, nodes, &which, err) ||
		find_server(machine, scratch, nodes, qemu_client_name(scratch, device_id, which), &disk, err);
	json_decref(nodes);
	if (failed || swap_client(machine, &disk, which, err))
		return -1;
	return run(machine, "block_resize",
		json_pack("{s:s, s:I}", "node-name", device_id, "size", (json_int_t)size), NULL, err);
}
