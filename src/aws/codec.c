/* The table of codecs, and what they and the door ask of operation tables. No state; safe from every thread. */
#include "aws/codec.h"

#include <stdlib.h>
#include <string.h>

#include "aws/codec_internal.h"
#include "shape/value.h"
#include "base/banned.h"

const struct codec *codec_of(enum protocol protocol)
{
	static const struct codec *const codecs[] = { [PROTOCOL_EC2] = &codec_ec2,
		[PROTOCOL_QUERY] = &codec_query,
		[PROTOCOL_REST_JSON] = &codec_rest_json,
		[PROTOCOL_JSON] = &codec_json };
	return codecs[protocol];
}

static int compare_operation(const void *name, const void *operation)
{
	return strcmp(name, ((const struct operation *)operation)->shape->name);
}

const struct operation *codec_find_operation(const struct service *service, const char *name)
{
	return bsearch(name, service->operations, service->operation_count, sizeof *service->operations,
		compare_operation);
}

bool codec_is_unimplemented(const struct service *service, const char *name)
{
	for (const char *const *known = service->unimplemented; *known; known++) {
		if (strcmp(*known, name) == 0)
			return true;
	}
	return false;
}

bool codec_wants_dry_run(const struct operation *operation, const void *input)
{
	const struct shape_member *member = shape_find_member(operation->shape->input, "DryRun");
	if (!member || member->shape->kind != SHAPE_BOOLEAN)
		return false;
	const struct shape_boolean *dry_run = (const void *)((const char *)input + member->offset);
	return boolean_or(*dry_run, false);
}
