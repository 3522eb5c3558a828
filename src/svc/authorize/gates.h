/* The gates of a launch: what explain.c answers with. */
#pragma once

#include <jansson.h>

#include "api/ec2.h"
#include "api/records.h"
#include "aws/call.h"

struct sharing;

/* A launch that is asked about. */
struct explanation {
	struct call *asked_by;
	bool is_operator;   /* who asks */
	struct call launch; /* as the principal would make it */
	const struct principal *principal;
	const struct sharing *view; /* of the principal's account, where it would launch */
	const char *image_id;
	struct ec2_RunInstancesRequest request;
	struct image_record *image;
};

/* Every gate in order: [{"gate","result","detail"}]. *mend: the name of the one that failed, NULL: none. NULL: it could not be found out. */
json_t *gates_pass(struct explanation *about, const char **mend, struct error *err);
