/* The paths below /_amid/scrub. */
#include "svc/scrub_answer.h"

#include <string.h>

#include "store/scrub.h"
#include "svc/damage.h"
#include "svc/scrub.h"
#include "base/banned.h"

enum { WAIT_MS = 5000, RATE_MAX = 100000 };

static int start(struct amid *amid, const struct http_request *http, struct error *err)
{
	json_error_t malformed;
	json_t *body =
		http->body_size ? json_loadb(http->body, http->body_size, 0, &malformed) : json_object();
	json_t *rate = json_object_get(body, "rate_mib");
	json_int_t value = json_integer_value(rate);
	bool valid =
		json_is_object(body) && (!rate || json_is_integer(rate)) && value >= 0 && value <= RATE_MAX;
	json_decref(body);
	if (!valid)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The body must be {\"rate_mib\":N}, N from 0 to %d.", RATE_MAX);
	scrub_start_now(amid->scrubber, (unsigned)value);
	return 0;
}

static json_t *range_json(const struct damage_range *range)
{
	json_t *images = json_array();
	for (size_t i = 0; i < range->image_count; i++)
		json_array_append_new(images,
			json_pack("{s:s, s:s}", "image", range->images[i].id, "device",
				range->images[i].device ? range->images[i].device : ""));
	json_t *json = json_pack(
		"{s:s, s:I, s:o}", "id", range->id, "offset", (json_int_t)range->offset, "images", images);
	/* of one whose root is damaged not even the size is known */
	if (range->size != UINT64_MAX)
		json_object_set_new(json, "size", json_integer((json_int_t)range->size));
	return json;
}

static int describe(
	struct amid *amid, struct amid_region *region, struct arena *arena, json_t *list, struct error *err)
{
	struct store_scrub_state state;
	struct damage_range *ranges;
	size_t count;
	if (damage_list_ranges(amid, region, arena, &ranges, &count, err))
		return -1;
	store_scrub_get_state(region->store, &state);
	json_t *affected = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(affected, range_json(&ranges[i]));
	json_array_append_new(list,
		json_pack("{s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:o}", "region", region->name, "pass",
			(json_int_t)state.pass, "running", state.running, "begun_ms",
			(json_int_t)state.begun_ms, "ended_ms", (json_int_t)state.ended_ms, "objects",
			(json_int_t)state.objects, "bytes", (json_int_t)state.bytes, "damaged",
			(json_int_t)state.damaged, "affected", affected));
	return 0;
}

int scrub_answer(struct amid *amid, const struct http_request *http, struct arena *arena, json_t **answer,
	struct error *err)
{
	bool get = strcmp(http->method, "GET") == 0, wait = strcmp(http->path, "/_amid/scrub/wait") == 0;
	if (get ? !wait && strcmp(http->path, "/_amid/scrub") != 0
		: strcmp(http->method, "POST") != 0 || strcmp(http->path, "/_amid/scrub") != 0)
		return error_set(err, ERROR_NOT_FOUND, "There is no %s %s.", http->method, http->path);
	if (!get && start(amid, http, err))
		return -1;
	bool idle = scrub_wait(amid->scrubber, wait ? WAIT_MS : 0);
	json_t *regions = json_array();
	for (unsigned i = 0; i < amid->region_count; i++)
		if (describe(amid, &amid->regions[i], arena, regions, err)) {
			json_decref(regions);
			return -1;
		}
	*answer = json_pack("{s:b, s:o}", "idle", idle, "regions", regions);
	return 0;
}
