/* The blocks of a disk file, put into a snapshot that was started. */
#pragma once

#include "cli/client.h"
#include "cli/disk_file.h"

/*
 * Puts every block that is not all zeros; *put counts them. To an amid on this machine through shared memory, to any other service, or where that fails, by PutSnapshotBlock. Draws a bar on stderr if that is a terminal. `connection`
 * is only borrowed.
 */
int disk_upload(const struct client *client, struct client_connection *connection, struct disk_file *disk,
	const char *snapshot_id, uint64_t *put, struct error *err);
