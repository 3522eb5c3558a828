/*
 * Records of calls. A record is put together on the call's thread from what the door knows of it; a call that concerns another account too (its role, its key) has a second one in that account's trail, with the same
 * sharedEventID. Then the log takes it (src/audit/log.h).
 */
#include "svc/audit.h"

#include <stdio.h>
#include <string.h>

#include "audit/log.h"
#include "base/clock.h"
#include "base/text.h"
#include "shape/json.h"
#include "svc/audit_event.h"
#include "svc/audit_shape.h"
#include "base/banned.h"

enum { DECISIONS_SHOWN = 16, CLIENT_TEXT_MAX = 512 };

int audit_open(struct amid *amid, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	return audit_log_open(arena_printf(arena, "%s/" AUDIT_FOLDER, amid->config->data),
		amid->config->audit_keep_days, audit_event_describe, &amid->audit, err);
}

/* ---- what kind of call it is ---- */

static bool is_read_only(const struct call *call)
{
	if (!call->operation)
		return !call->service ? false : true; /* not let in, or no operation at all: it did nothing */
	return call->operation->access == ACCESS_READ || call->operation->access == ACCESS_LIST;
}

/* Blocks of snapshots are data; and there are very many of them. */
static bool is_data(const struct call *call)
{
	static const char *const names[] = { "GetSnapshotBlock", "PutSnapshotBlock", "ListSnapshotBlocks",
		"ListChangedBlocks" };
	for (size_t i = 0; call->operation && i < sizeof names / sizeof *names; i++)
		if (strcmp(call->operation->shape->name, names[i]) == 0)
			return true;
	return false;
}

/* Credentials that are given out are as good as something written. */
static bool gives_credentials(const struct call *call)
{
	return call->service && strcmp(call->service->name, "sts") == 0 && call->operation &&
		(text_starts_with(call->operation->shape->name, "Assume") ||
			strcmp(call->operation->shape->name, "GetSessionToken") == 0 ||
			strcmp(call->operation->shape->name, "GetFederationToken") == 0);
}

static bool must_be_durable(const struct call *call)
{
	return (!is_read_only(call) && !is_data(call)) || gives_credentials(call);
}

int audit_admit(void *context, const struct call *call, struct error *err)
{
	const struct amid *amid = context;
	return audit_log_admit(amid->audit, !is_read_only(call), err);
}

/* ---- the parts of a record ---- */

/* A record has some thirty members: they are put together without printf. */
static void add_text(struct buffer *out, const char *name, const char *value)
{
	char cut[CLIENT_TEXT_MAX + 1];
	if (!value)
		return;
	buffer_append(out, ",\"", 2);
	buffer_append_text(out, name);
	buffer_append(out, "\":", 2);
	if (strlen(value) > CLIENT_TEXT_MAX) {
		memcpy(cut, value, CLIENT_TEXT_MAX);
		cut[CLIENT_TEXT_MAX] = 0;
		value = cut;
	}
	json_encode_text(out, value);
}

static void add_flag(struct buffer *out, const char *name, bool value)
{
	buffer_append(out, ",\"", 2);
	buffer_append_text(out, name);
	buffer_append_text(out, value ? "\":true" : "\":false");
}

static void add_error(struct buffer *out, const struct call *call, const struct error *err)
{
	char code[128];
	if (!err)
		return;
	bool ec2 = call->service && call->service->protocol == PROTOCOL_EC2;
	const char *side = !ec2 ? "" : error_http_status(err->code) < 500 ? "Client." : "Server.";
	snprintf(code, sizeof code, "%s%s", side, error_aws_code(err->code));
	add_text(out, "errorCode", code);
	add_text(out, "errorMessage", err->message);
}

static void add_request(struct buffer *out, const struct door_outcome *outcome, struct audit_event *event)
{
	const struct call *call = outcome->call;
	buffer_append_text(out, ",\"requestParameters\":");
	if (outcome->input && call->operation->shape->input->member_count)
		audit_shape_write(out, &(struct audit_shape){ call, false, event },
			call->operation->shape->input, outcome->input);
	else
		buffer_append_text(out, "null");
}

