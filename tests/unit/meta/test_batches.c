/* Batches: all or nothing, versions, unique values, the change log. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/text.h"
#include "things.h"

static enum error_code commit(struct scratch *s, struct meta_batch *batch)
{
	return meta_commit(s->meta, batch, &s->err) ? s->err.code : ERROR_NONE;
}

static void an_empty_batch_is_a_success(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(commit(s, meta_batch_create(s->meta, s->arena)), 0);
	assert_int_equal(meta_last_change(s->meta), 0);
}

static void a_new_record_must_not_exist(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "a", NULL)), 0);
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "b", NULL)), ERROR_DUPLICATE);
	assert_non_null(strstr(s->err.message, "thing t-1"));
	assert_string_equal(thing_get(s, "t-1")->name, "a");
}

static void of_two_changes_of_one_version_the_second_conflicts(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "a", "0")), 0);
	struct thing_record *mine = thing_get(s, "t-1"), *yours = thing_get(s, "t-1");
	mine->state = "mine";
	yours->state = "yours";
	assert_int_equal(thing_put(s, mine), 0);
	assert_int_equal(thing_put(s, yours), ERROR_CONFLICT);
	assert_string_equal(thing_get(s, "t-1")->state, "mine");

	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_thing, yours);
	assert_int_equal(commit(s, batch), ERROR_CONFLICT);
	batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_thing, thing_get(s, "t-1"));
	assert_int_equal(commit(s, batch), 0);
	assert_null(thing_get(s, "t-1"));
	assert_int_equal(thing_put(s, yours), ERROR_CONFLICT);
	assert_int_equal(scratch_sql(s, "SELECT COUNT(*) FROM record_index"), 0);
}

static void an_expectation_guards_a_batch(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	struct thing_record *seen = thing_get(s, "t-1"), *absent = thing_create(s, "t-9", NULL, NULL);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing_create(s, "t-2", "b", NULL));
	meta_batch_expect(batch, &record_thing, seen);
	meta_batch_expect(batch, &record_thing, absent);
	assert_int_equal(commit(s, batch), 0);

	thing_put(s, seen);
	batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing_create(s, "t-3", "c", NULL));
	meta_batch_expect(batch, &record_thing, seen);
	assert_int_equal(commit(s, batch), ERROR_CONFLICT);
	assert_null(thing_get(s, "t-3"));
	/* an expectation is of the state before the batch, so it may stand beside a change of the same record */
	batch = meta_batch_create(s->meta, s->arena);
	seen = thing_get(s, "t-1");
	meta_batch_put(batch, &record_thing, seen);
	meta_batch_expect(batch, &record_thing, seen);
	assert_int_equal(commit(s, batch), 0);
	assert_int_equal(meta_last_change(s->meta), 4);
}

static void a_batch_that_fails_leaves_nothing(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "taken", "on"));
	struct thing_record *changed = thing_get(s, "t-1");
	changed->state = "off";
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, changed);
	meta_batch_put(batch, &record_thing, thing_create(s, "t-2", "free", NULL));
	meta_batch_put(batch, &record_thing, thing_create(s, "t-3", "taken", NULL));
	assert_int_equal(commit(s, batch), ERROR_DUPLICATE);
	assert_string_equal(thing_get(s, "t-1")->state, "on");
	assert_null(thing_get(s, "t-2"));
	assert_int_equal(meta_last_change(s->meta), 1);
	assert_int_equal(scratch_faults(s), 0);
}

