/*
 * The table of controllers, the listener that wakes them, and the scan at the start. The listener runs on the metadata's writer thread and only puts keys into the queue.
 */
#include "svc/control/control.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "aws/idempotency.h"
#include "svc/control/internal.h"
#include "svc/control/server_watch.h"
#include "svc/identity_cache.h"
#include "svc/iam_policies.h"
#include "svc/keys.h"
#include "svc/organization_cache.h"
#include "svc/peer_lease.h"
#include "base/log.h"
#include "base/text.h"
#include "base/banned.h"

enum { WORKERS = 4, SWEEP_PERIOD_MS = 3600 * 1000 };

/* Forgets the client tokens that have expired, once an hour. One key, whose id means nothing. */
static int sweep_client_tokens(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	*again_ms = SWEEP_PERIOD_MS;
	return idempotency_sweep(((struct amid *)context)->meta, err);
}

static const struct work_kind kinds[] = {
	{ "instance", control_instance },
	{ "volume", control_volume },
	{ "modification", control_modification },
	{ "snapshot", control_snapshot },
	{ "image", control_image },
	{ "root_replacement", control_root_replacement },
	{ "twin", control_twin },
	{ "security_group", control_security_group },
	{ "vpc", control_vpc },
	{ "collect", control_collect },
	{ "upkeep", control_upkeep },
	{ "warm", control_warm },
	{ "peer_lease", peer_lease_control },
	{ "kms_key", keys_control },
	{ "client_tokens", sweep_client_tokens },
	{ NULL, NULL },
};

/* A volume has two controllers: see modification.c. */
static void enqueue(struct amid *amid, const char *kind, const char *id)
{
	work_enqueue(amid->work, kind, id);
	if (strcmp(kind, "volume") == 0)
		work_enqueue(amid->work, "modification", id);
}

/* Kinds of things that are more than a record: once that is gone, folders, processes or networks may be left. */
static bool leaves_something(const char *kind)
{
	return strcmp(kind, "instance") == 0 || strcmp(kind, "volume") == 0 || strcmp(kind, "vpc") == 0;
}

static void on_change(void *context, const struct meta_change *change)
{
	struct amid *amid = context;
	identity_cache_note_change(amid->identities, change);
	organization_cache_note_change(amid->organizations, change);
	iam_policies_note(amid->iam_policies, change);
	if (!change->deleted || leaves_something(change->kind))
		enqueue(amid, change->kind, change->id);
	control_note_lost(amid, change);
}

void control_machine_event(void *context, const char *machine_id, enum machine_event event)
{
	struct amid *amid = context;
	static const char *const names[] = {
		[EVENT_MACHINE_RESET] = "reset",
		[EVENT_MACHINE_SHUT_DOWN] = "shut-down",
		[EVENT_MACHINE_GONE] = "gone",
		[EVENT_MACHINE_AGENT] = "agent",
		[EVENT_MACHINE_FULL] = "full",
	};
	log_info("machine-event", "instance=%s what=%s", machine_id, names[event]);
	if (amid->work && event != EVENT_MACHINE_RESET)
		work_enqueue(amid->work, "instance", machine_id);
}

static int scan(struct amid *amid, const struct record_kind *kind, struct meta_query query, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_rows rows;
	if (meta_list(amid->meta, kind, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		enqueue(amid, kind->name, ((const struct record *)rows.items[i])->id);
	return 0;
}

/*
 * Folders are looked at too: one without a record is what a crash, or a reset, has left. The whole folder is listed before the first controller is woken, so that nothing that they make is taken for such a thing.
 */
static int scan_folder(
	struct amid *amid, const char *kind, const char *path, const char *prefix, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char **names = NULL;
	size_t count = 0;
	DIR *folder = opendir(path);
	if (!folder)
		return error_set_errno(err, errno, "cannot list %s", path);
	for (struct dirent *entry; (entry = readdir(folder));)
		if (text_starts_with(entry->d_name, prefix))
			*ARENA_APPEND(arena, names, count) = arena_strdup(arena, entry->d_name);
	closedir(folder);
	for (size_t i = 0; i < count; i++)
		work_enqueue(amid->work, kind, names[i]);
	return 0;
}

int control_look_again(struct amid *amid, struct error *err)
{
	const struct record_kind *scanned[] = { &record_instance, &record_volume, &record_image, &record_twin,
		&record_kms_key, &record_peer_lease };
	for (size_t i = 0; i < sizeof scanned / sizeof *scanned; i++)
		if (scan(amid, scanned[i], (struct meta_query){ 0 }, err))
			return -1;
	/* of snapshots there may be very many, and with most of them nothing is left to do */
	if (scan(amid, &record_snapshot, (struct meta_query){ .index = "attended", .value = "true" }, err))
		return -1;
	work_enqueue(amid->work, "client_tokens", "all");
	for (unsigned i = 0; i < amid->region_count; i++)
		work_enqueue(amid->work, "upkeep", amid->regions[i].name);
	return 0;
}

int control_open(struct amid *amid, struct error *err)
{
	amid->upkeep = upkeep_create(amid);
	if (work_open(kinds, WORKERS, amid, &amid->work, err))
		return -1;
	if (amid->config->compute != &compute_driver_dry &&
		server_watch_open(amid->work, &amid->server_watch, err))
		return -1;
	meta_set_listener(amid->meta, on_change, amid);
	if (network_take_up(amid, err))
		return -1;
	/* volumes before instances, which make some: an unfinished one that is found now is nobody's */
	for (unsigned i = 0; i < amid->region_count; i++)
		if (scan_folder(amid, "volume", amid->regions[i].volumes_folder, "vol-", err) ||
			scan_folder(amid, "instance", amid->regions[i].instances_folder, "i-", err))
			return -1;
	if (control_look_again(amid, err))
		return -1;
	control_listen_to_stores(amid);
	return 0;
}

void control_stop(struct amid *amid)
{
	if (!amid->work)
		return;
	meta_set_listener(amid->meta, NULL, NULL);
	work_stop(amid->work);
}

void control_close(struct amid *amid)
{
	server_watch_close(amid->server_watch);
	work_close(amid->work);
	upkeep_destroy(amid->upkeep);
}
