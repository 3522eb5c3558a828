/*
 * What a machine is made of: q35, a serial console, a guest agent channel, entropy, disks by NBD, taps. Disks and network devices each sit on a PCIe root port of their own, so that
 * every one of them can be unplugged; more ports are left empty. What can be said in JSON is, since that needs no quoting and is the same for a hot-plug.
 *
 * QEMU is started through sh, which does what must happen in the new process and before QEMU: it writes its identity (process_lock.h), limits the size of
 * files (the guest decides how much is written to console and log; SIGXFSZ ignored makes a write past the limit fail instead of ending the guest), forbids core dumps (they would hold the guest's memory), leaves
 * amid's working folder; through unshare, which leaves the host's network for an empty one (taps are open already, and sockets are found by path); and through setpriv, which becomes the machine's own user and gives up
 * capabilities. The pid stays the same through all execs.
 */
#include "compute/qemu_arguments.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/text.h"
#include "compute/console.h"
#include "compute/process_lock.h"
#include "base/banned.h"

enum {
	ID_LIMIT = 64,
	NODE_NAME_LIMIT = 31, /* QEMU's own; two characters are ours */
	VCPUS_LIMIT = 255,
};

static bool is_plain_text(const char *text, size_t limit)
{
	if (!text || !*text || strlen(text) > limit)
		return false;
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && (!strchr("-._", *p) || p == text))
			return false;
	return true;
}

int qemu_check_id(const char *id, struct error *err)
{
	return is_plain_text(id, ID_LIMIT)
		? 0
		: error_set(err, ERROR_INVALID, "'%.80s' is no machine id", id ? id : "");
}

int qemu_check_disk(const struct machine_disk *disk, struct error *err)
{
	if (!is_plain_text(disk->device_id, NODE_NAME_LIMIT - 2) ||
		!isalpha((unsigned char)disk->device_id[0]))
		return error_set(err, ERROR_INVALID, "'%.80s' is no device id",
			disk->device_id ? disk->device_id : "");
	if (!disk->nbd_socket || !disk->export_name)
		return error_set(err, ERROR_INVALID, "%s has no volume server", disk->device_id);
	return 0;
}

static int check_mac(const char *mac, struct error *err)
{
	bool right = mac && strlen(mac) == 17;
	for (int i = 0; right && i < 17; i++)
		right = i % 3 == 2 ? mac[i] == ':' : isxdigit((unsigned char)mac[i]);
	return right ? 0 : error_set(err, ERROR_INVALID, "'%.40s' is no MAC address", mac ? mac : "");
}

int qemu_check_spec(const struct machine_spec *spec, struct error *err)
{
	if (qemu_check_id(spec->id, err))
		return -1;
	if (!is_plain_text(spec->instance_type, ID_LIMIT))
		return error_set(err, ERROR_INVALID, "'%.80s' is no instance type",
			spec->instance_type ? spec->instance_type : "");
	if (spec->vcpus < 1 || spec->vcpus > VCPUS_LIMIT || spec->memory_mib < 16)
		return error_set(err, ERROR_INVALID, "a machine of %u processors and %u MiB cannot be made",
			spec->vcpus, spec->memory_mib);
	if (spec->disk_count > QEMU_MAXIMUM_PORTS || spec->nic_count > QEMU_MAXIMUM_PORTS - spec->disk_count)
		return error_set(err, ERROR_INVALID, "a machine has at most %d disks and network devices",
			QEMU_MAXIMUM_PORTS);
	for (unsigned i = 0; i < spec->disk_count; i++)
		if (qemu_check_disk(&spec->disks[i], err))
			return -1;
	for (unsigned i = 0; i < spec->nic_count; i++)
		if (check_mac(spec->nics[i].mac, err))
			return -1;
	return 0;
}

const char *qemu_client_name(struct arena *arena, const char *device_id, unsigned which)
{
	return arena_printf(arena, "%s.%c", device_id, which ? 'b' : 'a');
}

const char *qemu_port_name(struct arena *arena, unsigned port)
{
	return arena_printf(arena, "port%u", port);
}

json_t *qemu_client_json(struct arena *arena, const struct machine_disk *disk, unsigned which)
{
	/* with reconnect-delay, requests wait for a volume server that is started again instead of failing in the guest */
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:i, s:s}", "driver", "nbd", "node-name",
		qemu_client_name(arena, disk->device_id, which), "server", "type", "unix", "path",
		disk->nbd_socket, "export", disk->export_name, "reconnect-delay", 60, "discard", "unmap");
}

json_t *qemu_node_json(const char *device_id, const char *client_name)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "driver", "raw", "node-name", device_id, "file", client_name,
		"discard", "unmap");
}

/* As AWS shows it to the guest: "vol0123...", 20 characters, which is also all that virtio-blk has room for. */
static const char *serial_number(struct arena *arena, const char *device_id)
{
	char *serial = arena_strdup(arena, device_id), *out = serial;
	for (const char *p = device_id; *p && out - serial < 20; p++)
		if (*p != '-')
			*out++ = *p;
	*out = '\0';
	return serial;
}

