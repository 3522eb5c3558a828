/* Scans behind the secret gate: who waits, how long, and what a later call finds. The scanner is the real one, or a script in its place that starts it when it is told to. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "handlers.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "gate/rules.h"
#include "store/store.h"
#include "store/tree.h"
#include "svc/secret_gate.h"
#include "svc/secret_scans.h"

#include "base/banned.h"

enum { LONG_MS = 120 * 1000 };

static const char *program; /* argv[1] */

static char *path_in(struct scene *s, const char *name)
{
	return arena_printf(s->arena, "%s/%s", s->folder, name);
}

static int setup(void **state)
{
	if (scene_setup(state))
		return -1;
	struct scene *s = *state;
	s->config.gate_program = program;
	memcpy(s->call.request_id, "request", 8);
	assert_int_equal(store_open(path_in(s, "store"), &s->regions[0].store, &s->err), 0);
	assert_int_equal(secret_scans_open(&s->amid, &s->amid.secret_scans, &s->err), 0);
	return 0;
}

static void close_scans(struct scene *s)
{
	secret_scans_stop(s->amid.secret_scans);
	secret_scans_close(s->amid.secret_scans);
	s->amid.secret_scans = NULL;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	close_scans(s);
	store_close(s->regions[0].store);
	assert_int_equal(file_remove_tree(path_in(s, "store"), &s->err), 0);
	unlink(path_in(s, "program"));
	unlink(path_in(s, "go"));
	unlink(path_in(s, "started"));
	return scene_teardown(state);
}

/* A completed snapshot of a disk that begins with `head`. */
static struct snapshot_record *make_snapshot(struct scene *s, const char *id, const char *head)
{
	static uint8_t block[STORE_BLOCK_SIZE];
	char hex[2 * DIGEST_SIZE + 1];
	struct store_session *session = NULL;
	struct tree_builder *builder = NULL;
	struct digest digest, root;
	uint64_t added;
	memset(block, 0, sizeof block);
	memcpy(block, head, strlen(head));
	digest_sha256(block, sizeof block, &digest);
	if (store_session_open(s->regions[0].store, &session, &s->err) ||
		store_put(session, STORE_BLOCK, &digest, block, sizeof block, &added, &s->err) ||
		tree_builder_create(session, NULL, 4 * STORE_BLOCK_SIZE, &builder, &s->err) ||
		tree_builder_set(builder, 0, &digest, &s->err) ||
		tree_builder_finish(builder, &root, &added, &s->err))
		fail_msg("%s", s->err.message);
	tree_builder_destroy(builder);
	struct snapshot_record *snapshot = arena_alloc(s->arena, sizeof *snapshot);
	snapshot->record = (struct record){ .account = s->call.account, .region = s->call.region, .id = id };
	snapshot->state = "completed";
	snapshot->root = arena_strdup(s->arena, text_hex(root.bytes, DIGEST_SIZE, hex));
	scene_put(s, &record_snapshot, snapshot);
	store_session_close(session);
	return snapshot;
}

/* Puts a script in the scanner's place that waits until the file "go" is there. */
static void hold_scanner(struct scene *s)
{
	char *script = arena_printf(s->arena,
		"#!/bin/sh\nprintf x >>%s\nuntil [ -e %s ]; do sleep 0.05; done\nexec %s \"$@\"\n",
		path_in(s, "started"), path_in(s, "go"), program);
	assert_int_equal(file_replace(path_in(s, "program"), script, strlen(script), 0700, &s->err), 0);
	s->config.gate_program = path_in(s, "program");
}

