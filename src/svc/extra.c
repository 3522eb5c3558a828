/* The paths below /_amid/. */
#include "svc/extra.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "store/scrub.h"
#include "svc/accounts.h"
#include "svc/accounts_answer.h"
#include "svc/amid.h"
#include "base/text.h"
#include "svc/control/control.h"
#include "svc/show.h"
#include "svc/du.h"
#include "svc/scrub_answer.h"
#include "svc/control/upkeep.h"
#include "base/banned.h"

#define SHOW "/_amid/show/"

/* A century: more in one step is a mistake. */
#define CLOCK_STEP_MAX_MS (100LL * 366 * 24 * 3600 * 1000)

/* Takes the reference. */
static void answer_json(struct http_response *response, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	response->status = 200;
	response->content_type = "application/json";
	buffer_append_text(&response->body, text ? text : "{}");
	free(text);
	json_decref(value);
}

static int count_records(struct amid *amid, const struct record_kind *kind, const char *region,
	struct arena *arena, size_t *count, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = { .region = region };
	if (meta_list(amid->meta, kind, &query, arena, &rows, err))
		return -1;
	*count = rows.count;
	return 0;
}

static int describe_region(
	struct amid *amid, struct amid_region *region, struct arena *arena, json_t *list, struct error *err)
{
	struct store_usage usage;
	struct store_scrub_state scrub;
	struct upkeep_figures upkeep;
	size_t images, snapshots, volumes, instances;
	store_get_usage(region->store, &usage);
	store_scrub_get_state(region->store, &scrub);
	upkeep_get_figures(amid, region->name, &upkeep);
	if (count_records(amid, &record_image, region->name, arena, &images, err) ||
		count_records(amid, &record_snapshot, region->name, arena, &snapshots, err) ||
		count_records(amid, &record_volume, region->name, arena, &volumes, err) ||
		count_records(amid, &record_instance, region->name, arena, &instances, err))
		return -1;
	json_array_append_new(list,
		json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "region",
			region->name, "store_objects", (json_int_t)usage.objects, "store_bytes",
			(json_int_t)usage.bytes, "store_available", (json_int_t)usage.available, "images",
			(json_int_t)images, "snapshots", (json_int_t)snapshots, "volumes",
			(json_int_t)volumes, "instances", (json_int_t)instances, "damaged",
			(json_int_t)scrub.damaged, "compacted_bytes", (json_int_t)upkeep.compacted_bytes,
			"packs_removed", (json_int_t)upkeep.packs_removed, "compressed_blocks",
			(json_int_t)upkeep.compressed_blocks, "compression_saved_bytes",
			(json_int_t)upkeep.compression_saved_bytes, "warmed_blocks",
			(json_int_t)upkeep.warmed_blocks));
	return 0;
}

static int answer_status(
	struct amid *amid, struct call *call, struct http_response *response, struct error *err)
{
	json_t *regions = json_array();
	for (unsigned i = 0; i < amid->region_count; i++)
		if (describe_region(amid, &amid->regions[i], call->arena, regions, err)) {
			json_decref(regions);
			return -1;
		}
	answer_json(response,
		json_pack("{s:s, s:s, s:i, s:o}", "status", "ok", "compute", amid->config->compute->name,
			"busy", (int)work_pending(amid->work), "regions", regions));
	return 0;
}

static int answer_show(struct call *call, const char *id, struct http_response *response, struct error *err)
{
	json_t *shown;
	if (show_thing(call, id, &shown, err))
		return -1;
	answer_json(response, shown);
	return 0;
}

/* Signatures, and limits of connections, go by the real clock: see base/clock.h. */
static int move_clock(struct amid *amid, const struct http_request *http, struct error *err)
{
	json_error_t malformed;
	json_t *body = json_loadb(http->body, http->body_size, 0, &malformed);
	json_t *advance = json_object_get(body, "advance_ms");
	json_int_t ms = json_integer_value(advance);
	bool valid = json_is_integer(advance) && ms >= 0 && ms <= CLOCK_STEP_MAX_MS;
	json_decref(body);
	if (!valid)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"The body must be {\"advance_ms\":N}, N from 0 to %lld.",
			(long long)CLOCK_STEP_MAX_MS);
	clock_advance(ms);
	return control_look_again(amid, err);
}

int extra_answer(void *context, struct call *call, const struct http_request *http,
	struct http_response *response, struct error *err)
{
	struct amid *amid = context;
	bool get = strcmp(http->method, "GET") == 0, post = strcmp(http->method, "POST") == 0;
	if (get && strcmp(http->path, "/_amid/health") == 0) {
		answer_json(response, json_pack("{s:s}", "status", "ok"));
		return 0;
	}
	if (!call->account)
		return error_set(err, ERROR_MISSING_AUTH_TOKEN, "The request must be signed.");
	if (get && strcmp(http->path, "/_amid/status") == 0)
		return answer_status(amid, call, response, err);
	if (get && text_starts_with(http->path, SHOW))
		return answer_show(call, http->path + strlen(SHOW), response, err);
	if ((get || post) && strcmp(http->path, "/_amid/accounts") == 0) {
		json_t *answer;
		if (accounts_answer(call, http, &answer, err))
			return -1;
		answer_json(response, answer);
		return 0;
	}
	if (post && strcmp(http->path, "/_amid/du") == 0) {
		json_t *answer;
		if (du_answer(call, http, &answer, err))
			return -1;
		answer_json(response, answer);
		return 0;
	}
	if (text_starts_with(http->path, "/_amid/scrub")) {
		json_t *answer;
		if (scrub_answer(amid, http, call->arena, &answer, err))
			return -1;
		answer_json(response, answer);
		return 0;
	}
	if (post && strcmp(http->path, "/_amid/reset") == 0) {
		if (!amid->config->auth_any)
			return error_set(
				err, ERROR_ACCESS_DENIED, "/_amid/reset is there only with --auth any.");
		if (accounts_reset(amid, call->account, err))
			return -1;
		answer_json(response, json_pack("{s:s}", "reset", call->account));
		return 0;
	}
	if ((get || post) && strcmp(http->path, "/_amid/clock") == 0) {
		if (post && !amid->config->auth_any)
			return error_set(
				err, ERROR_ACCESS_DENIED, "The clock can be moved only with --auth any.");
		if (post && move_clock(amid, http, err))
			return -1;
		answer_json(response, json_pack("{s:I}", "now_ms", (json_int_t)clock_now_ms()));
		return 0;
	}
	return error_set(err, ERROR_NOT_FOUND, "There is no %s %s.", http->method, http->path);
}
