/* What /_amid/scrub answers: see extra.h. */
#pragma once

#include <jansson.h>

#include "aws/http_message.h"
#include "svc/amid.h"

/* *answer is the caller's to json_decref. */
int scrub_answer(struct amid *amid, const struct http_request *http, struct arena *arena, json_t **answer,
	struct error *err);
