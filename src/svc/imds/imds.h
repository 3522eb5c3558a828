/*
 * Instance metadata service: what a guest finds at http://169.254.169.254/ (IMDSv1 and v2), served by amid on a listener in every VPC's network namespace. The listener tells the VPC and the peer's address tells the instance.
 */
#pragma once

#include "svc/amid.h"

struct imds;

int imds_open(struct amid *amid, struct imds **imds, struct error *err);
void imds_close(struct imds *imds); /* NULL is legal */
/* Serves a VPC on a listening socket, which belongs to the service from now on and replaces the VPC's earlier one. Safe from every thread. */
void imds_listen(struct imds *imds, const char *vpc_id, int listen_fd);
