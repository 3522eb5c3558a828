/*
 * A compute driver on the command line, for tests: reads commands on standard input, one JSON object a line, and answers with one each: {"ok": ...} or {"error": CODE,
 * "message": TEXT}. Events of machines come in between: {"event": NAME, "id": ID}. Ends at the end of its input; machines go on.
 *
 *     machine_tool DRIVER STATE_FOLDER RUNTIME_FOLDER
 *     {"do": "start", "id": "i-1", "folder": "/...", "memory": 128, "disks": [{"id": "vol-1", "socket": "/...", "export": "vol-1", "boot": true}]}
 *     {"do": "state", "id": "i-1", "folder": "/..."}
 */
#include <fcntl.h>
#include <jansson.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "compute/compute.h"
#include "base/banned.h"

enum { LIST_LIMIT = 32 };

static const struct compute_driver *driver;
static struct compute *compute;

static const char *get_text(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static int get_number(json_t *object, const char *key, int otherwise)
{
	json_t *value = json_object_get(object, key);
	return value ? (int)json_integer_value(value) : otherwise;
}

/* One write(2) a line: the loop's thread and ours never mix. */
static void put_line(json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);
	dprintf(STDOUT_FILENO, "%s\n", text);
	free(text);
	json_decref(line);
}

static void on_event(void *context, const char *id, enum machine_event event)
{
	static const char *const names[] = { [EVENT_MACHINE_RESET] = "reset",
		[EVENT_MACHINE_SHUT_DOWN] = "shut-down",
		[EVENT_MACHINE_GONE] = "gone",
		[EVENT_MACHINE_AGENT] = "agent" };
	put_line(json_pack("{s:s, s:s}", "event", names[event], "id", id));
}

static struct machine_disk get_disk(json_t *disk)
{
	return (struct machine_disk){ .device_id = get_text(disk, "id"),
		.nbd_socket = get_text(disk, "socket"),
		.export_name = get_text(disk, "export"),
		.nvme = json_is_true(json_object_get(disk, "nvme")),
		.boot = json_is_true(json_object_get(disk, "boot")) };
}

static int open_tap(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int start(json_t *command, struct error *err)
{
	struct machine_disk disks[LIST_LIMIT];
	struct machine_nic nics[LIST_LIMIT];
	struct machine_spec spec = { .id = get_text(command, "id"),
		.instance_type = "t3.micro",
		.vcpus = (unsigned)get_number(command, "vcpus", 1),
		.memory_mib = (unsigned)get_number(command, "memory", 128),
		.uefi = json_is_true(json_object_get(command, "uefi")),
		.disks = disks,
		.nics = nics,
		.folder = get_text(command, "folder") };
	json_t *item;
	size_t i;
	json_array_foreach(json_object_get(command, "disks"), i, item)
	{
		if (spec.disk_count < LIST_LIMIT)
			disks[spec.disk_count++] = get_disk(item);
	}
	json_array_foreach(json_object_get(command, "nics"), i, item)
	{
		if (spec.nic_count < LIST_LIMIT)
			nics[spec.nic_count++] = (struct machine_nic){ get_text(item, "mac"),
				open_tap(get_text(item, "tap")) };
	}
	int result = driver->start(compute, &spec, err);
	for (unsigned k = 0; k < spec.nic_count; k++)
		if (nics[k].tap_fd >= 0)
			close(nics[k].tap_fd);
	return result;
}

static int state(json_t *command, json_t *answer, struct error *err)
{
	static const char *const names[] = {
		[MACHINE_ABSENT] = "absent", [MACHINE_RUNNING] = "running", [MACHINE_SHUT_DOWN] = "shut-down"
	};
	enum machine_state state;
	if (driver->state(compute, get_text(command, "id"), get_text(command, "folder"), &state, err))
		return -1;
	json_object_set_new(answer, "state", json_string(names[state]));
	return 0;
}

static int user(json_t *command, json_t *answer, struct error *err)
{
	uid_t user;
	if (driver->user(compute, get_text(command, "id"), get_text(command, "folder"), &user, err))
		return -1;
	json_object_set_new(answer, "user", json_integer((json_int_t)user));
	return 0;
}

static int console(json_t *command, json_t *answer, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *data;
	size_t size;
	int64_t modified_ms;
	if (driver->console(compute, get_text(command, "id"), get_text(command, "folder"), 64 << 10, scratch,
		    &data, &size, &modified_ms, err))
		return -1;
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)data[i] >= 0x80 || !data[i])
			data[i] = '?'; /* a test wants text */
	json_object_set_new(answer, "console", json_stringn(data, size));
	json_object_set_new(answer, "modified_ms", json_integer(modified_ms));
	return 0;
}

