/*
 * The role of an instance: which one its profile gives it, whether that role's trust policy lets EC2 have it, and credentials of it. They are a session (svc/session.h) named after the instance, good for six hours. The same ones
 * are answered for an hour, so that a guest that asks often does not see them change; those that were given out before stay good until they expire. A profile that loses its role, or is gone, gives nothing from the next request on.
 *
 * What was given out lately is kept in a table with one entry a place, found by a hash of the instance and the version of the service: whoever comes to the same place takes it, and the other is given new ones when it asks again.
 * Nothing is ever looked for, the table does not grow, and it begins empty with the process.
 *
 * Each VPC's listener has a thread; the table has a lock.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "policy/policy.h"
#include "svc/iam_policies.h"
#include "svc/imds/internal.h"
#include "svc/session.h"
#include "base/banned.h"

enum { PLACES = 1024, VALID_SECONDS = 6 * 3600, RENEW_MS = 3600 * 1000 };

struct place {
	struct arena *arena; /* of what follows; NULL: the place is free */
	const char *instance, *association, *role, *delivery;
	int64_t made_ms;
	struct session_credentials credentials;
};

struct imds_roles {
	pthread_mutex_t lock;
	struct place places[PLACES];
};

struct imds_roles *imds_roles_create(void)
{
	struct imds_roles *roles = memory_alloc(sizeof *roles);
	memset(roles, 0, sizeof *roles);
	pthread_mutex_init(&roles->lock, NULL);
	return roles;
}

void imds_roles_destroy(struct imds_roles *roles)
{
	if (!roles)
		return;
	for (size_t i = 0; i < PLACES; i++)
		arena_destroy(roles->places[i].arena);
	pthread_mutex_destroy(&roles->lock);
	free(roles);
}

int imds_role_find(struct amid *amid, const struct instance_record *instance, struct arena *arena,
	struct iam_role_record **role, const struct instance_profile_record **profile, struct error *err)
{
	struct instance_profile_record *found;
	const char *account = instance->record.account;
	*role = NULL;
	if (profile)
		*profile = NULL;
	if (!instance->profile || !instance->profile->profile)
		return 0;
	if (meta_get(amid->meta, &record_instance_profile, account, "", instance->profile->profile, arena,
		    &found, err))
		return -1;
	if (profile)
		*profile = found;
	if (!found || !found->role)
		return 0;
	return meta_get(amid->meta, &record_iam_role, account, "", found->role, arena, role, err);
}

/* ---- documents ---- */

/* Whole seconds: clients of the metadata service read no fractions. */
static char *time_text(int64_t ms, struct arena *arena)
{
	char text[32];
	clock_format_iso8601(ms - ms % 1000, text);
	return arena_printf(arena, "%.*sZ", (int)strcspn(text, "."), text);
}

static const char *finish(json_t *document, struct arena *arena)
{
	char *text = json_dumps(document, JSON_INDENT(2));
	const char *copy = arena_strdup(arena, text ? text : "{}");
	free(text);
	json_decref(document);
	return copy;
}

const char *imds_role_info(const struct instance_record *instance,
	const struct instance_profile_record *profile, struct arena *arena)
{
	const struct record_profile_use *use = instance->profile;
	const char *updated = time_text(use->associated.ms, arena);
	return profile ? finish(json_pack("{s:s, s:s, s:s, s:s}", "Code", "Success", "LastUpdated", updated,
					"InstanceProfileArn", use->arn, "InstanceProfileId", use->profile),
				 arena)
		       : finish(json_pack("{s:s, s:s, s:s}", "Code", "InstanceProfileNotFound", "Message",
					arena_printf(arena, "Instance Profile %s cannot be found.", use->arn),
					"LastUpdated", updated),
				 arena);
}

static const char *show_unauthorized(const struct iam_role_record *role, struct arena *arena)
{
	return finish(json_pack("{s:s, s:s, s:s}", "Code", "AssumeRoleUnauthorizedAccess", "Message",
			      arena_printf(arena,
				      "EC2 cannot assume the role %s: its trust policy does not allow it.",
				      role->name),
			      "LastUpdated", time_text(clock_now_ms(), arena)),
		arena);
}

static const char *show(const struct session_credentials *credentials, int64_t made_ms, struct arena *arena)
{
	return finish(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "Code", "Success", "LastUpdated",
			      time_text(made_ms, arena), "Type", "AWS-HMAC", "AccessKeyId",
			      credentials->access_key_id, "SecretAccessKey", credentials->secret, "Token",
			      credentials->token, "Expiration", time_text(credentials->expires_ms, arena)),
		arena);
}

/* ---- who may have the role ---- */

static const char *arn_of(const struct iam_role_record *role, struct arena *arena)
{
	return arena_printf(arena, "arn:aws:iam::%s:role%s%s", role->record.account,
		role->path ? role->path : "/", role->name);
}

