/* A volume on a disk that gets full: writes fail before the reserve is touched, and nothing else does. The disk is a small tmpfs, so this needs root. */
#include <sys/mount.h>

#include "place.h"

enum { MIB = 1 << 20, DISK_MIB = 48, RESERVE_MIB = 16 };

static uint8_t data[MIB], read_back[MIB];

static bool mount_disk(const char *folder)
{
	char options[32];
	snprintf(options, sizeof options, "size=%dm", DISK_MIB);
	return mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0;
}

static uint64_t free_bytes(const char *folder)
{
	return space_available(folder, &(struct space_reserve){ 0 });
}

/* Writes until a write fails; returns how many MiB did not. */
static unsigned fill(struct volume *volume, unsigned from)
{
	struct error err;
	for (unsigned i = from;; i++) {
		memset(data, (int)i + 1, sizeof data);
		if (volume_write(volume, data, (uint64_t)i * MIB, MIB, &err)) {
			assert_int_equal(err.code, ERROR_NO_SPACE);
			return i;
		}
	}
}

static void writes_stop_before_the_reserve_and_all_else_goes_on(void **state)
{
	struct error err;
	struct place place;
	struct volume *volume;
	if (!mount_disk(*state))
		skip();
	place_open(&place, state);
	ASSERT_OK(volume_create(place.folder, 1ULL << 30, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	volume_set_reserve(volume, &(struct space_reserve){ .bytes = (uint64_t)RESERVE_MIB * MIB });
	unsigned written = fill(volume, 0);
	assert_true(written > DISK_MIB / 4);
	/* a budget of the last look, no more, may have been taken from it; and it was not left unused */
	assert_true(free_bytes(*state) > (RESERVE_MIB - 1) * (uint64_t)MIB);
	assert_true(free_bytes(*state) < (RESERVE_MIB + 2) * (uint64_t)MIB);
	/* down to the last grain; a part of one is refused as well, zeros of a part too; whole zeros take nothing */
	uint64_t at = 800 * (uint64_t)MIB;
	while (!volume_write(volume, data, at, VOLUME_GRAIN_SIZE, &err))
		at += VOLUME_GRAIN_SIZE;
	assert_int_equal(err.code, ERROR_NO_SPACE);
	ASSERT_FAILS(volume_write(volume, data, at + 5, 7, &err), ERROR_NO_SPACE);
	ASSERT_FAILS(volume_zero(volume, at + 5, 7, &err), ERROR_NO_SPACE);
	ASSERT_OK(volume_zero(volume, 901 * (uint64_t)MIB, MIB, &err));
	/* what is there can be overwritten, flushed, read */
	memset(data, 0xee, sizeof data);
	ASSERT_OK(volume_write(volume, data, MIB, MIB, &err));
	ASSERT_OK(volume_flush(volume, &err));
	ASSERT_OK(volume_read(volume, read_back, MIB, MIB, &err));
	assert_memory_equal(read_back, data, sizeof data);
	for (unsigned i = 2; i < written; i++) {
		ASSERT_OK(volume_read(volume, read_back, (uint64_t)i * MIB, MIB, &err));
		memset(data, (int)i + 1, sizeof data);
		assert_memory_equal(read_back, data, sizeof data);
	}
	/* what the guest gives back, it can take again */
	ASSERT_OK(volume_zero(volume, 0, 6 * MIB, &err));
	unsigned again = fill(volume, written);
	assert_true(again >= written + 4);
	volume_close(volume);
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_read(volume, read_back, (uint64_t)(again - 1) * MIB, MIB, &err));
	memset(data, (int)again, sizeof data);
	assert_memory_equal(read_back, data, sizeof data);
	volume_close(volume);
	place_close(&place);
}

static int unmount_and_remove(void **state)
{
	umount2(*state, MNT_DETACH); /* fails where it was not mounted */
	return scratch_remove(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(
		writes_stop_before_the_reserve_and_all_else_goes_on, scratch_create, unmount_and_remove) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
