/*
 * LookupEvents: the newest records of the account and region, by one attribute. Everything that was answered before is seen: the log is written out first. A page's token is the place of its last record. AWS's limit of two
 * calls a second is not there. Runs on the thread of the call.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/cloudtrail.h"
#include "audit/log.h"
#include "audit/search.h"
#include "aws/page.h"
#include "base/clock.h"
#include "base/text.h"
#include "shape/json.h"
#include "svc/amid.h"
#include "svc/audit_event.h"
#include "base/banned.h"

enum { RESULTS_MAX = 50 };
#define HISTORY_MS (90LL * 24 * 3600 * 1000)

struct lookup {
	struct call *call;
	const char *attribute, *value; /* NULL: all */
	struct buffer needle;          /* what the JSON of a record with that value must have in it */
	int64_t from_ms, to_ms;
	struct page page;
	struct cloudtrail_LookupEventsResponse *result;
};

static int read_attribute(
	struct lookup *lookup, const struct cloudtrail_LookupEventsRequest *request, struct error *err)
{
	static const char *const keys[] = { "EventId", "EventName", "ReadOnly", "Username", "ResourceType",
		"ResourceName", "EventSource", "AccessKeyId" };
	if (!request->lookup_attributes.count)
		return 0;
	const struct cloudtrail_LookupAttribute *asked = &request->lookup_attributes.items[0];
	if (request->lookup_attributes.count > 1)
		return error_set(
			err, ERROR_TRAIL_LOOKUP_ATTRIBUTES, "You can specify only one lookup attribute.");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i], asked->attribute_key) == 0) {
			lookup->attribute = keys[i];
			lookup->value = asked->attribute_value;
		}
	if (!lookup->attribute)
		return error_set(err, ERROR_TRAIL_LOOKUP_ATTRIBUTES, "%.64s is not a lookup attribute.",
			asked->attribute_key);
	bool flag = strcmp(lookup->attribute, "ReadOnly") == 0;
	if (flag && strcmp(lookup->value, "true") != 0 && strcmp(lookup->value, "false") != 0)
		return error_set(err, ERROR_TRAIL_LOOKUP_ATTRIBUTES, "ReadOnly is true or false, not %.64s.",
			lookup->value);
	if (flag)
		buffer_printf(&lookup->needle, "\"readOnly\":%s", lookup->value);
	else if (strcmp(lookup->attribute, "Username") !=
		0) /* root and sessions' names stand there in another form */
		json_encode_text(&lookup->needle, lookup->value);
	return 0;
}

static int read_times(
	struct lookup *lookup, const struct cloudtrail_LookupEventsRequest *request, struct error *err)
{
	int64_t now = clock_now_ms(), oldest = now - HISTORY_MS;
	lookup->from_ms = request->start_time.set ? request->start_time.ms : oldest;
	lookup->to_ms = request->end_time.set ? request->end_time.ms : now;
	if (lookup->from_ms > lookup->to_ms)
		return error_set(err, ERROR_TRAIL_TIME_RANGE, "StartTime must not be after EndTime.");
	if (lookup->from_ms < oldest)
		lookup->from_ms = oldest;
	return 0;
}

static int read_place(struct lookup *lookup, struct audit_place *place, struct error *err)
{
	const char *after = lookup->page.after, *slash = after ? strchr(after, '/') : NULL;
	int64_t offset;
	if (!after)
		return 0;
	if (!slash || slash - after != AUDIT_NAME_SIZE - 1 || text_parse_int64(slash + 1, &offset))
		return error_set(err, ERROR_TRAIL_NEXT_TOKEN, "The token is not valid.");
	memcpy(place->file, after, AUDIT_NAME_SIZE - 1);
	place->offset = (uint64_t)offset;
	return 0;
}

static bool is_wanted(const struct lookup *lookup, const struct audit_event *event)
{
	const struct call *call = lookup->call;
	return event->management && text_equal(event->account, call->account) &&
		strcmp(event->region, call->region) == 0 && event->time_ms >= lookup->from_ms &&
		event->time_ms <= lookup->to_ms &&
		(!lookup->attribute || audit_event_has(event, lookup->attribute, lookup->value));
}

