/*
 * What a refused caller is told: the sentence that AWS documents for each kind of policy, and for EC2 the encoded message with everything that led to it, which only DecodeAuthorizationMessage opens. No state; runs on the
 * thread of the call.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "svc/authorize/explain.h"
#include "svc/authorize/internal.h"
#include "svc/authorize/message.h"
#include "base/banned.h"

/* The most that DecodeAuthorizationMessage takes is 10,240 characters, which are three quarters as many bytes. */
enum { MESSAGE_JSON_MAX = 7000 };

static const char *source_name(enum policy_source source)
{
	switch (source) {
	case POLICY_SOURCE_RESOURCE:
		return "resource-based policy";
	case POLICY_SOURCE_BOUNDARY:
		return "permissions boundary";
	case POLICY_SOURCE_SESSION:
		return "session policy";
	case POLICY_SOURCE_ORGANIZATION:
		return "service control policy";
	default:
		return "identity-based policy";
	}
}

char *denial_reason(
	const struct policy_request *request, const struct policy_result *result, struct arena *arena)
{
	const char *source = source_name(result->match.source);
	if (result->decision == POLICY_EXPLICIT_DENY)
		return arena_printf(arena, "with an explicit deny in %s %s",
			result->match.source == POLICY_SOURCE_IDENTITY ? "an" : "a", source);
	return arena_printf(arena, "because no %s allows the %s action", source, request->action);
}

static json_t *items(json_t *list)
{
	return json_pack("{s:o}", "items", list);
}

static json_t *values(const char *const *texts, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s}", "value", texts[i]));
	return items(list);
}

/* The statement that denied; where an Allow was missing there is none. */
static json_t *matched_statements(const struct policy_request *request, const struct policy_result *result)
{
	json_t *list = json_array();
	if (result->decision == POLICY_EXPLICIT_DENY)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s*, s:o, s:o, s:o, s:o, s:o}", "statementId",
				result->match.sid ? result->match.sid : "", "effect", "DENY", "policy",
				result->match.policy, "principals", values(&request->caller.id, 1),
				"principalGroups", items(json_array()), "actions",
				values(&request->action, 1), "resources", values(&request->resource, 1),
				"conditions", items(json_array())));
	return items(list);
}

static json_t *conditions(const struct policy_context_key *context, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:o}", "key", context[i].name, "values",
				values(context[i].values, context[i].value_count)));
	return items(list);
}

/* Of a launch: all gates in order, this one among them. NULL: of other calls. */
static json_t *explanation(const struct asking *asking)
{
	const struct target_list *list = asking->list;
	if (!list || !list->input || strcmp(list->operation->shape->name, "RunInstances") != 0)
		return NULL;
	return explain_refused_launch(asking->call, list->input);
}

static json_t *describe(const struct asking *asking, const struct policy_request *request,
	const struct policy_result *result, const struct policy_context_key *context, size_t count,
	json_t *explained)
{
	return json_pack("{s:b, s:b, s:o, s:o, s:{s:{s:s, s:s}, s:s, s:s, s:o}, s:O*}", "allowed", 0,
		"explicitDeny", result->decision == POLICY_EXPLICIT_DENY, "matchedStatements",
		matched_statements(request, result), "failures", items(json_array()), "context", "principal",
		"id", asking->principal->id, "arn", asking->principal->arn, "action", request->action,
		"resource", request->resource, "conditions", conditions(context, count), "explanation",
		explained);
}

/* The JSON text of a denial; with as many of the keys as there is room for. */
static char *describe_text(const struct asking *asking, const struct policy_request *request,
	const struct policy_result *result, const struct policy_context_key *context, size_t count)
{
	json_t *explained = explanation(asking);
	char *text;
	for (;; count /= 2) {
		json_t *message = describe(asking, request, result, context, count, explained);
		text = message ? json_dumps(message, JSON_COMPACT) : NULL;
		json_decref(message);
		if (!text || strlen(text) <= MESSAGE_JSON_MAX || count == 0)
			break;
		free(text);
	}
	json_decref(explained);
	return text;
}

/* NULL: there is none; the denial itself stands. */
static const char *encode(
	const struct asking *asking, const struct policy_request *request, const struct policy_result *result)
{
	struct policy_context_key *context = NULL;
	size_t count = 0;
	struct error failed;
	if (keys_context_all(asking, &context, &count, &failed))
		log_warning("denial-incomplete", "message=\"%s\"", failed.message);
	char *text = describe_text(asking, request, result, context, count);
	const char *sealed = text
		? authorize_message_seal(asking->amid, asking->principal->account, text, asking->arena)
		: NULL;
	free(text);
	return sealed;
}

int denial_set(const struct asking *asking, const struct policy_request *request,
	const struct policy_result *result, struct error *err)
{
	const struct service *service = asking->call ? asking->call->service : NULL;
	const char *sentence = arena_printf(asking->arena,
		"User: %s is not authorized to perform: %s on resource: %s %s", asking->principal->arn,
		request->action, request->resource, denial_reason(request, result, asking->arena));
	log_info("denied", "principal=%s action=%s resource=\"%s\" policy=\"%s\" statement=%u",
		asking->principal->arn, request->action, request->resource,
		result->match.policy ? result->match.policy : "-", result->match.statement);
	if (service && service->protocol == PROTOCOL_QUERY)
		return error_set(err, ERROR_ACCESS_DENIED_QUERY, "%s", sentence);
	if (!service || service->protocol != PROTOCOL_EC2)
		return error_set(err, ERROR_ACCESS_DENIED, "%s", sentence);
	error_set(err, ERROR_UNAUTHORIZED, "You are not authorized to perform this operation. %s.", sentence);
	const char *encoded = encode(asking, request, result);
	if (err && encoded)
		err->detail =
			arena_printf(asking->arena, "Encoded authorization failure message: %s", encoded);
	return -1;
}
