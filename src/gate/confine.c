/*
 * Three walls, the innermost last: namespaces (no network, no files; a second wall, since a container may forbid to make them), the user nobody with no way back, and a seccomp filter of the few calls that reading a socket and
 * allocating memory take. The last two must be there, or nothing is scanned.
 *
 * Address space is not limited under a sanitizer, whose shadow memory is terabytes of it.
 */
#include "gate/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/banned.h"

enum {
	NOBODY = 65534,
	CPU_SECONDS = 120,
	MEMORY_BYTES = 512 * 1024 * 1024,
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1
#endif

/* on any other machine the filter kills whatever it sees, so nothing is scanned */
#if defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE AUDIT_ARCH_X86_64
#endif

/* A root of nothing: a file system in memory, read-only, that nobody else sees. What fails here is made up for by the filter. */
static void leave_world(void)
{
	int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	if (unshare(geteuid() == 0 ? flags : flags | CLONE_NEWUSER))
		return;
	(void)(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", "/tmp", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			"size=4k,mode=0555") ||
		chroot("/tmp") || chdir("/"));
}

/* To `value`, or to what amid has been left, if that is less. */
static int set_limit(int resource, rlim_t value)
{
	struct rlimit limit;
	if (getrlimit(resource, &limit))
		return -1;
	if (value < limit.rlim_max)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit);
}

static int set_limits(void)
{
	int failed = set_limit(RLIMIT_CPU, CPU_SECONDS) | set_limit(RLIMIT_FSIZE, 0) |
		set_limit(RLIMIT_CORE, 0) | set_limit(RLIMIT_NPROC, 0) | set_limit(RLIMIT_NOFILE, 0) |
		set_limit(RLIMIT_MEMLOCK, 0) | set_limit(RLIMIT_MSGQUEUE, 0);
#ifndef UNDER_SANITIZER
	failed |= set_limit(RLIMIT_AS, MEMORY_BYTES);
#endif
	return failed;
}

static int become_nobody(void)
{
	if (geteuid() != 0)
		return 0;
	return setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)
		? -1
		: 0;
}

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define LOAD_LOW(argument) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * (argument))
#define ALLOW(call) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* Memory that is to be executed is refused. */
#define ALLOW_UNLESS_EXEC(call) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 4), LOAD_LOW(2), \
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1), KILL, \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int install_filter(void)
{
	struct sock_filter rules[] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
		KILL,
		LOAD(nr),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_brk),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_madvise),
		ALLOW(SYS_getrandom), /* the C library asks for some at the first allocation */
		ALLOW(SYS_clock_gettime),
		ALLOW(SYS_rt_sigreturn),
#ifdef UNDER_SANITIZER
		ALLOW(SYS_futex),
		ALLOW(SYS_sched_yield),
		ALLOW(SYS_gettid),
		ALLOW(SYS_getpid),
		ALLOW(SYS_rt_sigprocmask),
		ALLOW(SYS_sigaltstack),
#endif
		ALLOW_UNLESS_EXEC(SYS_mmap),
		KILL,
	};
	struct sock_fprog program = { .len = sizeof rules / sizeof *rules, .filter = rules };
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static int close_others(int fd)
{
	return (fd > 0 && close_range(0, (unsigned)fd - 1, 0)) || close_range((unsigned)fd + 1, ~0U, 0) ? -1
													: 0;
}

int gate_confine(int fd, const char **what)
{
	*what = "the descriptors";
	if (close_others(fd))
		return -1;
	leave_world();
	*what = "the user";
	if (become_nobody())
		return -1;
	*what = "the limits";
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || set_limits())
		return -1;
	*what = "the privileges";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	*what = "the filter of system calls";
	return install_filter();
}
