/* Command lines against golden files (AMID_GOLDEN); AMID_GOLDEN_UPDATE=1 writes them anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "compute/qemu_arguments.h"
#include "base/banned.h"

static const struct machine_disk disks[] = {
	{ .device_id = "vol-0123456789abcdef0",
		.nbd_socket = "/run/amid/vol,1.nbd",
		.export_name = "vol-0123456789abcdef0",
		.boot = true },
	{ .device_id = "vol-0fedcba9876543210",
		.nbd_socket = "/run/amid/2.nbd",
		.export_name = "vol-0fedcba9876543210",
		.nvme = true },
};
static const struct machine_nic nics[] = { { .mac = "02:00:00:00:00:01", .tap_fd = 7 } };

static struct machine_spec make_spec(void)
{
	return (struct machine_spec){ .id = "i-0123456789abcdef0",
		.instance_type = "t3.micro",
		.vcpus = 2,
		.memory_mib = 1024,
		.disks = disks,
		.disk_count = 2,
		.nics = nics,
		.nic_count = 1,
		.folder = "/data/machines/a,b" };
}

static void compare(const char *name, const struct machine_spec *spec, const struct qemu_options *options)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct buffer text BUFFER_SCOPED = { 0 };
	struct error err;
	char *golden;
	size_t size;
	for (const char *const *item = qemu_arguments(arena, spec, options); *item; item++)
		buffer_printf(&text, "%s\n", *item);
	const char *path = arena_printf(arena, "%s/%s", getenv("AMID_GOLDEN"), name);
	if (getenv("AMID_GOLDEN_UPDATE"))
		assert_int_equal(file_replace(path, text.data, text.size, 0644, &err), 0);
	assert_int_equal(file_read(path, 1 << 20, arena, &golden, &size, &err), 0);
	assert_string_equal(buffer_text(&text), golden);
}

static void command_lines(void **state)
{
	struct qemu_options options = { .monitor_fd = 5, .serial_fd = 8, .agent_fd = 9, .console_fd = 10 };
	struct machine_spec spec = make_spec();
	compare("tcg", &spec, &options);
	options.kvm = options.privileged = options.own_user = true;
	options.user = 1879048193;
	options.kvm_group = 104;
	options.firmware = "/usr/share/OVMF/OVMF_CODE_4M.fd";
	options.variables_fd = 11;
	options.variables_read_fd = 12;
	compare("kvm-uefi", &spec, &options);
	spec.disk_count = spec.nic_count = 0;
	spec.memory_mib = 96;
	compare("bare", &spec,
		&(struct qemu_options){ .privileged = true,
			.own_user = true,
			.user = 1879048193,
			.monitor_fd = 5,
			.serial_fd = 8,
			.agent_fd = 9,
			.console_fd = 10 });
}

static void expect_refused(const struct machine_spec *spec)
{
	struct error err = { 0 };
	assert_int_equal(qemu_check_spec(spec, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID);
}

static void what_could_break_an_option_is_refused(void **state)
{
	struct error err;
	struct machine_spec spec = make_spec();
	assert_int_equal(qemu_check_spec(&spec, &err), 0);
	static const char *const ids[] = { "", "i,1", "../i-1", "i-1/x", "i 1", "-i", "i\n", NULL };
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		spec = make_spec();
		spec.id = ids[i];
		expect_refused(&spec);
		spec = make_spec();
		spec.instance_type = ids[i];
		expect_refused(&spec);
		struct machine_disk disk = disks[0];
		disk.device_id = ids[i];
		assert_int_equal(qemu_check_disk(&disk, &err), -1);
	}
	static const char *const macs[] = { "", "02:00:00:00:00:0", "02:00:00:00:00:0g", "02-00-00-00-00-01",
		"02:00:00:00:00:01,x", NULL };
	for (unsigned i = 0; i < sizeof macs / sizeof *macs; i++) {
		struct machine_nic nic = { .mac = macs[i], .tap_fd = -1 };
		spec = make_spec();
		spec.nics = &nic;
		expect_refused(&spec);
	}
	spec = make_spec();
	spec.vcpus = 0;
	expect_refused(&spec);
	spec = make_spec();
	spec.disk_count = QEMU_MAXIMUM_PORTS + 1;
	expect_refused(&spec);
	struct machine_disk longest = disks[0];
	longest.device_id = "vol-0123456789abcdef0123456789"; /* 30: no room for the client node's suffix */
	assert_int_equal(qemu_check_disk(&longest, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_lines),
		cmocka_unit_test(what_could_break_an_option_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
