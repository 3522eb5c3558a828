/*
 * Boot traces in a volume server. Recording hooks a trace to the base and takes it off again after its time; a rebase in between ends it early, as the new base has none. Reading
 * ahead goes through the blocks of a trace in its order on a thread of low priority: it reads and verifies each, so that the guest's own first read of it finds it in the page cache, and
 * verified. A block that the guest has touched first is skipped.
 *
 * What was just captured is read ahead in the same way: first reads after a capture are as fast as others.
 *
 * One detached thread for each; they look at the stack within a reader stripe, as any reader does, and never keep it over a block. The process may end at any moment meanwhile.
 */
#include "volume/prefetch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"
#include "volume/trace.h"
#include "volume/volume_internal.h"
#include "base/banned.h"

enum { NOTE_LIMIT = 256, LOOK_LIMIT = 4096 }; /* blocks noted, and looked at for that */
enum { RECORD_LIMIT_MS = 600000, NICE = 10, IOPRIO_WHO_PROCESS = 1, IOPRIO_BEST_EFFORT_LAST = 2 << 13 | 7 };

struct prefetch_task {
	struct volume *volume;
	char *folder;
	struct digest root;
	uint64_t ms; /* of a recording */
	struct trace *trace;
	const char *event; /* what the log calls the reading ahead */
	uint32_t count;    /* of blocks to be read */
	uint32_t blocks[];
};

static struct prefetch_task *new_task(
	struct volume *volume, const char *folder, const struct digest *root, uint32_t room)
{
	struct prefetch_task *task = memory_alloc(sizeof *task + room * sizeof task->blocks[0]);
	task->volume = volume;
	task->folder = memory_strdup(folder);
	task->root = *root;
	task->event = "boot-prefetched";
	pthread_mutex_lock(&volume->prefetch_lock);
	volume->prefetch_tasks++;
	pthread_mutex_unlock(&volume->prefetch_lock);
	return task;
}

static void free_task(struct prefetch_task *task)
{
	struct volume *volume = task->volume;
	trace_destroy(task->trace);
	free(task->folder);
	free(task);
	/* the last look at the volume, which may be closed from then on */
	pthread_mutex_lock(&volume->prefetch_lock);
	volume->prefetch_tasks--;
	pthread_cond_broadcast(&volume->prefetch_changed);
	pthread_mutex_unlock(&volume->prefetch_lock);
}

static int start_thread(struct prefetch_task *task, void *(*run)(void *), struct error *err)
{
	pthread_t thread;
	int failed = pthread_create(&thread, NULL, run, task);
	if (failed)
		return error_set_errno(err, failed, "cannot start a thread");
	pthread_detach(thread);
	return 0;
}

static void hook(struct volume *volume, struct trace *trace)
{
	unsigned stripe = gate_stripe();
	struct stack *stack = volume_stack_enter(volume, stripe);
	if (stack->base)
		base_set_trace(stack->base, trace);
	volume_stack_leave(volume, stripe);
}

static bool is_ending(struct volume *volume)
{
	pthread_mutex_lock(&volume->prefetch_lock);
	bool ending = volume->prefetch_ending;
	pthread_mutex_unlock(&volume->prefetch_lock);
	return ending;
}

/* Until so many milliseconds have gone by, or the volume is to be closed. */
static void wait_time(struct volume *volume, uint64_t ms)
{
	struct timespec deadline;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += (time_t)(ms / 1000);
	deadline.tv_nsec += (long)(ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&volume->prefetch_lock);
	while (!volume->prefetch_ending &&
		!pthread_cond_timedwait(&volume->prefetch_changed, &volume->prefetch_lock, &deadline))
		;
	pthread_mutex_unlock(&volume->prefetch_lock);
}

static void *record(void *context)
{
	struct prefetch_task *task = context;
	const uint32_t *blocks;
	struct error err;
	wait_time(task->volume, task->ms);
	hook(task->volume, NULL);
	/* whoever still has the trace in hand is a reader that came before */
	volume_drain_readers(task->volume);
	uint32_t count = trace_blocks(task->trace, &blocks), known;
	/* an earlier boot may have been traced for longer than this one, whose instance ended */
	uint32_t *earlier = memory_alloc(TRACE_LIMIT * sizeof *earlier);
	if (trace_read(task->folder, &task->root, earlier, &known, NULL))
		known = 0;
	free(earlier);
	if (count > known && trace_write(task->folder, &task->root, blocks, count, &err))
		log_warning("boot-trace-failed", "volume=%s message=\"%s\"", task->volume->name, err.message);
	else
		log_info("boot-traced", "volume=%s blocks=%" PRIu32 " known=%" PRIu32, task->volume->name,
			count, known);
	atomic_store(&task->volume->recording, false);
	free_task(task);
	return NULL;
}

static bool stands_on(struct volume *volume, const struct digest *root)
{
	pthread_mutex_lock(&volume->maintenance);
	bool same = digest_equal(&volume->manifest->base, root);
	pthread_mutex_unlock(&volume->maintenance);
	return same;
}

