/* The DHCP server of a VPC: one socket in its namespace for all taps, answering from the VPC's description on the loop's thread. */
#pragma once

#include "net/loop.h"
#include "net/net.h"

struct dhcp_server;

/* The socket to give to dhcp_server_add. To be called inside of the namespace. */
int dhcp_server_socket(struct error *err);
/* Owns the socket in any case. The three below are called with the loop's lock held. */
int dhcp_server_add(struct loop *loop, int socket_fd, struct dhcp_server **server, struct error *err);
/* What to answer from: `vpc` must live until the next call. */
void dhcp_server_set(struct dhcp_server *server, const struct net_vpc *vpc);
void dhcp_server_remove(struct dhcp_server *server); /* NULL is legal */
