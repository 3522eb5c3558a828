/* What the codecs share among themselves. */
#pragma once

#include "aws/codec.h"

extern const struct codec codec_ec2, codec_query, codec_rest_json, codec_json;

/* route and decode of both query protocols (query_request.c). */
int query_request_route(const struct service *service, const struct http_request *http, struct arena *arena,
	struct codec_request *request, struct error *err);
int query_request_decode(const struct codec_request *request, void **input, struct error *err);