int prefetch_record(
	struct volume *volume, const char *folder, const struct digest *root, uint64_t ms, struct error *err)
{
	if (!stands_on(volume, root))
		return error_set(err, ERROR_CONFLICT, "volume %s stands on another root", volume->name);
	if (atomic_exchange(&volume->recording, true))
		return error_set(err, ERROR_CONFLICT, "a boot of volume %s is being recorded", volume->name);
	struct prefetch_task *task = new_task(volume, folder, root, 0);
	task->ms = ms < RECORD_LIMIT_MS ? ms : RECORD_LIMIT_MS;
	task->trace = trace_create((volume_size(volume) + STORE_BLOCK_SIZE - 1) / STORE_BLOCK_SIZE);
	hook(volume, task->trace);
	if (start_thread(task, record, err) == 0)
		return 0;
	hook(volume, NULL);
	volume_drain_readers(volume);
	atomic_store(&volume->recording, false);
	free_task(task);
	return -1;
}

/* Guests and their own reads come first. Both calls speak of this thread alone. */
static void lower_priority(void)
{
	pid_t thread = (pid_t)syscall(SYS_gettid);
	(void)setpriority(PRIO_PROCESS, (id_t)thread, NICE);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, thread, IOPRIO_BEST_EFFORT_LAST);
}

static void *read_ahead(void *context)
{
	struct prefetch_task *task = context;
	struct error err;
	int64_t begun_ms = clock_monotonic_ms();
	uint32_t failed = 0;
	lower_priority();
	for (uint32_t i = 0; i < task->count && !is_ending(task->volume); i++) {
		unsigned stripe = gate_stripe();
		struct stack *stack = volume_stack_enter(task->volume, stripe);
		/* the guest will meet the error itself, if it ever reads that block */
		failed += base_prefetch(stack->base, task->blocks[i], &err) != 0;
		volume_stack_leave(task->volume, stripe);
	}
	log_info(task->event, "volume=%s blocks=%" PRIu32 " failed=%" PRIu32 " ms=%" PRId64,
		task->volume->name, task->count, failed, clock_monotonic_ms() - begun_ms);
	free_task(task);
	return NULL;
}

int prefetch_start(struct volume *volume, const char *folder, const struct digest *root, uint64_t limit,
	struct error *err)
{
	struct prefetch_task *task = new_task(volume, folder, root, TRACE_LIMIT);
	if (trace_read(folder, root, task->blocks, &task->count, err)) {
		free_task(task);
		return -1;
	}
	if (task->count > limit)
		task->count = (uint32_t)limit;
	if (start_thread(task, read_ahead, err)) {
		free_task(task);
		return -1;
	}
	return 0;
}

/* Notes the blocks of a layer that have data in the page cache, by the first data in each. */
static void note_layer(struct prefetch_task *task, const struct layer *layer, uint64_t end, unsigned *looks)
{
	enum { GRAINS_PER_BLOCK = STORE_BLOCK_SIZE / VOLUME_GRAIN_SIZE };
	uint64_t grain = 0, length;
	while (task->count < NOTE_LIMIT && *looks < LOOK_LIMIT && grain < end &&
		map_next_present(layer->map, &grain)) {
		if (map_run(layer->map, grain, end, &length) != MAP_DATA) {
			grain += length;
			continue;
		}
		uint64_t block = grain / GRAINS_PER_BLOCK;
		if (layer_data_is_cached(&layer->data, grain * VOLUME_GRAIN_SIZE, VOLUME_GRAIN_SIZE))
			task->blocks[task->count++] = (uint32_t)block;
		++*looks;
		grain = (block + 1) * GRAINS_PER_BLOCK;
	}
}

struct prefetch_task *prefetch_note(struct volume *volume, uint64_t layer)
{
	struct digest none = { 0 };
	unsigned looks = 0;
	struct prefetch_task *task = new_task(volume, "", &none, NOTE_LIMIT);
	task->event = "capture-prefetched";
	task->count = 0;
	unsigned stripe = gate_stripe();
	struct stack *stack = volume_stack_enter(volume, stripe);
	for (unsigned i = 0; i < stack->count; i++)
		if (stack->layers[i]->number <= layer)
			note_layer(task, stack->layers[i], volume_size(volume) / VOLUME_GRAIN_SIZE, &looks);
	volume_stack_leave(volume, stripe);
	return task;
}

void prefetch_noted(struct prefetch_task *task, bool rebased)
{
	if (!rebased || !task->count || start_thread(task, read_ahead, NULL))
		free_task(task);
}

void prefetch_wait(struct volume *volume, bool end)
{
	pthread_mutex_lock(&volume->prefetch_lock);
	volume->prefetch_ending |= end;
	pthread_cond_broadcast(&volume->prefetch_changed);
	while (volume->prefetch_tasks)
		pthread_cond_wait(&volume->prefetch_changed, &volume->prefetch_lock);
	pthread_mutex_unlock(&volume->prefetch_lock);
}