json_t *qemu_device_json(struct arena *arena, const struct machine_disk *disk, const char *bus)
{
	json_t *device = json_pack("{s:s, s:s, s:s, s:s, s:s}", "driver",
		disk->nvme ? "nvme" : "virtio-blk-pci", "id", disk->device_id, "drive", disk->device_id,
		"bus", bus, "serial", serial_number(arena, disk->device_id));
	if (disk->boot)
		json_object_set_new(device, "bootindex", json_integer(1));
	return device;
}

struct arguments {
	struct arena *arena;
	const char **items;
	size_t count;
};

static void add(struct arguments *arguments, const char *item)
{
	*ARENA_APPEND(arguments->arena, arguments->items, arguments->count) = item;
}

static void add_pair(struct arguments *arguments, const char *option, const char *value)
{
	add(arguments, option);
	add(arguments, value);
}

static void add_json(struct arguments *arguments, const char *option, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	add_pair(arguments, option, arena_strdup(arguments->arena, text ? text : "{}"));
	free(text);
	json_decref(value);
}

static void add_launcher(
	struct arguments *a, const struct machine_spec *spec, const struct qemu_options *options)
{
	add(a, "/bin/sh");
	add(a, "-c");
	/* $0: the identity's file; ulimit counts files in units of 512 bytes. The line is written with its newline or not at all as far as a reader can tell. */
	add(a,
		arena_printf(a->arena,
			"trap '' XFSZ; umask 077; ulimit -f %d; ulimit -c 0; read -r line </proc/$$/stat && "
			"echo \"$line\" >\"$0\" && cd / && exec \"$@\"",
			CONSOLE_LIMIT / 512));
	add(a, arena_printf(a->arena, "%s/%s", spec->folder, process_lock_identity_file));
	if (!options->privileged)
		return;
	add(a, "unshare");
	add(a, "--net");
	add(a, "--");
	add(a, "setpriv");
	if (options->own_user) {
		add(a, arena_printf(a->arena, "--reuid=%u", (unsigned)options->user));
		add(a, arena_printf(a->arena, "--regid=%u", (unsigned)options->user));
		add(a,
			options->kvm_group
				? arena_printf(a->arena, "--groups=%u", (unsigned)options->kvm_group)
				: "--clear-groups");
	}
	add(a, "--no-new-privs");
	add(a, "--bounding-set=-all");
	add(a, "--inh-caps=-all");
	add(a, "--");
}

/*
 * The cache of translated code is what makes TCG guests big: left alone it takes a quarter of a gigabyte and more. Measured: 16-32 MiB is enough for a tiny guest, 64 for Debian with
 * 512 MiB at full speed; 4 is three times slower.
 */
static unsigned translation_cache_mib(unsigned memory_mib)
{
	return memory_mib <= 128 ? 16 : memory_mib <= 256 ? 32 : memory_mib <= 2048 ? 64 : 128;
}

static void add_processor(
	struct arguments *a, const struct machine_spec *spec, const struct qemu_options *options)
{
	add_pair(a, "-machine", "q35,vmport=off");
	if (options->kvm)
		add_pair(a, "-accel", "kvm");
	else
		add_pair(a, "-accel",
			arena_printf(a->arena, "tcg,tb-size=%u", translation_cache_mib(spec->memory_mib)));
	add_pair(a, "-cpu", options->kvm ? "host" : "max");
	add_pair(a, "-smp", arena_printf(a->arena, "%u", spec->vcpus));
	add_pair(a, "-m", arena_printf(a->arena, "%u", spec->memory_mib));
}

/* EC2's UUIDs begin with "ec2": by that cloud-init knows where it is. The rest is derived from the id, so that it never changes. */
static const char *system_uuid(struct arena *arena, const char *id)
{
	struct digest digest;
	char hex[2 * DIGEST_SIZE + 1];
	digest_sha256(id, strlen(id), &digest);
	text_hex(digest.bytes, DIGEST_SIZE, hex);
	return arena_printf(
		arena, "ec2%.5s-%.4s-4%.3s-8%.3s-%.12s", hex, hex + 5, hex + 9, hex + 12, hex + 15);
}

static void add_identity(struct arguments *a, const struct machine_spec *spec)
{
	const char *uuid = system_uuid(a->arena, spec->id);
	add_pair(a, "-smbios", "type=0,vendor=Amazon EC2,version=1.0");
	add_pair(a, "-smbios",
		arena_printf(a->arena, "type=1,manufacturer=Amazon EC2,product=%s,uuid=%s,serial=%s",
			spec->instance_type, uuid, uuid));
	add_pair(a, "-smbios", arena_printf(a->arena, "type=2,manufacturer=Amazon EC2,asset=%s", spec->id));
	add_pair(a, "-smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2");
}

