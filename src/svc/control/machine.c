/*
 * The machine of an instance: volumes, volume servers, network interface, and the compute driver, put together. Each function can be repeated after a crash at any point in it.
 *
 * With the dry driver there are no volume servers and no network: volumes are real folders, opened by amid itself when a snapshot is taken.
 */
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "svc/control/server_watch.h"
#include "svc/instance_types.h"
#include "svc/key_ring.h"
#include "base/banned.h"

enum { SERVER_STOP_MS = 10000, DETACH_MS = 15000, TRACE_BOOT_MS = 60000 };

static bool is_dry(const struct amid *amid)
{
	return amid->config->compute == &compute_driver_dry;
}

int machine_prepare_volume(struct amid *amid, struct amid_region *region, const struct volume_record *volume,
	struct arena *arena, struct error *err)
{
	struct volume_server_paths paths = amid_volume_paths(amid, region, volume->record.id, arena);
	struct digest base = { 0 };
	if (volume->base && *volume->base && text_unhex(volume->base, base.bytes, DIGEST_SIZE))
		return error_set(err, ERROR_CORRUPT, "volume %s has an unreadable base digest: %s",
			volume->record.id, volume->base);
	uint64_t size = (uint64_t)volume->size_gib.value << 30;
	if (!volume_create(paths.volume_folder, size, digest_is_zero(&base) ? NULL : &base, err))
		/* whose controller removes it if its record has gone meanwhile */
		work_enqueue(amid->work, "volume", volume->record.id);
	else if (err->code != ERROR_DUPLICATE)
		return -1;
	if (!digest_is_zero(&base))
		upkeep_warm(amid, region->name, volume->base);
	return 0;
}

static void free_key(uint8_t **key)
{
	cipher_key_free(*key);
}
#define KEY_SCOPED __attribute__((cleanup(free_key)))

/* Without its key, an encrypted volume is not served. */
static int start_volume(struct instance_view *view, const struct volume_record *volume,
	struct machine_disk *disk, struct error *err)
{
	if (machine_prepare_volume(view->amid, view->region, volume, view->arena, err))
		return error_prefix(err, "volume %s", volume->record.id);
	struct volume_server_paths paths =
		amid_volume_paths(view->amid, view->region, volume->record.id, view->arena);
	*disk = (struct machine_disk){
		.device_id = volume->record.id,
		.nbd_socket = arena_printf(view->arena, "%s/%s.nbd", paths.socket_folder, volume->record.id),
		.export_name = volume->record.id,
		.boot = view->instance->root_device_name &&
			strcmp(volume->attachment->device, view->instance->root_device_name) == 0,
	};
	struct process server;
	uint8_t *key KEY_SCOPED = NULL;
	if (boolean_or(volume->encrypted, false)) {
		key = cipher_key_alloc();
		/* one that is served goes on being served, whatever has become of its KMS key */
		if (key_ring_take(view->amid, volume->record.account, volume->record.id, volume->data_key,
			    key, err) &&
			(is_dry(view->amid) || volume_server_find(&paths, &server, NULL)))
			return error_prefix(err, "volume %s", volume->record.id);
		paths.key = key;
	}
	if (is_dry(view->amid))
		return 0;
	if (view->amid->config->compute->user(
		    view->amid->compute, view->instance->record.id, view->folder, &paths.client, err) ||
		volume_server_start(&paths, &server, err))
		return -1;
	return server_watch_add(view->amid->server_watch, &server, view->instance->record.id, err);
}

int machine_serve_volumes(struct instance_view *view, struct error *err)
{
	for (unsigned i = 0; i < view->volume_count; i++) {
		struct machine_disk disk;
		/* one that is being attached is not the machine's yet; one that is being detached may be */
		if (strcmp(view->volumes[i]->attachment->state, "attaching") != 0 &&
			start_volume(view, view->volumes[i], &disk, err))
			return -1;
	}
	return 0;
}

/* The network's part of a launch, on a thread of its own: it takes about as long as starting the volume servers, and needs nothing of them. It uses the view only to read the instance. */
struct tap_opening {
	const struct instance_view *view;
	pthread_t thread;
	int fd; /* -1: no network, or failed */
	bool failed;
	struct error err;
};

static void *open_tap(void *context)
{
	struct tap_opening *opening = context;
	struct amid *amid = opening->view->amid;
	const struct instance_record *instance = opening->view->instance;
	opening->failed = network_apply(amid, instance->record.account, instance->record.region,
				  instance->vpc, &opening->err) ||
		net_tap_open(amid->net, instance->vpc, instance->interface, &opening->fd, &opening->err);
	return NULL;
}

