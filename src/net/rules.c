/*
 * Rule sets as texts: see rules.h.
 *
 * The path of a packet that a guest sends, in the namespace of its VPC:
 *   prerouting  dropped unless its source is the address of the interface it came from (or it asks DHCP for one); no IPv6
 *   input       to the namespace itself: DHCP, the metadata service's port and pings of the gateway, nothing else
 *   egress      to another guest: the sender's security groups must let it out ...
 *   ingress     ... and the receiver's must let it in. Two chains on one hook: an `accept` in the first only means "on to the second".
 * Answers to what was let through once pass by connection tracking, as in AWS. Rules of a group are one chain each; an interface's chain jumps to those of its groups, any of which may accept.
 * Group members are a set of addresses, which can be trusted since sources were checked.
 * Sender addresses of ARP are checked in a table of their own: a guest could otherwise fill the kernel's neighbour table, which all namespaces share.
 */
#include "net/rules.h"

#include "net/describe.h"
#include "net/names.h"
#include "base/text.h"
#include "base/banned.h"

enum ways { EGRESS, INGRESS };

enum { REMOVAL_GROUP = 2 }; /* links are in group 0 unless told otherwise */

/* Separates the elements of a set: one begins the list, the last call ends it. */
static void append_element(struct buffer *text, bool *any)
{
	buffer_append_text(text, *any ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
	*any = true;
}

static void end_elements(struct buffer *text, bool any)
{
	buffer_append_text(text, any ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void render_owners(const struct net_vpc *vpc, struct buffer *text)
{
	char tap[NAME_TAP_SIZE], address[ADDRESS_TEXT_SIZE];
	bool any = false;
	buffer_append_text(text, "\tset owners {\n\t\ttype ifname . ipv4_addr\n");
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		name_tap(vpc->interfaces[i].id, tap);
		append_element(text, &any);
		buffer_printf(
			text, "\"%s\" . %s", tap, address_text(vpc->interfaces[i].private_address, address));
	}
	end_elements(text, any);
}

static void render_members(const struct net_vpc *vpc, const struct net_group *group, struct buffer *text)
{
	char address[ADDRESS_TEXT_SIZE];
	bool any = false;
	buffer_printf(text, "\tset members-%s {\n\t\ttype ipv4_addr\n", group->id);
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		if (!interface_in_group(&vpc->interfaces[i], group->id))
			continue;
		append_element(text, &any);
		buffer_append_text(text, address_text(vpc->interfaces[i].private_address, address));
	}
	end_elements(text, any);
}

static void render_protocol(const struct net_rule *rule, struct buffer *text)
{
	bool ports = rule->protocol == 6 || rule->protocol == 17;
	if (ports && rule->from_port >= 0) {
		buffer_printf(text, "%s dport %d", rule->protocol == 6 ? "tcp" : "udp", rule->from_port);
		if (rule->to_port != rule->from_port)
			buffer_printf(text, "-%d", rule->to_port);
		buffer_append_char(text, ' ');
	} else if (rule->protocol == 1 && rule->from_port >= 0) {
		buffer_printf(text, "icmp type %d ", rule->from_port);
		if (rule->to_port >= 0)
			buffer_printf(text, "icmp code %d ", rule->to_port);
	} else if (rule->protocol != NET_PROTOCOL_ALL) {
		buffer_printf(text, "meta l4proto %d ", rule->protocol);
	}
}

static void render_rule(
	const struct net_vpc *vpc, const struct net_rule *rule, enum ways way, struct buffer *text)
{
	char address[ADDRESS_TEXT_SIZE];
	const char *side = way == EGRESS ? "daddr" : "saddr";
	if (rule->peer_prefix < 0 && !vpc_group(vpc, rule->peer_group))
		return; /* a group of nobody in this VPC */
	buffer_append_text(text, "\t\t");
	if (rule->peer_prefix < 0)
		buffer_printf(text, "ip %s @members-%s ", side, rule->peer_group);
	else if (rule->peer_prefix > 0)
		buffer_printf(text, "ip %s %s/%d ", side,
			address_text(rule->peer_address & prefix_mask(rule->peer_prefix), address),
			rule->peer_prefix);
	render_protocol(rule, text);
	buffer_append_text(text, "accept\n");
}

static void render_group_chain(
	const struct net_vpc *vpc, const struct net_group *group, enum ways way, struct buffer *text)
{
	const struct net_rule *rules = way == EGRESS ? group->egress : group->ingress;
	unsigned count = way == EGRESS ? group->egress_count : group->ingress_count;
	buffer_printf(text, "\tchain %s-%s {\n", way == EGRESS ? "egress" : "ingress", group->id);
	for (unsigned i = 0; i < count; i++)
		render_rule(vpc, &rules[i], way, text);
	buffer_append_text(text, "\t}\n");
}

static void render_interface_chain(
	const struct net_vpc *vpc, const struct net_interface *interface, enum ways way, struct buffer *text)
{
	const char *name = way == EGRESS ? "egress" : "ingress";
	char tap[NAME_TAP_SIZE];
	name_tap(interface->id, tap);
	buffer_printf(text, "\tchain %s-%s {\n", name, tap);
	for (const char *const *id = interface->groups; id && *id; id++) {
		if (vpc_group(vpc, *id))
			buffer_printf(text, "\t\tjump %s-%s\n", name, *id);
	}
	buffer_append_text(text, "\t}\n");
}

static void render_way(const struct net_vpc *vpc, enum ways way, struct buffer *text)
{
	const char *name = way == EGRESS ? "egress" : "ingress";
	char tap[NAME_TAP_SIZE];
	bool any = false;
	for (unsigned i = 0; i < vpc->group_count; i++)
		render_group_chain(vpc, &vpc->groups[i], way, text);
	for (unsigned i = 0; i < vpc->interface_count; i++)
		render_interface_chain(vpc, &vpc->interfaces[i], way, text);
	buffer_printf(text, "\tmap %s-by-tap {\n\t\ttype ifname : verdict\n", name);
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		name_tap(vpc->interfaces[i].id, tap);
		append_element(text, &any);
		buffer_printf(text, "\"%s\" : jump %s-%s", tap, name, tap);
	}
	end_elements(text, any);
	buffer_printf(text,
		"\tchain %s {\n"
		"\t\ttype filter hook forward priority %d; policy drop;\n"
		"\t\tct state established,related accept\n"
		"\t\tct state invalid drop\n"
		"\t\t%s vmap @%s-by-tap\n"
		"\t}\n",
		name, way == EGRESS ? -1 : 0, way == EGRESS ? "iifname" : "oifname", name);
}

