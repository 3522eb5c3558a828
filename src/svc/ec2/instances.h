/* Instances as their handlers share them. */
#pragma once

#include "svc/ec2/common.h"

/* The code that goes with a state's name: pending 0, running 16, shutting-down 32, terminated 48, stopping 64, stopped 80. */
int64_t instance_state_code(const char *state);
struct ec2_InstanceState *instance_state_result(struct call *call, const char *state);
/* The caller's own instance. InvalidInstanceID.Malformed, InvalidInstanceID.NotFound. */
int instance_find(struct call *call, const char *id, struct instance_record **instance, struct error *err);
/* All instances named, in the order given. InstanceIds must not be empty. */
int instance_find_all(struct call *call, const struct ec2_InstanceIdStringList *ids,
	struct instance_record ***instances, struct error *err);

/* What answers about instances need beside the records; loaded once a call. */
struct instance_context {
	struct meta_rows
		volumes; /* of the account and region: those attached are an instance's block devices */
	struct meta_rows groups;
};
int instance_context_load(struct call *call, struct instance_context *context, struct error *err);
void instance_result(struct call *call, const struct instance_context *context,
	const struct instance_record *instance, struct ec2_Instance *result);
struct ec2_InstanceBlockDeviceMappingList instance_devices_result(
	struct call *call, const struct instance_context *context, const struct instance_record *instance);
struct ec2_GroupIdentifierList instance_groups_result(
	struct call *call, const struct instance_context *context, const struct record_string_list *groups);
/* The reservation of an instance, with that instance alone. */
void instance_reservation_result(struct call *call, const struct instance_context *context,
	const struct instance_record *instance, struct ec2_Reservation *result);
/* "ip-172-31-0-5.ec2.internal"; NULL without an address. */
const char *instance_private_dns_name(struct call *call, const struct instance_record *instance);
const char *instance_public_dns_name(struct call *call, const struct instance_record *instance);
