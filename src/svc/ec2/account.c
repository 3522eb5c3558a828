/*
 * DescribeAccountAttributes: the limits that AWS shows for an account. Those of addresses and instances are what a new account has there; amid sets none of its own
 * but what the machine can take. Runs on the thread of the call.
 */
#include "svc/ec2/common.h"
#include "svc/network.h"
#include "base/banned.h"

static const struct {
	const char *name;
	const char *value; /* NULL: worked out for the account */
} attributes[] = {
	{ "supported-platforms", "VPC" },
	{ "default-vpc", NULL },
	{ "max-instances", "500" }, /* INSTANCES_MAX of run_instances.c */
	{ "vpc-max-security-groups-per-interface", "5" },
	{ "max-elastic-ips", "5" },
	{ "vpc-max-elastic-ips", "5" },
};

/* Whether a list of names, where it is given, has this one. */
static bool is_wanted(const struct ec2_AccountAttributeNameStringList *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (text_equal(names->items[i], name))
			return true;
	return names->count == 0;
}

static int check_names(const struct ec2_AccountAttributeNameStringList *names, struct error *err)
{
	for (size_t i = 0; i < names->count; i++) {
		bool known = false;
		for (size_t j = 0; j < sizeof attributes / sizeof attributes[0]; j++)
			known |= text_equal(names->items[i], attributes[j].name);
		if (!known)
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Unknown account attribute '%.64s'", text_or(names->items[i], ""));
	}
	return 0;
}

int ec2_describe_account_attributes(struct call *call,
	const struct ec2_DescribeAccountAttributesRequest *request,
	struct ec2_DescribeAccountAttributesResult *result, struct error *err)
{
	struct ec2_AccountAttributeList *list = &result->account_attributes;

	if (check_names(&request->attribute_names, err) != 0 ||
		network_ensure_default(call->amid, call->account, call->region, err) != 0)
		return -1;
	list->set = true;
	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
		if (!is_wanted(&request->attribute_names, attributes[i].name))
			continue;
		struct ec2_AccountAttribute *attribute = ARENA_APPEND(call->arena, list->items, list->count);
		struct ec2_AccountAttributeValueList *values = &attribute->attribute_values;
		attribute->attribute_name = attributes[i].name;
		values->set = true;
		ARENA_APPEND(call->arena, values->items, values->count)->attribute_value = attributes[i].value
			? attributes[i].value
			: network_default_vpc_id(call->account, call->region, call->arena);
	}
	return 0;
}
