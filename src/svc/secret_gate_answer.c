/* Paths of files are for the owner of the disk alone: to everybody else a thing that is not the caller's own is refused, be it shared or not there. */
#include "svc/secret_gate_answer.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "gate/rules.h"
#include "svc/ec2/images.h"
#include "svc/ec2/snapshots.h"
#include "svc/secret_gate.h"
#include "svc/secret_scans.h"
#include "base/banned.h"

static int answer_policy(struct call *call, json_t **answer, struct error *err)
{
	struct secret_policy policy;
	if (secret_policy_load(call, &policy, err))
		return -1;
	*answer = json_pack("{s:s, s:s, s:i}", "policy", policy.policy->value, "unreadable",
		policy.unreadable->value, "rules_version", GATE_RULES_VERSION);
	return 0;
}

static int change_policy(struct call *call, const struct http_request *http, struct error *err)
{
	if (!call->principal || call->principal->type != PRINCIPAL_ROOT)
		return error_set(err, ERROR_ACCESS_DENIED,
			"The secret gate's policy is for the root of the account only.");
	json_t *body = json_loadb(http->body, http->body_size, 0, NULL);
	const char *policy = arena_strdup(call->arena, json_string_value(json_object_get(body, "policy")));
	const char *unreadable =
		arena_strdup(call->arena, json_string_value(json_object_get(body, "unreadable")));
	json_decref(body);
	return secret_policy_change(call, policy, unreadable, err);
}

/* ---- findings ---- */

static const struct gate_rule *find_rule(const char *name)
{
	for (unsigned i = 0; i < gate_rule_count(); i++)
		if (text_equal(gate_rule(i)->name, name))
			return gate_rule(i);
	return NULL;
}

static json_t *describe_finding(const struct record_secret_finding *finding)
{
	const struct gate_rule *rule = find_rule(finding->rule);
	return json_pack("{s:s, s:s, s:I, s:s?, s:s?, s:s}", "rule", text_or(finding->rule, ""), "severity",
		rule ? gate_severity_text(rule->severity) : "", "partition",
		(json_int_t)integer_or(finding->partition, 0), "path", finding->path, "detail",
		finding->detail, "advice", rule ? rule->advice : "");
}

static json_t *describe_scan(
	const struct snapshot_record *snapshot, const char *device, const struct secret_scan_record *scan)
{
	json_t *object = json_pack("{s:s, s:s*, s:b}", "snapshot", snapshot->record.id, "device", device,
		"scanned", scan != NULL);
	if (!scan)
		return object;
	char when[32];
	json_t *findings = json_array();
	for (size_t i = 0; i < scan->findings.count; i++)
		json_array_append_new(findings, describe_finding(&scan->findings.items[i]));
	if (scan->scanned.set)
		json_object_set_new(
			object, "scanned_at", json_string(clock_format_iso8601(scan->scanned.ms, when)));
	json_object_set_new(object, "files", json_integer(integer_or(scan->files, 0)));
	json_object_set_new(object, "findings", findings);
	return object;
}

static int add_snapshot(struct call *call, const struct snapshot_record *snapshot, const char *device,
	bool scans, json_t *list, struct error *err)
{
	struct secret_scan_record *scan = NULL;
	int64_t deadline_ms = clock_monotonic_ms() + SECRET_GATE_WAIT_MS;
	bool completed = snapshot->root && strcmp(snapshot->state, "completed") == 0;
	if (completed &&
		(scans && call->amid->secret_scans
				? secret_scans_wait(call, snapshot, deadline_ms, &scan, err)
				: secret_scans_find(call->amid, snapshot, call->arena, &scan, err)))
		return -1;
	json_array_append_new(list, describe_scan(snapshot, device, scan));
	return 0;
}

static int check_own(struct call *call, const struct record *record, struct error *err)
{
	if (strcmp(record->account, call->account) == 0)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED, "What was found in %s is for the account that owns it.",
		record->id);
}

static int list_image(struct call *call, const char *id, bool scans, json_t *list, struct error *err)
{
	struct image_record *image;
	if (image_find_visible(call, NULL, id, &image, err) || check_own(call, &image->record, err))
		return -1;
	for (size_t i = 0; i < image->block_devices.count; i++) {
		const struct record_image_block_device *device = &image->block_devices.items[i];
		struct snapshot_record *snapshot = NULL;
		if (device->snapshot &&
			meta_get_any(call->amid->meta, &record_snapshot, image->record.region,
				device->snapshot, call->arena, &snapshot, err))
			return -1;
		if (snapshot && strcmp(snapshot->record.account, call->account) == 0 &&
			add_snapshot(call, snapshot, device->device, scans, list, err))
			return -1;
	}
	return 0;
}

static int list_snapshot(struct call *call, const char *id, bool scans, json_t *list, struct error *err)
{
	struct snapshot_record *snapshot;
	return snapshot_find_visible(call, NULL, id, &snapshot, err) ||
			check_own(call, &snapshot->record, err) ||
			add_snapshot(call, snapshot, NULL, scans, list, err)
		? -1
		: 0;
}

static int answer_findings(struct call *call, const char *id, bool scans, json_t **answer, struct error *err)
{
	json_t *list = json_array();
	int result;
	if (text_starts_with(id, "snap-"))
		result = list_snapshot(call, id, scans, list, err);
	else if (text_starts_with(id, "ami-"))
		result = list_image(call, id, scans, list, err);
	else
		result = error_set(
			err, ERROR_INVALID_ID, "The ID '%.64s' is neither a snapshot's nor an image's", id);
	if (result) {
		json_decref(list);
		return -1;
	}
	*answer = json_pack("{s:s, s:o}", "id", id, "snapshots", list);
	return 0;
}

int secret_gate_answer(struct call *call, const struct http_request *http, json_t **answer, struct error *err)
{
	bool post = strcmp(http->method, "POST") == 0;
	const char *rest = http->path + strlen(SECRET_GATE_PATH);
	if (*rest == '/')
		return answer_findings(call, rest + 1, post, answer, err);
	if (post && change_policy(call, http, err))
		return -1;
	return answer_policy(call, answer, err);
}