/* A file that was opened for QEMU is to it "/dev/fdset/SET"; a set may have the file twice, to read and to write. */
enum { CONSOLE_SET = 1, VARIABLES_SET = 2 };

static void add_file(struct arguments *a, int set, int fd)
{
	add_pair(a, "-add-fd", arena_printf(a->arena, "set=%d,fd=%d", set, fd));
}

static void add_firmware(struct arguments *a, const struct qemu_options *options)
{
	if (!options->firmware)
		return;
	add_file(a, VARIABLES_SET, options->variables_fd);
	add_file(a, VARIABLES_SET, options->variables_read_fd);
	add_pair(a, "-drive",
		arena_printf(a->arena, "if=pflash,unit=0,format=raw,readonly=on,file=%s", options->firmware));
	add_pair(a, "-drive",
		arena_printf(a->arena, "if=pflash,unit=1,format=raw,file=/dev/fdset/%d", VARIABLES_SET));
}

static void add_channels(struct arguments *a, const struct qemu_options *options)
{
	struct arena *arena = a->arena;
	add_pair(a, "-chardev",
		arena_printf(arena, "socket,id=monitor,fd=%d,server=on,wait=off", options->monitor_fd));
	add_pair(a, "-mon", "chardev=monitor,mode=control");
	add_file(a, CONSOLE_SET, options->console_fd);
	add_pair(a, "-chardev",
		arena_printf(arena,
			"socket,id=serial,fd=%d,server=on,wait=off,logfile=/dev/fdset/%d,logappend=on",
			options->serial_fd, CONSOLE_SET));
	add_pair(a, "-serial", "chardev:serial");
	add_pair(a, "-chardev",
		arena_printf(arena, "socket,id=agent,fd=%d,server=on,wait=off", options->agent_fd));
	add_pair(a, "-device", "virtio-serial-pci,id=channels,max_ports=2");
	add_pair(a, "-device",
		"virtserialport,bus=channels.0,chardev=agent,id=agent,name=org.qemu.guest_agent.0");
	add_pair(a, "-object", "rng-random,id=entropy,filename=/dev/urandom");
	add_pair(a, "-device", "virtio-rng-pci,rng=entropy");
}

/* Eight ports a slot, from slot 8 on; without I/O space, of which there is enough for a dozen bridges only and which no device of ours needs. */
static void add_ports(struct arguments *a, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		add_pair(a, "-device",
			arena_printf(a->arena,
				"pcie-root-port,id=port%u,chassis=%u,slot=%u,addr=%x.%u%s,io-reserve=0", i,
				i + 1, i + 1, 8 + i / 8, i % 8, i % 8 == 0 ? ",multifunction=on" : ""));
}

static void add_devices(struct arguments *a, const struct machine_spec *spec)
{
	struct arena *arena = a->arena;
	unsigned port = 0, devices = spec->disk_count + spec->nic_count;
	add_ports(a,
		devices + QEMU_SPARE_PORTS < QEMU_MAXIMUM_PORTS ? devices + QEMU_SPARE_PORTS
								: QEMU_MAXIMUM_PORTS);
	for (unsigned i = 0; i < spec->disk_count; i++) {
		const struct machine_disk *disk = &spec->disks[i];
		add_json(a, "-blockdev", qemu_client_json(arena, disk, 0));
		add_json(a, "-blockdev",
			qemu_node_json(disk->device_id, qemu_client_name(arena, disk->device_id, 0)));
		add_json(a, "-device", qemu_device_json(arena, disk, qemu_port_name(arena, port++)));
	}
	for (unsigned i = 0; i < spec->nic_count; i++) {
		const struct machine_nic *nic = &spec->nics[i];
		if (nic->tap_fd < 0)
			continue;
		add_pair(a, "-netdev", arena_printf(arena, "tap,id=net%u,fd=%d", i, nic->tap_fd));
		/* no option ROM: nothing boots from the network, and looking would cost time */
		add_pair(a, "-device",
			arena_printf(arena, "virtio-net-pci,id=eth%u,netdev=net%u,mac=%s,bus=port%u,romfile=",
				i, i, nic->mac, port++));
	}
}

const char *const *qemu_arguments(
	struct arena *arena, const struct machine_spec *spec, const struct qemu_options *options)
{
	struct arguments a = { .arena = arena };
	add_launcher(&a, spec, options);
	add(&a, "qemu-system-x86_64");
	add_pair(&a, "-name", arena_printf(arena, "guest=%s,debug-threads=on", spec->id));
	add(&a, "-nodefaults");
	add(&a, "-no-user-config");
	add_pair(&a, "-display", "none");
	add_pair(&a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	/* a guest that powers itself off stays as a paused process, so that this is told apart from a crash even if nobody watched */
	add_pair(&a, "-action", "shutdown=pause");
	add_pair(&a, "-boot", "strict=on");
	add_processor(&a, spec, options);
	add_identity(&a, spec);
	add_firmware(&a, options);
	add_channels(&a, options);
	add_devices(&a, spec);
	add(&a, NULL);
	return a.items;
}
