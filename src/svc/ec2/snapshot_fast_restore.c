/*
 * EnableFastSnapshotRestores, DisableFastSnapshotRestores, DescribeFastSnapshotRestores: for each snapshot and zone a state in the snapshot's record, which ../control/fast_restore.c brings about. Snapshots that cannot be
 * changed are answered as unsuccessful, the others are changed in one batch.
 */
#include <string.h>

#include "svc/ec2/describe.h"
#include "svc/ec2/places.h"
#include "svc/ec2/snapshots.h"
#include "base/banned.h"

enum { ZONES_MAX = 10, SNAPSHOTS_MAX = 10 };

#define BY_USER "Client.UserInitiated"

/* What the three operations answer is the same, in three types. */
#define RESTORE_RESULT(type, call, snapshot, restore) \
	((struct type){ .snapshot_id = (snapshot)->record.id, \
		.availability_zone = (restore)->zone, \
		.availability_zone_id = places_zone_id((call)->arena, (call)->region, (restore)->zone), \
		.state = (restore)->state, \
		.state_transition_reason = (restore)->reason, \
		.owner_id = (snapshot)->record.account, \
		.enabling_time = (restore)->enabling, \
		.optimizing_time = (restore)->optimizing, \
		.enabled_time = (restore)->enabled, \
		.disabling_time = (restore)->disabling, \
		.disabled_time = (restore)->disabled })

struct zones {
	const char *names[ZONES_MAX];
	size_t count;
};

/* The zones, by name or by id. */
static int find_zones(struct call *call, const struct ec2_AvailabilityZoneStringList *names,
	const struct ec2_AvailabilityZoneIdStringList *ids, struct zones *zones, struct error *err)
{
	struct amid_region *region = amid_find_region(call->amid, call->region);
	if (!names->count == !ids->count)
		return error_set(err,
			names->count ? ERROR_INVALID_PARAMETER_COMBINATION : ERROR_MISSING_PARAMETER,
			"The request must contain either AvailabilityZones or AvailabilityZoneIds.");
	if (names->count > ZONES_MAX || ids->count > ZONES_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "A request may name %d zones at most.",
			ZONES_MAX);
	for (size_t i = 0; i < names->count; i++) {
		if (!amid_is_zone(region, names->items[i]))
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Value (%.64s) for parameter availabilityZone is invalid.", names->items[i]);
		zones->names[zones->count++] = names->items[i];
	}
	for (size_t i = 0; i < ids->count; i++) {
		const char *found = NULL;
		for (char letter = 'a'; letter <= 'c' && !found; letter++) {
			const char *zone = arena_printf(call->arena, "%s%c", call->region, letter);
			if (text_equal(places_zone_id(call->arena, call->region, zone), ids->items[i]))
				found = zone;
		}
		if (!found)
			return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
				"Value (%.64s) for parameter availabilityZoneId is invalid.", ids->items[i]);
		zones->names[zones->count++] = found;
	}
	return 0;
}

static int check_ids(const struct ec2_SnapshotIdStringList *ids, struct error *err)
{
	for (size_t i = 0; i < ids->count; i++)
		for (size_t j = 0; j < i; j++)
			if (text_equal(ids->items[i], ids->items[j]))
				return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
					"The snapshot %.64s is named twice.", ids->items[i]);
	if (ids->count && ids->count <= SNAPSHOTS_MAX)
		return 0;
	return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "A request must name from 1 to %d snapshots.",
		SNAPSHOTS_MAX);
}

/* The snapshot's restore of a zone; NULL: there has never been one. */
static struct record_fast_restore *find_restore(struct snapshot_record *snapshot, const char *zone)
{
	for (size_t i = 0; i < snapshot->fast_restores.count; i++)
		if (strcmp(snapshot->fast_restores.items[i].zone, zone) == 0)
			return &snapshot->fast_restores.items[i];
	return NULL;
}

/* Adds those that are missing, disabled; the list stays in order of the zones. */
static void add_restores(struct call *call, struct snapshot_record *snapshot, const struct zones *zones)
{
	struct record_fast_restore_list *list = &snapshot->fast_restores;
	struct record_fast_restore *items =
		arena_alloc_array(call->arena, list->count + zones->count, sizeof *items);
	for (size_t i = 0; i < list->count; i++)
		items[i] = list->items[i];
	list->items = items;
	for (size_t i = 0; i < zones->count; i++) {
		const char *zone = zones->names[i];
		size_t at = list->count;
		if (find_restore(snapshot, zone))
			continue;
		for (; at > 0 && strcmp(items[at - 1].zone, zone) > 0; at--)
			items[at] = items[at - 1];
		items[at] = (struct record_fast_restore){ .zone = zone, .state = "disabled" };
		list->count++;
		list->set = true;
	}
}

