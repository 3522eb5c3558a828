/*
 * A host may offer /dev/kvm that aborts at the first instruction, or after seconds (nested virtualisation, containers). So we boot: SeaBIOS, then a boot sector of ours that is busy
 * for 36 ticks of the timer (2 s: computing and interrupts both have to work) and then writes a letter to QEMU's debug port, which ends up in a file.
 *
 * The thread that tries ends when it knows; the answer is kept with what it depends on: kernel release, QEMU binary.
 */
#include "compute/acceleration.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "base/banned.h"

enum { PROBE_TIMEOUT_MS = 20000, SECTOR_SIZE = 512, KEY_LIMIT = 1024 };
/* SeaBIOS boots no disk that has not a whole cylinder. */
enum { DISK_SIZE = 1 << 20 };

struct acceleration {
	_Atomic bool kvm;
	bool searching; /* the thread was started */
	pthread_t thread;
	int stop_fds[2]; /* a pipe: closing [1] makes the thread give up */
	char *folder, *key;
};

/* clang-format off */
static const unsigned char boot_code[] = {
	0x31, 0xC0, /* xor ax, ax */
	0x8E, 0xD8, /* mov ds, ax */
	0xFB, /* sti */
	0x8B, 0x1E, 0x6C, 0x04, /* mov bx, [0x46C]: the BIOS's tick counter */
	0xF3, 0x90, /* again: pause */
	0xA1, 0x6C, 0x04, /* mov ax, [0x46C] */
	0x29, 0xD8, /* sub ax, bx */
	0x83, 0xF8, 36, /* cmp ax, 36 */
	0x72, 0xF4, /* jb again */
	0xB0, 'K', /* mov al, 'K' */
	0xE6, 0xE9, /* out 0xE9, al: the debug port */
	0xBA, 0x01, 0x05, /* mov dx, 0x501 */
	0xEE, /* out dx, al: ends QEMU */
	0xFA, 0xF4, /* cli; hlt */
};
/* clang-format on */

static int write_sector(const char *path, struct error *err)
{
	unsigned char sector[SECTOR_SIZE] = { 0 };
	memcpy(sector, boot_code, sizeof boot_code);
	sector[510] = 0x55;
	sector[511] = 0xAA;
	if (file_replace(path, sector, sizeof sector, 0600, err))
		return -1;
	return truncate(path, DISK_SIZE) ? error_set_errno(err, errno, "cannot grow %s", path) : 0;
}

static int spawn_probe(struct arena *arena, const char *sector, const char *output, const char *accelerator,
	const char *cpu, struct process *process, struct error *err)
{
	const char *const argv[] = { "qemu-system-x86_64", "-machine", "q35", "-accel", accelerator, "-cpu",
		cpu, "-m", "32", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-sandbox", "on,spawn=deny", "-drive",
		arena_printf(arena, "if=none,id=disk,format=raw,file=%s", sector), "-device",
		"ide-hd,drive=disk", "-chardev", arena_printf(arena, "file,id=debug,path=%s", output),
		"-device", "isa-debugcon,iobase=0xe9,chardev=debug", "-device",
		"isa-debug-exit,iobase=0x501,iosize=4", NULL };
	return process_spawn(argv, NULL, NULL, 0, process, err);
}

/* Ends with the process, by the time limit, or when stop_fd is closed on its other end (-1: never). */
static void wait_probe(const struct process *process, int timeout_ms, int stop_fd)
{
	enum { STEP_MS = 250 };
	for (int waited = 0; waited < timeout_ms; waited += STEP_MS) {
		char ignored;
		if (process_wait_end(process, STEP_MS, NULL) == 0)
			return;
		if (stop_fd >= 0 && read(stop_fd, &ignored, 1) == 0)
			break;
	}
	process_signal(process, SIGKILL);
	process_wait_end(process, 5000, NULL);
}

