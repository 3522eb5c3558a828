/*
 * Blocks of an upload out of memory that the client shares (area.h), for `amid import` on the server's own machine:
 *
 *	GET  /_amid/upload        {"socket":"/dev/shm/amid-.../upload"}, where a client hands its memory over
 *	POST /_amid/upload/SNAP   {"area":"TOKEN","blocks":[[INDEX, PLACE], ...]}: block INDEX of the snapshot is what lies at PLACE times 512 KiB in the area. {"put":N} once all are durable
 *
 * The second is PutSnapshotBlock by another way: what StartSnapshot began is written, permission for ebs:PutSnapshotBlock on the snapshot is asked for, blocks may be in any order, a block again, many requests at once.
 */
#pragma once

#include <jansson.h>

#include "aws/call.h"
#include "aws/http.h"

#define PUT_AREA_PATH "/_amid/upload"

/* *answer is the caller's to release. ERROR_AREA_NOT_FOUND: the area of that token is not there, or gone; others as of PutSnapshotBlock. */
int put_area_answer(struct call *call, const struct http_request *http, json_t **answer, struct error *err);
