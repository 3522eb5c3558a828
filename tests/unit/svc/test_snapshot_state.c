/* What follows from a snapshot's record and the clock: locks, tiers, whether its controller is to look at it. */
#include "handlers.h"

#include "base/clock.h"
#include "svc/snapshot_state.h"

#define HOUR_MS (3600LL * 1000)
#define DAY_MS (24 * HOUR_MS)

static struct snapshot_record completed(void)
{
	return (struct snapshot_record){ .record = { .id = "snap-1" }, .state = "completed" };
}

static void lock_ends_with_its_duration(void **state)
{
	struct snapshot_record snapshot = completed();
	struct record_snapshot_lock lock = { .mode = "governance",
		.created = some_timestamp(clock_now_ms()),
		.duration_days = some_integer(1) };
	assert_null(snapshot_lock_state(&snapshot));
	assert_false(snapshot_is_locked(&snapshot));
	snapshot.lock = &lock;
	assert_string_equal(snapshot_lock_state(&snapshot), "governance");
	lock.created.ms -= DAY_MS - HOUR_MS;
	assert_true(snapshot_is_locked(&snapshot));
	lock.created.ms -= HOUR_MS;
	assert_string_equal(snapshot_lock_state(&snapshot), "expired");
	assert_false(snapshot_is_locked(&snapshot));
	/* the time runs from the completion, if that was later */
	snapshot.completed = some_timestamp(lock.created.ms + HOUR_MS);
	assert_true(snapshot_is_locked(&snapshot));
	assert_int_equal(snapshot_lock_end(&snapshot).ms, lock.created.ms + HOUR_MS + DAY_MS);
	/* and does not run at all before that */
	snapshot.state = "pending";
	lock.created.ms -= 100 * DAY_MS;
	assert_true(snapshot_is_locked(&snapshot));
	assert_false(snapshot_lock_end(&snapshot).set);
}

static void lock_until_a_date_and_cooling_off(void **state)
{
	struct snapshot_record snapshot = completed();
	int64_t now = clock_now_ms();
	struct record_snapshot_lock lock = { .mode = "compliance",
		.created = some_timestamp(now - DAY_MS),
		.expires = some_timestamp(now + DAY_MS),
		.duration_days = some_integer(1),
		.cool_off_expires = some_timestamp(now + HOUR_MS) };
	snapshot.lock = &lock;
	assert_string_equal(snapshot_lock_state(&snapshot), "compliance-cooloff");
	lock.cool_off_expires.ms = now;
	assert_string_equal(snapshot_lock_state(&snapshot), "compliance");
	lock.expires.ms = now;
	assert_string_equal(snapshot_lock_state(&snapshot), "expired");
}

static void archived_snapshot_is_usable_while_it_is_restored(void **state)
{
	struct snapshot_record snapshot = completed();
	struct record_snapshot_tier tier = { .operation = "archival-in-progress" };
	struct error err;
	snapshot.tier = &tier;
	assert_true(snapshot_is_tiering(&snapshot));
	assert_int_equal(snapshot_check_usable(&snapshot, &err), 0);
	tier = (struct record_snapshot_tier){ .operation = "archival-completed",
		.archived = some_boolean(true) };
	assert_false(snapshot_is_tiering(&snapshot));
	assert_int_equal(snapshot_check_usable(&snapshot, &err), -1);
	assert_int_equal(err.code, ERROR_INCORRECT_STATE);
	tier.restore_expires = some_timestamp(clock_now_ms() + HOUR_MS);
	assert_int_equal(snapshot_check_usable(&snapshot, &err), 0);
	tier.restore_expires.ms -= HOUR_MS;
	assert_true(snapshot_is_archived(&snapshot));
	snapshot.tier = NULL;
	snapshot.state = "error";
	assert_int_equal(snapshot_check_usable(&snapshot, &err), -1);
}

static bool attended(struct snapshot_record *snapshot)
{
	snapshot_set_attended(snapshot);
	return boolean_or(snapshot->attended, false);
}

static void only_what_needs_it_is_attended(void **state)
{
	struct snapshot_record snapshot = completed();
	struct record_snapshot_copy copy = { 0 };
	struct record_recycled recycled = { 0 };
	struct record_snapshot_tier tier = { .operation = "archival-completed" };
	struct record_fast_restore restore = { .state = "disabled" };
	snapshot.tier = &tier;
	snapshot.fast_restores = (struct record_fast_restore_list){ &restore, 1, true };
	assert_false(attended(&snapshot));
	restore.state = "enabled"; /* for the next boot of the machine */
	assert_true(attended(&snapshot));
	assert_false(snapshot_has_unsettled_restore(&snapshot));
	restore.state = "disabling";
	assert_true(attended(&snapshot));
	restore.state = "disabled";
	tier.restore_expires = some_timestamp(1);
	assert_true(attended(&snapshot));
	tier.restore_expires.set = false;
	tier.operation = "permanent-restore-in-progress";
	assert_true(attended(&snapshot));
	snapshot.tier = NULL;
	assert_false(attended(&snapshot));
	snapshot.copy = &copy;
	assert_true(attended(&snapshot));
	snapshot.copy = NULL;
	snapshot.recycled = &recycled;
	assert_true(attended(&snapshot));
	snapshot.recycled = NULL;
	assert_false(attended(&snapshot));
	assert_false(snapshot.attended.set); /* and so is not indexed */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lock_ends_with_its_duration),
		cmocka_unit_test(lock_until_a_date_and_cooling_off),
		cmocka_unit_test(archived_snapshot_is_usable_while_it_is_restored),
		cmocka_unit_test(only_what_needs_it_is_attended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
