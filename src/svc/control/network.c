/*
 * The network controllers: a VPC is described anew from the metadata (its security groups, and the interfaces of the instances that are up) and given to net/ as often as either changes.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "svc/control/internal.h"
#include "base/banned.h"

struct vpc_builder {
	struct amid *amid;
	struct arena *arena;
	const char *account;
	const char *region;
	const char *vpc_id;
	struct meta_rows subnets;
};

/* "10.0.0.0/8" in host byte order. */
static int parse_cidr(const char *text, uint32_t *address, int *prefix)
{
	char copy[32];
	const char *slash = strchr(text, '/');
	struct in_addr in;
	int64_t bits;
	if (!slash || (size_t)(slash - text) >= sizeof copy)
		return -1;
	memcpy(copy, text, (size_t)(slash - text));
	copy[slash - text] = '\0';
	if (inet_pton(AF_INET, copy, &in) != 1 || text_parse_int64(slash + 1, &bits) || bits < 0 || bits > 32)
		return -1;
	*address = ntohl(in.s_addr);
	*prefix = (int)bits;
	return 0;
}

static uint32_t parse_address(const char *text)
{
	struct in_addr in;
	return text && inet_pton(AF_INET, text, &in) == 1 ? ntohl(in.s_addr) : 0;
}

static int protocol_number(const char *name)
{
	int64_t number;
	if (strcmp(name, "tcp") == 0)
		return 6;
	if (strcmp(name, "udp") == 0)
		return 17;
	if (strcmp(name, "icmp") == 0)
		return 1;
	return text_parse_int64(name, &number) ? NET_PROTOCOL_ALL : (int)number;
}

/* IPv6 rules have no meaning here: guests have no IPv6 address. */
static void add_rule(struct vpc_builder *builder, const struct record_security_rule *rule,
	struct net_rule **rules, size_t *count)
{
	struct net_rule net = {
		.protocol = protocol_number(rule->protocol),
		.from_port = (int)integer_or(rule->from_port, -1),
		.to_port = (int)integer_or(rule->to_port, -1),
		.peer_prefix = -1,
		.peer_group = rule->group,
	};
	if (!rule->group && (!rule->cidr || parse_cidr(rule->cidr, &net.peer_address, &net.peer_prefix)))
		return;
	*ARENA_APPEND(builder->arena, *rules, *count) = net;
}

static struct net_group describe_group(struct vpc_builder *builder, const struct security_group_record *group)
{
	struct net_rule *ingress = NULL, *egress = NULL;
	size_t ingress_count = 0, egress_count = 0;
	for (size_t i = 0; i < group->rules.count; i++) {
		const struct record_security_rule *rule = &group->rules.items[i];
		if (boolean_or(rule->egress, false))
			add_rule(builder, rule, &egress, &egress_count);
		else
			add_rule(builder, rule, &ingress, &ingress_count);
	}
	return (struct net_group){ .id = group->record.id,
		.ingress = ingress,
		.ingress_count = (unsigned)ingress_count,
		.egress = egress,
		.egress_count = (unsigned)egress_count };
}

static bool has_interface(const struct instance_record *instance)
{
	return strcmp(instance->state, "pending") == 0 || strcmp(instance->state, "running") == 0 ||
		strcmp(instance->state, "stopping") == 0 || strcmp(instance->state, "shutting-down") == 0;
}

static struct net_interface describe_interface(
	struct vpc_builder *builder, const struct instance_record *instance)
{
	struct net_interface interface = {
		.id = instance->interface,
		.mac = instance->mac,
		.private_address = parse_address(instance->private_address),
		.public_address = parse_address(instance->public_address),
	};
	for (size_t i = 0; i < builder->subnets.count; i++) {
		const struct subnet_record *subnet = builder->subnets.items[i];
		if (strcmp(subnet->record.id, instance->subnet) == 0)
			parse_cidr(subnet->cidr, &interface.subnet_address, &interface.subnet_prefix);
	}
	interface.gateway = interface.subnet_address + 1; /* as in AWS: the subnet's second address */
	char *hostname = arena_printf(builder->arena, "ip-%s",
		text_equal(instance->private_address, NULL) ? "" : instance->private_address);
	for (char *p = hostname; *p; p++)
		if (*p == '.')
			*p = '-';
	interface.hostname = hostname;
	const char **groups = arena_alloc_array(builder->arena, instance->groups.count + 1, sizeof *groups);
	for (size_t i = 0; i < instance->groups.count; i++)
		groups[i] = instance->groups.items[i];
	interface.groups = groups;
	return interface;
}