static int freeze(json_t *command, json_t *answer, struct error *err)
{
	int count;
	if (driver->freeze_file_systems(
		    compute, get_text(command, "id"), get_number(command, "timeout_ms", 10000), &count, err))
		return -1;
	json_object_set_new(answer, "count", json_integer(count));
	return 0;
}

static int limit(json_t *command, struct error *err)
{
	struct machine_disk_limits limits = { .iops = get_number(command, "iops", 0),
		.burst_iops = get_number(command, "burst_iops", 0),
		.burst_seconds = get_number(command, "burst_seconds", 0),
		.bytes_per_second = get_number(command, "bytes_per_second", 0) };
	return driver->limit_disk(
		compute, get_text(command, "id"), get_text(command, "device"), &limits, err);
}

static int run_command(json_t *command, json_t *answer, struct error *err)
{
	const char *name = get_text(command, "do"), *id = get_text(command, "id");
	struct machine_disk disk = get_disk(json_object_get(command, "disk"));
	if (strcmp(name, "start") == 0)
		return start(command, err);
	if (strcmp(name, "state") == 0)
		return state(command, answer, err);
	if (strcmp(name, "user") == 0)
		return user(command, answer, err);
	if (strcmp(name, "power-button") == 0)
		return driver->power_button(compute, id, err);
	if (strcmp(name, "destroy") == 0)
		return driver->destroy(compute, id, get_text(command, "folder"), err);
	if (strcmp(name, "reset") == 0)
		return driver->reset(compute, id, err);
	if (strcmp(name, "attach") == 0)
		return driver->attach_disk(compute, id, &disk, err);
	if (strcmp(name, "detach") == 0)
		return driver->detach_disk(compute, id, get_text(command, "device"),
			get_number(command, "timeout_ms", 10000), err);
	if (strcmp(name, "resize") == 0)
		return driver->resize_disk(compute, id, get_text(command, "device"),
			(uint64_t)json_integer_value(json_object_get(command, "size")), err);
	if (strcmp(name, "limit") == 0)
		return limit(command, err);
	if (strcmp(name, "freeze") == 0)
		return freeze(command, answer, err);
	if (strcmp(name, "thaw") == 0)
		return driver->thaw_file_systems(compute, id, get_number(command, "timeout_ms", 10000), err);
	if (strcmp(name, "console") == 0)
		return console(command, answer, err);
	return error_set(err, ERROR_INVALID, "no command '%s'", name);
}

static void answer_line(const char *line)
{
	struct error err = { 0 };
	struct timespec begin, end;
	json_t *command = json_loads(line, 0, NULL), *answer = json_object();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	int failed = run_command(command, answer, &err);
	clock_gettime(CLOCK_MONOTONIC, &end);
	json_object_set_new(answer, "us",
		json_integer((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000));
	if (failed) {
		json_object_set_new(answer, "error", json_string(error_aws_code(err.code)));
		json_object_set_new(answer, "message", json_string(err.message));
	} else {
		json_object_set_new(answer, "ok", json_true());
	}
	put_line(answer);
	json_decref(command);
}

int main(int argc, char **argv)
{
	struct error err;
	char line[64 << 10];
	if (argc != 4) {
		fprintf(stderr, "usage: machine_tool qemu|dry STATE_FOLDER RUNTIME_FOLDER\n");
		return 2;
	}
	driver = strcmp(argv[1], "dry") == 0 ? &compute_driver_dry : &compute_driver_qemu;
	if (driver->open(argv[2], argv[3], on_event, NULL, &compute, &err)) {
		fprintf(stderr, "machine_tool: %s\n", err.message);
		return 1;
	}
	while (fgets(line, sizeof line, stdin))
		answer_line(line);
	driver->close(compute);
	return 0;
}
