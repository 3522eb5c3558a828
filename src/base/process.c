/*
 * Spawning and watching processes. process_spawn forks twice: the middle child ends at once, so the grandchild belongs to init and survives us; its pid comes back through
 * a pipe, which also carries errno when exec fails. The program is started only when the middle child has gone for good: one that asks for a signal at its parent's death, as nbdkit does,
 * must not take that end for it.
 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/banned.h"

struct spawn_report {
	pid_t pid;
	int errno_value;
};

static void close_others(const int *keep_fds, unsigned keep_count, int report_fd)
{
	long limit = sysconf(_SC_OPEN_MAX);
	unsigned last = limit > 0 ? (unsigned)limit : 65536;
	unsigned from = 3;
	/* keep_fds need not be sorted: take the smallest kept number at or above `from` each time */
	for (;;) {
		unsigned next = last;
		for (unsigned i = 0; i < keep_count; i++)
			if ((unsigned)keep_fds[i] >= from && (unsigned)keep_fds[i] < next)
				next = (unsigned)keep_fds[i];
		if ((unsigned)report_fd >= from && (unsigned)report_fd < next)
			next = (unsigned)report_fd;
		if (next > from)
			close_range(from, next == last ? ~0U : next - 1, 0);
		if (next == last)
			return;
		from = next + 1;
	}
}

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
}

struct spawn_pipes {
	int report[2]; /* from the grandchild: struct spawn_report */
	int gate[2];   /* to it: a byte says go; the end of file that we have died */
};

static _Noreturn void run_grandchild(const char *const argv[], int null_fd, int log_fd, const int *keep_fds,
	unsigned keep_count, const struct spawn_pipes *pipes)
{
	struct spawn_report report = { .pid = getpid() };
	int report_fd = pipes->report[1];
	char go;
	reset_signals();
	dup2(null_fd, 0);
	dup2(log_fd, 1);
	dup2(log_fd, 2);
	for (unsigned i = 0; i < keep_count; i++)
		fcntl(keep_fds[i], F_SETFD, 0);
	close(pipes->gate[1]);
	if (write(report_fd, &report, sizeof report) != sizeof report || read(pipes->gate[0], &go, 1) != 1)
		_exit(126);
	close_others(keep_fds, keep_count, report_fd);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	report.errno_value = errno;
	if (write(report_fd, &report, sizeof report) < 0)
		_exit(126);
	_exit(127);
}

/* The middle child's part, and its end; the parent's errno tells of a failed fork. */
static int fork_twice(const char *const argv[], int null_fd, int log_fd, const int *keep_fds,
	unsigned keep_count, const struct spawn_pipes *pipes)
{
	pid_t child = fork();
	if (child == 0) {
		setsid();
		pid_t grandchild = fork();
		if (grandchild == 0)
			run_grandchild(argv, null_fd, log_fd, keep_fds, keep_count, pipes);
		_exit(grandchild < 0 ? 1 : 0);
	}
	if (child < 0)
		return -1;
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static int open_pipes(struct spawn_pipes *pipes)
{
	if (pipe2(pipes->report, O_CLOEXEC))
		return -1;
	/* a socket, since writing to it raises no SIGPIPE */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipes->gate) == 0)
		return 0;
	int pipe_errno = errno;
	close(pipes->report[0]);
	close(pipes->report[1]);
	errno = pipe_errno;
	return -1;
}

int process_spawn(const char *const argv[], const char *log_path, const int *keep_fds, unsigned keep_count,
	struct process *process, struct error *err)
{
	int null_fd FILE_SCOPED = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log_fd FILE_SCOPED =
		open(log_path ? log_path : "/dev/null", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	struct spawn_pipes pipes;
	if (null_fd < 0 || log_fd < 0)
		return error_set_errno(err, errno, "cannot open %s", log_path ? log_path : "/dev/null");
	if (open_pipes(&pipes))
		return error_set_errno(err, errno, "cannot make a pipe");
	int failed = fork_twice(argv, null_fd, log_fd, keep_fds, keep_count, &pipes), fork_errno = errno;
	close(pipes.report[1]);
	close(pipes.gate[0]);
	int read_fd FILE_SCOPED = pipes.report[0], gate_fd FILE_SCOPED = pipes.gate[1];
	if (failed)
		return error_set_errno(err, fork_errno, "cannot fork for %s", argv[0]);
	struct spawn_report report = { 0 }, failure;
	if (read(read_fd, &report, sizeof report) != sizeof report || send(gate_fd, "", 1, MSG_NOSIGNAL) != 1)
		return error_set(err, ERROR_INTERNAL, "cannot start %s: no process", argv[0]);
	/* end of file comes when exec has closed the descriptor */
	if (read(read_fd, &failure, sizeof failure) == sizeof failure)
		return error_set_errno(err, failure.errno_value, "cannot start %s", argv[0]);
	if (process_identify(report.pid, process))
		*process = (struct process){ .pid = report.pid }; /* ended already: alive() says no */
	return 0;
}

/* Field 22 (start time) and the state letter; the command name before them may hold anything, so look from its last ')'. */
static int read_stat(pid_t pid, char *state, uint64_t *start_ticks)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd FILE_SCOPED = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (size <= 0)
		return -1;
	text[size] = '\0';
	const char *p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return -1;
	*state = p[2];
	p += 2;
	for (int field = 3; field < 22 && p; field++) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return -1;
	*start_ticks = strtoull(p, NULL, 10);
	return 0;
}

