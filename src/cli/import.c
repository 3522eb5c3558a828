/*
 * amid import: a disk file becomes an image, by public APIs: StartSnapshot, the blocks (disk_upload.h), CompleteSnapshot, RegisterImage. If anything fails, the snapshot is deleted again.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/disk_file.h"
#include "cli/disk_upload.h"
#include "cli/options.h"
#include "base/banned.h"

enum {
	GIB_SHIFT = 30,
	SIZE_MAX_GIB = 64 * 1024,
	UPLOAD_TIMEOUT_MINUTES = 60,
	POLL_MS = 500,
};

static const char help[] =
	"Usage: amid import FILE --name NAME [OPTION...]\n\n"
	"Registers a raw or qcow2 disk file as an image and prints its id. The server may be any that speaks the EBS direct and EC2 APIs;\n"
	"an amid on this machine, of the same user, takes the blocks from shared memory, which is faster.\n\n"
	"  --name NAME              of the image\n"
	"  --description TEXT       of the image\n"
	"  --format raw|qcow2       what FILE is (default: by its first bytes)\n"
	"  --size GIB               of the root volume (default: as large as the disk)\n"
	"  --architecture ARCH      (default x86_64)\n"
	"  --boot-mode legacy-bios|uefi   (default legacy-bios)\n"
	"  --root-device-name NAME  (default /dev/sda1)\n"
	"  --public                 every account may launch it (block public access must be off)\n"
	"  --endpoint URL           (default: AWS_ENDPOINT_URL, else http://127.0.0.1:4566)\n\n"
	"Credentials and region come from the environment, as for the aws command: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION,\n"
	"or AWS_SHARED_CREDENTIALS_FILE.\n\n"
	"Example: amid import debian.qcow2 --name my-debian\n";

static const struct option options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "description", required_argument, NULL, 'd' },
	{ "format", required_argument, NULL, 'f' },
	{ "size", required_argument, NULL, 's' },
	{ "architecture", required_argument, NULL, 'a' },
	{ "boot-mode", required_argument, NULL, 'b' },
	{ "root-device-name", required_argument, NULL, 'r' },
	{ "public", no_argument, NULL, 'p' },
	{ "endpoint", required_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct settings {
	const char *file, *name, *description, *format, *architecture, *boot_mode, *root_device_name,
		*endpoint;
	int64_t size_gib; /* 0: as large as the disk */
	bool public;
};

struct import {
	const struct settings *settings;
	struct arena *arena;
	struct client *client;
	struct client_connection *connection;
	struct disk_file *disk;
	const char *snapshot_id; /* NULL: not started */
	uint64_t put;            /* blocks written */
};

static int start_snapshot(struct import *import, int64_t size_gib, struct error *err)
{
	char token[37];
	const struct client_pair headers[] = { { "content-type", "application/json" }, { 0 } };
	json_t *answer,
		*body = json_pack("{s:I, s:s, s:s, s:i}", "VolumeSize", (json_int_t)size_gib, "ClientToken",
			text_uuid(token), "Description", "Made by amid import", "Timeout",
			UPLOAD_TIMEOUT_MINUTES);
	char *text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	if (!text)
		return error_set(err, ERROR_INTERNAL, "cannot make a request");
	const struct client_rest rest = { .service = "ebs",
		.method = "POST",
		.path = "/snapshots",
		.headers = headers,
		.body = text,
		.body_size = strlen(text) };
	int result = client_call_rest(import->connection, &rest, CLIENT_REPEAT, &answer, err);
	free(text);
	if (result)
		return -1;
	const char *id = json_string_value(json_object_get(answer, "SnapshotId"));
	if (id && text_starts_with(id, "snap-") && strspn(id + 5, "0123456789abcdef") == strlen(id + 5))
		import->snapshot_id = arena_strdup(import->arena, id);
	json_decref(answer);
	return import->snapshot_id ? 0
				   : error_set(err, ERROR_INVALID, "the service's answer has no snapshot id");
}