static int describe_vpc(struct vpc_builder *builder, struct net_vpc *vpc, struct error *err)
{
	struct meta *meta = builder->amid->meta;
	struct meta_query in_vpc = { .account = builder->account,
		.region = builder->region,
		.index = "vpc",
		.value = builder->vpc_id };
	struct meta_rows groups, instances;
	if (meta_list(meta, &record_security_group, &in_vpc, builder->arena, &groups, err) ||
		meta_list(meta, &record_subnet, &in_vpc, builder->arena, &builder->subnets, err) ||
		meta_list(meta, &record_instance, &in_vpc, builder->arena, &instances, err))
		return -1;
	struct net_group *net_groups =
		arena_alloc_array(builder->arena, groups.count + 1, sizeof *net_groups);
	for (size_t i = 0; i < groups.count; i++)
		net_groups[i] = describe_group(builder, groups.items[i]);
	struct net_interface *interfaces =
		arena_alloc_array(builder->arena, instances.count + 1, sizeof *interfaces);
	unsigned interface_count = 0;
	for (size_t i = 0; i < instances.count; i++)
		if (has_interface(instances.items[i]))
			interfaces[interface_count++] = describe_interface(builder, instances.items[i]);
	*vpc = (struct net_vpc){
		.id = builder->vpc_id,
		.domain = strcmp(builder->region, "us-east-1") == 0
			? "ec2.internal"
			: arena_printf(builder->arena, "%s.compute.internal", builder->region),
		.groups = net_groups,
		.group_count = (unsigned)groups.count,
		.interfaces = interfaces,
		.interface_count = interface_count,
	};
	return 0;
}

int network_apply(
	struct amid *amid, const char *account, const char *region, const char *vpc_id, struct error *err)
{
	if (!amid->net)
		return 0;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct vpc_builder builder = {
		.amid = amid, .arena = arena, .account = account, .region = region, .vpc_id = vpc_id
	};
	struct net_vpc vpc;
	pthread_mutex_lock(&amid->network_lock);
	int result = describe_vpc(&builder, &vpc, err);
	/* a VPC without a guest needs no namespace */
	if (result == 0)
		result = vpc.interface_count ? net_vpc_apply(amid->net, &vpc, err)
					     : net_vpc_remove(amid->net, vpc_id, err);
	pthread_mutex_unlock(&amid->network_lock);
	return result;
}

/* A VPC that a reset has removed leaves no network behind. */
int control_vpc(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct amid *amid = context;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct vpc_record *vpc;
	if (!amid->net)
		return 0;
	if (meta_get_any(amid->meta, &record_vpc, NULL, id, arena, &vpc, err))
		return -1;
	return vpc ? 0 : net_vpc_remove(amid->net, id, err);
}

static bool is_listed(const char *const *ids, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(ids[i], id) == 0)
			return true;
	return false;
}

int network_take_up(struct amid *amid, struct error *err)
{
	if (!amid->net)
		return 0;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_rows rows;
	const char **ids = NULL;
	size_t count = 0;
	if (meta_list(amid->meta, &record_instance, &(struct meta_query){ 0 }, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct instance_record *instance = rows.items[i];
		if (!has_interface(instance) || is_listed(ids, count, instance->vpc))
			continue;
		if (network_apply(
			    amid, instance->record.account, instance->record.region, instance->vpc, err))
			return -1;
		*ARENA_APPEND(arena, ids, count) = instance->vpc;
	}
	*ARENA_APPEND(arena, ids, count) = NULL;
	return net_remove_others(amid->net, ids, err);
}

/* Rules have changed: they matter if any instance of the VPC is up. */
int control_security_group(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct amid *amid = context;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct security_group_record *group;
	struct meta_rows instances;
	if (!amid->net)
		return 0;
	if (meta_get_any(amid->meta, &record_security_group, NULL, id, arena, &group, err))
		return -1;
	if (!group)
		return 0;
	struct meta_query in_vpc = { .account = group->record.account,
		.region = group->record.region,
		.index = "vpc",
		.value = group->vpc };
	if (meta_list(amid->meta, &record_instance, &in_vpc, arena, &instances, err))
		return -1;
	for (size_t i = 0; i < instances.count; i++)
		if (has_interface(instances.items[i]))
			return network_apply(
				amid, group->record.account, group->record.region, group->vpc, err);
	return 0;
}
