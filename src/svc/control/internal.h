/* Shared by the controllers; nobody else includes this. */
#pragma once

#include "api/records.h"
#include "base/arena.h"
#include "svc/amid.h"
#include "svc/control/control.h"
#include "svc/control/twin.h"
#include "svc/control/upkeep.h"

/* The controllers (work_function; context: struct amid). */
int control_instance(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_volume(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_modification(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_snapshot(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_image(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_root_replacement(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_twin(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_security_group(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_vpc(void *context, const char *id, int64_t *again_ms, struct error *err);
int control_collect(void *context, const char *region, int64_t *again_ms, struct error *err);
int control_upkeep(void *context, const char *region, int64_t *again_ms, struct error *err);
int control_warm(void *context, const char *region_and_root, int64_t *again_ms, struct error *err);

/* collect.c: from now on the stores wake their collectors, and once now. */
void control_listen_to_stores(struct amid *amid);
/* collect.c: a record has changed: the root that it has no more is retired in its store. For the metadata's listener. */
void control_note_lost(struct amid *amid, const struct meta_change *change);

/* An instance and what is at hand while its controller runs. */
struct instance_view {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct instance_record *instance;
	char *folder;
	struct volume_record **volumes; /* attached ones, the root first */
	unsigned volume_count;
};

/* machine.c: the machine of an instance. All can be repeated. */
/* Volumes, their servers, network and machine: running on success. */
int machine_launch(struct instance_view *view, struct error *err);
/* Ends the machine (if it runs) and its volume servers. */
int machine_end(struct instance_view *view, struct error *err);
/*
 * Starts the volume servers that have ended, of all volumes that the machine has: it waits for them and connects again. From then on the end of one wakes the instance's controller.
 */
int machine_serve_volumes(struct instance_view *view, struct error *err);
int machine_get_state(struct instance_view *view, enum machine_state *state, struct error *err);
int machine_attach(struct instance_view *view, struct volume_record *volume, struct error *err);
int machine_detach(struct instance_view *view, struct volume_record *volume, struct error *err);
/* Makes the volume's folder if it is missing. */
int machine_prepare_volume(struct amid *amid, struct amid_region *region, const struct volume_record *volume,
	struct arena *arena, struct error *err);

/* modification.c: ends the modifications of the instance's volumes that have been applied; `live`: the guest is told first. */
int modification_settle(struct instance_view *view, bool live, struct error *err);
/* limits.c: holds the disks of a running machine to what their volumes promise. */
int limits_apply(struct instance_view *view, struct error *err);

/*
 * root_replacement.c: the unfinished task of the instance, NULL if none; root_replacement_is_due: its root volume is still the old one. Each of the others is one commit.
 */
int root_replacement_find(
	struct instance_view *view, struct root_replacement_record **task, struct error *err);
bool root_replacement_is_due(const struct root_replacement_record *task);
/* The machine is going down for it. */
int root_replacement_begin(
	struct instance_view *view, struct root_replacement_record *task, struct error *err);
/* The machine is down: the instance gets its new root volume, and `restart` as its next step (NULL: none). The view is stale then. */
int root_replacement_swap(struct instance_view *view, struct root_replacement_record *task,
	const char *restart, struct error *err);
/* After the swap. */
int root_replacement_finish(
	struct instance_view *view, struct root_replacement_record *task, struct error *err);
/* The instance is terminated: into its batch. */
int root_replacement_abandon(struct instance_view *view, struct meta_batch *batch, struct error *err);
/* The instance is forgotten, its tasks with it: into its batch. */
int root_replacement_forget(struct instance_view *view, struct meta_batch *batch, struct error *err);

/* capture.c: the image that waits for this instance to be captured (the oldest), NULL if none. */
int capture_find(struct instance_view *view, struct image_record **image, struct error *err);
/*
 * Freezes all volumes that the image takes at one instant and records which layers its snapshots are. `machine_live`: the guest runs now (its file systems are frozen through its agent for that moment). `clean`: the guest has shut down
 * by itself.
 */
int capture_now(struct instance_view *view, struct image_record *image, bool machine_live, bool clean,
	struct error *err);

/* network.c: applies the description of a VPC as the metadata has it now. Fine with the dry driver (does nothing). */
int network_apply(
	struct amid *amid, const char *account, const char *region, const char *vpc_id, struct error *err);
/* At the start: takes up the networks of the instances that are up (metadata service, DHCP, public addresses end with amid), and removes those that belong to nobody any more. */
int network_take_up(struct amid *amid, struct error *err);
