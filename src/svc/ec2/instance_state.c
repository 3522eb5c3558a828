/*
 * StartInstances, StopInstances, RebootInstances, TerminateInstances: all instances of a call or none. They write what is wanted into the records; the instance controller makes it so.
 */
#include <string.h>

#include "base/clock.h"
#include "svc/ec2/instances.h"
#include "svc/ec2/placement.h"
#include "base/banned.h"

static bool is_state(const struct instance_record *instance, const char *state)
{
	return strcmp(instance->state, state) == 0;
}

static void add_change(struct call *call, struct ec2_InstanceStateChangeList *changes, const char *id,
	const char *previous, const char *current)
{
	changes->set = true;
	*ARENA_APPEND(call->arena, changes->items, changes->count) =
		(struct ec2_InstanceStateChange){ .instance_id = id,
			.previous_state = instance_state_result(call, previous),
			.current_state = instance_state_result(call, current) };
}

static int refuse_state(const struct instance_record *instance, const char *verb, struct error *err)
{
	return error_set(err, ERROR_INCORRECT_INSTANCE_STATE,
		"The instance '%s' is not in a state from which it can be %s (%s).", instance->record.id,
		verb, instance->state);
}

static const char *user_initiated(struct call *call)
{
	char text[32];
	clock_format_iso8601(clock_now_ms(), text);
	return arena_printf(call->arena, "User initiated (%.10s %.8s GMT)", text, text + 11);
}

int ec2_start_instances(struct call *call, const struct ec2_StartInstancesRequest *request,
	struct ec2_StartInstancesResult *result, struct error *err)
{
	static const char *const refused[] = { "AdditionalInfo", NULL };
	struct instance_record **instances;
	if (ec2_refuse_members(call, request, refused, err) ||
		instance_find_all(call, &request->instance_ids, &instances, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (size_t i = 0; i < request->instance_ids.count; i++) {
		struct instance_record *instance = instances[i];
		const char *previous = instance->state;
		if (is_state(instance, "stopped")) {
			instance->state = "pending";
			instance->restart = "start"; /* a failure leads back to stopped */
			instance->launched = ec2_now();
			instance->transition_reason = instance->state_reason = instance->state_reason_code =
				NULL;
			if (boolean_or(instance->associate_public, false) &&
				placement_take_public_address(call, &instance->public_address, err))
				return -1;
			meta_batch_put(batch, &record_instance, instance);
		} else if (!is_state(instance, "pending") && !is_state(instance, "running")) {
			return refuse_state(instance, "started", err);
		}
		add_change(call, &result->starting_instances, instance->record.id, previous, instance->state);
	}
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_stop_instances(struct call *call, const struct ec2_StopInstancesRequest *request,
	struct ec2_StopInstancesResult *result, struct error *err)
{
	static const char *const refused[] = { "Hibernate", NULL };
	struct instance_record **instances;
	if ((boolean_or(request->hibernate, false) && ec2_refuse_members(call, request, refused, err)) ||
		instance_find_all(call, &request->instance_ids, &instances, err))
		return -1;
	bool force = boolean_or(request->force, false) || boolean_or(request->skip_os_shutdown, false);
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (size_t i = 0; i < request->instance_ids.count; i++) {
		struct instance_record *instance = instances[i];
		const char *previous = instance->state;
		if (boolean_or(instance->protect_stop, false))
			return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
				"The instance '%s' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.",
				instance->record.id);
		if (is_state(instance, "running") || (is_state(instance, "stopping") && force)) {
			instance->state = "stopping";
			instance->stop_requested.set = false;
			instance->force_stop = some_boolean(force);
			instance->transition_reason = user_initiated(call);
			instance->state_reason_code = "Client.UserInitiatedShutdown";
			instance->state_reason = "Client.UserInitiatedShutdown: User initiated shutdown";
			meta_batch_put(batch, &record_instance, instance);
		} else if (!is_state(instance, "stopping") && !is_state(instance, "stopped")) {
			return refuse_state(instance, "stopped", err);
		}
		add_change(call, &result->stopping_instances, instance->record.id, previous, instance->state);
	}
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_reboot_instances(struct call *call, const struct ec2_RebootInstancesRequest *request,
	struct ec2_RebootInstancesResult *result, struct error *err)
{
	struct instance_record **instances;
	if (instance_find_all(call, &request->instance_ids, &instances, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (size_t i = 0; i < request->instance_ids.count; i++) {
		struct instance_record *instance = instances[i];
		if (!is_state(instance, "running"))
			return refuse_state(instance, "rebooted", err);
		if (instance->restart)
			continue; /* it is on its way down already */
		instance->restart = "reboot";
		meta_batch_put(batch, &record_instance, instance);
	}
	return meta_commit(call->amid->meta, batch, err);
}

int ec2_terminate_instances(struct call *call, const struct ec2_TerminateInstancesRequest *request,
	struct ec2_TerminateInstancesResult *result, struct error *err)
{
	struct instance_record **instances;
	if (instance_find_all(call, &request->instance_ids, &instances, err))
		return -1;
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (size_t i = 0; i < request->instance_ids.count; i++) {
		struct instance_record *instance = instances[i];
		const char *previous = instance->state;
		if (boolean_or(instance->protect_termination, false))
			return error_set(err, ERROR_OPERATION_NOT_PERMITTED,
				"The instance '%s' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.",
				instance->record.id);
		if (!is_state(instance, "terminated") && !is_state(instance, "shutting-down")) {
			instance->state = "shutting-down";
			instance->stop_requested.set = false;
			instance->force_stop = some_boolean(boolean_or(request->force, false) ||
				boolean_or(request->skip_os_shutdown, false));
			instance->transition_reason = user_initiated(call);
			instance->state_reason_code = "Client.UserInitiatedShutdown";
			instance->state_reason = "Client.UserInitiatedShutdown: User initiated shutdown";
			meta_batch_put(batch, &record_instance, instance);
		}
		add_change(
			call, &result->terminating_instances, instance->record.id, previous, instance->state);
	}
	return meta_commit(call->amid->meta, batch, err);
}
