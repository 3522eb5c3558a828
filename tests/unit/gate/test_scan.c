/*
 * Whole disks: file systems made by mke2fs -d (nothing is mounted), with secrets planted and things that look alike, in partitions or without, looked at by the scanner's process as amid starts it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/process.h"
#include "gate/scanner.h"
#include "samples.h"

#include "base/banned.h"

enum { MIB = 1 << 20, FILE_SYSTEM_SIZE = 6 * MIB };

static const char *program; /* argv[1] */

struct scene {
	char folder[64];
	struct arena *arena;
	uint8_t *disk;
	uint64_t size;
	bool fails; /* blocks cannot be read */
	struct gate_report report;
	struct error err;
};

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	snprintf(s->folder, sizeof s->folder, "/tmp/amid-gate-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	s->arena = arena_create();
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;
	file_remove_tree(s->folder, &s->err);
	arena_destroy(s->arena);
	free(s->disk);
	free(s);
	return 0;
}

static void plant(struct scene *s, const char *path, const char *content)
{
	char *whole = arena_printf(s->arena, "%s/tree%s", s->folder, path);
	*strrchr(whole, '/') = '\0';
	assert_int_equal(file_make_folder(whole, 0755, &s->err), 0);
	whole[strlen(whole)] = '/';
	int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(file_write_full(fd, content, strlen(content)), 0);
	close(fd);
}

static void run(struct scene *s, const char *const argv[])
{
	if (process_run(argv, NULL, NULL, &s->err))
		fail_msg("%s", s->err.message);
}

