/*
 * Which service and region a request is for. Its signature says so; without one (auth_any), the host name as AWS forms it ("ec2.us-east-1.example.com"), then a target (json), the action of a form, then a path that a
 * rest-json service knows. No state; runs on the connection's thread.
 */
#include <string.h>
#include <strings.h>

#include "aws/door_internal.h"
#include "base/banned.h"

/* Stand-ins, so that a request for a service that is not served still gets an answer that its client can read. */
static const char *const no_names[] = { NULL };
static const struct service unknown_json = {
	.name = "unknown", .protocol = PROTOCOL_REST_JSON, .unimplemented = no_names
};
static const struct service unknown_target = {
	.name = "unknown", .protocol = PROTOCOL_JSON, .unimplemented = no_names
};
static const struct service unknown_xml = {
	.name = "unknown", .protocol = PROTOCOL_QUERY, .xml_namespace = "", .unimplemented = no_names
};

static const struct service *stand_in(const struct door_request *request, bool extra)
{
	const char *type = http_request_header(request->http, "Content-Type");
	if (!extra && http_request_header(request->http, "X-Amz-Target"))
		return &unknown_target;
	bool json = extra || (type && strncasecmp(type, "application/", 12) == 0 && strstr(type, "json"));
	return json ? &unknown_json : &unknown_xml;
}

static const struct service *service_named(const struct door *door, const char *name, size_t size)
{
	for (const struct service *const *service = door->config.services; *service; service++)
		if (strlen((*service)->name) == size && strncasecmp((*service)->name, name, size) == 0)
			return *service;
	return NULL;
}

static const char *region_named(const struct door *door, const char *name, size_t size)
{
	for (const char *const *region = door->config.regions; *region; region++)
		if (strlen(*region) == size && strncmp(*region, name, size) == 0)
			return *region;
	return NULL;
}

static void route_by_host(struct door_request *request)
{
	const char *host = http_request_header(request->http, "Host");
	if (!host)
		return;
	size_t size = strcspn(host, ".:");
	request->service = service_named(request->door, host, size);
	if (!request->service || host[size] != '.')
		return;
	host += size + 1;
	const char *region = region_named(request->door, host, strcspn(host, ".:"));
	if (region)
		request->call.region = region;
}

static bool knows_action(const struct service *service, const char *action)
{
	return codec_find_operation(service, action) || codec_is_unimplemented(service, action);
}

/* The form's action, of a service of that version if one is named. */
static void route_by_form(struct door_request *request)
{
	const struct http_request *http = request->http;
	struct http_parameters parameters = { 0 };
	if (http_parse_parameters(request->arena, http->query, strlen(http->query), &parameters) < 0 ||
		http_parse_parameters(request->arena, http->body, http->body_size, &parameters) < 0)
		return;
	const char *action = http_parameter(&parameters, "Action"),
		   *version = http_parameter(&parameters, "Version");
	if (!action)
		return;
	for (const struct service *const *service = request->door->config.services; *service; service++) {
		if ((*service)->protocol != PROTOCOL_EC2 && (*service)->protocol != PROTOCOL_QUERY)
			continue;
		bool is_version = version && strcmp(version, (*service)->api_version) == 0;
		if (is_version || (!version && knows_action(*service, action))) {
			request->service = *service;
			return;
		}
	}
}

static void route_by_target(struct door_request *request)
{
	for (const struct service *const *service = request->door->config.services;
		*service && !request->service; service++)
		if (codec_json_is_target(*service, request->http))
			request->service = *service;
}

static void route_by_path(struct door_request *request)
{
	struct codec_request ignored;
	for (const struct service *const *service = request->door->config.services; *service; service++) {
		if ((*service)->protocol == PROTOCOL_REST_JSON &&
			codec_of(PROTOCOL_REST_JSON)
					->route(*service, request->http, request->arena, &ignored, NULL) ==
				0) {
			request->service = *service;
			return;
		}
	}
}

/* They have no regions: what they are asked is signed for us-east-1, whichever regions there are here. */
static bool is_global(const struct service *service)
{
	return strcmp(service->name, "iam") == 0 || strcmp(service->name, "organizations") == 0;
}

static int route_by_signature(struct door_request *request, bool extra, struct error *err)
{
	const struct sigv4_signature *signature = request->signature;
	const struct service *service =
		service_named(request->door, signature->service, strlen(signature->service));
	const char *region = region_named(request->door, signature->region, strlen(signature->region));
	if (service && !extra)
		request->service = service;
	if (region)
		request->call.region = region;
	if (extra)
		return 0;
	if (!service)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION, "The service '%s' is not implemented.",
			signature->service);
	if (region || (is_global(service) && strcmp(signature->region, "us-east-1") == 0))
		return 0;
	error_set(err, ERROR_SIGNATURE_MISMATCH,
		"Credential should be scoped to a valid region: '%s' is not one of this "
		"server's.",
		signature->region);
	return door_word_error(request, err);
}

/* Without a service there is nobody to ask whom the caller is, so that is said first. */
static int route_unsigned(struct door_request *request, struct error *err)
{
	route_by_host(request);
	if (request->service)
		return 0;
	route_by_target(request);
	if (request->service)
		return 0;
	if (strcmp(request->http->path, "/") == 0)
		route_by_form(request);
	else
		route_by_path(request);
	if (request->service)
		return 0;
	request->service = stand_in(request, false);
	return error_set(err, ERROR_UNKNOWN_OPERATION,
		"The request names no service: it is not signed, its host name "
		"does not begin with one, and it has no known Action or path.");
}

int door_route_request(struct door_request *request, bool extra, struct error *err)
{
	struct sigv4_signature *signature = arena_alloc(request->arena, sizeof *signature);
	struct error malformed = { 0 };
	request->call.region = request->door->config.regions[0];
	if (sigv4_is_present(request->http) &&
		sigv4_parse(request->http, request->arena, signature, &malformed) == 0)
		request->signature = signature;
	if (extra)
		request->service = &unknown_json;
	else if (request->signature)
		request->service = stand_in(request, false);
	if (request->signature)
		return route_by_signature(request, extra, err);
	int failed = extra ? 0 : route_unsigned(request, err);
	if (!malformed.code || request->door->config.auth_any)
		return failed;
	*err = malformed;
	return door_word_error(request, err);
}