static void a_unique_value_is_taken_once_per_account_and_region(void **state)
{
	struct scratch *s = *state;
	assert_int_equal(thing_put(s, thing_create(s, "t-1", "x", NULL)), 0);
	assert_int_equal(thing_put(s, thing_create(s, "t-2", "x", NULL)), ERROR_DUPLICATE);
	assert_string_equal(s->err.message, "there is already another thing with name x");
	struct thing_record *elsewhere = thing_create(s, "t-2", "x", NULL);
	elsewhere->record.region = "q";
	assert_int_equal(thing_put(s, elsewhere), 0);
	struct thing_record *other = thing_create(s, "t-3", "x", NULL);
	other->record.account = "2";
	assert_int_equal(thing_put(s, other), 0);
	/* absent values do not collide */
	assert_int_equal(thing_put(s, thing_create(s, "t-4", NULL, NULL)), 0);
	assert_int_equal(thing_put(s, thing_create(s, "t-5", NULL, NULL)), 0);
	/* nor does a record with itself */
	assert_int_equal(thing_put(s, thing_get(s, "t-1")), 0);
}

static void a_batch_may_pass_a_unique_value_on(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "x", NULL));
	thing_put(s, thing_create(s, "t-2", "y", NULL));
	struct thing_record *one = thing_get(s, "t-1"), *two = thing_get(s, "t-2");
	one->name = "y";
	two->name = "x";
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, one);
	meta_batch_put(batch, &record_thing, two);
	assert_int_equal(commit(s, batch), 0);
	assert_string_equal(thing_ids(s, &(struct meta_query){ .index = "name", .value = "x" }), "t-2 ");

	batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing_create(s, "t-3", "x", NULL));
	meta_batch_delete(batch, &record_thing, thing_get(s, "t-2"));
	assert_int_equal(commit(s, batch), 0);
	assert_string_equal(thing_ids(s, &(struct meta_query){ .index = "name", .value = "x" }), "t-3 ");
	assert_int_equal(scratch_faults(s), 0);
}

static void a_record_is_encoded_when_it_is_put(void **state)
{
	struct scratch *s = *state;
	char name[] = "before", id[] = "t-1";
	struct thing_record *thing = thing_create(s, id, name, NULL);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing);
	memcpy(name, "AFTER!", 6);
	memcpy(id, "t-2", 3);
	assert_int_equal(commit(s, batch), 0);
	assert_string_equal(thing_get(s, "t-1")->name, "before");
	assert_string_equal(thing_ids(s, &(struct meta_query){ .index = "name", .value = "before" }), "t-1 ");
}

static void what_could_not_be_read_back_is_refused(void **state)
{
	struct scratch *s = *state;
	char *large = arena_alloc(s->arena, 2 << 20);
	memset(large, 'x', (2 << 20) - 1);
	const struct thing_record *const cases[] = {
		thing_create(s, "t-1", large, NULL),  /* an index value too long */
		thing_create(s, "t-1", "\xff", NULL), /* not UTF-8 */
		thing_create(s, "t-\xff", NULL, NULL),
		thing_create(s, large, NULL, NULL),
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(thing_put(s, cases[i]), ERROR_INVALID);
	struct note_record note = { { "1", "r", "n-1", 0 }, large };
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_note, &note);
	assert_int_equal(commit(s, batch), ERROR_INVALID);
	assert_int_equal(thing_put(s, thing_create(s, "", NULL, NULL)), ERROR_INTERNAL);
	assert_int_equal(meta_last_change(s->meta), 0);
}

static void a_record_changed_twice_in_a_batch_is_refused(void **state)
{
	struct scratch *s = *state;
	struct thing_record *thing = thing_create(s, "t-1", "a", NULL);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing);
	meta_batch_put(batch, &record_note, thing); /* another kind: another record */
	assert_int_equal(commit(s, batch), 0);
	thing = thing_get(s, "t-1");
	batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing);
	meta_batch_delete(batch, &record_thing, thing);
	assert_int_equal(commit(s, batch), ERROR_INTERNAL);
	assert_non_null(thing_get(s, "t-1"));
}