int process_identify(pid_t pid, struct process *process)
{
	char state;
	process->pid = pid;
	return pid > 0 ? read_stat(pid, &state, &process->start_ticks) : -1;
}

int process_user(const struct process *process, uid_t *user, struct error *err)
{
	char path[64], line[256];
	unsigned id;
	bool found = false;
	snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
	FILE *file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof line, file))
		found = sscanf(line, "Uid:\t%u", &id) == 1;
	if (file)
		fclose(file);
	/* the same process as before: then it was it that we read of */
	if (!found || !process_is_alive(process))
		return error_set(err, ERROR_NOT_FOUND, "process %d has ended", (int)process->pid);
	*user = id;
	return 0;
}

bool process_is_alive(const struct process *process)
{
	char state;
	uint64_t start_ticks;
	return process->pid > 0 && read_stat(process->pid, &state, &start_ticks) == 0 &&
		start_ticks == process->start_ticks && state != 'Z' && state != 'X';
}

/*
 * A descriptor that stands for that very process, or -1 if there is none. A first thread that is a zombie does not mean that the process has ended: its
 * other threads may still be on their way out, with files and locks in their hands. The descriptor knows.
 */
static int open_pidfd(const struct process *process)
{
	char state;
	uint64_t start_ticks;
	int fd = process->pid > 0 ? (int)syscall(SYS_pidfd_open, process->pid, 0) : -1;
	if (fd >= 0 &&
		(read_stat(process->pid, &state, &start_ticks) || start_ticks != process->start_ticks)) {
		close(fd);
		return -1;
	}
	return fd;
}

void process_signal(const struct process *process, int signal_number)
{
	int fd FILE_SCOPED = open_pidfd(process);
	if (fd >= 0)
		syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0);
}

int process_wait_end(const struct process *process, int timeout_ms, struct error *err)
{
	int fd FILE_SCOPED = open_pidfd(process);
	if (fd < 0)
		return 0;
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int ready;
	while ((ready = poll(&wait, 1, timeout_ms)) < 0 && errno == EINTR)
		;
	if (ready == 1)
		return 0;
	return error_set(
		err, ERROR_TIMEOUT, "process %d has not ended after %d ms", (int)process->pid, timeout_ms);
}

enum { OUTPUT_LIMIT = 1 << 20 };

static void feed_and_collect(int input_fd, const char *input, int output_fd, struct buffer *output)
{
	size_t left = input ? strlen(input) : 0;
	char block[4096];
	for (;;) {
		struct pollfd waits[] = { { .fd = output_fd, .events = POLLIN },
			{ .fd = left ? input_fd : -1, .events = POLLOUT } };
		if (poll(waits, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (waits[1].revents) {
			ssize_t put = write(input_fd, input, left);
			left = put > 0 ? left - (size_t)put : 0;
			input += put > 0 ? put : 0;
			if (!left)
				close(input_fd);
		}
		if (waits[0].revents) {
			ssize_t got = read(output_fd, block, sizeof block);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				break;
			if (output->size < OUTPUT_LIMIT)
				buffer_append(output, block, (size_t)got);
		}
	}
	if (left)
		close(input_fd);
}

int process_run(const char *const argv[], const char *input, struct buffer *output, struct error *err)
{
	int in[2], out[2];
	if (pipe2(in, O_CLOEXEC))
		return error_set_errno(err, errno, "cannot make a pipe");
	if (pipe2(out, O_CLOEXEC)) {
		error_set_errno(err, errno, "cannot make a pipe");
		close(in[0]);
		close(in[1]);
		return -1;
	}
	pid_t child = fork();
	if (child == 0) {
		reset_signals();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close_others(NULL, 0, 2);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		fprintf(stderr, "%s", strerror(errno));
		_exit(127);
	}
	int fork_errno = errno;
	close(in[0]);
	close(out[1]);
	struct buffer collected BUFFER_SCOPED = { 0 };
	if (child > 0) {
		if (!input || !*input)
			close(in[1]);
		feed_and_collect(in[1], input, out[0], &collected);
	} else {
		close(in[1]);
	}
	close(out[0]);
	if (child < 0)
		return error_set_errno(err, fork_errno, "cannot fork for %s", argv[0]);
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (output)
		buffer_append(output, buffer_text(&collected), collected.size);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	const char *text = buffer_text(&collected);
	return error_set(err, ERROR_INTERNAL, "%s ended with status %d: %.*s", argv[0],
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), (int)strcspn(text, "\n"),
		text);
}
