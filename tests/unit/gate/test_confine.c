/* What a confined process can still do: read and write what it was given, and nothing else. Each attempt is a process of its own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gate/confine.h"

#include "base/banned.h"

enum { NOT_CONFINED = 90 };

/* Runs `attempt` confined, with one end of a pipe; its status. What it wrote is in *told. */
static int run_confined(int (*attempt)(int fd), char *told)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t child = fork();
	if (child == 0) {
		const char *what;
		if (gate_confine(pipes[1], &what))
			_exit(NOT_CONFINED);
		_exit(attempt(pipes[1]));
	}
	int status;
	close(pipes[1]);
	*told = '\0';
	assert_true(read(pipes[0], told, 1) >= 0);
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static int write_and_allocate(int fd)
{
	char *memory = malloc(8 << 20);
	memset(memory, 'x', 8 << 20);
	return write(fd, memory + 1000, 1) == 1 ? 0 : 1;
}

static void works_with_what_it_has(void **state)
{
	char told;
	int status = run_confined(write_and_allocate, &told);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(told, 'x');
}

static int try_open(int fd)
{
	return (int)syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static int try_old_open(int fd)
{
	return (int)syscall(SYS_unlinkat, AT_FDCWD, "/x", 0);
}

static int try_socket(int fd)
{
	return socket(AF_INET, SOCK_STREAM, 0);
}

static int try_connect(int fd)
{
	return (int)syscall(SYS_connect, fd, NULL, 0);
}

static int try_exec(int fd)
{
	return (int)syscall(SYS_execve, "/bin/true", NULL, NULL);
}

static int try_fork(int fd)
{
	return (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static int try_kill(int fd)
{
	return (int)syscall(SYS_kill, getppid(), SIGKILL);
}

static int try_ptrace(int fd)
{
	return (int)syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
}

static int try_executable_memory(int fd)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int try_protect(int fd)
{
	return (int)syscall(SYS_mprotect, &fd, 1, PROT_EXEC);
}

static int try_setuid(int fd)
{
	return (int)syscall(SYS_setuid, 0);
}

static void ends_at_any_other_call(void **state)
{
	static const struct {
		const char *name;
		int (*attempt)(int fd);
	} attempts[] = { { "open", try_open }, { "unlink", try_old_open }, { "socket", try_socket },
		{ "connect", try_connect }, { "execve", try_exec }, { "fork", try_fork },
		{ "kill", try_kill }, { "ptrace", try_ptrace }, { "mmap PROT_EXEC", try_executable_memory },
		{ "mprotect", try_protect }, { "setuid", try_setuid } };
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		char told;
		int status = run_confined(attempts[i].attempt, &told);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: status %#x", attempts[i].name, (unsigned)status);
	}
}

static int use_other_descriptor(int fd)
{
	char byte;
	for (int other = 0; other < 64; other++)
		if (other != fd && read(other, &byte, 1) >= 0)
			return 1;
	return 0;
}

static void has_no_other_descriptor(void **state)
{
	char told;
	int status = run_confined(use_other_descriptor, &told);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* As the kernel has it: looked at from outside while it waits. */
static void has_no_rights_left(void **state)
{
	static const char *const wanted[] = { "\nNoNewPrivs:\t1\n", "\nSeccomp:\t2\n",
		"\nCapPrm:\t0000000000000000\n", "\nCapEff:\t0000000000000000\n" };
	int sockets[2];
	char path[64], status[8192], byte = 'x';
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid_t child = fork();
	if (child == 0) {
		const char *what;
		if (gate_confine(sockets[1], &what))
			_exit(NOT_CONFINED);
		_exit(write(sockets[1], &byte, 1) == 1 && read(sockets[1], &byte, 1) == 1 ? 0 : 1);
	}
	close(sockets[1]);
	assert_int_equal(read(sockets[0], &byte, 1), 1);
	snprintf(path, sizeof path, "/proc/%d/status", (int)child);
	int fd = open(path, O_RDONLY);
	ssize_t size = read(fd, status, sizeof status - 1);
	assert_true(size > 0);
	close(fd);
	status[size] = '\0';
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		if (!strstr(status, wanted[i]))
			fail_msg("no %s in %s", wanted[i], status);
	assert_null(strstr(status, "\nUid:\t0\t"));
	int ended;
	assert_int_equal(write(sockets[0], &byte, 1), 1);
	close(sockets[0]);
	assert_int_equal(waitpid(child, &ended, 0), child);
	assert_int_equal(ended, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(works_with_what_it_has),
		cmocka_unit_test(ends_at_any_other_call),
		cmocka_unit_test(has_no_other_descriptor),
		cmocka_unit_test(has_no_rights_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