/* Amazon completes a snapshot after it has answered; amid before. */
static int wait_completed(struct import *import, struct error *err)
{
	const struct client_pair parameters[] = { { "SnapshotId.1", import->snapshot_id }, { 0 } };
	struct buffer answer BUFFER_SCOPED = { 0 };
	for (;;) {
		if (client_call_ec2(
			    import->connection, "DescribeSnapshots", parameters, CLIENT_REPEAT, &answer, err))
			return -1;
		const char *state = client_find_element(import->arena, buffer_text(&answer), "status");
		if (state && strcmp(state, "completed") == 0)
			return 0;
		if (!state || strcmp(state, "pending") != 0)
			return error_set(err, ERROR_INVALID, "the snapshot %s is %s", import->snapshot_id,
				state ? state : "gone");
		nanosleep(&(struct timespec){ .tv_nsec = POLL_MS * 1000000L }, NULL);
	}
}

static int complete_snapshot(struct import *import, struct error *err)
{
	const struct client_pair headers[] = {
		{ "x-amz-changedblockscount", arena_printf(import->arena, "%" PRIu64, import->put) }, { 0 }
	};
	const struct client_rest rest = { .service = "ebs",
		.method = "POST",
		.path = arena_printf(import->arena, "/snapshots/completion/%s", import->snapshot_id),
		.headers = headers };
	json_t *answer;
	if (client_call_rest(import->connection, &rest, CLIENT_REPEAT, &answer, err))
		return -1;
	bool completed = text_equal(json_string_value(json_object_get(answer, "Status")), "completed");
	json_decref(answer);
	return completed ? 0 : wait_completed(import, err);
}

static int register_image(struct import *import, const char **image_id, struct error *err)
{
	const struct settings *settings = import->settings;
	const struct client_pair parameters[] = {
		{ "Name", settings->name },
		{ "Description", settings->description },
		{ "Architecture", settings->architecture },
		{ "VirtualizationType", "hvm" },
		{ "BootMode", settings->boot_mode },
		{ "EnaSupport", "true" },
		{ "RootDeviceName", settings->root_device_name },
		{ "BlockDeviceMapping.1.DeviceName", settings->root_device_name },
		{ "BlockDeviceMapping.1.Ebs.SnapshotId", import->snapshot_id },
		{ "BlockDeviceMapping.1.Ebs.VolumeType", "gp3" },
		{ "BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true" },
		{ 0 },
	};
	struct buffer answer BUFFER_SCOPED = { 0 };
	if (client_call_ec2(import->connection, "RegisterImage", parameters, CLIENT_ONCE, &answer, err))
		return -1;
	*image_id = client_find_element(import->arena, buffer_text(&answer), "imageId");
	return *image_id ? 0 : error_set(err, ERROR_INVALID, "the service's answer has no image id");
}

static bool is_image_name(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[] ./-'@_";
	size_t length = strlen(name);
	return length >= 3 && length <= 128 && strspn(name, allowed) == length;
}

/* Better to hear it before than after the upload. RegisterImage still decides. */
static int check_name(struct import *import, struct error *err)
{
	if (!is_image_name(import->settings->name))
		return error_set(err, ERROR_INVALID,
			"--name %s: the name of an image has 3 to 128 letters, digits and characters of ()[] ./-'@_",
			import->settings->name);
	const struct client_pair parameters[] = { { "Owner.1", "self" }, { "Filter.1.Name", "name" },
		{ "Filter.1.Value.1", import->settings->name }, { 0 } };
	struct buffer answer BUFFER_SCOPED = { 0 };
	if (client_call_ec2(import->connection, "DescribeImages", parameters, CLIENT_REPEAT, &answer, err))
		return -1;
	const char *taken = client_find_element(import->arena, buffer_text(&answer), "imageId");
	return taken
		? error_set(err, ERROR_INVALID, "the name %s is that of %s", import->settings->name, taken)
		: 0;
}

static int publish(struct import *import, const char *image_id, struct error *err)
{
	const struct client_pair parameters[] = { { "ImageId", image_id },
		{ "LaunchPermission.Add.1.Group", "all" }, { 0 } };
	struct buffer answer BUFFER_SCOPED = { 0 };
	if (client_call_ec2(
		    import->connection, "ModifyImageAttribute", parameters, CLIENT_REPEAT, &answer, err))
		return error_prefix(err, "%s was registered, but not made public", image_id);
	return 0;
}

