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
#include "svc/authorize/authorize.h"
#include "svc/authorize/explain.h"
#include "base/text.h"
#include "svc/control/control.h"
#include "svc/ebs/put_area.h"
#include "svc/peer_answer.h"
#include "svc/show.h"
#include "svc/du.h"
#include "svc/scrub_answer.h"
#include "svc/secret_gate_answer.h"
#include "svc/control/upkeep.h"
#include "base/banned.h"

#define SHOW "/_amid/show/"
#define SECRETS SECRET_GATE_PATH "/"

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
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	struct amid *amid = call->amid;
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

static int answer_show(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *shown;
	if (show_thing(call, http->path + strlen(SHOW), &shown, err))
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

static int answer_health(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	answer_json(response, json_pack("{s:s}", "status", "ok"));
	return 0;
}

static int answer_accounts(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *answer;
	if (accounts_answer(call, http, &answer, err))
		return -1;
	answer_json(response, answer);
	return 0;
}

static int answer_du(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *answer;
	if (du_answer(call, http, &answer, err))
		return -1;
	answer_json(response, answer);
	return 0;
}

static int answer_explain(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *answer;
	if (explain_answer(call, http, &answer, err))
		return -1;
	answer_json(response, answer);
	return 0;
}

static int answer_scrub(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *answer;
	if (scrub_answer(call->amid, http, call->arena, &answer, err))
		return -1;
	answer_json(response, answer);
	return 0;
}

static int answer_secrets(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *answer;
	if (secret_gate_answer(call, http, &answer, err))
		return -1;
	answer_json(response, answer);
	return 0;
}

static int answer_put_area(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	json_t *answer;
	if (put_area_answer(call, http, &answer, err))
		return -1;
	answer_json(response, answer);
	return 0;
}

static int answer_reset(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	if (!call->amid->config->auth_any)
		return error_set(err, ERROR_ACCESS_DENIED, "/_amid/reset is there only with --auth any.");
	if (accounts_reset(call->amid, call->account, err))
		return -1;
	answer_json(response, json_pack("{s:s}", "reset", call->account));
	return 0;
}

static int answer_clock(
	struct call *call, const struct http_request *http, struct http_response *response, struct error *err)
{
	bool post = strcmp(http->method, "POST") == 0;
	if (post && !call->amid->config->auth_any)
		return error_set(err, ERROR_ACCESS_DENIED, "The clock can be moved only with --auth any.");
	if (post && move_clock(call->amid, http, err))
		return -1;
	answer_json(response, json_pack("{s:I}", "now_ms", (json_int_t)clock_now_ms()));
	return 0;
}

/* ---- who may ---- */

static int check_operator(struct call *call, const char *path, struct error *err)
{
	bool is_operator;
	if (authorize_is_operator(call, &is_operator, err))
		return -1;
	if (is_operator)
		return 0;
	return error_set(err, ERROR_ACCESS_DENIED,
		"%.64s is for the root of the operator's account only: use DATA/root-credentials.", path);
}

/* What is the caller's own is shown to those who may list it by EC2's API. */
static int check_lists(struct call *call, struct error *err)
{
	static const char *const actions[] = { "ec2:DescribeImages", "ec2:DescribeSnapshots" };
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
		const struct authorize_request asked = { .action = actions[i], .resource = "*" };
		if (authorize_check(call, &asked, err))
			return -1;
	}
	return 0;
}

enum who {
	WHO_EVERYBODY, /* signed or not */
	WHO_SIGNED,    /* and what they may is the answer's question */
	WHO_LISTS,     /* who may list images and snapshots */
	WHO_OPERATOR,
};

static const struct extra_path {
	const char *path; /* one that ends in / has something behind it */
	bool get, post;
	enum who who;
	int (*answer)(struct call *call, const struct http_request *http, struct http_response *response,
		struct error *err);
} paths[] = {
	{ "/_amid/health", true, false, WHO_EVERYBODY, answer_health },
	{ "/_amid/status", true, false, WHO_OPERATOR, answer_status },
	{ PEER_PATH, false, true, WHO_EVERYBODY, peer_answer }, /* which asks for a signature of its own */
	{ SHOW, true, false, WHO_LISTS, answer_show },
	{ "/_amid/accounts", true, true, WHO_SIGNED, answer_accounts },
	{ ACCOUNTS_KEY_PATH, false, true, WHO_SIGNED, answer_accounts },
	{ "/_amid/du", false, true, WHO_LISTS, answer_du },
	{ "/_amid/explain", false, true, WHO_SIGNED, answer_explain },
	{ "/_amid/scrub", true, true, WHO_OPERATOR, answer_scrub },
	{ "/_amid/scrub/", true, false, WHO_OPERATOR, answer_scrub },
	{ SECRET_GATE_PATH, true, true, WHO_SIGNED, answer_secrets },
	{ SECRETS, true, true, WHO_LISTS, answer_secrets },
	{ PUT_AREA_PATH, true, false, WHO_SIGNED, answer_put_area },
	{ PUT_AREA_PATH "/", false, true, WHO_SIGNED,
		answer_put_area }, /* which asks as PutSnapshotBlock does */
	{ "/_amid/reset", false, true, WHO_SIGNED, answer_reset },
	{ "/_amid/clock", true, true, WHO_SIGNED, answer_clock },
};

static int check_who(struct call *call, const struct extra_path *path, struct error *err)
{
	if (path->who == WHO_EVERYBODY)
		return 0;
	if (!call->account)
		return error_set(err, ERROR_MISSING_AUTH_TOKEN, "The request must be signed.");
	return path->who == WHO_OPERATOR ? check_operator(call, path->path, err)
		: path->who == WHO_LISTS ? check_lists(call, err)
					 : 0;
}

static bool is_path(const struct extra_path *path, const struct http_request *http)
{
	bool longer = path->path[strlen(path->path) - 1] == '/';
	bool method = (path->get && strcmp(http->method, "GET") == 0) ||
		(path->post && strcmp(http->method, "POST") == 0);
	return method &&
		(longer ? text_starts_with(http->path, path->path) : strcmp(http->path, path->path) == 0);
}

int extra_answer(void *context, struct call *call, const struct http_request *http,
	struct http_response *response, struct error *err)
{
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (is_path(&paths[i], http))
			return check_who(call, &paths[i], err) || paths[i].answer(call, http, response, err)
				? -1
				: 0;
	if (!call->account)
		return error_set(err, ERROR_MISSING_AUTH_TOKEN, "The request must be signed.");
	return error_set(err, ERROR_NOT_FOUND, "There is no %s %s.", http->method, http->path);
}