static int probe(const char *folder, const char *accelerator, const char *cpu, int timeout_ms, int stop_fd,
	bool *works, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *sector = arena_printf(scratch, "%s/probe-sector", folder);
	const char *output = arena_printf(scratch, "%s/probe-output", folder);
	struct process process;
	char *text = NULL;
	size_t size = 0;
	*works = false;
	int failed = write_sector(sector, err) ||
		(unlink(output), spawn_probe(scratch, sector, output, accelerator, cpu, &process, err));
	if (!failed) {
		wait_probe(&process, timeout_ms, stop_fd);
		*works = file_read(output, 16, scratch, &text, &size, NULL) == 0 && size == 1 &&
			text[0] == 'K';
	}
	unlink(sector);
	unlink(output);
	return failed ? -1 : 0;
}

int acceleration_probe(const char *folder, const char *accelerator, const char *cpu, int timeout_ms,
	bool *works, struct error *err)
{
	return probe(folder, accelerator, cpu, timeout_ms, -1, works, err);
}

/* What the answer depends on, one line. */
static char *make_key(struct arena *arena)
{
	struct utsname system;
	struct stat status;
	const char *folders = getenv("PATH");
	size_t count;
	uname(&system);
	char **list = text_split(arena, folders ? folders : "/usr/bin", ':', &count);
	for (size_t i = 0; i < count; i++)
		if (stat(arena_printf(arena, "%s/qemu-system-x86_64", list[i]), &status) == 0)
			return arena_printf(arena, "%s %lld %lld", system.release, (long long)status.st_size,
				(long long)status.st_mtim.tv_sec);
	return arena_strdup(arena, system.release);
}

static void *search(void *argument)
{
	struct acceleration *a = argument;
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct error err;
	bool works;
	char ignored;
	if (probe(a->folder, "kvm", "host", PROBE_TIMEOUT_MS, a->stop_fds[0], &works, &err)) {
		log_warning("kvm-probe-failed", "reason=\"%s\"", err.message);
		return NULL;
	}
	if (read(a->stop_fds[0], &ignored, 1) == 0)
		return NULL; /* given up: no answer */
	atomic_store(&a->kvm, works);
	log_info("kvm-probed", "works=%s", works ? "yes" : "no");
	const char *line = arena_printf(scratch, "%s %s\n", works ? "works" : "fails", a->key);
	if (file_replace(arena_printf(scratch, "%s/kvm", a->folder), line, strlen(line), 0600, &err))
		log_warning("kvm-answer-not-kept", "reason=\"%s\"", err.message);
	return NULL;
}

/* Whether an answer for this very host was kept. */
static bool read_kept(struct acceleration *a)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	char *text;
	size_t size;
	if (file_read(arena_printf(scratch, "%s/kvm", a->folder), KEY_LIMIT, scratch, &text, &size, NULL))
		return false;
	text[strcspn(text, "\n")] = '\0';
	if (strlen(text) < 6 || !text_equal(text + 6, a->key))
		return false;
	atomic_store(&a->kvm, text_starts_with(text, "works "));
	return true;
}

int acceleration_open(const char *folder, struct acceleration **result, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct acceleration *a = memory_alloc(sizeof *a);
	*a = (struct acceleration){ .stop_fds = { -1, -1 }, .folder = memory_strdup(folder) };
	a->key = memory_strdup(make_key(scratch));
	*result = a;
	/* a device that cannot be opened may be there tomorrow: nothing to keep */
	if (access("/dev/kvm", R_OK | W_OK) || read_kept(a))
		return 0;
	if (pipe2(a->stop_fds, O_CLOEXEC | O_NONBLOCK) == 0 &&
		pthread_create(&a->thread, NULL, search, a) == 0) {
		a->searching = true;
		return 0;
	}
	acceleration_close(a);
	*result = NULL;
	return error_set(err, ERROR_INTERNAL, "cannot start the search for KVM");
}

void acceleration_close(struct acceleration *a)
{
	if (!a)
		return;
	if (a->stop_fds[1] >= 0)
		close(a->stop_fds[1]);
	if (a->searching)
		pthread_join(a->thread, NULL);
	if (a->stop_fds[0] >= 0)
		close(a->stop_fds[0]);
	free(a->folder);
	free(a->key);
	free(a);
}

bool acceleration_has_kvm(const struct acceleration *a)
{
	return atomic_load(&a->kvm);
}
