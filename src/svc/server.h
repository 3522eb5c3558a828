/* The server: puts struct amid together, from the data folder to the open door, and takes it apart again. */
#pragma once

#include "svc/amid.h"

struct server;

/* *config must live as long as the server. On return requests are answered. */
int server_open(const struct amid_config *config, struct server **server, struct error *err);
const char *server_endpoint(const struct server *server);
/* Whether this start made the data folder's accounts (their credentials are in DATA/root-credentials). */
bool server_is_first_start(const struct server *server);
/* Lets running requests end. Guests and their volume servers go on, and are taken up by the next server_open. NULL is legal. */
void server_close(struct server *server);
