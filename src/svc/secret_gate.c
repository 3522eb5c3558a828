/* The gate's decision. All disks of an image are looked at, so that one refusal names what there is; the first few findings are in the message, all of them are in `amid secrets ID`. */
#include "svc/secret_gate.h"

#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "gate/rules.h"
#include "svc/account_settings.h"
#include "svc/amid.h"
#include "svc/ec2/common.h"
#include "svc/secret_scans.h"
#include "base/banned.h"

#define POLICY "secret-gate"
#define UNREADABLE "secret-gate-unreadable"

enum { NAMED_MAX = 3, NAMED_PATH_MAX = 64 };

/* ---- settings ---- */

int secret_policy_load(struct call *call, struct secret_policy *policy, struct error *err)
{
	struct meta *meta = call->amid->meta;
	return account_setting_load(meta, call->account, "", POLICY, SECRET_POLICY_WARN, call->arena,
		       &policy->policy, err) ||
			account_setting_load(meta, call->account, "", UNREADABLE, SECRET_POLICY_WARN,
				call->arena, &policy->unreadable, err)
		? -1
		: 0;
}

static bool is_policy(const char *value, bool may_be_off)
{
	return text_equal(value, SECRET_POLICY_BLOCK) || text_equal(value, SECRET_POLICY_WARN) ||
		(may_be_off && text_equal(value, SECRET_POLICY_OFF));
}