static void let_scanner_go(struct scene *s)
{
	int fd = open(path_in(s, "go"), O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static int wait_for(
	struct scene *s, const struct snapshot_record *snapshot, int64_t ms, struct secret_scan_record **scan)
{
	return secret_scans_wait(&s->call, snapshot, clock_monotonic_ms() + ms, scan, &s->err);
}

static void finding_is_kept_under_the_root(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	struct snapshot_record *snapshot = make_snapshot(s, "snap-1", "LUKS\xba\xbe");
	assert_int_equal(secret_scans_find(&s->amid, snapshot, s->arena, &scan, &s->err), 0);
	assert_null(scan);
	assert_int_equal(wait_for(s, snapshot, LONG_MS, &scan), 0);
	assert_int_equal(scan->findings.count, 1);
	assert_string_equal(scan->findings.items[0].rule, "unreadable");
	assert_string_equal(scan->findings.items[0].detail, gate_reason_text(GATE_REASON_LUKS));
	s->config.gate_program = "/nonexistent";
	assert_int_equal(wait_for(s, snapshot, LONG_MS, &scan), 0);
	assert_int_equal(scan->findings.count, 1);
}

static void older_rules_do_not_count(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	struct snapshot_record *snapshot = make_snapshot(s, "snap-1", "LUKS\xba\xbe");
	struct secret_scan_record old = {
		.record = { .account = s->call.account, .region = s->call.region, .id = snapshot->root },
		.rules_version = some_integer(GATE_RULES_VERSION - 1)
	};
	scene_put(s, &record_secret_scan, &old);
	assert_int_equal(secret_scans_find(&s->amid, snapshot, s->arena, &scan, &s->err), 0);
	assert_null(scan);
	assert_int_equal(wait_for(s, snapshot, LONG_MS, &scan), 0);
	assert_int_equal(scan->findings.count, 1);
}

static void call_that_is_too_late_can_be_repeated(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	struct snapshot_record *snapshot = make_snapshot(s, "snap-1", "LUKS\xba\xbe");
	hold_scanner(s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wait_for(s, snapshot, 10, &scan), -1);
		assert_error(s->err.code, ERROR_UNAVAILABLE);
	}
	let_scanner_go(s);
	assert_int_equal(wait_for(s, snapshot, LONG_MS, &scan), 0);
	assert_int_equal(scan->findings.count, 1);
	/* all three have waited for one scan */
	struct stat started;
	assert_int_equal(stat(path_in(s, "started"), &started), 0);
	assert_int_equal(started.st_size, 1);
}

static void stopping_ends_scans_and_lets_none_begin(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	hold_scanner(s);
	for (int i = 0; i < 4; i++) {
		char *text = arena_printf(s->arena, "%d", i);
		assert_int_equal(
			wait_for(s, make_snapshot(s, arena_printf(s->arena, "snap-%d", i), text), 10, &scan),
			-1);
	}
	secret_scans_stop(s->amid.secret_scans);
	assert_int_equal(wait_for(s, make_snapshot(s, "snap-9", "x"), LONG_MS, &scan), -1);
	assert_error(s->err.code, ERROR_UNAVAILABLE);
}

static void scanner_that_cannot_be_started_fails_the_call(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	s->config.gate_program = "/nonexistent";
	assert_int_equal(wait_for(s, make_snapshot(s, "snap-1", "x"), LONG_MS, &scan), -1);
	assert_null(scan);
}

static void damaged_disk_fails_the_call(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	struct snapshot_record *snapshot = make_snapshot(s, "snap-1", "x");
	memset((char *)(uintptr_t)snapshot->root, 'a', 2 * DIGEST_SIZE);
	assert_int_equal(wait_for(s, snapshot, LONG_MS, &scan), -1);
	assert_null(scan);
}

static void findings_of_trees_that_are_gone_go(void **state)
{
	struct scene *s = *state;
	struct secret_scan_record *scan;
	struct snapshot_record *snapshot = make_snapshot(s, "snap-1", "LUKS\xba\xbe"), *stored;
	assert_int_equal(wait_for(s, snapshot, LONG_MS, &scan), 0);
	assert_int_equal(meta_get(s->meta, &record_snapshot, s->call.account, s->call.region, "snap-1",
				 s->arena, &stored, &s->err),
		0);
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	meta_batch_delete(batch, &record_snapshot, stored);
	assert_int_equal(meta_commit(s->meta, batch, &s->err), 0);
	assert_int_equal(wait_for(s, make_snapshot(s, "snap-2", "XFSB"), LONG_MS, &scan), 0);
	assert_int_equal(secret_scans_find(&s->amid, snapshot, s->arena, &scan, &s->err), 0);
	assert_null(scan);
}

static void policy_has_three_words(void **state)
{
	struct scene *s = *state;
	struct secret_policy policy;
	assert_int_equal(secret_policy_load(&s->call, &policy, &s->err), 0);
	assert_string_equal(policy.policy->value, "warn");
	assert_int_equal(secret_policy_change(&s->call, "block", NULL, &s->err), 0);
	assert_int_equal(secret_policy_change(&s->call, NULL, "block", &s->err), 0);
	assert_int_equal(secret_policy_load(&s->call, &policy, &s->err), 0);
	assert_string_equal(policy.policy->value, "block");
	assert_string_equal(policy.unreadable->value, "block");
	assert_int_equal(secret_policy_change(&s->call, "none", NULL, &s->err), -1);
	assert_int_equal(secret_policy_change(&s->call, NULL, "off", &s->err), -1);
	assert_int_equal(secret_policy_change(&s->call, NULL, NULL, &s->err), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(finding_is_kept_under_the_root),
		TEST(older_rules_do_not_count),
		TEST(call_that_is_too_late_can_be_repeated),
		TEST(stopping_ends_scans_and_lets_none_begin),
		TEST(scanner_that_cannot_be_started_fails_the_call),
		TEST(damaged_disk_fails_the_call),
		TEST(findings_of_trees_that_are_gone_go),
		TEST(policy_has_three_words),
	};
	if (argc != 2)
		return 2;
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
