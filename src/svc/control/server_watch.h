/* Watches volume servers: when the process of one ends, the controller of its instance looks again (and starts it anew). */
#pragma once

#include "base/error.h"
#include "base/process.h"

struct server_watch;
struct work;

int server_watch_open(struct work *work, struct server_watch **watch, struct error *err);
/* After this nothing is put into the queue any more. NULL is legal. */
void server_watch_close(struct server_watch *watch);
/* Repeating it for the same process is a success. The instance is looked at too when the server was stopped on purpose: it then finds all as it should be. */
int server_watch_add(
	struct server_watch *watch, const struct process *server, const char *instance_id, struct error *err);