int secret_policy_change(struct call *call, const char *policy, const char *unreadable, struct error *err)
{
	struct secret_policy current;
	if ((policy && !is_policy(policy, true)) || (unreadable && !is_policy(unreadable, false)) ||
		(!policy && !unreadable))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The body must be {\"policy\":\"block|warn|off\", \"unreadable\":\"block|warn\"}, one of the two at least.");
	if (secret_policy_load(call, &current, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	if (policy) {
		current.policy->value = policy;
		meta_batch_put(batch, &record_account_setting, current.policy);
	}
	if (unreadable) {
		current.unreadable->value = unreadable;
		meta_batch_put(batch, &record_account_setting, current.unreadable);
	}
	return meta_commit(call->amid->meta, batch, err);
}

/* ---- the decision ---- */

/* What is being shared, and what has been found in it so far. */
struct inspection {
	struct call *call;
	const char *id;
	int64_t deadline_ms;
	struct secret_policy policy;
	size_t secrets, unreadable;
	struct buffer named; /* the first findings, for a message */
	size_t named_count;
};

static void name_finding(struct inspection *inspection, const struct snapshot_record *snapshot,
	const struct record_secret_finding *finding)
{
	const char *path = text_or(finding->path, "");
	size_t size = strlen(path);
	if (inspection->named_count == NAMED_MAX)
		return;
	buffer_printf(&inspection->named, "%s%s", inspection->named_count ? ", " : "", snapshot->record.id);
	if (integer_or(finding->partition, 0))
		buffer_printf(
			&inspection->named, " partition %lld", (long long)integer_or(finding->partition, 0));
	/* a name is told by its end */
	buffer_printf(&inspection->named, " %s%s (%s%s%s)", size > NAMED_PATH_MAX ? "..." : "",
		size > NAMED_PATH_MAX ? path + size - NAMED_PATH_MAX : path, finding->rule,
		finding->detail ? ": " : "", text_or(finding->detail, ""));
	inspection->named_count++;
}

static bool is_unreadable(const struct record_secret_finding *finding)
{
	return text_equal(finding->rule, gate_rule(GATE_RULE_UNREADABLE)->name);
}

static void count_findings(struct inspection *inspection, const struct snapshot_record *snapshot,
	const struct secret_scan_record *scan)
{
	bool unreadable_blocks = text_equal(inspection->policy.unreadable->value, SECRET_POLICY_BLOCK);
	for (size_t i = 0; i < scan->findings.count; i++) {
		const struct record_secret_finding *finding = &scan->findings.items[i];
		bool unreadable = is_unreadable(finding);
		*(unreadable ? &inspection->unreadable : &inspection->secrets) += 1;
		if (!unreadable || unreadable_blocks)
			name_finding(inspection, snapshot, finding);
	}
}

/* What is still being made has nothing to be looked at; whoever blocks does not share it blindly. */
static int inspect_pending(
	struct inspection *inspection, const struct snapshot_record *snapshot, struct error *err)
{
	inspection->unreadable++;
	if (!text_equal(inspection->policy.policy->value, SECRET_POLICY_BLOCK))
		return 0;
	return error_set(err, ERROR_INCORRECT_STATE,
		"The snapshot %s is not completed, so it cannot be looked through for secrets yet.",
		snapshot->record.id);
}

static int inspect(struct inspection *inspection, const struct snapshot_record *snapshot, struct error *err)
{
	struct secret_scan_record *scan;
	if (!snapshot->root || strcmp(snapshot->state, "completed") != 0)
		return inspect_pending(inspection, snapshot, err);
	if (secret_scans_wait(inspection->call, snapshot, inspection->deadline_ms, &scan, err))
		return error_prefix(err, "%s", snapshot->record.id);
	count_findings(inspection, snapshot, scan);
	return 0;
}

static int decide(struct inspection *inspection, struct error *err)
{
	size_t counted = inspection->secrets;
	bool blocks = text_equal(inspection->policy.policy->value, SECRET_POLICY_BLOCK);
	if (text_equal(inspection->policy.unreadable->value, SECRET_POLICY_BLOCK))
		counted += inspection->unreadable;
	if (blocks && counted)
		return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
			"%s cannot be shared: the secret gate of this account is 'block', and there are %zu findings (amid secrets %s lists them): %s%s",
			inspection->id, counted, inspection->id, buffer_text(&inspection->named),
			counted > inspection->named_count ? ", ..." : "");
	if (inspection->secrets || inspection->unreadable)
		log_warning("secrets-shared", "account=%s id=%s findings=%zu unreadable=%zu",
			inspection->call->account, inspection->id, inspection->secrets,
			inspection->unreadable);
	return 0;
}

/* Whether the caller's things are looked at; what the answer rests on goes into the batch. */
static int begin(struct inspection *inspection, bool *wanted, struct meta_batch *batch, struct error *err)
{
	struct call *call = inspection->call;
	*wanted = false;
	if (!call->amid->secret_scans || strcmp(call->account, ACCOUNT_PLATFORM) == 0)
		return 0;
	if (secret_policy_load(call, &inspection->policy, err))
		return -1;
	meta_batch_expect(batch, &record_account_setting, inspection->policy.policy);
	meta_batch_expect(batch, &record_account_setting, inspection->policy.unreadable);
	*wanted = !text_equal(inspection->policy.policy->value, SECRET_POLICY_OFF);
	inspection->deadline_ms = clock_monotonic_ms() + SECRET_GATE_WAIT_MS;
	return 0;
}

int secret_gate_check_snapshot(struct call *call, const struct snapshot_record *snapshot,
	struct meta_batch *batch, struct error *err)
{
	struct inspection inspection = { .call = call, .id = snapshot->record.id };
	bool wanted;
	if (begin(&inspection, &wanted, batch, err))
		return -1;
	if (!wanted)
		return 0;
	int result = inspect(&inspection, snapshot, err) || decide(&inspection, err) ? -1 : 0;
	buffer_free(&inspection.named);
	return result;
}

static int inspect_devices(struct inspection *inspection, const struct image_record *image, struct error *err)
{
	for (size_t i = 0; i < image->block_devices.count; i++) {
		const char *id = image->block_devices.items[i].snapshot;
		struct snapshot_record *snapshot = NULL;
		if (!id)
			continue;
		if (meta_get_any(inspection->call->amid->meta, &record_snapshot, image->record.region, id,
			    inspection->call->arena, &snapshot, err))
			return -1;
		/* one that is shared with the image's owner is its own owner's to look into, and to share */
		if (snapshot && strcmp(snapshot->record.account, inspection->call->account) == 0 &&
			inspect(inspection, snapshot, err))
			return -1;
	}
	return 0;
}

int secret_gate_check_image(
	struct call *call, const struct image_record *image, struct meta_batch *batch, struct error *err)
{
	struct inspection inspection = { .call = call, .id = image->record.id };
	bool wanted;
	if (begin(&inspection, &wanted, batch, err))
		return -1;
	if (!wanted)
		return 0;
	int result = inspect_devices(&inspection, image, err) || decide(&inspection, err) ? -1 : 0;
	buffer_free(&inspection.named);
	return result;
}
