/*
 * A call: one API request on its way through amid, from the door to a handler and back. What a handler is given, and may use.
 *
 *	int ec2_describe_images(struct call *call, const struct ec2_DescribeImagesRequest *request,
 *		struct ec2_DescribeImagesResult *result, struct error *err);
 *
 * A handler runs on the connection's thread. It reads the metadata through call->..., puts its changes in one batch, commits it, and fills *result (zeroed) from
 * call->arena. It is run again from the start if its batch met a concurrent change (ERROR_CONFLICT), so it has no effect but through the batch. Before the handler runs, the door has: authenticated
 * the caller, decoded and checked the parameters by the tables, answered DryRun, and found the region.
 */
#pragma once

#include "base/arena.h"
#include "aws/principal.h"
#include "base/error.h"
#include "shape/shape.h"

struct amid;

/* One answer of the policy engine about a call: what was asked, and which statement of which policy decided. */
struct call_decision {
	const struct call_decision *earlier; /* NULL: this was the first */
	const char *action, *resource;
	const char *decision; /* "allowed", "explicitDeny", "implicitDeny" */
	const char *source;   /* "identity", "resource", ..., "root"; "none": an Allow was missing */
	const char *policy;   /* NULL: none decided */
	const char *sid;      /* NULL: the statement has none */
	unsigned statement;   /* from 0; means something if there is a policy */
};

enum call_access { ACCESS_READ, ACCESS_WRITE, ACCESS_LIST, ACCESS_TAGGING, ACCESS_PERMISSIONS };

struct call;
/* What has to be taken back if the handler fails: see call_on_failure. */
struct call_undo {
	struct call_undo *next;
	void (*undo)(struct call *call, void *what);
	void *what;
};

struct call {
	struct amid *amid;
	struct arena *arena; /* everything read and written for this call; gone after the answer */
	const struct operation *operation;
	const struct service *service; /* NULL below /_amid/ */
	char request_id[37];
	const char *account;               /* 12 digits */
	const char *region;                /* "us-east-1" */
	const struct principal *principal; /* who calls; NULL in requests below /_amid/ that are not signed */
	const char *source_ip;
	const char *user_agent, *referer; /* as the client says; NULL: it does not */
	bool secure;                      /* over TLS */
	const struct call_decision
		*decisions; /* what was decided about it, newest first: for the audit trail */
	unsigned decision_count;
	const char *host; /* the Host that the caller addressed, "127.0.0.1:4566"; NULL: it named none */
	struct call_undo *undo; /* the newest first */
};

/*
 * For the exception from the rule of one batch: what was committed before it (grants of keys) is taken back by `undo` when the handler fails, or is run again. A crash in between leaves it. `what` lives as long as the call.
 */
static inline void call_on_failure(struct call *call, void (*undo)(struct call *call, void *what), void *what)
{
	struct call_undo *entry = arena_alloc(call->arena, sizeof *entry);
	*entry = (struct call_undo){ call->undo, undo, what };
	call->undo = entry;
}

/* A row of the generated operation table of a service: the shapes, what .ops says of it, and the handler behind a typed cast. */
struct operation {
	const struct shape_operation *shape;
	enum call_access access;
	const char *const *resources; /* IAM resource types it touches, NULL-terminated */
	int (*handler)(struct call *call, const void *request, void *result,
		struct error *err); /* NULL in tests of the tables */
};

enum protocol { PROTOCOL_EC2, PROTOCOL_QUERY, PROTOCOL_REST_JSON, PROTOCOL_JSON };

struct service {
	const char *name;        /* signing name: "ec2", "ebs", "sts" */
	const char *api_version; /* "2016-11-15" */
	const char *xml_namespace;
	enum protocol protocol;
	const char *target;       /* json: what X-Amz-Target begins with, "TrentService"; else NULL */
	const char *json_version; /* json: "1.0" or "1.1"; else NULL */
	const struct operation *operations; /* sorted by name */
	unsigned operation_count;
	const char *const *
		unimplemented; /* names of operations that AWS has and amid does not, sorted, NULL-terminated */
};
