/* amid fsck follows every root that a record names, wherever it stands. */
#include "handlers.h"

#include <fcntl.h>
#include <unistd.h>

#include "api/records.h"
#include "base/file.h"
#include "svc/check.h"

#define ROOT(digit) \
	digit digit digit digit digit digit digit digit digit digit digit digit digit digit digit digit

#define HEAD(name, where) \
	{ \
		.account = "111111111111", .region = (where), .id = (name) \
	}

struct found {
	char lines[16][1024];
	unsigned count;
};

static void note(void *context, const char *line)
{
	struct found *found = context;
	assert_true(found->count < 16);
	snprintf(found->lines[found->count++], sizeof found->lines[0], "%s", line);
}

static void assert_missing(const struct found *found, const char *id, const char *root)
{
	for (unsigned i = 0; i < found->count; i++)
		if (strstr(found->lines[i], id) && strstr(found->lines[i], root))
			return;
	fail_msg("the root %s of %s is not missed", root, id);
}

/* What a data folder has beside the metadata. */
static void make_data(struct scene *s)
{
	static const char *const folders[] = { "regions", "regions/us-east-1", "regions/us-east-1/volumes" };
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		assert_int_equal(file_make_folder(arena_printf(s->arena, "%s/%s", s->folder, folders[i]),
					 0700, &s->err),
			0);
	int fd = open(arena_printf(s->arena, "%s/lock", s->folder), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static int check(struct scene *s, struct found *found)
{
	uint64_t faults = 0;
	meta_close(s->meta);
	int result = check_data(s->folder, note, found, &faults, &s->err);
	if (result == 0)
		assert_int_equal(faults, found->count);
	assert_int_equal(meta_open(arena_printf(s->arena, "%s/meta.db", s->folder), &s->meta, &s->err), 0);
	return result;
}

static void every_recorded_root_is_looked_for(void **state)
{
	struct scene *s = *state;
	struct found found = { .count = 0 };
	make_data(s);
	assert_int_equal(check(s, &found), 0);
	assert_int_equal(found.count, 0);
	struct snapshot_record snapshot = {
		.record = HEAD("snap-1", "us-east-1"), .state = "completed", .root = ROOT("aa") ROOT("aa")
	};
	struct volume_record volume = {
		.record = HEAD("vol-1", "us-east-1"), .state = "available", .base = ROOT("bb") ROOT("bb")
	};
	struct root_replacement_record replacement = {
		.record = HEAD("replacevol-1", "us-east-1"), .state = "pending", .base = ROOT("cc") ROOT("cc")
	};
	struct record_launch_root launch = { .snapshot = "snap-0", .base = ROOT("dd") ROOT("dd") };
	struct instance_record instance = {
		.record = HEAD("i-1", "us-east-1"), .state = "running", .launch_root = &launch
	};
	struct record_snapshot_copy copy = { .region = "us-east-1", .root = ROOT("ee") ROOT("ee") };
	struct snapshot_record elsewhere = {
		.record = HEAD("snap-2", "us-west-2"), .state = "pending", .copy = &copy
	};
	struct peer_lease_record lease = { .record = HEAD("lease-1", "us-east-1"),
		.peer = "0123456789abcdef",
		.root = ROOT("ff") ROOT("ff") };
	scene_put(s, &record_peer_lease, &lease);
	scene_put(s, &record_snapshot, &snapshot);
	scene_put(s, &record_volume, &volume);
	scene_put(s, &record_root_replacement, &replacement);
	scene_put(s, &record_instance, &instance);
	scene_put(s, &record_snapshot, &elsewhere);
	assert_int_equal(check(s, &found), 0);
	assert_int_equal(found.count, 6);
	assert_missing(&found, "snap-1", ROOT("aa"));
	assert_missing(&found, "vol-1", ROOT("bb"));
	assert_missing(&found, "replacevol-1", ROOT("cc"));
	assert_missing(&found, "i-1", ROOT("dd"));
	assert_missing(&found, "snap-2", ROOT("ee"));
	assert_missing(&found, "lease-1", ROOT("ff"));
}

static int tear_down(void **state)
{
	struct scene *s = *state;
	file_remove_tree(arena_printf(s->arena, "%s/regions", s->folder), &s->err);
	remove(arena_printf(s->arena, "%s/lock", s->folder));
	return scene_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		every_recorded_root_is_looked_for, scene_setup, tear_down) };
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