static int start_volumes(struct instance_view *view, struct machine_disk *disks, struct error *err)
{
	for (unsigned i = 0; i < view->volume_count; i++)
		if (start_volume(view, view->volumes[i], &disks[i], err))
			return -1;
	return 0;
}

/* Volume servers and network, side by side. *tap_fd is the caller's to close, -1 without a network. */
static int start_parts(struct instance_view *view, struct machine_disk *disks, int *tap_fd, struct error *err)
{
	struct tap_opening opening = { .view = view, .fd = -1 };
	int thread_failed = view->amid->net ? pthread_create(&opening.thread, NULL, open_tap, &opening) : 0;
	if (thread_failed)
		return error_set_errno(err, thread_failed, "cannot start a thread");
	int result = start_volumes(view, disks, err);
	if (view->amid->net)
		pthread_join(opening.thread, NULL);
	*tap_fd = opening.fd;
	if (result == 0 && opening.failed) {
		*err = opening.err;
		return -1;
	}
	return result;
}

/* The boot disk's blocks are read ahead as an earlier boot of the same image read them, and this boot is recorded for the next. What goes wrong costs speed only. */
static void trace_boot(struct instance_view *view, const struct machine_disk *disks)
{
	struct digest root;
	struct error err;
	for (unsigned i = 0; i < view->volume_count; i++) {
		const struct volume_record *volume = view->volumes[i];
		if (!disks[i].boot || !volume->base || !*volume->base || is_dry(view->amid) ||
			text_unhex(volume->base, root.bytes, DIGEST_SIZE))
			continue;
		struct volume_server_paths paths =
			amid_volume_paths(view->amid, view->region, volume->record.id, view->arena);
		if (volume_server_trace(&paths, &root, TRACE_BOOT_MS, &err) && err.code != ERROR_CONFLICT)
			log_warning("boot-trace-failed", "volume=%s message=\"%s\"", volume->record.id,
				err.message);
	}
}

int machine_launch(struct instance_view *view, struct error *err)
{
	const struct instance_record *instance = view->instance;
	const struct instance_type *type = instance_type_find(instance->instance_type);
	if (!type)
		return error_set(err, ERROR_INTERNAL, "unknown instance type %s", instance->instance_type);
	struct machine_disk *disks = arena_alloc_array(view->arena, view->volume_count + 1, sizeof *disks);
	if (file_make_folder(view->folder, 0700, err))
		return -1;
	int tap_fd FILE_SCOPED = -1;
	if (start_parts(view, disks, &tap_fd, err))
		return -1;
	trace_boot(view, disks);
	struct machine_nic nic = { .mac = instance->mac, .tap_fd = tap_fd };
	struct machine_spec spec = {
		.id = instance->record.id,
		.instance_type = instance->instance_type,
		.vcpus = type->vcpus,
		.memory_mib = type->memory_mib,
		.uefi = instance->boot_mode && strcmp(instance->boot_mode, "uefi") == 0,
		.disks = disks,
		.disk_count = view->volume_count,
		.nics = &nic,
		.nic_count = tap_fd >= 0 ? 1 : 0,
		.folder = view->folder,
	};
	return view->amid->config->compute->start(view->amid->compute, &spec, err);
}

int machine_end(struct instance_view *view, struct error *err)
{
	if (view->amid->config->compute->destroy(
		    view->amid->compute, view->instance->record.id, view->folder, err))
		return -1;
	for (unsigned i = 0; i < view->volume_count; i++) {
		struct volume_server_paths paths =
			amid_volume_paths(view->amid, view->region, view->volumes[i]->record.id, view->arena);
		if (volume_server_stop(&paths, SERVER_STOP_MS, err))
			return -1;
		key_ring_drop(view->amid, view->volumes[i]->record.id);
	}
	return 0;
}

int machine_get_state(struct instance_view *view, enum machine_state *state, struct error *err)
{
	return view->amid->config->compute->state(
		view->amid->compute, view->instance->record.id, view->folder, state, err);
}

int machine_attach(struct instance_view *view, struct volume_record *volume, struct error *err)
{
	struct machine_disk disk;
	if (start_volume(view, volume, &disk, err))
		return -1;
	return view->amid->config->compute->attach_disk(
		view->amid->compute, view->instance->record.id, &disk, err);
}

int machine_detach(struct instance_view *view, struct volume_record *volume, struct error *err)
{
	struct volume_server_paths paths =
		amid_volume_paths(view->amid, view->region, volume->record.id, view->arena);
	if (view->amid->config->compute->detach_disk(
		    view->amid->compute, view->instance->record.id, volume->record.id, DETACH_MS, err))
		return -1;
	key_ring_drop(view->amid, volume->record.id);
	return volume_server_stop(&paths, SERVER_STOP_MS, err);
}
