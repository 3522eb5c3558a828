/*
 * Compute drivers: machines (virtual machines) behind one table. `qemu` runs a QEMU process per machine that outlives amid; `dry` keeps the same states without a process, for API tests.
 *
 * A driver holds no truth: which machines should run is in the metadata, and controllers call these functions until what is agrees with what should be; so each is safe to repeat, and after a restart of amid machine_state finds
 * what is still running. Safe from every thread; calls on one machine are serialised by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"

struct compute;

enum machine_state {
	MACHINE_ABSENT, /* no process; never started, ended or killed */
	MACHINE_RUNNING,
	MACHINE_SHUT_DOWN, /* the guest powered itself off; the process has ended or is paused and must be removed by machine_destroy */
};

struct machine_disk {
	const char *
		device_id; /* the volume's id: the disk's serial (as AWS: "vol0123...", without the dash, for nvme and virtio) and its node name */
	const char *
		nbd_socket; /* Unix socket of its volume server; the machine's user must be able to connect, at any time */
	const char *export_name;
	bool nvme; /* else virtio-blk */
	bool boot;
};

/* What a disk may do; 0 stands for no limit. */
struct machine_disk_limits {
	int64_t iops; /* requests a second; one of more than 256 KiB counts as several */
	int64_t burst_iops,
		burst_seconds; /* more than `iops`: so long from full credits, which fill at `iops` */
	int64_t bytes_per_second;
};

struct machine_nic {
	const char *mac; /* "02:..." */
	int tap_fd; /* the driver passes it on; the caller closes its own copy afterwards. -1: none (dry) */
};

struct machine_spec {
	const char *id;            /* instance id */
	const char *instance_type; /* SMBIOS product name */
	unsigned vcpus;
	unsigned memory_mib;
	bool uefi;
	const struct machine_disk *disks;
	unsigned disk_count;
	const struct machine_nic *nics;
	unsigned nic_count;
	const char
		*folder; /* of this machine, made by the caller, mode 0700: console log, sockets, pid file */
};

enum machine_event {
	EVENT_MACHINE_RESET,     /* the guest rebooted */
	EVENT_MACHINE_SHUT_DOWN, /* the guest powered off */
	EVENT_MACHINE_GONE,      /* the process ended for any other reason */
	EVENT_MACHINE_AGENT,     /* the guest agent's channel was opened by the guest */
	EVENT_MACHINE_FULL,      /* a write found no room on the host's disk: the guest is paused */
};
/* Called from a driver's thread; must be quick and must not call the driver. */
typedef void compute_listener(void *context, const char *machine_id, enum machine_event event);

struct compute_driver {
	const char *name;
	/* `state_folder` durable, `runtime_folder` on a tmpfs for sockets (short path). */
	int (*open)(const char *state_folder, const char *runtime_folder, compute_listener *listener,
		void *context, struct compute **compute, struct error *err);
	void (*close)(struct compute *compute); /* machines go on */

	/* The user that the machine's process is or, if there is none, will be: the same from then until destroy, and no other machine's. Sockets of its disks are to be given to it. amid's own where processes cannot be told apart. */
	int (*user)(
		struct compute *compute, const char *id, const char *folder, uid_t *user, struct error *err);
	/* Starts the machine's process; returns when its monitor answers (the guest is then at its first instructions). A machine already running is a success. */
	int (*start)(struct compute *compute, const struct machine_spec *spec, struct error *err);
	/* What became of it. Takes up machines of an earlier amid (connects to their monitor and watches them). */
	int (*state)(struct compute *compute, const char *id, const char *folder, enum machine_state *state,
		struct error *err);
	/* Asks the guest to shut down (ACPI power button). EVENT_MACHINE_SHUT_DOWN follows, if the guest listens. */
	int (*power_button)(struct compute *compute, const char *id, struct error *err);
	/* Ends the process at once; returns when it is gone. Fine if it is. */
	int (*destroy)(struct compute *compute, const char *id, const char *folder, struct error *err);
	/* Hardware reset. */
	int (*reset)(struct compute *compute, const char *id, struct error *err);
	/* A guest that is paused since a write found no room (*paused) tries that write again, and goes on or is paused once more. */
	int (*resume)(struct compute *compute, const char *id, bool *paused, struct error *err);

	/* Hot-plug. attach: returns when the guest has the device on its bus. detach: asks the guest to let it go and waits up to timeout_ms for that (ERROR_TIMEOUT). Repeating either is a success. */
	int (*attach_disk)(
		struct compute *compute, const char *id, const struct machine_disk *disk, struct error *err);
	int (*detach_disk)(struct compute *compute, const char *id, const char *device_id, int timeout_ms,
		struct error *err);
	/* Tells the guest of a disk's new size. */
	int (*resize_disk)(struct compute *compute, const char *id, const char *device_id, uint64_t size,
		struct error *err);
	/* Holds a disk's reads and writes, together, to limits; changes nothing, credits included, when they are in force. ERROR_NOT_FOUND: the machine has no such disk. */
	int (*limit_disk)(struct compute *compute, const char *id, const char *device_id,
		const struct machine_disk_limits *limits, struct error *err);

	/*
	 * Through the guest agent: ERROR_NOT_FOUND if the guest has none running, ERROR_TIMEOUT if it does not answer within timeout_ms. *count: file systems frozen.
	 * From a freeze on, also one that failed, and for a machine taken up, a thaw is owed: thaw does nothing unless one is, and is to be repeated until it succeeds. A guest left frozen cannot even shut down.
	 */
	int (*freeze_file_systems)(
		struct compute *compute, const char *id, int timeout_ms, int *count, struct error *err);
	int (*thaw_file_systems)(struct compute *compute, const char *id, int timeout_ms, struct error *err);

	/* The newest `limit` bytes of what the machine wrote to its serial console over its life (kept after its end, until its folder is removed), in the arena. */
	int (*console)(struct compute *compute, const char *id, const char *folder, size_t limit,
		struct arena *arena, char **data, size_t *size, int64_t *modified_ms, struct error *err);
};

extern const struct compute_driver compute_driver_qemu;
extern const struct compute_driver compute_driver_dry;