static void add_response(struct buffer *out, const struct door_outcome *outcome, struct audit_event *event)
{
	const struct call *call = outcome->call;
	bool shown = outcome->output && !outcome->err && call->operation->shape->output->member_count &&
		(!event->read_only || gives_credentials(call));
	buffer_append_text(out, ",\"responseElements\":");
	if (shown)
		audit_shape_write(out, &(struct audit_shape){ call, true, event },
			call->operation->shape->output, outcome->output);
	else
		buffer_append_text(out, "null");
}

static void write_decision(struct buffer *out, const struct call_decision *decision)
{
	buffer_append_text(out, "\"decision\":");
	json_encode_text(out, decision->decision);
	add_text(out, "source", decision->source);
	add_text(out, "action", decision->action);
	add_text(out, "resource", decision->resource);
	add_text(out, "policy", decision->policy);
	if (decision->policy)
		buffer_printf(out, ",\"statement\":%u", decision->statement);
	add_text(out, "sid", decision->sid);
}

/* The one that decided: the denial, which is the newest, or else what was asked first, which is the operation's own action. */
static const struct call_decision *deciding(const struct call *call)
{
	const struct call_decision *decision = call->decisions;
	while (decision && strcmp(decision->decision, "allowed") == 0 && decision->earlier)
		decision = decision->earlier;
	return decision;
}

static void add_decisions(struct buffer *out, const struct call *call)
{
	const struct call_decision *first = deciding(call);
	unsigned shown = 0;
	if (!first)
		return;
	buffer_append_text(out, ",\"additionalEventData\":{\"amid\":{");
	write_decision(out, first);
	for (const struct call_decision *other = call->decisions; other && shown < DECISIONS_SHOWN;
		other = other->earlier) {
		if (other == first)
			continue;
		buffer_append_text(out, shown++ ? ",{" : ",\"others\":[{");
		write_decision(out, other);
		buffer_append_char(out, '}');
	}
	buffer_append_text(out, shown ? "]}}" : "}}");
}

/* The account in an ARN, into `account`; false: it has none. */
static bool account_of_arn(const char *arn, char account[13])
{
	const char *at = arn;
	for (int i = 0; at && i < 4; i++)
		at = (at = strchr(at, ':')) ? at + 1 : NULL;
	if (!at || strspn(at, "0123456789") != 12 || at[12] != ':')
		return false;
	memcpy(account, at, 12);
	account[12] = 0;
	return true;
}

static void add_resources(struct buffer *out, const struct call *call, const struct audit_event *event)
{
	if (!event->resource_count)
		return;
	buffer_append_text(out, ",\"resources\":[");
	for (size_t i = 0; i < event->resource_count; i++) {
		const struct audit_resource *resource = &event->resources[i];
		char account[13];
		buffer_append_text(out, i ? ",{\"type\":" : "{\"type\":");
		json_encode_text(out, resource->type);
		buffer_append_text(out, ",\"resourceName\":"); /* whole: it is searched for */
		json_encode_text(out, resource->name);
		if (resource->arn) {
			buffer_append_text(out, ",\"ARN\":");
			json_encode_text(out, resource->arn);
		}
		add_text(out, "accountId",
			resource->arn && account_of_arn(resource->arn, account) ? account : NULL);
		buffer_append_char(out, '}');
	}
	buffer_append_char(out, ']');
}

