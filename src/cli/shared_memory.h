/* Memory that this process shares with an amid on the same machine, so that blocks need not pass through a socket. What the server makes of it: src/svc/ebs/area.h. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/client.h"

struct shared_memory;

/*
 * `size` bytes, zeros at first. NULL: the endpoint is not this machine's, its service is no amid, this user may not connect to its socket, or it takes no more: then blocks go the ordinary way.
 */
struct shared_memory *shared_memory_open(
	const struct client *client, struct client_connection *connection, size_t size);
void shared_memory_close(struct shared_memory *memory); /* NULL is legal */
uint8_t *shared_memory_data(const struct shared_memory *memory);
const char *shared_memory_token(const struct shared_memory *memory); /* what requests name it by */
