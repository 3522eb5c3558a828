/* Descriptions of VPCs: see describe.h. */
#include "net/describe.h"

#include "base/text.h"
#include "base/banned.h"

enum { ID_LIMIT = 64, NAME_LIMIT = 253, PORT_LIMIT = 65535 };

uint32_t prefix_mask(int prefix)
{
	return prefix <= 0 ? 0 : UINT32_MAX << (32 - prefix);
}

char *address_text(uint32_t address, char text[static ADDRESS_TEXT_SIZE])
{
	snprintf(text, ADDRESS_TEXT_SIZE, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
		address >> 8 & 255, address & 255);
	return text;
}

int mac_parse(const char *text, uint8_t mac[static MAC_SIZE])
{
	if (!text || strlen(text) != 17)
		return -1;
	for (unsigned i = 0; i < MAC_SIZE; i++) {
		char pair[3] = { text[3 * i], text[3 * i + 1], 0 };
		if (text_unhex(pair, &mac[i], 1) || (i < 5 && text[3 * i + 2] != ':'))
			return -1;
	}
	return 0;
}

/* What may stand in rule texts and file names without quoting. */
static bool is_id(const char *id)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t size = id ? strlen(id) : 0;
	return size > 0 && size <= ID_LIMIT && strspn(id, allowed) == size;
}

static bool is_name(const char *name)
{
	return !name || strlen(name) <= NAME_LIMIT;
}

static bool rule_is_possible(const struct net_rule *rule)
{
	if (rule->protocol < NET_PROTOCOL_ALL || rule->protocol > 255 || rule->peer_prefix > 32)
		return false;
	if (rule->peer_prefix < 0 && !is_id(rule->peer_group))
		return false;
	if (rule->protocol == 6 || rule->protocol == 17)
		return rule->from_port >= -1 && rule->to_port <= PORT_LIMIT &&
			(rule->from_port == -1 || rule->from_port <= rule->to_port);
	if (rule->protocol == 1)
		return rule->from_port >= -1 && rule->from_port <= 255 && rule->to_port >= -1 &&
			rule->to_port <= 255;
	return true;
}

static int check_group(const struct net_group *group, struct error *err)
{
	if (!is_id(group->id))
		return error_set(err, ERROR_INVALID, "malformed security group id");
	for (unsigned i = 0; i < group->ingress_count + group->egress_count; i++) {
		bool ingress = i < group->ingress_count;
		const struct net_rule *rule =
			ingress ? &group->ingress[i] : &group->egress[i - group->ingress_count];
		if (!rule_is_possible(rule))
			return error_set(err, ERROR_INVALID, "security group %s: %s rule %u is out of range",
				group->id, ingress ? "ingress" : "egress",
				ingress ? i : i - group->ingress_count);
	}
	return 0;
}

static int check_interface(const struct net_interface *interface, struct error *err)
{
	uint8_t mac[MAC_SIZE];
	if (!is_id(interface->id))
		return error_set(err, ERROR_INVALID, "malformed network interface id");
	if (mac_parse(interface->mac, mac) || mac[0] & 1)
		return error_set(
			err, ERROR_INVALID, "network interface %s: malformed MAC address", interface->id);
	uint32_t mask = prefix_mask(interface->subnet_prefix);
	if (interface->subnet_prefix < 1 || interface->subnet_prefix > 30 ||
		(interface->private_address & mask) != (interface->subnet_address & mask) ||
		(interface->gateway & mask) != (interface->subnet_address & mask) ||
		interface->private_address == interface->gateway)
		return error_set(err, ERROR_INVALID, "network interface %s: addresses do not fit its subnet",
			interface->id);
	if (interface->public_address && interface->public_address >> 24 != 127)
		return error_set(err, ERROR_INVALID,
			"network interface %s: public address outside of 127.0.0.0/8", interface->id);
	if (!is_name(interface->hostname))
		return error_set(
			err, ERROR_INVALID, "network interface %s: host name too long", interface->id);
	return 0;
}