static void add(struct lookup *lookup, const struct audit_event *event, const char *json)
{
	struct arena *arena = lookup->call->arena;
	struct cloudtrail_LookupEventsResponse *result = lookup->result;
	struct cloudtrail_Event *added = ARENA_APPEND(arena, result->events.items, result->events.count);
	*added = (struct cloudtrail_Event){
		.event_id = event->id,
		.event_name = event->name,
		.read_only = event->read_only ? "true" : "false",
		.access_key_id = event->access_key,
		.event_time = some_timestamp(event->time_ms),
		.event_source = event->source,
		.username = event->username,
		.resources.set = true,
		.cloud_trail_event = json,
	};
	for (size_t i = 0; i < event->resource_count; i++) {
		struct cloudtrail_Resource *resource =
			ARENA_APPEND(arena, added->resources.items, added->resources.count);
		resource->resource_type = event->resources[i].type;
		resource->resource_name = event->resources[i].name;
	}
}

static bool found(void *context, const char *json, size_t size, const struct audit_place *place)
{
	struct lookup *lookup = context;
	struct arena *arena = lookup->call->arena, *scratch ARENA_SCOPED = arena_create();
	struct audit_event event;
	if (!memmem(json, size, lookup->call->account, strlen(lookup->call->account)) ||
		(lookup->needle.size && !memmem(json, size, lookup->needle.data, lookup->needle.size)) ||
		audit_event_parse(scratch, json, size, &event) || !is_wanted(lookup, &event))
		return true;
	const char *id = arena_printf(arena, "%s/%" PRIu64, place->file, place->offset);
	if (!page_take(&lookup->page, id))
		return false;
	const char *copy = arena_strndup(arena, json, size);
	if (audit_event_parse(arena, copy, size, &event) == 0) /* its texts now live as long as the call */
		add(lookup, &event, copy);
	return true;
}

static int search(struct lookup *lookup, struct error *err)
{
	const struct call *call = lookup->call;
	uint64_t word = audit_event_word(call->account, call->region, lookup->attribute, lookup->value);
	struct audit_search asked = {
		.words = &word,
		.word_count = 1,
		.from_ms = lookup->from_ms,
		.to_ms = lookup->to_ms,
		.found = found,
		.context = lookup,
	};
	struct error unwritten;
	/* a disk that is full does not keep from reading what is there */
	(void)audit_log_sync(call->amid->audit, 0, &unwritten);
	if (read_place(lookup, &asked.before, err) ||
		audit_search(audit_log_folder(call->amid->audit), &asked, err))
		return -1;
	lookup->result->events.set = true;
	lookup->result->next_token = page_close(&lookup->page);
	return 0;
}

int cloudtrail_lookup_events(struct call *call, const struct cloudtrail_LookupEventsRequest *request,
	struct cloudtrail_LookupEventsResponse *result, struct error *err)
{
	static const struct page_rules rules = {
		.min = 1, .max = RESULTS_MAX, .fallback = RESULTS_MAX, .bad_token = ERROR_TRAIL_NEXT_TOKEN
	};
	struct lookup lookup = { .call = call, .result = result };
	int64_t most = integer_or(request->max_results, RESULTS_MAX);
	if (most < 1 || most > RESULTS_MAX)
		return error_set(
			err, ERROR_TRAIL_MAX_RESULTS, "MaxResults must be from 1 to %d.", RESULTS_MAX);
	if (request->event_category && strcmp(request->event_category, "insight") != 0)
		return error_set(err, ERROR_TRAIL_EVENT_CATEGORY, "There is no event category %.64s.",
			request->event_category);
	int failed = read_attribute(&lookup, request, err) || read_times(&lookup, request, err) ||
		page_open(call, call->amid->token_key, &rules, request->max_results, request->next_token,
			&lookup.page, err);
	result->events.set = true;
	if (!failed && !request->event_category) /* there are no insights */
		failed = search(&lookup, err);
	buffer_free(&lookup.needle);
	return failed ? -1 : 0;
}
