/*
 * What is done through the guest agent. Each call is a conversation of its own; whether an agent runs is asked of QEMU (has the guest opened the channel?), not remembered.
 *
 * A freeze that times out may still be carried out by a slow guest, and amid may die before the thaw. So a thaw stays owed, by the machine, until one was answered: the conversation's first
 * question waits behind all that the agent has yet to do. A guest that has started anew owes nothing.
 */
#include "compute/qemu_internal.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "compute/agent.h"
#include "base/banned.h"

enum {
	FILE_SYSTEMS_LIMIT = 100000, /* the guest says how many; more is nonsense */
};

static int open_agent(struct machine *machine, int timeout_ms, struct agent **agent, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	bool open;
	if (machine_agent_open(machine, &open, err))
		return -1;
	if (!open)
		return error_set(err, ERROR_NOT_FOUND, "machine %s runs no guest agent", machine->id);
	if (agent_open(
		    machine_socket(scratch, machine->compute, machine->id, "agent"), timeout_ms, agent, err))
		return error_prefix(err, "machine %s", machine->id);
	return 0;
}

static int take_count(json_t *value, int *count, struct error *err)
{
	json_int_t number = json_integer_value(value);
	if (!json_is_integer(value) || number < 0 || number > FILE_SYSTEMS_LIMIT)
		return error_set(
			err, ERROR_INVALID, "the guest agent answers with no number of file systems");
	*count = (int)number;
	return 0;
}

int qemu_freeze_file_systems(
	struct compute *compute, const char *id, int timeout_ms, int *count, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	struct agent *agent;
	json_t *value;
	struct error reason = { 0 };
	int64_t end_ms = clock_monotonic_ms() + timeout_ms;
	if (machine_get(compute, id, &machine, err) || open_agent(machine, timeout_ms, &agent, err))
		return -1;
	int64_t left = end_ms - clock_monotonic_ms();
	machine->thaw_owed = true;
	int failed = agent_command(
		agent, "guest-fsfreeze-freeze", NULL, left > 0 ? (int)left : 0, &value, &reason);
	if (!failed) {
		failed = take_count(value, count, &reason);
		json_decref(value);
	}
	if (failed) {
		error_set(err, reason.code, "machine %s: %.400s", id, reason.message);
		log_warning("machine-not-frozen", "id=%s reason=\"%s\"", id, reason.message);
	}
	agent_close(agent);
	return failed;
}

int qemu_thaw_file_systems(struct compute *compute, const char *id, int timeout_ms, struct error *err)
{
	struct machine *machine MACHINE_SCOPED = NULL;
	struct agent *agent;
	if (machine_get(compute, id, &machine, err))
		return -1;
	if (!machine->thaw_owed)
		return 0;
	if (open_agent(machine, timeout_ms, &agent, err))
		return -1;
	int failed = agent_command(agent, "guest-fsfreeze-thaw", NULL, timeout_ms, NULL, err);
	agent_close(agent);
	if (failed)
		return error_prefix(err, "machine %s", id);
	machine->thaw_owed = false;
	return 0;
}
