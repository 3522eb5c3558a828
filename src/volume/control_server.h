/* The control socket of a volume server. For the plugin. */
#pragma once

#include "base/error.h"

struct control_server;
struct volume;

/* `traces` (NULL: none are kept): the folder of boot traces. Binds the socket (mode 0600), replacing a stale one; connections wait until control_server_run. */
int control_server_create(const char *path, struct volume *volume, const char *traces,
	struct control_server **server, struct error *err);
/* Starts the thread that accepts. */
int control_server_run(struct control_server *server, struct error *err);
/* Flushes the volume, keeps it from changing, removes the socket and ends the process; for `shutdown` and SIGTERM. Comes back only if the flush failed. */
int control_server_end_process(struct control_server *server, struct error *err);