/* A file system of what was planted, at an offset of the disk. */
static void make_file_system(struct scene *s, uint64_t offset)
{
	char *image = arena_printf(s->arena, "%s/image", s->folder);
	char *tree = arena_printf(s->arena, "%s/tree", s->folder);
	const char *const argv[] = { "mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image, "6M", NULL };
	char *data;
	size_t size;
	unlink(image);
	run(s, argv);
	assert_int_equal(file_read(image, FILE_SYSTEM_SIZE, s->arena, &data, &size, &s->err), 0);
	assert_int_equal(size, FILE_SYSTEM_SIZE);
	memcpy(s->disk + offset, data, size);
}

static void make_disk(struct scene *s, uint64_t size)
{
	s->disk = calloc(1, size);
	s->size = size;
}

static void put32(uint8_t *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* Entry `index` of the table in the sector at `table`; `first` is what stands in it. */
static void put_partition(uint8_t *table, unsigned index, uint8_t type, uint32_t first, uint32_t count)
{
	uint8_t *entry = table + 446 + index * 16;
	entry[4] = type;
	put32(entry + 8, first);
	put32(entry + 12, count);
	table[510] = 0x55;
	table[511] = 0xaa;
}

static int read_block(void *context, uint64_t index, void *block, bool *zeros, struct error *err)
{
	struct scene *s = context;
	uint64_t offset = index * GATE_BLOCK_SIZE, left = s->size - offset;
	size_t size = left < GATE_BLOCK_SIZE ? (size_t)left : GATE_BLOCK_SIZE;
	if (s->fails)
		return error_set(err, ERROR_CORRUPT, "damaged");
	memcpy(block, s->disk + offset, size);
	*zeros = size == GATE_BLOCK_SIZE && s->disk[offset] == 0 &&
		memcmp(s->disk + offset, s->disk + offset + 1, size - 1) == 0;
	return 0;
}

static int scan(struct scene *s)
{
	struct gate_source source = { .size = s->size, .read = read_block, .context = s };
	return gate_scanner_run(program, &source, -1, s->arena, &s->report, &s->err);
}

/* "PARTITION PATH RULE", with a reason behind it where there is one; in the order in which they came. */
static char *describe(struct scene *s)
{
	char *text = arena_printf(s->arena, "%s", "");
	for (size_t i = 0; i < s->report.count; i++) {
		const struct gate_finding *f = &s->report.findings[i];
		text = arena_printf(s->arena, "%s%u %s %s%s%s\n", text, f->partition, f->path,
			gate_rule(f->rule)->name, f->reason ? ": " : "", gate_reason_text(f->reason));
	}
	return text;
}

static void assert_found(struct scene *s, unsigned partition, const char *path, const char *rule)
{
	char *line = arena_printf(s->arena, "%u %s %s", partition, path, rule);
	if (!strstr(describe(s), line))
		fail_msg("no \"%s\" in:\n%s", line, describe(s));
}

static void plant_all(struct scene *s)
{
	plant(s, "/etc/ssh/ssh_host_rsa_key", SAMPLE_KEY);
	plant(s, "/etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa AAAA\n");
	plant(s, "/etc/hostname", "a\n");
	plant(s, "/root/.ssh/authorized_keys", "ssh-ed25519 AAAA ann\n");
	plant(s, "/root/.bash_history", "");
	plant(s, "/home/ann/.bash_history", "ls\n");
	plant(s, "/home/ann/deep/er/still/key.pem", SAMPLE_KEY);
	plant(s, "/usr/share/doc/key.pem", SAMPLE_KEY);
}

static void assert_all(struct scene *s, unsigned partition)
{
	assert_found(s, partition, "/etc/ssh/ssh_host_rsa_key", "ssh-host-key");
	assert_found(s, partition, "/root/.ssh/authorized_keys", "authorized-keys");
	assert_found(s, partition, "/home/ann/.bash_history", "shell-history");
	assert_found(s, partition, "/home/ann/deep/er/still/key.pem", "private-key");
}

static void finds_in_a_disk_without_a_table(void **state)
{
	struct scene *s = *state;
	plant_all(s);
	make_disk(s, FILE_SYSTEM_SIZE);
	make_file_system(s, 0);
	assert_int_equal(scan(s), 0);
	assert_all(s, 0);
	assert_int_equal(s->report.count, 4);
	assert_true(s->report.files >= 7 && s->report.bytes_read > 0);
}

static void finds_in_primary_and_logical_partitions(void **state)
{
	struct scene *s = *state;
	uint32_t sectors = FILE_SYSTEM_SIZE / 512;
	plant_all(s);
	make_disk(s, 16 * MIB + 4096);
	make_file_system(s, MIB);
	memcpy(s->disk + 8 * MIB, s->disk + MIB, FILE_SYSTEM_SIZE);
	put_partition(s->disk, 1, 0x83, MIB / 512, sectors);
	put_partition(s->disk, 2, 0x05, 7 * MIB / 512, 8 * MIB / 512);
	put_partition(s->disk + 7 * MIB, 0, 0x83, MIB / 512, sectors);
	assert_int_equal(scan(s), 0);
	assert_all(s, 2);
	assert_all(s, 5);
	assert_int_equal(s->report.count, 8);
}

static void finds_in_gpt_partitions_and_leaves_the_loader(void **state)
{
	struct scene *s = *state;
	plant_all(s);
	make_disk(s, 8 * MIB);
	make_file_system(s, MIB);
	put_partition(s->disk, 0, 0xee, 1, UINT32_MAX);
	uint8_t *header = s->disk + 512, *entries = s->disk + 1024;
	memcpy(header, "EFI PART", 8);
	put32(header + 72, 2);
	put32(header + 80, 128);
	put32(header + 84, 128);
	memcpy(entries, "Hah!IdontNeedEFI", 16);
	put32(entries + 32, 64);
	put32(entries + 40, 127);
	memset(s->disk + 64 * 512, 'G', 512);
	memset(entries + 14 * 128, 7, 16);
	put32(entries + 14 * 128 + 32, MIB / 512);
	put32(entries + 14 * 128 + 40, (MIB + FILE_SYSTEM_SIZE) / 512 - 1);
	assert_int_equal(scan(s), 0);
	assert_all(s, 15);
	assert_int_equal(s->report.count, 4);
}

static void says_what_it_did_not_look_into(void **state)
{
	static const struct {
		size_t offset;
		const char *magic, *text;
	} kinds[] = { { 0, "LUKS\xba\xbe", "0  unreadable: a LUKS container\n" },
		{ 0, "XFSB", "0  unreadable: an XFS file system\n" },
		{ 65536 + 64, "_BHRfS_M", "0  unreadable: a btrfs file system\n" },
		{ 512, "LABELONE", "0  unreadable: a physical volume of LVM\n" },
		{ 54, "FAT16   ", "0  unreadable: a FAT file system\n" },
		{ 4086, "SWAPSPACE2", "0  unreadable: swap space\n" },
		{ 3000, "what", "0  unreadable: data of no known kind\n" },
		{ 1024 + 56, "\x53\xef", "0  unreadable: damaged\n" } };
	struct scene *s = *state;
	make_disk(s, MIB);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		memset(s->disk, 0, s->size);
		memcpy(s->disk + kinds[i].offset, kinds[i].magic, strlen(kinds[i].magic));
		assert_int_equal(scan(s), 0);
		assert_string_equal(describe(s), kinds[i].text);
	}
}

static void a_table_that_makes_no_sense_is_said_and_the_rest_is_looked_at(void **state)
{
	struct scene *s = *state;
	plant_all(s);
	make_disk(s, 8 * MIB);
	make_file_system(s, MIB);
	put_partition(s->disk, 0, 0x83, MIB / 512, FILE_SYSTEM_SIZE / 512);
	put_partition(s->disk, 1, 0x83, UINT32_MAX - 1, 10);
	put_partition(s->disk, 2, 0x05, 7 * MIB / 512, 10);
	put_partition(s->disk + 7 * MIB, 1, 0x05, 0, 10); /* a chain of its own end */
	put_partition(s->disk, 3, 0x0f, 7 * MIB / 512 + 1, 10);
	assert_int_equal(scan(s), 0);
	assert_all(s, 1);
	assert_found(s, 0, "", "unreadable: the partition table is damaged or too long");
}

static void an_empty_disk_has_nothing(void **state)
{
	struct scene *s = *state;
	make_disk(s, 3 * MIB + 512);
	assert_int_equal(scan(s), 0);
	assert_int_equal(s->report.count, 0);
}

static void links_are_not_followed_and_loops_end(void **state)
{
	struct scene *s = *state;
	plant(s, "/etc/hostname", "a\n");
	plant(s, "/root/.bash_history", "ls\n");
	assert_int_equal(symlink("/root", arena_printf(s->arena, "%s/tree/root/again", s->folder)), 0);
	assert_int_equal(
		symlink(".bash_history", arena_printf(s->arena, "%s/tree/root/.zsh_history", s->folder)), 0);
	make_disk(s, FILE_SYSTEM_SIZE);
	make_file_system(s, 0);
	/* a folder that is its own child, under another name */
	char *image = arena_printf(s->arena, "%s/image", s->folder);
	const char *const link[] = { "debugfs", "-w", "-R", "link root root/loop", image, NULL };
	run(s, link);
	char *data;
	size_t size;
	assert_int_equal(file_read(image, FILE_SYSTEM_SIZE, s->arena, &data, &size, &s->err), 0);
	memcpy(s->disk, data, size);
	assert_int_equal(scan(s), 0);
	assert_string_equal(describe(s), "0 /root/.bash_history shell-history\n");
}

static void a_journal_that_was_not_replayed_is_said(void **state)
{
	struct scene *s = *state;
	plant(s, "/etc/hostname", "a\n");
	make_disk(s, FILE_SYSTEM_SIZE);
	make_file_system(s, 0);
	s->disk[1024 + 96] |= 4; /* INCOMPAT_RECOVER */
	assert_int_equal(scan(s), 0);
	assert_non_null(strstr(describe(s), "the journal holds changes"));
}

static void names_are_made_printable(void **state)
{
	struct scene *s = *state;
	plant(s, "/root/a\033[2J\xff\xc3\xa9/.bash_history", "ls\n");
	make_disk(s, FILE_SYSTEM_SIZE);
	make_file_system(s, 0);
	assert_int_equal(scan(s), 0);
	assert_string_equal(describe(s), "0 /root/a?[2J?\xc3\xa9/.bash_history shell-history\n");
}

static void a_block_that_is_missing_fails_the_scan(void **state)
{
	struct scene *s = *state;
	make_disk(s, MIB);
	s->fails = true;
	assert_int_equal(scan(s), -1);
	assert_int_equal(s->err.code, ERROR_CORRUPT);
}

static void a_scanner_that_dies_is_a_finding(void **state)
{
	struct scene *s = *state;
	struct gate_source source = { .size = MIB, .read = read_block, .context = s };
	assert_int_equal(gate_scanner_run("true", &source, -1, s->arena, &s->report, &s->err), 0);
	assert_string_equal(describe(s), "0  unreadable: the scanner has ended before it was through\n");
}

static void a_scan_can_be_stopped(void **state)
{
	struct scene *s = *state;
	struct gate_source source = { .size = MIB, .read = read_block, .context = s };
	char *sleeper = arena_printf(s->arena, "%s/sleeper", s->folder);
	static const char script[] = "#!/bin/sh\nexec sleep 1000\n";
	int stop_fd = eventfd(1, EFD_CLOEXEC);
	assert_int_equal(file_replace(sleeper, script, sizeof script - 1, 0700, &s->err), 0);
	assert_int_equal(gate_scanner_run(sleeper, &source, stop_fd, s->arena, &s->report, &s->err), -1);
	assert_int_equal(s->err.code, ERROR_UNAVAILABLE);
	close(stop_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_in_a_disk_without_a_table),
		TEST(finds_in_primary_and_logical_partitions),
		TEST(finds_in_gpt_partitions_and_leaves_the_loader),
		TEST(says_what_it_did_not_look_into),
		TEST(a_table_that_makes_no_sense_is_said_and_the_rest_is_looked_at),
		TEST(an_empty_disk_has_nothing),
		TEST(links_are_not_followed_and_loops_end),
		TEST(a_journal_that_was_not_replayed_is_said),
		TEST(names_are_made_printable),
		TEST(a_block_that_is_missing_fails_the_scan),
		TEST(a_scanner_that_dies_is_a_finding),
		TEST(a_scan_can_be_stopped),
	};
	if (argc != 2)
		return 2;
	program = argv[1];
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
