/* Names of places: the ids of Availability Zones. */
#pragma once

#include "base/arena.h"

/* The id of a region's zone, "use1-az1" for us-east-1a: region's part abbreviated as AWS does. `zone` is the zone's name. */
char *places_zone_id(struct arena *arena, const char *region, const char *zone);
