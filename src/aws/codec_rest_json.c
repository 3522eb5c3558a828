/*
 * The rest-json protocol: the operation is found by method and path; members lie in the path, the query string, headers, and the JSON body, or one of them is the body itself.
 * Unknown members and parameters are ignored, as AWS does. No state; safe from every thread.
 */
#include <string.h>

#include "aws/check.h"
#include "aws/codec_internal.h"
#include "aws/scalar.h"
#include "shape/json.h"
#include "shape/value.h"
#include "base/banned.h"

/* The size of the path's next segment: up to a '/' or the end. */
static size_t segment(const char *path)
{
	return strcspn(path, "/");
}

/*
 * Whether `path` has the form of the template "/snapshots/{snapshotId}/blocks/{blockIndex}". Fills labels with the values; -1 if one is malformed.
 */
static int match_path(struct codec_request *request, const char *template, const char *path, bool *matches)
{
	*matches = false;
	request->label_count = 0;
	while (*template == '/' && *path == '/') {
		size_t template_size = segment(++template), size = segment(++path);
		if (*template == '{') {
			char *label = http_percent_decode(request->arena, path, size, false);
			if (!label)
				return -1;
			if (!*label)
				return 0;
			*ARENA_APPEND(request->arena, request->labels, request->label_count) = label;
		} else if (size != template_size || memcmp(template, path, size) != 0) {
			return 0;
		}
		template += template_size;
		path += size;
	}
	*matches = !*template && !*path;
	return 0;
}

static int route(const struct service *service, const struct http_request *http, struct arena *arena,
	struct codec_request *request, struct error *err)
{
	*request = (struct codec_request){ .service = service, .http = http, .arena = arena };
	if (http_parse_parameters(arena, http->query, strlen(http->query), &request->parameters) < 0)
		return error_set(err, ERROR_MALFORMED_QUERY, "The query string is malformed");
	for (unsigned i = 0; i < service->operation_count; i++) {
		const struct shape_operation *operation = service->operations[i].shape;
		bool matches;
		if (strcmp(operation->http_method, http->method) != 0)
			continue;
		if (match_path(request, operation->http_uri, http->path, &matches) < 0)
			return error_set(err, ERROR_MALFORMED_QUERY, "The path is malformed");
		if (matches) {
			request->operation = &service->operations[i];
			return 0;
		}
	}
	return error_set(
		err, ERROR_UNKNOWN_OPERATION, "There is no operation %.10s %.100s", http->method, http->path);
}

/* The value of a member {name} of the URI. */
static const char *label_value(const struct codec_request *request, const char *name)
{
	const char *at = request->operation->shape->http_uri;
	size_t size = strlen(name);
	for (size_t i = 0; i < request->label_count; i++) {
		at = strchr(at, '{') + 1;
		if (strncmp(at, name, size) == 0 && at[size] == '}')
			return request->labels[i];
	}
	return NULL;
}

static int decode_scalar(const struct codec_request *request, const struct shape_member *member,
	const struct shape *shape, const char *text, void *field, struct error *err)
{
	if (!text || !*text)
		return 0;
	const char *expected = scalar_parse(request->arena, shape, text, field);
	if (!expected)
		return 0;
	return check_malformed(
		PROTOCOL_REST_JSON, member->wire_name, member->sensitive ? NULL : text, expected, err);
}

/* Where a scalar member that is not in the body stands; NULL: nowhere. */
static const char *find_text(const struct codec_request *request, const struct shape_member *member)
{
	switch ((enum shape_location)member->location) {
	case LOCATION_URI:
		return label_value(request, member->wire_name);
	case LOCATION_QUERY:
		return http_parameter(&request->parameters, member->wire_name);
	case LOCATION_HEADER:
		return http_request_header(request->http, member->wire_name);
	default:
		return NULL;
	}
}

/* A list of texts in the query string: one parameter for each. */
static int decode_query_list(const struct codec_request *request, const struct shape_member *member,
	struct shape_list *list, struct error *err)
{
	const struct http_parameters *parameters = &request->parameters;
	const struct shape *element = member->shape->element;
	list->items = arena_alloc_array(request->arena, parameters->count + 1, member->shape->size);
	for (size_t i = 0; i < parameters->count; i++) {
		if (strcmp(parameters->items[i].name, member->wire_name) != 0)
			continue;
		void *item = (char *)list->items + list->count * member->shape->size;
		if (decode_scalar(request, member, element, parameters->items[i].value, item, err) < 0)
			return -1;
		list->count++;
		list->set = true;
	}
	return 0;
}

static int decode(const struct codec_request *request, void **input, struct error *err)
{
	const struct shape *shape = request->operation->shape->input;
	const struct http_request *http = request->http;
	struct shape_blob *payload = NULL;
	*input = arena_alloc(request->arena, shape->size);
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		void *field = (char *)*input + member->offset;
		if (member->location == LOCATION_PAYLOAD)
			payload = field;
		else if (member->location == LOCATION_QUERY && member->shape->kind == SHAPE_LIST
				? decode_query_list(request, member, field, err)
				: decode_scalar(request, member, member->shape, find_text(request, member),
					  field, err))
			return -1;
	}
	if (payload)
		*payload = (struct shape_blob){ http->body, http->body_size };
	else if (http->body_size &&
		json_decode(request->arena, shape, http->body, http->body_size, true, *input, err) < 0)
		return -1;
	return check_input(PROTOCOL_REST_JSON, shape, *input, err);
}

static void encode(const struct codec_request *request, const void *output, const char *request_id,
	struct http_response *response)
{
	const struct shape_operation *operation = request->operation->shape;
	const struct shape *shape = operation->output;
	const struct shape_blob *payload = NULL;
	response->status = operation->http_status ? operation->http_status : 200;
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		const void *field = (const char *)output + member->offset;
		if (member->location == LOCATION_PAYLOAD)
			payload = field;
		if (member->location != LOCATION_HEADER || shape_value_is_absent(member->shape, field))
			continue;
		const char *format = member->timestamp_format ? member->timestamp_format : "rfc822";
		http_response_add_header(response, request->arena, member->wire_name,
			scalar_format(request->arena, member->shape, format, field));
	}
	if (response->status == 204)
		return; /* "no content" has no body, not even an empty object */
	response->content_type = payload ? "application/octet-stream" : "application/json";
	if (payload)
		buffer_append(&response->body, payload->data, payload->size);
	else
		json_encode(&response->body, shape, output);
}

static void encode_error(const struct service *service, const struct error *err, const char *request_id,
	struct arena *arena, struct http_response *response)
{
	response->status = error_http_status(err->code);
	response->content_type = "application/json";
	http_response_add_header(response, arena, "x-amzn-ErrorType", error_aws_code(err->code));
	buffer_append_text(&response->body, "{\"Message\":");
	json_encode_text(&response->body, err->message);
	if (error_reason(err->code)) {
		buffer_append_text(&response->body, ",\"Reason\":");
		json_encode_text(&response->body, error_reason(err->code));
	}
	buffer_append_char(&response->body, '}');
}

const struct codec codec_rest_json = {
	.route = route, .decode = decode, .encode = encode, .encode_error = encode_error
};
