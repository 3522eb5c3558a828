/* What `GET /_amid/show/ID` answers: a snapshot or an image as amid has it, with what AWS has no fields for. */
#pragma once

#include <jansson.h>

#include "aws/call.h"

/*
 * A snapshot ("snap-...") or image ("ami-...") of any region that the caller may see, as a JSON object, which is the caller's to release. Counts the blocks of the snapshots' trees by walking their pages. Errors as EC2's: InvalidSnapshot.NotFound,
 * InvalidAMIID.NotFound, InvalidID for what is neither.
 */
int show_thing(struct call *call, const char *id, json_t **shown, struct error *err);