static const char local_chains[] =
	"\tset dhcp-rate {\n"
	"\t\ttype ifname\n"
	"\t\tsize 65535\n"
	"\t\tflags dynamic\n"
	"\t}\n"
	"\tchain from-guests {\n"
	"\t\ttype filter hook prerouting priority -300; policy drop;\n"
	"\t\tiifname \"lo\" accept\n"
	"\t\tip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept\n"
	"\t\tiifname . ip saddr @owners accept\n"
	"\t}\n"
	"\tchain to-namespace {\n"
	"\t\ttype filter hook input priority 0; policy drop;\n"
	"\t\tiifname \"lo\" accept\n"
	"\t\tct state established,related accept\n"
	"\t\tudp sport 68 udp dport 67 update @dhcp-rate { iifname limit rate 20/second burst 20 packets } accept\n"
	"\t\tip daddr 169.254.169.254 tcp dport 80 accept\n"
	"\t\tip daddr != 169.254.169.254 icmp type echo-request accept\n"
	"\t}\n";

void rules_render_vpc(const struct net_vpc *vpc, struct buffer *text)
{
	/* Declared first so that the deletion always finds something: the way to replace a table whole. */
	buffer_append_text(text, "table inet amid\ndelete table inet amid\ntable inet amid {\n");
	render_owners(vpc, text);
	for (unsigned i = 0; i < vpc->group_count; i++)
		render_members(vpc, &vpc->groups[i], text);
	buffer_append_text(text, local_chains);
	render_way(vpc, EGRESS, text);
	render_way(vpc, INGRESS, text);
	buffer_append_text(text, "}\ntable arp amid\ndelete table arp amid\ntable arp amid {\n");
	render_owners(vpc, text);
	buffer_append_text(text,
		"\tchain from-guests {\n"
		"\t\ttype filter hook input priority 0; policy drop;\n"
		"\t\tiifname . arp saddr ip @owners accept\n"
		"\t\tarp saddr ip 0.0.0.0 accept\n"
		"\t}\n}\n");
}