static void the_log_tells_each_change_in_order(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", NULL));
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_thing, thing_create(s, "t-2", "b", NULL));
	meta_batch_delete(batch, &record_thing, thing_get(s, "t-1"));
	assert_int_equal(commit(s, batch), 0);
	scratch_reopen(s);
	assert_int_equal(meta_last_change(s->meta), 3);
	thing_put(s, thing_create(s, "t-3", "c", NULL));
	struct meta_change *changes;
	size_t count;
	assert_done(meta_changes_after(s->meta, 0, 0, s->arena, &changes, &count, &s->err), s->err);
	static const char *const ids[] = { "t-1", "t-2", "t-1", "t-3" };
	assert_int_equal(count, 4);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(changes[i].sequence, i + 1);
		assert_string_equal(changes[i].id, ids[i]);
		assert_string_equal(changes[i].kind, "thing");
		assert_int_equal(changes[i].deleted, i == 2);
		assert_true(changes[i].time_ms > 1600000000000);
	}
	assert_done(meta_changes_after(s->meta, 1, 2, s->arena, &changes, &count, &s->err), s->err);
	assert_int_equal(count, 2);
	assert_int_equal(changes[0].sequence, 2);
	assert_done(meta_changes_after(s->meta, 4, 0, s->arena, &changes, &count, &s->err), s->err);
	assert_int_equal(count, 0);
}

/* What the listener was told, and that it was told before the commit returned. */
static void note_change(void *context, const struct meta_change *change)
{
	_Atomic int64_t *last = context;
	assert_int_equal(change->sequence, atomic_load(last) + 1);
	atomic_store(last, change->sequence);
}

static void the_listener_hears_what_committed(void **state)
{
	struct scratch *s = *state;
	_Atomic int64_t last = 0;
	meta_set_listener(s->meta, note_change, &last);
	thing_put(s, thing_create(s, "t-1", "a", NULL));
	assert_int_equal(atomic_load(&last), 1);
	thing_put(s, thing_create(s, "t-1", "a", NULL));
	assert_int_equal(atomic_load(&last), 1);
	thing_put(s, thing_create(s, "t-2", "b", NULL));
	assert_int_equal(atomic_load(&last), 2);
}

/* The values of the index "state" that changes have taken away, one after the other. */
static void note_lost(void *context, const struct meta_change *change)
{
	char *text = context;
	size_t used = strlen(text);
	for (size_t i = 0; i < change->lost_count; i++)
		if (!strcmp(change->lost[i].index, "state"))
			snprintf(text + used, 100 - used, "%s:%s ", change->id, change->lost[i].value);
}

static void the_listener_hears_what_indexes_have_lost(void **state)
{
	struct scratch *s = *state;
	char lost[100] = "";
	meta_set_listener(s->meta, note_lost, lost);
	struct thing_record *thing = thing_create(s, "t-1", "a", "on");
	thing_put(s, thing);
	thing->record.version = 1;
	thing->name = "renamed";
	thing_put(s, thing);
	assert_string_equal(lost, "");
	thing->record.version = 2;
	thing->state = "off";
	thing_put(s, thing);
	assert_string_equal(lost, "t-1:on ");
	*lost = '\0';
	thing->record.version = 3;
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_thing, thing);
	assert_int_equal(commit(s, batch), 0);
	assert_string_equal(lost, "t-1:off ");
	*lost = '\0';
	thing_put(s, thing_create(s, "t-2", "b", "new"));
	assert_done(meta_forget_account(s->meta, "1", NULL, &s->err), s->err);
	assert_string_equal(lost, "t-2:new ");
}

static void an_account_is_forgotten_but_for_what_is_kept(void **state)
{
	struct scratch *s = *state;
	thing_put(s, thing_create(s, "t-1", "a", "on"));
	struct thing_record *other = thing_create(s, "t-2", "b", "on");
	other->record.account = "2";
	thing_put(s, other);
	struct note_record note = { { "1", "", "n-1", 0 }, "keep me" };
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_put(batch, &record_note, &note);
	assert_int_equal(commit(s, batch), 0);
	static const char *const keep[] = { "note", NULL };
	assert_done(meta_forget_account(s->meta, "1", keep, &s->err), s->err);
	assert_string_equal(thing_ids(s, NULL), "t-2 ");
	struct note_record *kept;
	assert_done(meta_get(s->meta, &record_note, "1", "", "n-1", s->arena, &kept, &s->err), s->err);
	assert_non_null(kept);
	struct meta_change *changes;
	size_t count;
	assert_done(meta_changes_after(s->meta, 3, 0, s->arena, &changes, &count, &s->err), s->err);
	assert_int_equal(count, 1);
	assert_true(changes[0].deleted);
	assert_string_equal(changes[0].id, "t-1");
	assert_done(meta_forget_account(s->meta, "1", NULL, &s->err), s->err);
	assert_int_equal(meta_last_change(s->meta), 5);
	assert_int_equal(meta_forget_account(s->meta, "", NULL, &s->err), -1);
	assert_int_equal(scratch_faults(s), 0);
}

