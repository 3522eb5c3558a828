/* Child processes that outlive amid: QEMU and the volume servers. A process is named by pid and start time, so that a reused pid is never taken for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct process {
	pid_t pid;
	uint64_t start_ticks; /* field 22 of /proc/PID/stat */
};

/*
 * Starts argv[0] (searched in PATH) in its own session, standard input from /dev/null, standard output and error appended to `log_path` (NULL: dropped).
 * Only descriptors 0-2 and those in `keep_fds` (count `keep_count`, their numbers unchanged) are open in it. Detached: it is not our child, so needs no wait
 * and lives on when amid ends.
 */
int process_spawn(const char *const argv[], const char *log_path, const int *keep_fds, unsigned keep_count,
	struct process *process, struct error *err);
/* Whether that very process is alive (a zombie is not). */
bool process_is_alive(const struct process *process);
/* Fills start_ticks for a pid; -1 if there is no such process. */
int process_identify(pid_t pid, struct process *process);
/* The user that it is (its real id). ERROR_NOT_FOUND if it has ended. */
int process_user(const struct process *process, uid_t *user, struct error *err);
/* Sends a signal if it is still that very process. */
void process_signal(const struct process *process, int signal_number);
/* Waits until it has ended (pidfd and poll, no busy loop); -1 with ERROR_TIMEOUT after timeout_ms. */
int process_wait_end(const struct process *process, int timeout_ms, struct error *err);
/*
 * Runs argv to its end, collecting standard output and error together (at most `limit` bytes kept) into *output (the caller's, may be NULL). -1 if it could not be
 * started, was killed, or ended with a status other than 0; the message then has the first line of what it printed.
 */
struct buffer;
int process_run(const char *const argv[], const char *input, struct buffer *output, struct error *err);
