/*
 * The audit trail of calls (docs/design/audit.md): every API call becomes a record as CloudTrail documents it, with what let the caller do it. Writing calls' records are durable before their answers leave, the others' follow
 * within a second.
 */
#pragma once

#include "aws/door.h"
#include "base/buffer.h"
#include "svc/amid.h"

#define AUDIT_FOLDER "audit" /* in the data folder */

/* Opens amid->audit. */
int audit_open(struct amid *amid, struct error *err);
/* The door's; the context is the struct amid. */
int audit_admit(void *amid, const struct call *call, struct error *err);
int audit_record(void *amid, const struct door_outcome *outcome, struct error *err);

/* Appends the record's "userIdentity" object. (audit_identity.c) */
void audit_write_identity(struct buffer *out, const struct door_outcome *outcome);
/* Whom LookupEvents calls its user; NULL: unknown. */
const char *audit_username(const struct door_outcome *outcome);
