/*
 * Instance profiles of instances: AssociateIamInstanceProfile, DisassociateIamInstanceProfile, ReplaceIamInstanceProfileAssociation, DescribeIamInstanceProfileAssociations. An association is a part of the instance's record, so an
 * instance has one at most, and it is over when the instance is terminated; what the guest finds by it is src/svc/imds. Changes hold from the commit on: answers tell the state on the way, as AWS's do, and the next look finds it
 * done. Runs on the thread of the call.
 */
#include "svc/ec2/instance_profiles.h"

#include <string.h>

#include "svc/ec2/describe.h"
#include "svc/ec2/instances.h"
#include "base/banned.h"

static const struct describe_kind associations = {
	.shape = &ec2_shape_IamInstanceProfileAssociation,
	.key = "InstanceId",
	.page_rules = { .min = 5, .max = 1000 },
	.filters =
		(const struct describe_filter[]){
			{ "instance-id", "InstanceId" },
			{ "state", "State" },
			{ NULL },
		},
};

/* ---- which profile ---- */

static const char *arn_of(struct call *call, const struct instance_profile_record *profile)
{
	return arena_printf(call->arena, "arn:aws:iam::%s:instance-profile%s%s", profile->record.account,
		text_or(profile->path, "/"), profile->name);
}

/* Names differ by more than the size of their letters; *profile is NULL if there is none. */
static int find_name(
	struct call *call, const char *name, struct instance_profile_record **profile, struct error *err)
{
	struct meta_rows rows;
	char *key = arena_strdup(call->arena, name);
	for (char *p = key; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	struct meta_query query = { .account = call->account, .region = "", .index = "key", .value = key };
	if (meta_list(call->amid->meta, &record_instance_profile, &query, call->arena, &rows, err))
		return -1;
	*profile = rows.count ? rows.items[0] : NULL;
	return 0;
}

int instance_profile_choose(struct call *call, const struct ec2_IamInstanceProfileSpecification *asked,
	struct instance_profile_record **profile, struct error *err)
{
	*profile = NULL;
	if (!asked || (!asked->name && !asked->arn))
		return 0;
	if (asked->name && asked->arn)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'");
	const char *slash = asked->arn ? strrchr(asked->arn, '/') : NULL;
	const char *name = asked->name ? asked->name : slash ? slash + 1 : "";
	if (find_name(call, name, profile, err))
		return -1;
	if (asked->name && !*profile)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.128s) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
			asked->name);
	if (asked->arn && (!*profile || strcmp(arn_of(call, *profile), asked->arn) != 0))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.200s) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
			asked->arn);
	if ((*profile)->role)
		return 0;
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
		"IAM Instance Profile \"%.200s\" has no associated IAM Roles", arn_of(call, *profile));
}

/* For operations that make no sense without one. */
static int choose(struct call *call, const struct ec2_IamInstanceProfileSpecification *asked,
	struct instance_profile_record **profile, struct error *err)
{
	if (instance_profile_choose(call, asked, profile, err))
		return -1;
	return *profile
		? 0
		: error_set(err, ERROR_MISSING_PARAMETER,
			  "The request must contain the parameter iamInstanceProfile.name or iamInstanceProfile.arn");
}

struct record_profile_use *instance_profile_associate(
	struct call *call, struct meta_batch *batch, const struct instance_profile_record *profile)
{
	struct record_profile_use *use = arena_alloc(call->arena, sizeof *use);
	*use = (struct record_profile_use){ .profile = profile->record.id,
		.arn = arn_of(call, profile),
		.association = text_random_id(call->arena, "iip-assoc"),
		.associated = ec2_now() };
	meta_batch_expect(batch, &record_instance_profile, profile);
	return use;
}

/* ---- how it is shown ---- */

struct ec2_IamInstanceProfile *instance_profile_result(
	struct call *call, const struct record_profile_use *use)
{
	if (!use)
		return NULL;
	struct ec2_IamInstanceProfile *result = arena_alloc(call->arena, sizeof *result);
	*result = (struct ec2_IamInstanceProfile){ .arn = use->arn, .id = use->profile };
	return result;
}

static void association_result(struct call *call, const struct instance_record *instance, const char *state,
	struct ec2_IamInstanceProfileAssociation *result)
{
	*result =
		(struct ec2_IamInstanceProfileAssociation){ .association_id = instance->profile->association,
			.instance_id = instance->record.id,
			.iam_instance_profile = instance_profile_result(call, instance->profile),
			.state = state,
			.timestamp = instance->profile->associated };
}

