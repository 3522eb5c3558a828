/*
 * The gates that a launch goes through, in order, as a table: each is a function that says whether it lets this principal launch this image, and why not. The first that does not is the one to mend; those behind it are not
 * reached. A gate asks the same functions as the launch itself. A new one is a row. No state; runs on the thread of the call.
 */
#include "svc/authorize/gates.h"

#include <string.h>

#include "svc/authorize/explain.h"
#include "svc/authorize/internal.h"
#include "svc/ec2/common.h"
#include "svc/keys.h"
#include "svc/sharing.h"
#include "svc/snapshot_state.h"
#include "base/text.h"
#include "base/banned.h"

/* *why (the arena's) stays NULL where the gate lets through. */

static int find_elsewhere(struct explanation *about, const char **region, struct error *err)
{
	struct image_record *image;
	*region = NULL;
	for (unsigned i = 0; i < about->launch.amid->region_count; i++) {
		if (meta_get_any(about->launch.amid->meta, &record_image, about->launch.amid->regions[i].name,
			    about->image_id, about->launch.arena, &image, err))
			return -1;
		if (!image)
			continue;
		struct sharing *view;
		if (sharing_open(about->launch.amid, about->launch.account, image->record.region,
			    about->launch.arena, &view, err))
			return -1;
		if (!image->recycled && (about->is_operator || sharing_image_way(view, image)))
			*region = image->record.region;
	}
	return 0;
}

static int check_exists(struct explanation *about, const char **why, struct error *err)
{
	struct call *call = &about->launch;
	const char *elsewhere;
	if (meta_get_any(call->amid->meta, &record_image, call->region, about->image_id, call->arena,
		    &about->image, err))
		return -1;
	bool shown = about->image && (about->is_operator || sharing_image_way(about->view, about->image));
	if (shown && !about->image->recycled)
		return 0;
	if (find_elsewhere(about, &elsewhere, err))
		return -1;
	*why = shown ? arena_printf(call->arena, "%s is in the recycle bin of account %s", about->image_id,
			       about->image->record.account)
		: elsewhere ? arena_printf(call->arena, "%s is in %s, not in %s", about->image_id, elsewhere,
				      call->region)
			    : arena_printf(call->arena, "there is no %s in %s that account %s may see",
				      about->image_id, call->region, call->account);
	return 0;
}

static int check_state(struct explanation *about, const char **why, struct error *err)
{
	if (strcmp(about->image->state, "available") != 0)
		*why = arena_printf(about->launch.arena, "the image is %s", about->image->state);
	return 0;
}

static int check_launch_permission(struct explanation *about, const char **why, struct error *err)
{
	if (!sharing_image_way(about->view, about->image))
		*why = arena_printf(about->launch.arena,
			"account %s, which owns it, has not shared it with account %s",
			about->image->record.account, about->launch.account);
	return 0;
}

static int check_allowed(struct explanation *about, const char **why, struct error *err)
{
	if (strcmp(sharing_allowed_images_state(about->view), "enabled") == 0 &&
		!sharing_image_is_allowed(about->view, about->image))
		*why = arena_printf(about->launch.arena,
			"no criterion of account %s's allowed images settings in %s lets images of account %s through",
			about->launch.account, about->launch.region, about->image->record.account);
	return 0;
}

/* Asks something of each snapshot of the image, until one keeps the launch back. */
static int check_each_snapshot(struct explanation *about,
	int (*check)(struct explanation *about, const struct snapshot_record *snapshot, const char *id,
		const char **why, struct error *err),
	const char **why, struct error *err)
{
	struct call *call = &about->launch;
	for (size_t i = 0; i < about->image->block_devices.count && !*why; i++) {
		const char *id = about->image->block_devices.items[i].snapshot;
		struct snapshot_record *snapshot;
		if (!id)
			continue;
		if (sharing_find_image_snapshot(call->amid, about->image, id, call->arena, &snapshot, err) ||
			check(about, snapshot, id, why, err))
			return -1;
	}
	return 0;
}

static int check_usable(struct explanation *about, const struct snapshot_record *snapshot, const char *id,
	const char **why, struct error *err)
{
	struct error unusable;
	if (!snapshot || snapshot_is_recycled(snapshot))
		*why = arena_printf(about->launch.arena,
			"its snapshot %s is gone, or not shared with the image's owner any more", id);
	else if (snapshot_check_usable(snapshot, &unusable))
		*why = arena_strdup(about->launch.arena, unusable.message);
	return 0;
}

static int check_snapshots(struct explanation *about, const char **why, struct error *err)
{
	return check_each_snapshot(about, check_usable, why, err);
}

static int check_key_of(struct explanation *about, const struct snapshot_record *snapshot, const char *id,
	const char **why, struct error *err)
{
	static const char *const states[] = { [KEYS_ENABLED] = "enabled",
		[KEYS_DISABLED] = "disabled",
		[KEYS_PENDING_DELETION] = "pending deletion",
		[KEYS_UNAVAILABLE] = "unavailable" };
	struct key_description key;
	struct error missing;
	if (!boolean_or(snapshot->encrypted, false) || !snapshot->kms_key)
		return 0;
	if (keys_describe(about->launch.amid, snapshot->kms_key, about->launch.arena, &key, &missing))
		*why = arena_printf(
			about->launch.arena, "the key of its snapshot %s: %s", id, missing.message);
	else if (key.state != KEYS_ENABLED)
		*why = arena_printf(about->launch.arena, "the key of its snapshot %s, %s, is %s", id, key.arn,
			states[key.state]);
	return 0;
}