enum { THREADS = 8, ROUNDS = 50 };

/* Adds 1 to the shared thing and 1 to one of its own, again and again, retrying conflicts. */
static void *count_up(void *context)
{
	struct scratch *s = context;
	for (int round = 0; round < ROUNDS;) {
		struct arena *arena ARENA_SCOPED = arena_create();
		struct thing_record *thing, mine = { { "1", "r", text_random_id(arena, "m"), 0 } };
		struct error err;
		if (meta_get(s->meta, &record_thing, "1", "r", "shared", arena, &thing, &err))
			return err.message[0] ? "read failed" : NULL;
		thing->number.value++;
		mine.state = "mine";
		struct meta_batch *batch = meta_batch_create(s->meta, arena);
		meta_batch_put(batch, &record_thing, thing);
		meta_batch_put(batch, &record_thing, &mine);
		if (!meta_commit(s->meta, batch, &err))
			round++;
		else if (err.code != ERROR_CONFLICT)
			return "commit failed";
	}
	return NULL;
}

static void no_update_is_lost_between_threads(void **state)
{
	struct scratch *s = *state;
	struct thing_record *thing = thing_create(s, "shared", "shared", NULL);
	thing->number = some_integer(0);
	assert_int_equal(thing_put(s, thing), 0);
	_Atomic int64_t last = 1;
	meta_set_listener(s->meta, note_change, &last);
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, s), 0);
	for (int i = 0; i < THREADS; i++) {
		void *failure;
		pthread_join(threads[i], &failure);
		assert_null(failure);
	}
	assert_int_equal(thing_get(s, "shared")->number.value, THREADS * ROUNDS);
	struct meta_rows rows;
	struct meta_query query = { .index = "state", .value = "mine" };
	assert_done(meta_list(s->meta, &record_thing, &query, s->arena, &rows, &s->err), s->err);
	assert_int_equal(rows.count, THREADS * ROUNDS);
	assert_int_equal(meta_last_change(s->meta), 1 + 2 * THREADS * ROUNDS);
	assert_int_equal(atomic_load(&last), 1 + 2 * THREADS * ROUNDS);
	assert_int_equal(scratch_faults(s), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCRATCH_TEST(an_empty_batch_is_a_success),
		SCRATCH_TEST(a_new_record_must_not_exist),
		SCRATCH_TEST(of_two_changes_of_one_version_the_second_conflicts),
		SCRATCH_TEST(an_expectation_guards_a_batch),
		SCRATCH_TEST(a_batch_that_fails_leaves_nothing),
		SCRATCH_TEST(a_unique_value_is_taken_once_per_account_and_region),
		SCRATCH_TEST(a_batch_may_pass_a_unique_value_on),
		SCRATCH_TEST(a_record_is_encoded_when_it_is_put),
		SCRATCH_TEST(what_could_not_be_read_back_is_refused),
		SCRATCH_TEST(a_record_changed_twice_in_a_batch_is_refused),
		SCRATCH_TEST(the_log_tells_each_change_in_order),
		SCRATCH_TEST(the_listener_hears_what_committed),
		SCRATCH_TEST(the_listener_hears_what_indexes_have_lost),
		SCRATCH_TEST(an_account_is_forgotten_but_for_what_is_kept),
		SCRATCH_TEST(no_update_is_lost_between_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