/* Service control policies are no matter of services: the trust policy decides alone. */
static int trusts_ec2(struct amid *amid, const struct iam_role_record *role, struct arena *arena,
	bool *trusted, struct error *err)
{
	struct policy_named trust = { .name = "trust" };
	struct policy_result result;
	*trusted = false;
	if (!role->trust_policy)
		return 0;
	if (iam_policies_compile(amid->iam_policies, POLICY_TRUST, role->trust_policy, &trust.policy, err))
		return -1;
	const struct policy_set set = { .resource = { .items = &trust, .count = 1 },
		.resource_decides_alone = true };
	const struct policy_request request = {
		.action = "sts:AssumeRole",
		.resource = arn_of(role, arena),
		.resource_account = role->record.account,
		.caller = { .type = POLICY_CALLER_SERVICE,
			.account = role->record.account,
			.arn = "ec2.amazonaws.com",
			.id = "ec2.amazonaws.com",
			.service = "ec2.amazonaws.com" },
	};
	policy_evaluate(&set, &request, NULL, &result);
	policy_release(trust.policy);
	*trusted = result.decision == POLICY_ALLOWED;
	return 0;
}

/* ---- credentials ---- */

static int make(struct amid *amid, const struct instance_record *instance, const struct iam_role_record *role,
	const char *delivery, struct arena *arena, struct session_credentials *credentials, struct error *err)
{
	const char *account = instance->record.account, *id = instance->record.id;
	const struct principal_instance source = {
		.arn = arena_printf(
			arena, "arn:aws:ec2:%s:%s:instance/%s", instance->record.region, account, id),
		.vpc = instance->vpc,
		.private_address = instance->private_address,
		.delivery = delivery,
	};
	const struct principal session = {
		.type = PRINCIPAL_ROLE_SESSION,
		.account = account,
		.arn = arena_printf(arena, "arn:aws:sts::%s:assumed-role/%s/%s", account, role->name, id),
		.id = arena_printf(arena, "%s:%s", role->record.id, id),
		.issuer_arn = arn_of(role, arena),
		.issuer_id = role->record.id,
		.session_name = id,
		.instance = &source,
	};
	return session_make(amid, &session, VALID_SECONDS, arena, credentials, err);
}

static struct place *place_of(struct imds_roles *roles, const char *instance, const char *delivery)
{
	unsigned hash = 2166136261u;
	for (const char *p = instance; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	return &roles->places[(hash ^ (unsigned char)*delivery) % PLACES];
}

static struct session_credentials copy(const struct session_credentials *credentials, struct arena *arena)
{
	return (struct session_credentials){ .access_key_id = arena_strdup(arena, credentials->access_key_id),
		.secret = arena_strdup(arena, credentials->secret),
		.token = arena_strdup(arena, credentials->token),
		.expires_ms = credentials->expires_ms };
}

/* By amid's clock, which may have been moved either way. */
static bool is_current(const struct place *place, const struct instance_record *instance,
	const struct iam_role_record *role, const char *delivery)
{
	int64_t age_ms = clock_now_ms() - place->made_ms;
	return place->arena && strcmp(place->instance, instance->record.id) == 0 &&
		strcmp(place->association, instance->profile->association) == 0 &&
		strcmp(place->role, role->record.id) == 0 && strcmp(place->delivery, delivery) == 0 &&
		age_ms >= 0 && age_ms < RENEW_MS;
}

static void fill(struct place *place, const struct instance_record *instance,
	const struct iam_role_record *role, const char *delivery,
	const struct session_credentials *credentials)
{
	arena_destroy(place->arena);
	struct arena *arena = arena_create();
	*place = (struct place){ .arena = arena,
		.instance = arena_strdup(arena, instance->record.id),
		.association = arena_strdup(arena, instance->profile->association),
		.role = arena_strdup(arena, role->record.id),
		.delivery = arena_strdup(arena, delivery),
		.made_ms = clock_now_ms(),
		.credentials = copy(credentials, arena) };
}

int imds_role_credentials(struct amid *amid, struct imds_roles *roles, const struct instance_record *instance,
	const char *role_name, const char *delivery, struct arena *arena, const char **document,
	struct error *err)
{
	struct iam_role_record *role;
	struct session_credentials made;
	bool trusted;
	int result = 0;
	*document = NULL;
	if (imds_role_find(amid, instance, arena, &role, NULL, err))
		return -1;
	if (!role || strcmp(role->name, role_name) != 0)
		return 0;
	if (trusts_ec2(amid, role, arena, &trusted, err))
		return -1;
	if (!trusted) {
		*document = show_unauthorized(role, arena);
		return 0;
	}
	struct place *place = place_of(roles, instance->record.id, delivery);
	pthread_mutex_lock(&roles->lock);
	if (!is_current(place, instance, role, delivery)) {
		result = make(amid, instance, role, delivery, arena, &made, err);
		if (result == 0)
			fill(place, instance, role, delivery, &made);
	}
	if (result == 0)
		*document = show(&place->credentials, place->made_ms, arena);
	pthread_mutex_unlock(&roles->lock);
	return result;
}