static bool is_on(const struct record_fast_restore *restore)
{
	return strcmp(restore->state, "disabled") != 0 && strcmp(restore->state, "disabling") != 0;
}

static void turn(struct record_fast_restore *restore, bool on)
{
	if (is_on(restore) == on)
		return;
	if (on) {
		*restore = (struct record_fast_restore){
			.zone = restore->zone, .state = "enabling", .reason = BY_USER, .enabling = ec2_now()
		};
	} else {
		restore->state = "disabling";
		restore->reason = BY_USER;
		restore->disabling = ec2_now();
	}
}

/* What came of a snapshot and a zone: a restore, or why not. */
struct outcome {
	const char *id;
	const char *zone;
	const struct snapshot_record *snapshot; /* NULL: see `why` */
	const struct record_fast_restore *restore;
	const struct error *why;
};

struct outcomes {
	struct outcome *items;
	size_t count;
};

static int find(
	struct call *call, const char *id, bool on, struct snapshot_record **snapshot, struct error *err)
{
	if (snapshot_find_completed(call, id, snapshot, err))
		return -1;
	if (on && snapshot_is_tiering(*snapshot))
		return error_set(
			err, ERROR_INCORRECT_STATE, "The snapshot %s is being moved between tiers.", id);
	return 0;
}

/* A zone's restore is turned on or off. */
static struct outcome change_zone(struct call *call, const char *id, struct snapshot_record *snapshot,
	const char *zone, bool on, const struct error *why)
{
	struct record_fast_restore *restore = snapshot ? find_restore(snapshot, zone) : NULL;
	struct outcome outcome = {
		.id = id, .zone = zone, .snapshot = snapshot, .restore = restore, .why = why
	};
	if (restore)
		turn(restore, on);
	if (snapshot && !restore) {
		struct error *never = arena_alloc(call->arena, sizeof *never);
		error_set(never, ERROR_INCORRECT_STATE,
			"Fast restore of the snapshot %s is not enabled in %s.", id, zone);
		outcome.snapshot = NULL;
		outcome.why = never;
	}
	return outcome;
}

static int change_snapshot(struct call *call, const char *id, const struct zones *zones, bool on,
	struct meta_batch *batch, struct outcomes *outcomes, struct error *err)
{
	struct snapshot_record *snapshot = NULL;
	struct error *why = arena_alloc(call->arena, sizeof *why);
	if (find(call, id, on, &snapshot, why)) {
		if (why->code != ERROR_SNAPSHOT_ID_MALFORMED && why->code != ERROR_SNAPSHOT_NOT_FOUND &&
			why->code != ERROR_INCORRECT_STATE)
			return error_set(err, why->code, "%s", why->message);
		snapshot = NULL;
	}
	if (snapshot && on)
		add_restores(call, snapshot, zones);
	for (size_t i = 0; i < zones->count; i++)
		*ARENA_APPEND(call->arena, outcomes->items, outcomes->count) =
			change_zone(call, id, snapshot, zones->names[i], on, why);
	if (snapshot) {
		snapshot_set_attended(snapshot);
		meta_batch_put(batch, &record_snapshot, snapshot);
	}
	return 0;
}

static int change(struct call *call, const struct ec2_SnapshotIdStringList *ids, const struct zones *zones,
	bool on, struct outcomes *outcomes, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	for (size_t i = 0; i < ids->count; i++)
		if (change_snapshot(call, ids->items[i], zones, on, batch, outcomes, err))
			return -1;
	return meta_commit(call->amid->meta, batch, err);
}

