/*
 * Volume servers: an nbdkit process with our plugin for each attached volume, which outlives amid. NBD on `SOCKETS/VOLUME.nbd`, control on `SOCKETS/VOLUME.ctl`.
 * Client side, used by amid; the other side is plugin.c. All functions are safe from every thread; each call opens its own control connection.
 */
#pragma once

#include "base/digest.h"
#include "base/error.h"
#include "base/process.h"
#include "volume/volume.h"

struct volume_server_paths {
	const char *id; /* "vol-0123..." : the NBD export name as well */
	const char *volume_folder;
	const char *runtime_folder; /* tmpfs; live maps */
	const char *
		socket_folder; /* NBD and control sockets, pid file; short: a socket path has at most 107 bytes */
	const char *store_folder;
	const char *trace_folder; /* of boot traces; NULL: none are kept */
	const char *plugin;       /* path of the nbdkit plugin */
	const char *reserve;      /* as operators write it: space_parse_reserve; NULL: the default */
	const uint8_t *key; /* of an encrypted volume (CIPHER_KEY_SIZE), for the start; NULL: it is not */
	const char *log;    /* where nbdkit's output is appended */
	uid_t client; /* for the start: who may connect by NBD, beside root; 0: only who starts the server */
};

/* Starts the server unless it runs already; returns when it answers on both sockets. The NBD socket is the client's then in either case. */
int volume_server_start(const struct volume_server_paths *paths, struct process *process, struct error *err);
/* ERROR_NOT_FOUND if it does not run. */
int volume_server_find(const struct volume_server_paths *paths, struct process *process, struct error *err);
/* Asks it to flush and end, waits for the end (killing after timeout_ms). Fine if it does not run. */
int volume_server_stop(const struct volume_server_paths *paths, int timeout_ms, struct error *err);

/*
 * Freezes several attached volumes at one instant: holds all, freezes all, releases all, then makes the frozen layers durable. layers[i] gets the number for paths[i]. On failure none counts as
 * frozen (a layer frozen already is harmless: it stays in its stack and is sealed with the next).
 */
int volume_server_freeze(
	const struct volume_server_paths *paths, unsigned count, uint64_t *layers, struct error *err);
int volume_server_rebase(const struct volume_server_paths *paths, uint64_t layer, const struct digest *root,
	struct error *err);
/*
 * Boot traces (docs/design/volume.md): right after the start, for a volume that stands on `root`. Reads ahead by the trace of an earlier boot, if there is one, and records this one for `ms`.
 * Nothing depends on either.
 */
int volume_server_trace(
	const struct volume_server_paths *paths, const struct digest *root, unsigned ms, struct error *err);
/* The store has moved blocks: see volume_let_go. ERROR_NOT_FOUND if the server does not run. */
int volume_server_let_go(const struct volume_server_paths *paths, struct error *err);
int volume_server_grow(const struct volume_server_paths *paths, uint64_t size, struct error *err);