static struct ec2_IamInstanceProfileAssociation *show(
	struct call *call, const struct instance_record *instance, const char *state)
{
	struct ec2_IamInstanceProfileAssociation *result = arena_alloc(call->arena, sizeof *result);
	association_result(call, instance, state, result);
	return result;
}

/* ---- the operations ---- */

static int find_association(
	struct call *call, const char *id, struct instance_record **instance, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "profile_association", .value = id
	};
	if (meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err))
		return -1;
	if (!rows.count)
		return error_set(err, ERROR_ASSOCIATION_NOT_FOUND,
			"An invalid association-id of '%.64s' was given", id);
	*instance = rows.items[0];
	return 0;
}

static int check_state(const struct instance_record *instance, struct error *err)
{
	static const char *const states[] = { "pending", "running", "stopping", "stopped" };
	for (size_t i = 0; i < sizeof states / sizeof *states; i++)
		if (strcmp(instance->state, states[i]) == 0)
			return 0;
	return error_set(err, ERROR_INCORRECT_INSTANCE_STATE,
		"The instance '%s' is not in the 'running' or 'stopped' states.", instance->record.id);
}

/* Puts the instance with another profile. */
static int give(struct call *call, struct instance_record *instance,
	const struct instance_profile_record *profile, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	instance->profile = instance_profile_associate(call, batch, profile);
	meta_batch_put(batch, &record_instance, instance);
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_associate_iam_instance_profile(struct call *call,
	const struct ec2_AssociateIamInstanceProfileRequest *request,
	struct ec2_AssociateIamInstanceProfileResult *result, struct error *err)
{
	struct instance_record *instance;
	struct instance_profile_record *profile;
	if (instance_find(call, request->instance_id, &instance, err) ||
		choose(call, request->iam_instance_profile, &profile, err) || check_state(instance, err))
		return -1;
	if (instance->profile)
		return error_set(err, ERROR_INCORRECT_STATE,
			"There is an existing association for instance %s", instance->record.id);
	if (give(call, instance, profile, err))
		return -1;
	result->iam_instance_profile_association = show(call, instance, "associating");
	return 0;
}

int ec2_replace_iam_instance_profile_association(struct call *call,
	const struct ec2_ReplaceIamInstanceProfileAssociationRequest *request,
	struct ec2_ReplaceIamInstanceProfileAssociationResult *result, struct error *err)
{
	struct instance_record *instance;
	struct instance_profile_record *profile;
	if (find_association(call, request->association_id, &instance, err) ||
		choose(call, request->iam_instance_profile, &profile, err) || check_state(instance, err) ||
		give(call, instance, profile, err))
		return -1;
	result->iam_instance_profile_association = show(call, instance, "associating");
	return 0;
}

int ec2_disassociate_iam_instance_profile(struct call *call,
	const struct ec2_DisassociateIamInstanceProfileRequest *request,
	struct ec2_DisassociateIamInstanceProfileResult *result, struct error *err)
{
	struct instance_record *instance;
	if (find_association(call, request->association_id, &instance, err))
		return -1;
	result->iam_instance_profile_association = show(call, instance, "disassociating");
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	instance->profile = NULL;
	meta_batch_put(batch, &record_instance, instance);
	return meta_commit(call->amid->meta, batch, err);
}

/* One that is asked for and not there is an error. */
static int check_asked(struct call *call, const struct ec2_AssociationIdList *ids, struct error *err)
{
	struct instance_record *instance;
	for (size_t i = 0; i < ids->count; i++)
		if (find_association(call, ids->items[i], &instance, err))
			return -1;
	return 0;
}

int ec2_describe_iam_instance_profile_associations(struct call *call,
	const struct ec2_DescribeIamInstanceProfileAssociationsRequest *request,
	struct ec2_DescribeIamInstanceProfileAssociationsResult *result, struct error *err)
{
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_query query = { .account = call->account, .region = call->region };
	const struct ec2_AssociationIdList *ids = &request->association_ids;
	struct ec2_IamInstanceProfileAssociationSet *list = &result->iam_instance_profile_associations;
	struct meta_rows rows;
	if (check_asked(call, ids, err) ||
		meta_list(call->amid->meta, &record_instance, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct instance_record *instance = rows.items[i];
		if (instance->profile &&
			describe_wants(ids->items, ids->count, instance->profile->association))
			association_result(call, instance, "associated",
				ARENA_APPEND(call->arena, list->items, list->count));
	}
	return describe_finish(call, &associations, &request->filters, &page, list, err);
}
