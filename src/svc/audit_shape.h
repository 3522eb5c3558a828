/* Requests and answers as records show them: without secrets, and not at any length. No state. */
#pragma once

#include "aws/call.h"
#include "base/buffer.h"
#include "svc/audit_event.h"

#define AUDIT_HIDDEN "HIDDEN_DUE_TO_SECURITY_REASONS"

struct audit_shape {
	const struct call *call;
	bool response;
	struct audit_event *event; /* gets the resources that are named */
};
/* Appends a JSON object of at most some 40 KiB; what is longer is cut, with a note at the place. */
void audit_shape_write(
	struct buffer *out, const struct audit_shape *how, const struct shape *shape, const void *value);
