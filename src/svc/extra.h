/*
 * What amid answers below /_amid/, beside the AWS APIs:
 *	GET  /_amid/health   {"status":"ok"}: for everybody
 *	POST /_amid/explain  why somebody may not launch an image: authorize/explain.h
 *	GET  /_amid/status   regions with the bytes and objects of their stores, and what runs
 *	GET  /_amid/show/ID  a snapshot or image that the caller may see: show.h
 *	POST /_amid/peer/... for other amids only: peer_answer.h
 *	GET  /_amid/accounts all accounts, POST: a new one; for the operator's root only: accounts_answer.h
 *	POST /_amid/du       what images and snapshots take: see du.h
 *	GET  /_amid/scrub    how far verification is in each region, and what is damaged; /_amid/scrub/wait: the same, once no pass that was asked for is under way, or after 5 s
 *	POST /_amid/scrub    {"rate_mib":N} begins a pass of all regions now; 0 or nothing: as fast as it can be
 *	/_amid/upload         blocks of an upload from memory that the client shares: ebs/put_area.h
 *	POST /_amid/reset    forgets everything of the caller's account; only with --auth any
 *	GET  /_amid/clock    {"now_ms":N}: milliseconds since 1970 UTC by amid's clock
 *	POST /_amid/clock    {"advance_ms":N} moves amid's clock forward, and whatever waits for a time follows; only with --auth any
 *
 * What is about everybody's things (status, scrub) is for the root of the operator's account; show and du are for who may list images and snapshots.
 */
#pragma once

#include "aws/door.h"

/* door_extra; `context` is the struct amid. */
int extra_answer(void *context, struct call *call, const struct http_request *http,
	struct http_response *response, struct error *err);