static int compare_addresses(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static int check_unique_addresses(const struct net_vpc *vpc, struct error *err)
{
	char text[ADDRESS_TEXT_SIZE];
	struct arena *scratch ARENA_SCOPED = arena_create();
	uint32_t *addresses = arena_alloc_array(scratch, vpc->interface_count + 1, sizeof *addresses);
	for (unsigned i = 0; i < vpc->interface_count; i++)
		addresses[i] = vpc->interfaces[i].private_address;
	qsort(addresses, vpc->interface_count, sizeof *addresses, compare_addresses);
	for (unsigned i = 1; i < vpc->interface_count; i++) {
		if (addresses[i] == addresses[i - 1])
			return error_set(err, ERROR_INVALID,
				"two network interfaces of %s have the address %s", vpc->id,
				address_text(addresses[i], text));
	}
	return 0;
}

int vpc_check(const struct net_vpc *vpc, struct error *err)
{
	if (!is_id(vpc->id))
		return error_set(err, ERROR_INVALID, "malformed VPC id");
	if (!is_name(vpc->domain))
		return error_set(err, ERROR_INVALID, "%s: domain name too long", vpc->id);
	for (unsigned i = 0; i < vpc->group_count; i++) {
		if (check_group(&vpc->groups[i], err))
			return -1;
	}
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		if (check_interface(&vpc->interfaces[i], err))
			return -1;
	}
	return check_unique_addresses(vpc, err);
}

static const struct net_rule *copy_rules(struct arena *arena, const struct net_rule *rules, unsigned count)
{
	struct net_rule *copy = arena_alloc_array(arena, count + 1, sizeof *copy);
	for (unsigned i = 0; i < count; i++) {
		copy[i] = rules[i];
		copy[i].peer_group = arena_strdup(arena, rules[i].peer_group);
	}
	return copy;
}

static const char *const *copy_names(struct arena *arena, const char *const *names)
{
	size_t count = 0;
	while (names && names[count])
		count++;
	const char **copy = arena_alloc_array(arena, count + 1, sizeof *copy);
	for (size_t i = 0; i < count; i++)
		copy[i] = arena_strdup(arena, names[i]);
	return copy;
}

const struct net_vpc *vpc_copy(struct arena *arena, const struct net_vpc *vpc)
{
	struct net_vpc *copy = arena_memdup(arena, vpc, sizeof *vpc);
	struct net_group *groups = arena_alloc_array(arena, vpc->group_count + 1, sizeof *groups);
	struct net_interface *interfaces =
		arena_alloc_array(arena, vpc->interface_count + 1, sizeof *interfaces);
	copy->id = arena_strdup(arena, vpc->id);
	copy->domain = arena_strdup(arena, vpc->domain);
	for (unsigned i = 0; i < vpc->group_count; i++) {
		groups[i] = vpc->groups[i];
		groups[i].id = arena_strdup(arena, groups[i].id);
		groups[i].ingress = copy_rules(arena, groups[i].ingress, groups[i].ingress_count);
		groups[i].egress = copy_rules(arena, groups[i].egress, groups[i].egress_count);
	}
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		interfaces[i] = vpc->interfaces[i];
		interfaces[i].id = arena_strdup(arena, interfaces[i].id);
		interfaces[i].mac = arena_strdup(arena, interfaces[i].mac);
		interfaces[i].hostname = arena_strdup(arena, interfaces[i].hostname);
		interfaces[i].groups = copy_names(arena, interfaces[i].groups);
	}
	copy->groups = groups;
	copy->interfaces = interfaces;
	return copy;
}

const struct net_group *vpc_group(const struct net_vpc *vpc, const char *id)
{
	for (unsigned i = 0; i < vpc->group_count; i++) {
		if (text_equal(vpc->groups[i].id, id))
			return &vpc->groups[i];
	}
	return NULL;
}

const struct net_interface *vpc_interface(const struct net_vpc *vpc, const char *id)
{
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		if (text_equal(vpc->interfaces[i].id, id))
			return &vpc->interfaces[i];
	}
	return NULL;
}

bool interface_in_group(const struct net_interface *interface, const char *group_id)
{
	for (const char *const *id = interface->groups; id && *id; id++) {
		if (text_equal(*id, group_id))
			return true;
	}
	return false;
}

static bool rule_admits(const struct net_rule *rule, uint32_t source, unsigned port)
{
	if (rule->protocol != NET_PROTOCOL_ALL && rule->protocol != 6)
		return false;
	if (rule->protocol == 6 && rule->from_port >= 0 &&
		(port < (unsigned)rule->from_port || port > (unsigned)rule->to_port))
		return false;
	/* A rule that names a group speaks of interfaces of the VPC; the host is none. */
	return rule->peer_prefix >= 0 &&
		((source ^ rule->peer_address) & prefix_mask(rule->peer_prefix)) == 0;
}

bool vpc_admits(
	const struct net_vpc *vpc, const struct net_interface *interface, uint32_t source, unsigned port)
{
	for (const char *const *id = interface->groups; id && *id; id++) {
		const struct net_group *group = vpc_group(vpc, *id);
		for (unsigned i = 0; group && i < group->ingress_count; i++) {
			if (rule_admits(&group->ingress[i], source, port))
				return true;
		}
	}
	return false;
}