static bool has_name(const char *const *names, const char *name)
{
	for (; *names; names++) {
		if (text_equal(*names, name))
			return true;
	}
	return false;
}

static bool is_described(const struct net_vpc *vpc, const char *tap)
{
	char name[NAME_TAP_SIZE];
	for (unsigned i = 0; i < vpc->interface_count; i++) {
		name_tap(vpc->interfaces[i].id, name);
		if (text_equal(name, tap))
			return true;
	}
	return false;
}

static void render_link(
	const struct net_interface *interface, const char *const *existing, struct buffer *text)
{
	char tap[NAME_TAP_SIZE], address[ADDRESS_TEXT_SIZE], gateway[ADDRESS_TEXT_SIZE];
	name_tap(interface->id, tap);
	address_text(interface->private_address, address);
	address_text(interface->gateway, gateway);
	if (!has_name(existing, tap))
		buffer_printf(text, "tuntap add dev %s mode tap vnet_hdr\n", tap);
	buffer_printf(text, "address replace %s/32 dev %s\n", gateway, tap);
	buffer_printf(text, "link set dev %s up\n", tap);
	buffer_printf(text, "route replace %s/32 dev %s src %s\n", address, tap, gateway);
	/* A fixed neighbour: the guest is reached whether or not it answers ARP. */
	buffer_printf(
		text, "neighbour replace %s lladdr %s dev %s nud permanent\n", address, interface->mac, tap);
}

/* Taps that are no longer described go as one group, for which the kernel waits once (some 20 ms) instead of once a tap. */
static void render_removals(const struct net_vpc *vpc, const char *const *existing, struct buffer *text)
{
	bool any = false;
	for (const char *const *name = existing; *name; name++) {
		if (!text_starts_with(*name, "tap") || is_described(vpc, *name))
			continue;
		buffer_printf(text, "link set dev %s group %d\n", *name, REMOVAL_GROUP);
		any = true;
	}
	if (any)
		buffer_printf(text, "link delete group %d\n", REMOVAL_GROUP);
}

void rules_render_links(const struct net_vpc *vpc, const char *const *existing, struct buffer *text)
{
	render_removals(vpc, existing, text);
	buffer_append_text(text, "link set dev lo up\naddress replace 169.254.169.254/32 dev lo\n");
	for (unsigned i = 0; i < vpc->interface_count; i++)
		render_link(&vpc->interfaces[i], existing, text);
}

void rules_render_host(const char *table, const uint32_t *addresses, unsigned count, unsigned relay_port,
	struct buffer *text)
{
	char address[ADDRESS_TEXT_SIZE];
	bool any = false;
	buffer_printf(text, "table ip %s\ndelete table ip %s\n", table, table);
	if (count == 0)
		return;
	buffer_printf(text, "table ip %s {\n\tset public {\n\t\ttype ipv4_addr\n", table);
	for (unsigned i = 0; i < count; i++) {
		append_element(text, &any);
		buffer_append_text(text, address_text(addresses[i], address));
	}
	end_elements(text, any);
	buffer_append_text(text, "\tchain not-relayed {\n\t\ttype filter hook output priority -150;\n");
	if (relay_port == 0)
		buffer_append_text(text, "\t\tip daddr @public meta l4proto tcp reject with tcp reset\n");
	buffer_append_text(text, "\t\tip daddr @public meta l4proto != tcp drop\n\t}\n");
	if (relay_port)
		buffer_printf(text,
			"\tchain to-relay {\n"
			"\t\ttype nat hook output priority -100;\n"
			"\t\tip daddr @public meta l4proto tcp redirect to :%u\n"
			"\t}\n",
			relay_port);
	buffer_append_text(text, "}\n");
}
