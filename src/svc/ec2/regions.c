/*
 * DescribeRegions, DescribeAvailabilityZones: the regions that this amid serves, and its peers', and the three zones of each of its own. Both are made from the configuration, nothing is
 * stored. The endpoint of every region is the address at which the caller has reached amid: the
 * region is in the request's signature; those of peers have their own. Runs on the thread of the call.
 */
#include "svc/ec2/describe.h"
#include "svc/ec2/places.h"
#include "svc/peers.h"
#include "base/banned.h"

enum { ZONES = 3 };

/* How AWS abbreviates the words of a region's name in zone ids. */
static const struct {
	const char *word, *short_form;
} abbreviations[] = {
	{ "north", "n" },
	{ "northeast", "ne" },
	{ "northwest", "nw" },
	{ "south", "s" },
	{ "southeast", "se" },
	{ "southwest", "sw" },
	{ "east", "e" },
	{ "west", "w" },
	{ "central", "c" },
	{ "gov", "g" },
};

char *places_zone_id(struct arena *arena, const char *region, const char *zone)
{
	size_t count = 0;
	char **words = text_split(arena, region, '-', &count);
	char *text = arena_strdup(arena, count ? words[0] : "");

	for (size_t i = 1; i < count; i++) {
		const char *word = words[i];
		for (size_t j = 0; j < sizeof abbreviations / sizeof abbreviations[0]; j++)
			if (strcmp(word, abbreviations[j].word) == 0)
				word = abbreviations[j].short_form;
		text = arena_printf(arena, "%s%s", text, word);
	}
	size_t size = strlen(zone);
	return arena_printf(arena, "%s-az%d", text, size ? zone[size - 1] - 'a' + 1 : 0);
}

static const struct describe_kind regions = {
	.shape = &ec2_shape_Region,
	.filters =
		(const struct describe_filter[]){
			{ "endpoint", "Endpoint" },
			{ "opt-in-status", "OptInStatus" },
			{ "region-name", "RegionName" },
			{ NULL },
		},
};

static const struct describe_kind zones = {
	.shape = &ec2_shape_AvailabilityZone,
	.filters =
		(const struct describe_filter[]){
			{ "group-long-name", "GroupLongName" },
			{ "group-name", "GroupName" },
			{ "message", "Messages.Message" },
			{ "opt-in-status", "OptInStatus" },
			{ "parent-zone-id", "ParentZoneId" },
			{ "parent-zone-name", "ParentZoneName" },
			{ "parent-zoneID", "ParentZoneId" },
			{ "parent-zoneName", "ParentZoneName" },
			{ "region-name", "RegionName" },
			{ "state", "State" },
			{ "zone-id", "ZoneId" },
			{ "zone-name", "ZoneName" },
			{ "zone-type", "ZoneType" },
			{ NULL },
		},
};

static const struct describe_page no_pages;

static void add_region(struct call *call, const struct ec2_RegionNameStringList *names, const char *name,
	const char *endpoint, struct ec2_DescribeRegionsResult *result)
{
	if (!describe_wants(names->items, names->count, name))
		return;
	struct ec2_Region *region = ARENA_APPEND(call->arena, result->regions.items, result->regions.count);
	region->region_name = name;
	region->endpoint = endpoint;
	region->opt_in_status = "opt-in-not-required";
}

int ec2_describe_regions(struct call *call, const struct ec2_DescribeRegionsRequest *request,
	struct ec2_DescribeRegionsResult *result, struct error *err)
{
	const struct amid *amid = call->amid;
	const struct peer *peer;
	const struct ec2_RegionNameStringList *names = &request->region_names;

	for (size_t i = 0; i < names->count; i++)
		if (!amid_find_region(call->amid, names->items[i]) &&
			!peers_find(amid->peers, names->items[i]))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "Invalid region names: [%.64s]",
				names->items[i]);
	for (unsigned i = 0; i < amid->region_count; i++)
		add_region(call, names, amid->regions[i].name, text_or(call->host, amid->config->listen),
			result);
	for (size_t i = 0; (peer = peers_item(amid->peers, i)); i++)
		add_region(call, names, peer->region, peer->host, result);
	return describe_finish(call, &regions, &request->filters, &no_pages, &result->regions, err);
}

static void fill_zone(struct call *call, unsigned index, struct ec2_AvailabilityZone *zone)
{
	zone->region_name = call->region;
	zone->zone_name = arena_printf(call->arena, "%s%c", call->region, (char)('a' + index));
	zone->zone_id = places_zone_id(call->arena, call->region, zone->zone_name);
	zone->group_name = arena_printf(call->arena, "%s-zg-1", call->region);
	zone->network_border_group = call->region;
	zone->zone_type = "availability-zone";
	zone->opt_in_status = "opt-in-not-required";
	zone->state = "available";
	zone->messages.set = true;
}

/* Every name or id asked for must be that of a zone. */
static int check_zones(const struct ec2_AvailabilityZone *known, const char *const *wanted, size_t count,
	bool by_id, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;
		for (unsigned j = 0; j < ZONES; j++)
			found |= text_equal(by_id ? known[j].zone_id : known[j].zone_name, wanted[i]);
		if (!found)
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Invalid availability zone%s: [%.64s]", by_id ? "-id" : "",
				text_or(wanted[i], ""));
	}
	return 0;
}

int ec2_describe_availability_zones(struct call *call,
	const struct ec2_DescribeAvailabilityZonesRequest *request,
	struct ec2_DescribeAvailabilityZonesResult *result, struct error *err)
{
	const struct ec2_ZoneNameStringList *names = &request->zone_names;
	const struct ec2_ZoneIdStringList *ids = &request->zone_ids;
	struct ec2_AvailabilityZone known[ZONES] = { 0 };

	for (unsigned i = 0; i < ZONES; i++)
		fill_zone(call, i, &known[i]);
	if (check_zones(known, names->items, names->count, false, err) != 0 ||
		check_zones(known, ids->items, ids->count, true, err) != 0)
		return -1;
	for (unsigned i = 0; i < ZONES; i++)
		if (describe_wants(names->items, names->count, known[i].zone_name) &&
			describe_wants(ids->items, ids->count, known[i].zone_id))
			*ARENA_APPEND(call->arena, result->availability_zones.items,
				result->availability_zones.count) = known[i];
	return describe_finish(call, &zones, &request->filters, &no_pages, &result->availability_zones, err);
}
