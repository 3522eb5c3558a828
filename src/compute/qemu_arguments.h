/* QEMU's command line and block device descriptions, as pure functions of a machine's description. No state, no files; safe from every thread. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "compute/compute.h"

enum {
	QEMU_SPARE_PORTS =
		6, /* for disks that are plugged later; each costs the guest about 0.1 s of its boot under TCG */
	QEMU_MAXIMUM_PORTS = 40,
};

struct qemu_options {
	bool kvm;        /* else TCG */
	bool privileged; /* we are root with CAP_SETPCAP: QEMU gives up every capability before it starts */
	bool own_user;   /* and becomes: */
	uid_t user;      /* the gid has the same number */
	gid_t kvm_group; /* its only other group; 0: none */
	/* Inherited. Listening sockets: */
	int monitor_fd, serial_fd, agent_fd;
	int console_fd;                      /* for appending */
	const char *firmware;                /* OVMF's code, and ...; NULL: SeaBIOS */
	int variables_fd, variables_read_fd; /* ... the machine's own copy of its variables */
};

/* Refuses ids, types, MAC addresses and device ids that would not survive as part of an option, and counts QEMU cannot take: ERROR_INVALID. */
int qemu_check_spec(const struct machine_spec *spec, struct error *err);
int qemu_check_disk(const struct machine_disk *disk, struct error *err);
int qemu_check_id(const char *id, struct error *err);
/* The whole argv, NULL-terminated, in the arena. */
const char *const *qemu_arguments(
	struct arena *arena, const struct machine_spec *spec, const struct qemu_options *options);

/* A disk is three objects: an NBD client (of two possible names, so that a new one can take over from an old one), a "raw" node named as the disk, the device. */
const char *qemu_client_name(struct arena *arena, const char *device_id, unsigned which);
json_t *qemu_client_json(struct arena *arena, const struct machine_disk *disk, unsigned which);
json_t *qemu_node_json(const char *device_id, const char *client_name);
json_t *qemu_device_json(struct arena *arena, const struct machine_disk *disk, const char *bus);
/* "port0", ... */
const char *qemu_port_name(struct arena *arena, unsigned port);