/* The same answer in the types of each operation: what went well, and by snapshot what did not. */
#define SHOW_OUTCOMES(verb, call, outcomes, result) \
	do { \
		(result)->successful.set = (result)->unsuccessful.set = true; \
		for (size_t i_ = 0; i_ < (outcomes)->count; i_++) { \
			const struct outcome *outcome_ = &(outcomes)->items[i_]; \
			if (outcome_->snapshot) { \
				*ARENA_APPEND((call)->arena, (result)->successful.items, \
					(result)->successful.count) = \
					RESTORE_RESULT(ec2_##verb##FastSnapshotRestoreSuccessItem, call, \
						outcome_->snapshot, outcome_->restore); \
				continue; \
			} \
			struct ec2_##verb##FastSnapshotRestoreErrorItem *item_ = \
				(result)->unsuccessful.count \
				? &(result)->unsuccessful.items[(result)->unsuccessful.count - 1] \
				: NULL; \
			if (!item_ || strcmp(item_->snapshot_id, outcome_->id) != 0) \
				item_ = ARENA_APPEND((call)->arena, (result)->unsuccessful.items, \
					(result)->unsuccessful.count); \
			item_->snapshot_id = outcome_->id; \
			struct ec2_##verb##FastSnapshotRestoreStateError *why_ = \
				arena_alloc((call)->arena, sizeof *why_); \
			why_->code = error_aws_code(outcome_->why->code); \
			why_->message = outcome_->why->message; \
			struct ec2_##verb##FastSnapshotRestoreStateErrorItem *zone_ = \
				ARENA_APPEND((call)->arena, item_->fast_snapshot_restore_state_errors.items, \
					item_->fast_snapshot_restore_state_errors.count); \
			zone_->availability_zone = outcome_->zone; \
			zone_->error = why_; \
			item_->fast_snapshot_restore_state_errors.set = true; \
		} \
	} while (0)

int ec2_enable_fast_snapshot_restores(struct call *call,
	const struct ec2_EnableFastSnapshotRestoresRequest *request,
	struct ec2_EnableFastSnapshotRestoresResult *result, struct error *err)
{
	struct zones zones = { 0 };
	struct outcomes outcomes = { 0 };
	if (check_ids(&request->source_snapshot_ids, err) ||
		find_zones(
			call, &request->availability_zones, &request->availability_zone_ids, &zones, err) ||
		change(call, &request->source_snapshot_ids, &zones, true, &outcomes, err))
		return -1;
	SHOW_OUTCOMES(Enable, call, &outcomes, result);
	return 0;
}

int ec2_disable_fast_snapshot_restores(struct call *call,
	const struct ec2_DisableFastSnapshotRestoresRequest *request,
	struct ec2_DisableFastSnapshotRestoresResult *result, struct error *err)
{
	struct zones zones = { 0 };
	struct outcomes outcomes = { 0 };
	if (check_ids(&request->source_snapshot_ids, err) ||
		find_zones(
			call, &request->availability_zones, &request->availability_zone_ids, &zones, err) ||
		change(call, &request->source_snapshot_ids, &zones, false, &outcomes, err))
		return -1;
	SHOW_OUTCOMES(Disable, call, &outcomes, result);
	return 0;
}

int ec2_describe_fast_snapshot_restores(struct call *call,
	const struct ec2_DescribeFastSnapshotRestoresRequest *request,
	struct ec2_DescribeFastSnapshotRestoresResult *result, struct error *err)
{
	static const struct describe_filter filters[] = {
		{ "availability-zone", "AvailabilityZone" },
		{ "availability-zone-id", "AvailabilityZoneId" },
		{ "owner-id", "OwnerId" },
		{ "snapshot-id", "SnapshotId" },
		{ "state", "State" },
		{ NULL },
	};
	static const struct describe_kind kind = {
		.shape = &ec2_shape_DescribeFastSnapshotRestoreSuccessItem,
		.key = "SnapshotId",
		.second_key = "AvailabilityZone",
		.page_rules = { .max = 200 },
		.filters = filters,
	};
	struct describe_page page = { request->max_results, request->next_token, &result->next_token };
	struct meta_query query = { .account = call->account, .region = call->region };
	struct meta_rows rows;
	if (meta_list(call->amid->meta, &record_snapshot, &query, call->arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct snapshot_record *snapshot = rows.items[i];
		for (size_t j = 0; j < snapshot->fast_restores.count; j++)
			*ARENA_APPEND(call->arena, result->fast_snapshot_restores.items,
				result->fast_snapshot_restores.count) =
				RESTORE_RESULT(ec2_DescribeFastSnapshotRestoreSuccessItem, call, snapshot,
					&snapshot->fast_restores.items[j]);
	}
	return describe_finish(call, &kind, &request->filters, &page, &result->fast_snapshot_restores, err);
}
