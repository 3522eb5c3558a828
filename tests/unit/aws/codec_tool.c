/*
 * The codecs as a filter, for test_codec_botocore.py: a line in, a line out, fields in Base64 ("-" for none).
 *
 *	decode SERVICE METHOD PATH QUERY HEADERS BODY    ->  ok OPERATION JSON OUTSIDE   or   error CODE MESSAGE
 *	encode SERVICE OPERATION JSON OUTSIDE            ->  ok STATUS HEADERS BODY
 *
 * JSON holds the members of the body by their wire names, OUTSIDE those in path, query string and headers, as a form. HEADERS: "name: value" lines.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/ebs.h"
#include "api/ec2.h"
#include "api/iam.h"
#include "api/kms.h"
#include "api/rbin.h"
#include "api/sts.h"
#include "aws/codec.h"
#include "aws/scalar.h"
#include "base/text.h"
#include "shape/json.h"
#include "shape/value.h"

static const struct service *find_service(const char *name)
{
	static const struct service *const services[] = { &ebs_service, &ec2_service, &iam_service,
		&kms_service, &rbin_service, &sts_service };
	for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
		if (strcmp(services[i]->name, name) == 0)
			return services[i];
	}
	abort();
}

static const char *field(struct arena *arena, const char *text, size_t *size)
{
	*size = 0;
	if (strcmp(text, "-") == 0)
		return "";
	const char *bytes = (const char *)text_unbase64(arena, text, size);
	if (!bytes)
		abort();
	return bytes;
}

static void print_field(struct arena *arena, const void *data, size_t size)
{
	printf(" %s", size ? text_base64(arena, data, size) : "-");
}

static void read_headers(struct arena *arena, const char *text, struct http_request *http)
{
	struct http_header *headers = NULL;
	size_t count;
	char **lines = text_split(arena, text, '\n', &count);
	for (size_t i = 0; i < count; i++) {
		char *colon = strstr(lines[i], ": ");
		if (!colon)
			continue;
		*colon = '\0';
		*ARENA_APPEND(arena, headers, http->header_count) =
			(struct http_header){ lines[i], colon + 2 };
	}
	http->headers = headers;
}

static void write_outside(
	struct arena *arena, const struct shape *shape, const void *value, struct buffer *out)
{
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		const void *at = (const char *)value + member->offset;
		const struct shape_list *list = at;
		if (member->location == LOCATION_BODY || shape_value_is_absent(member->shape, at))
			continue;
		if (member->shape->kind == SHAPE_LIST) /* of texts */
			for (size_t j = 0; j < list->count; j++)
				buffer_printf(out, "%s=%s\n", member->name, ((const char **)list->items)[j]);
		else
			buffer_printf(out, "%s=%s\n", member->name,
				scalar_format(arena, member->shape, "unixTimestamp", at));
	}
}

static void read_outside(
	struct arena *arena, const struct shape *shape, void *value, const char *form, size_t size)
{
	struct http_parameters parameters = { 0 };
	if (http_parse_parameters(arena, form, size, &parameters) < 0)
		abort();
	for (size_t i = 0; i < parameters.count; i++) {
		const struct shape_member *member = shape_find_member(shape, parameters.items[i].name);
		if (scalar_parse(
			    arena, member->shape, parameters.items[i].value, (char *)value + member->offset))
			abort();
	}
}

static void decode(struct arena *arena, char **words)
{
	const struct service *service = find_service(words[1]);
	const struct codec *codec = codec_of(service->protocol);
	struct buffer json BUFFER_SCOPED = { 0 }, outside BUFFER_SCOPED = { 0 };
	struct codec_request request;
	struct error err;
	void *input;
	size_t size;
	struct http_request http = { .method = words[2], .path = field(arena, words[3], &size) };
	http.query = field(arena, words[4], &size);
	read_headers(arena, field(arena, words[5], &size), &http);
	http.body = field(arena, words[6], &http.body_size);
	if (codec->route(service, &http, arena, &request, &err) < 0 ||
		codec->decode(&request, &input, &err) < 0) {
		printf("error %s %s\n", error_aws_code(err.code), err.message);
		return;
	}
	const struct shape *shape = request.operation->shape->input;
	json_encode(&json, shape, input);
	write_outside(arena, shape, input, &outside);
	printf("ok %s", request.operation->shape->name);
	print_field(arena, json.data, json.size);
	print_field(arena, outside.data, outside.size);
	putchar('\n');
}

static void encode(struct arena *arena, char **words)
{
	const struct service *service = find_service(words[1]);
	const struct operation *operation = codec_find_operation(service, words[2]);
	const struct codec_request request = { .service = service, .operation = operation, .arena = arena };
	const struct shape *shape = operation->shape->output;
	void *output = arena_alloc(arena, shape->size);
	struct http_response response = { 0 };
	struct buffer headers BUFFER_SCOPED = { 0 };
	struct error err;
	size_t size;
	const char *json = field(arena, words[3], &size);
	if (json_decode(arena, shape, json, size, false, output, &err) < 0) {
		printf("error %s %s\n", error_aws_code(err.code), err.message);
		return;
	}
	const char *outside = field(arena, words[4], &size);
	read_outside(arena, shape, output, outside, size);
	codec_of(service->protocol)->encode(&request, output, "request-id", &response);
	for (size_t i = 0; i < response.header_count; i++)
		buffer_printf(&headers, "%s: %s\n", response.headers[i].name, response.headers[i].value);
	printf("ok %d", response.status);
	print_field(arena, headers.data, headers.size);
	print_field(arena, response.body.data, response.body.size);
	putchar('\n');
	buffer_free(&response.body);
}

int main(void)
{
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, stdin) > 0) {
		struct arena *arena ARENA_SCOPED = arena_create();
		size_t count;
		line[strcspn(line, "\n")] = '\0';
		char **words = text_split(arena, line, ' ', &count);
		if (count == 7 && strcmp(words[0], "decode") == 0)
			decode(arena, words);
		else if (count == 5 && strcmp(words[0], "encode") == 0)
			encode(arena, words);
		else
			abort();
		fflush(stdout);
	}
	free(line);
	return 0;
}
