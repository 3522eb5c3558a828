/*
 * Uploads: snapshots that a client writes block by block through the EBS direct APIs (StartSnapshot, PutSnapshotBlock, CompleteSnapshot). A block that was acknowledged is durable: it lies in the store, and its place in the
 * snapshot in the upload's journal, from which an upload goes on after a crash.
 */
#pragma once

#include "api/records.h"
#include "svc/amid.h"

struct uploads;

/* Takes up the uploads of all regions that an earlier run left unfinished. */
int uploads_open(struct amid *amid, struct uploads **uploads, struct error *err);
void uploads_close(struct uploads *uploads); /* unfinished ones go on at the next start; NULL is legal */
