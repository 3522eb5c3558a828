/*
 * The qemu driver's own: its machines. Shared by qemu.c (life), qemu_start.c, qemu_users.c, qemu_machine.c (list, events), qemu_disks.c (hot-plug) and qemu_guest.c (agent).
 *
 * Locks: compute->lock guards the list; machine->lock guards what the loop's thread and callers share. Neither is held while calling out (monitor, listener, loop).
 * References to a machine: the list, its monitor, its end source, and whoever found it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/process.h"
#include "compute/acceleration.h"
#include "compute/compute.h"
#include "compute/compute_loop.h"
#include "compute/qmp.h"

enum {
	/* QEMU's main loop answers within milliseconds; on a host at its limit it may take seconds. */
	COMMAND_TIMEOUT_MS = 10000,
	START_TIMEOUT_MS = 30000,
};

struct compute {
	char *state_folder, *runtime_folder;
	compute_listener *listener;
	void *context;
	struct compute_loop *loop;
	struct compute_loop_source *trim_source; /* a timer */
	int trim_fd;                             /* the source's */
	struct acceleration *acceleration;
	bool privileged; /* QEMU can be made to give up all capabilities */
	bool own_users;  /* and to be a user of its own */
	pthread_mutex_t lock;
	struct machine *machines;
	struct machine_user *users; /* qemu_users.c's */
};

struct machine {
	_Atomic int references;
	struct compute *compute;
	struct machine *next;
	char *id, *folder;
	struct process process;
	uid_t user;      /* the process's */
	struct qmp *qmp; /* fixed once the machine is in the list, closed when it leaves it */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct compute_loop_source *end_source; /* its pidfd; NULL once it ended */
	bool destroying;                        /* its end is our own doing: no event */
	char *awaited_device;                   /* detach waits until this one is deleted */
	bool device_deleted, unplug_refused;
	_Atomic bool
		thaw_owed; /* its file systems may be frozen: by a freeze of ours, or of an amid before us */
};

/* The machine, with a reference; NULL if it was not started or taken up by this process. */
struct machine *machine_find(struct compute *compute, const char *id);
/* The same, or ERROR_NOT_FOUND. */
int machine_get(struct compute *compute, const char *id, struct machine **machine, struct error *err);
void machine_unref(struct machine *machine);
static inline void machine_cleanup(struct machine **machine)
{
	if (*machine)
		machine_unref(*machine);
}
#define MACHINE_SCOPED __attribute__((cleanup(machine_cleanup)))

/* Speaks to a process over a connected monitor socket (taken over, also on failure) and puts the machine in the list. */
int machine_connect(struct compute *compute, const char *id, const char *folder,
	const struct process *process, int monitor_fd, int timeout_ms, struct machine **machine,
	struct error *err);
/* Out of the list; its process goes on. */
void machine_forget(struct machine *machine);
void machine_forget_all(struct compute *compute);
/* A timer tick: trims the consoles. */
void machine_trim_consoles(struct compute *compute);
/* Whether the guest has opened its agent's channel. */
int machine_agent_open(struct machine *machine, bool *open, struct error *err);
/* Has the loop's thread tell the listener. */
void machine_post_agent(struct machine *machine);
/* "RUNTIME/ID.KIND" */
char *machine_socket(struct arena *arena, const struct compute *compute, const char *id, const char *kind);

/* Spawns the process and puts the machine in the list; lock_fd: its lock, held. */
int qemu_launch(
	struct compute *compute, const struct machine_spec *spec, int lock_fd, bool *kvm, struct error *err);

/* Whether users of our range exist here; logs if not. */
bool qemu_users_possible(void);
/* The user that a machine without a process is to have: the same one until the release; amid's own without own_users. */
int qemu_users_promise(struct compute *compute, const char *id, uid_t *user, struct error *err);
/* When the process has ended. Fine if nothing was promised. */
void qemu_users_release(struct compute *compute, const char *id);
void qemu_users_close(struct compute *compute);
/* Whether such a user may open /dev/kvm, and the group that it needs for that (0: none); logs if not. */
bool qemu_users_may_use_kvm(const struct compute *compute, gid_t *group);

int qemu_attach_disk(
	struct compute *compute, const char *id, const struct machine_disk *disk, struct error *err);
int qemu_detach_disk(
	struct compute *compute, const char *id, const char *device_id, int timeout_ms, struct error *err);
int qemu_resize_disk(
	struct compute *compute, const char *id, const char *device_id, uint64_t size, struct error *err);
int qemu_limit_disk(struct compute *compute, const char *id, const char *device_id,
	const struct machine_disk_limits *limits, struct error *err);
int qemu_freeze_file_systems(
	struct compute *compute, const char *id, int timeout_ms, int *count, struct error *err);
int qemu_thaw_file_systems(struct compute *compute, const char *id, int timeout_ms, struct error *err);