/* Everything but what differs between the trails of two accounts. */
static void write_body(struct buffer *out, const struct door_outcome *outcome, struct audit_event *event)
{
	const struct call *call = outcome->call;
	char time[32];
	clock_format_iso8601(event->time_ms, time);
	buffer_append_text(out, "{\"eventVersion\":\"1.09\",");
	audit_write_identity(out, outcome);
	memcpy(time + 19, "Z", 2); /* whole seconds */
	add_text(out, "eventTime", time);
	add_text(out, "eventSource", event->source);
	add_text(out, "eventName", event->name);
	add_text(out, "awsRegion", event->region);
	add_text(out, "sourceIPAddress", call->source_ip);
	add_text(out, "userAgent", call->user_agent);
	add_error(out, call, outcome->err);
	add_request(out, outcome, event);
	add_response(out, outcome, event);
	add_decisions(out, call);
	add_text(out, "requestID", call->request_id);
	add_flag(out, "readOnly", event->read_only);
	add_resources(out, call, event);
	add_text(out, "eventType", call->service ? "AwsApiCall" : "AmidOperatorCall");
	add_flag(out, "managementEvent", event->management);
	add_text(out, "eventCategory", event->management ? "Management" : "Data");
	if (call->secure && call->host) {
		buffer_append_text(out, ",\"tlsDetails\":{\"clientProvidedHostHeader\":");
		json_encode_text(out, call->host);
		buffer_append_char(out, '}');
	}
}

/* ---- records ---- */

static void describe(const struct door_outcome *outcome, struct audit_event *event)
{
	const struct call *call = outcome->call;
	struct arena *arena = call->arena;
	*event = (struct audit_event){
		.account = call->account ? call->account : outcome->claimed_account,
		.region = call->region,
		.time_ms = outcome->begun_ms / 1000 * 1000, /* as the record says it */
		.name = call->operation ? call->operation->shape->name
			: call->service
			? "Unknown"
			: arena_printf(arena, "%s %.200s", outcome->http->method, outcome->http->path),
		.source =
			call->service ? arena_printf(arena, "%s.amazonaws.com", call->service->name) : "amid",
		.username = audit_username(outcome),
		.access_key = call->principal ? call->principal->access_key_id : outcome->claimed_key,
		.read_only = is_read_only(call),
		.management = !is_data(call),
	};
}

/* Whose role or key the call is about, if not the caller's. */
static bool find_other_account(const struct audit_event *event, char other[13])
{
	for (size_t i = 0; event->account && i < event->resource_count; i++) {
		const struct audit_resource *resource = &event->resources[i];
		if (resource->arn && account_of_arn(resource->arn, other) &&
			strcmp(other, event->account) != 0 &&
			(strcmp(resource->type, "AWS::IAM::Role") == 0 ||
				strcmp(resource->type, "AWS::KMS::Key") == 0))
			return true;
	}
	return false;
}

static uint64_t append(
	struct amid *amid, const struct buffer *body, struct audit_event *event, const char *shared)
{
	struct buffer json BUFFER_SCOPED = { 0 };
	uint64_t words[AUDIT_WORDS_MAX];
	char id[37];
	event->id = text_uuid(id);
	buffer_append(&json, body->data, body->size);
	add_text(&json, "eventID", id);
	add_text(&json, "recipientAccountId", event->account);
	add_text(&json, "sharedEventID", shared);
	buffer_append_char(&json, '}');
	size_t count = audit_event_words(event, words);
	return audit_log_append(amid->audit, event->time_ms, json.data, json.size, words, count);
}

int audit_record(void *context, const struct door_outcome *outcome, struct error *err)
{
	struct amid *amid = context;
	struct buffer body BUFFER_SCOPED = { 0 };
	struct audit_event event;
	char other[13], shared[37];
	describe(outcome, &event);
	/* what has not been done need not be recorded if it cannot be: it is not answered either */
	if ((outcome->err || event.read_only) && audit_log_admit(amid->audit, false, err))
		return -1;
	write_body(&body, outcome, &event);
	bool both = find_other_account(&event, other);
	if (both)
		text_uuid(shared);
	uint64_t number = append(amid, &body, &event, both ? shared : NULL);
	if (both) {
		event.account = other;
		number = append(amid, &body, &event, shared);
	}
	return !outcome->err && must_be_durable(outcome->call) ? audit_log_sync(amid->audit, number, err) : 0;
}