static int check_key_state(struct explanation *about, const char **why, struct error *err)
{
	return check_each_snapshot(about, check_key_of, why, err);
}

/* What the launch asks of the key that the disk is read with: key policy, grants and IAM decide together. */
static int check_grant_of(struct explanation *about, const struct snapshot_record *snapshot, const char *id,
	const char **why, struct error *err)
{
	const struct record_data_key *key = snapshot->data_key;
	struct error refused;
	if (!boolean_or(snapshot->encrypted, false) || !key || !key->wrapped)
		return 0;
	if (keys_check_source(&about->launch, key->wrapped, key->id,
		    keys_grantee(about->launch.arena, about->launch.account, "any"), &refused) == 0)
		return 0;
	if (refused.code == ERROR_INTERNAL) {
		*err = refused;
		return -1;
	}
	*why = arena_strdup(about->launch.arena, refused.message);
	return 0;
}

static int check_key_permission(struct explanation *about, const char **why, struct error *err)
{
	return check_each_snapshot(about, check_grant_of, why, err);
}

/* Which refusals are whose: of the launch there are several, on the image and on what else it touches. */
enum refused_by {
	BY_IAM,          /* on anything but the image */
	BY_ORGANIZATION, /* on anything */
	BY_APPROVAL, /* on the image: only some images may be launched, by their tags or whatever else the policies look at */
};

/* What policies say of the launch. */
static int check_policies(struct explanation *about, enum refused_by by, const char **why, struct error *err)
{
	struct arena *arena = about->launch.arena;
	struct governing governing GOVERNING_SCOPED = { 0 };
	struct target_list list;
	struct refusal refusal;
	if (governing_collect(about->launch.amid, about->principal, arena, &governing, err) ||
		targets_find(&about->launch, &about->request, &list, err))
		return -1;
	if (by != BY_ORGANIZATION)
		governing.set.organization_count = 0;
	for (size_t i = 0; i < list.count && !*why; i++) {
		struct target_list one = list;
		one.items = &list.items[i];
		one.count = 1;
		if (by != BY_ORGANIZATION && (one.items->type == RESOURCE_IMAGE) != (by == BY_APPROVAL))
			continue;
		if (targets_decide(&one, &governing, &refusal, err))
			return -1;
		if (!refusal.asking.target ||
			(by == BY_ORGANIZATION && refusal.result.match.source != POLICY_SOURCE_ORGANIZATION))
			continue;
		*why = arena_printf(arena, "%s on %s: refused %s%s%s", refusal.request.action,
			refusal.request.resource, denial_reason(&refusal.request, &refusal.result, arena),
			refusal.result.match.policy ? ": " : "",
			refusal.result.match.policy ? refusal.result.match.policy : "");
	}
	return 0;
}

static int check_identity(struct explanation *about, const char **why, struct error *err)
{
	return check_policies(about, BY_IAM, why, err);
}

static int check_organization(struct explanation *about, const char **why, struct error *err)
{
	return check_policies(about, BY_ORGANIZATION, why, err);
}

static int check_approval(struct explanation *about, const char **why, struct error *err)
{
	return check_policies(about, BY_APPROVAL, why, err);
}

static const struct gate {
	const char *name;
	int (*check)(struct explanation *about, const char **why, struct error *err);
} gates[] = {
	{ "image exists here", check_exists },
	{ "image state", check_state },
	{ "launch permission", check_launch_permission },
	{ "allowed images", check_allowed },
	{ "snapshots", check_snapshots },
	{ "key state", check_key_state },
	{ "key policy and grants", check_key_permission },
	{ "IAM policies", check_identity },
	{ "organization policies", check_organization },
	{ "approved-image policy", check_approval },
};

json_t *gates_pass(struct explanation *about, const char **mend, struct error *err)
{
	json_t *list = json_array();
	*mend = NULL;
	for (size_t i = 0; i < sizeof gates / sizeof *gates; i++) {
		const char *why = NULL;
		bool reached = !*mend;
		if (reached && gates[i].check(about, &why, err)) {
			json_decref(list);
			return NULL;
		}
		if (why)
			*mend = gates[i].name;
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s?}", "gate", gates[i].name, "result",
				!reached      ? "not reached"
					: why ? "failed"
					      : "passed",
				"detail", why));
	}
	return list;
}

json_t *explain_refused_launch(struct call *call, const struct ec2_RunInstancesRequest *request)
{
	struct explanation about = { .asked_by = call,
		.launch = *call,
		.principal = call->principal,
		.image_id = request->image_id,
		.request = *request };
	struct error err;
	struct sharing *view;
	const char *mend;
	if (!request->image_id || ec2_check_id(request->image_id, "ami", ERROR_AMI_ID_MALFORMED, &err) ||
		sharing_open(call->amid, call->account, call->region, call->arena, &view, &err))
		return NULL;
	about.view = view;
	json_t *list = gates_pass(&about, &mend, &err);
	return list ? json_pack("{s:o, s:s?}", "gates", list, "mend", mend) : NULL;
}