/* Best effort: what stays is an unfinished snapshot that the service ends by itself, or a snapshot that shows in the list. */
static void delete_snapshot(struct import *import)
{
	const struct client_pair parameters[] = { { "SnapshotId", import->snapshot_id }, { 0 } };
	struct buffer answer BUFFER_SCOPED = { 0 };
	struct error err;
	if (client_call_ec2(import->connection, "DeleteSnapshot", parameters, CLIENT_ONCE, &answer, &err))
		fprintf(stderr, "amid import: the snapshot %s is left: %s\n", import->snapshot_id,
			err.message);
}

static int choose_size(const struct import *import, int64_t *size_gib, struct error *err)
{
	uint64_t size = disk_file_size(import->disk);
	int64_t least = (int64_t)((size + (UINT64_C(1) << GIB_SHIFT) - 1) >> GIB_SHIFT);
	*size_gib = import->settings->size_gib ? import->settings->size_gib : least;
	if (*size_gib < least)
		return error_set(err, ERROR_INVALID,
			"--size %" PRId64 " is too small: the disk in %s needs %" PRId64 " GiB", *size_gib,
			import->settings->file, least);
	return 0;
}

static int make_image(struct import *import, const char **image_id, struct error *err)
{
	const struct settings *settings = import->settings;
	int64_t size_gib;
	if (disk_file_open(settings->file, settings->format, &import->disk, err) ||
		choose_size(import, &size_gib, err) ||
		client_open(settings->endpoint, &import->client, err) ||
		client_connect(import->client, &import->connection, err) || check_name(import, err) ||
		start_snapshot(import, size_gib, err))
		return -1;
	if (disk_upload(import->client, import->connection, import->disk, import->snapshot_id, &import->put,
		    err) ||
		complete_snapshot(import, err) || register_image(import, image_id, err)) {
		delete_snapshot(import);
		return -1;
	}
	return settings->public ? publish(import, *image_id, err) : 0;
}

static int run(const struct settings *settings)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct import import = { .settings = settings, .arena = arena };
	const char *image_id = NULL;
	struct error err;
	signal(SIGPIPE, SIG_IGN); /* a connection that the server closes is an error of its call */
	int failed = make_image(&import, &image_id, &err);
	client_disconnect(import.connection);
	client_close(import.client);
	disk_file_close(import.disk);
	if (failed)
		return options_fail("import", 1, err.message);
	printf("%s\n", image_id);
	return fflush(stdout) ? options_fail("import", 1, "cannot write to standard output") : 0;
}

static int wrong_use(const char *what)
{
	fprintf(stderr, "amid import: %s; see amid import --help\n", what);
	return 2;
}

static bool read_size(const char *text, int64_t *size_gib)
{
	return text_parse_int64(text, size_gib) == 0 && *size_gib >= 1 && *size_gib <= SIZE_MAX_GIB;
}

/* 0, or an exit status + 1 to end with. */
static int read_option(int option, struct settings *settings)
{
	switch (option) {
	case 'n':
		settings->name = optarg;
		return 0;
	case 'd':
		settings->description = optarg;
		return 0;
	case 'f':
		settings->format = optarg;
		return strcmp(optarg, "raw") == 0 || strcmp(optarg, "qcow2") == 0
			? 0
			: 1 + wrong_use("--format is raw or qcow2");
	case 's':
		return read_size(optarg, &settings->size_gib)
			? 0
			: 1 + wrong_use("--size is a number of GiB from 1 to 65536");
	case 'a':
		settings->architecture = optarg;
		return 0;
	case 'b':
		settings->boot_mode = optarg;
		return 0;
	case 'r':
		settings->root_device_name = optarg;
		return 0;
	case 'p':
		settings->public = true;
		return 0;
	case 'e':
		settings->endpoint = optarg;
		return 0;
	case 'h':
		fputs(help, stdout);
		return 1;
	default:
		return 3;
	}
}

int command_import(int argc, char **argv)
{
	struct settings settings = {
		.architecture = "x86_64", .boot_mode = "legacy-bios", .root_device_name = "/dev/sda1"
	};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		int end = read_option(option, &settings);
		if (end)
			return end - 1;
	}
	if (argc - optind != 1)
		return wrong_use(argc == optind ? "which FILE?" : "one FILE at a time");
	if (!settings.name || !*settings.name)
		return wrong_use("--name is missing");
	settings.file = argv[optind];
	return run(&settings);
}
