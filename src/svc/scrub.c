/*
 * The scrubber's thread. A step verifies one object; then the thread waits until the rate allows the next. Every wait ends at once when it is told to start or to stop. The position is the store's, and durable:
 * a pass goes on where it was after a restart.
 *
 * `lock` guards what others tell the thread; it is not held while it works. Time is the machine's own: disks do not age by a clock that was moved.
 */
#include "svc/scrub.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <time.h>

#include "base/arena.h"
#include "api/records.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "store/scrub.h"
#include "svc/amid.h"
#include "svc/damage.h"
#include "volume/volume.h"
#include "base/banned.h"

enum { LOOK_MS = 600000, SLEEP_LEAST_MS = 20 };
static const int64_t PERIOD_MS = 7LL * 24 * 3600 * 1000;

struct scrubber {
	struct amid *amid;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* told something, or a pass that was asked for has ended */
	bool stop;
	uint64_t asked,
		done; /* passes of all regions that were told to start: the last one asked for, the last one done */
	unsigned asked_rate;
	double owed_ms; /* how long the thread has been faster than its rate; its own */
};

/* What a pass does of which the thread has to know. */
struct pass {
	struct scrubber *scrubber;
	struct amid_region *region;
	bool told;     /* not of its own accord */
	uint64_t seen; /* the last that was asked for when it began: anything newer ends it */
	unsigned rate; /* MiB a second; 0: no limit */
	bool found, named;
};

/* Until the time is over, or the thread was told to stop or to do something newer than `seen`; false then. The caller holds the lock. */
static bool wait_locked(struct scrubber *scrubber, uint64_t seen, int64_t ms)
{
	struct timespec deadline;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += (time_t)(ms / 1000);
	deadline.tv_nsec += (long)(ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	while (!scrubber->stop && scrubber->asked <= seen)
		if (pthread_cond_timedwait(&scrubber->changed, &scrubber->lock, &deadline) == ETIMEDOUT)
			return true;
	return false;
}

/* Whether to go on. */
static bool pace(struct pass *pass, uint64_t bytes)
{
	struct scrubber *scrubber = pass->scrubber;
	pthread_mutex_lock(&scrubber->lock);
	bool on = !scrubber->stop && scrubber->asked <= pass->seen;
	if (pass->rate) {
		scrubber->owed_ms += (double)bytes * 1000 / ((double)pass->rate * (1 << 20));
		if (on && scrubber->owed_ms >= SLEEP_LEAST_MS) {
			on = wait_locked(scrubber, pass->seen, (int64_t)scrubber->owed_ms);
			scrubber->owed_ms = 0;
		}
	}
	pthread_mutex_unlock(&scrubber->lock);
	return on;
}

/* The log has the object itself already: src/store/scrub.c. */
static void note_found(void *context, const struct digest *digest, const char *line)
{
	struct pass *pass = context;
	(void)digest;
	(void)line;
	pass->found = true;
}

#define SCRUB_FAULT "verification found damage"

/* For DescribeVolumeStatus. A snapshot's state message is damage_note_snapshots' business. */
static void note_volume(struct pass *pass, const struct damage_range *range, struct arena *arena)
{
	struct error why;
	if (!text_starts_with(range->id, "vol-"))
		return;
	struct volume_server_paths paths =
		amid_volume_paths(pass->scrubber->amid, pass->region, range->id, arena);
	error_set(&why, ERROR_CORRUPT, SCRUB_FAULT " at offset %" PRIu64, range->offset);
	volume_note_fault(paths.volume_folder, &why);
}

static bool is_among(const struct damage_range *ranges, size_t count, const char *id)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(ranges[i].id, id) == 0)
			return true;
	return false;
}

/* Takes the notes of earlier passes off volumes of which nothing is damaged any more. What a volume server or a seal has met stays: that may have been something else. */
static int absolve_volumes(struct pass *pass, const struct damage_range *ranges, size_t count,
	struct arena *arena, struct error *err)
{
	struct amid *amid = pass->scrubber->amid;
	struct meta_query query = { .region = pass->region->name };
	struct meta_rows rows;
	if (meta_list(amid->meta, &record_volume, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const char *id = ((const struct volume_record *)rows.items[i])->record.id;
		struct volume_server_paths paths = amid_volume_paths(amid, pass->region, id, arena);
		struct volume_fault fault;
		bool found;
		if (is_among(ranges, count, id) ||
			volume_find_fault(paths.volume_folder, &fault, &found, NULL) || !found ||
			!text_starts_with(fault.message, SCRUB_FAULT))
			continue;
		if (volume_forget_fault(paths.volume_folder, err))
			return -1;
		log_info("volume-mended", "region=%s volume=%s", pass->region->name, id);
	}
	return 0;
}

/* Which snapshots, images and volumes: once it is known that something is damaged, and at the end of a pass (`whole`). */
static void name_damage(struct pass *pass, bool whole)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct amid *amid = pass->scrubber->amid;
	struct damage_range *ranges;
	size_t count;
	struct error err;
	if (damage_list_ranges(amid, pass->region, arena, &ranges, &count, &err) ||
		damage_note_snapshots(amid, pass->region, &err) ||
		(whole && absolve_volumes(pass, ranges, count, arena, &err))) {
		log_error("damage-not-named", "region=%s message=\"%s\"", pass->region->name, err.message);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		log_error("data-damaged", "region=%s id=%s offset=%" PRIu64 " size=%" PRIu64,
			pass->region->name, ranges[i].id, ranges[i].offset, ranges[i].size);
		note_volume(pass, &ranges[i], arena);
		for (size_t j = 0; j < ranges[i].image_count; j++)
			log_error("image-damaged", "region=%s image=%s device=%s snapshot=%s offset=%" PRIu64,
				pass->region->name, ranges[i].images[j].id, ranges[i].images[j].device,
				ranges[i].id, ranges[i].offset);
	}
}

/* To the end of the pass, or until told otherwise: *ended. */
static int run_pass(struct pass *pass, bool *ended, struct error *err)
{
	struct store *store = pass->region->store;
	struct store_scrub_state state;
	uint64_t bytes;
	int result = 0;
	*ended = false;
	for (bool on = true; on && !*ended && result == 0;) {
		result = store_scrub_step(store, clock_real_ms(), note_found, pass, &bytes, ended, err);
		on = pace(pass, bytes);
		/* soon after the first, and all that there is at the end: a disk that fails has many */
		if (pass->found && !pass->named)
			name_damage(pass, false);
		pass->named |= pass->found;
	}
	if (result)
		return -1;
	if (!*ended)
		return store_scrub_save(store, err);
	store_scrub_get_state(store, &state);
	log_info("scrub-ended",
		"region=%s pass=%" PRIu64 " objects=%" PRIu64 " bytes=%" PRIu64 " damaged=%" PRIu64,
		pass->region->name, state.pass, state.objects, state.bytes, state.damaged);
	/* what was healed since is so no more */
	name_damage(pass, true);
	return 0;
}

/* The pass that is due in a region, if any: a new one that was asked for, one that was interrupted, one after a week. */
static int scrub_region(struct pass *pass, bool *ended, struct error *err)
{
	struct store_scrub_state state;
	store_scrub_get_state(pass->region->store, &state);
	int64_t now = clock_real_ms();
	bool due = !state.pass || now - state.begun_ms >= PERIOD_MS || now < state.begun_ms;
	*ended = true;
	if (!pass->told && (!pass->rate || (!state.running && !due)))
		return 0;
	if ((pass->told || !state.running) && store_scrub_begin(pass->region->store, now, err))
		return -1;
	return run_pass(pass, ended, err);
}

/* All regions once; whether all came to their ends. */
static bool scrub_all(struct scrubber *scrubber, bool told, uint64_t seen, unsigned rate)
{
	struct amid *amid = scrubber->amid;
	bool ended = true;
	scrubber->owed_ms = 0;
	for (unsigned i = 0; ended && i < amid->region_count; i++) {
		struct pass pass = { .scrubber = scrubber,
			.region = &amid->regions[i],
			.told = told,
			.seen = seen,
			.rate = rate };
		struct error err;
		if (scrub_region(&pass, &ended, &err)) {
			log_error("scrub-failed", "region=%s message=\"%s\"", pass.region->name, err.message);
			ended = true;
		}
	}
	return ended;
}

static void *run(void *context)
{
	struct scrubber *scrubber = context;
	pthread_mutex_lock(&scrubber->lock);
	while (!scrubber->stop) {
		bool told = scrubber->asked > scrubber->done;
		uint64_t asked = scrubber->asked;
		unsigned rate = told ? scrubber->asked_rate : scrubber->amid->config->scrub_rate_mib;
		pthread_mutex_unlock(&scrubber->lock);
		bool ended = scrub_all(scrubber, told, asked, rate);
		pthread_mutex_lock(&scrubber->lock);
		if (told && ended) {
			scrubber->done = asked;
			pthread_cond_broadcast(&scrubber->changed);
		}
		if (ended)
			wait_locked(scrubber, asked, LOOK_MS);
	}
	pthread_mutex_unlock(&scrubber->lock);
	return NULL;
}

int scrub_open(struct amid *amid, struct scrubber **scrubber_out, struct error *err)
{
	struct scrubber *scrubber = memory_alloc(sizeof *scrubber);
	pthread_condattr_t attributes;
	scrubber->amid = amid;
	pthread_mutex_init(&scrubber->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&scrubber->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	int failed = pthread_create(&scrubber->thread, NULL, run, scrubber);
	if (failed) {
		free(scrubber);
		return error_set_errno(err, failed, "cannot start the scrubber's thread");
	}
	*scrubber_out = scrubber;
	return 0;
}

void scrub_stop(struct scrubber *scrubber)
{
	if (!scrubber || scrubber->stop)
		return;
	pthread_mutex_lock(&scrubber->lock);
	scrubber->stop = true;
	pthread_cond_broadcast(&scrubber->changed);
	pthread_mutex_unlock(&scrubber->lock);
	pthread_join(scrubber->thread, NULL);
}

void scrub_close(struct scrubber *scrubber)
{
	if (!scrubber)
		return;
	scrub_stop(scrubber);
	pthread_cond_destroy(&scrubber->changed);
	pthread_mutex_destroy(&scrubber->lock);
	free(scrubber);
}

void scrub_start_now(struct scrubber *scrubber, unsigned rate_mib)
{
	pthread_mutex_lock(&scrubber->lock);
	scrubber->asked++;
	scrubber->asked_rate = rate_mib;
	pthread_cond_broadcast(&scrubber->changed);
	pthread_mutex_unlock(&scrubber->lock);
}

bool scrub_wait(struct scrubber *scrubber, unsigned limit_ms)
{
	struct timespec deadline;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += limit_ms / 1000;
	pthread_mutex_lock(&scrubber->lock);
	while (scrubber->done < scrubber->asked && !scrubber->stop)
		if (pthread_cond_timedwait(&scrubber->changed, &scrubber->lock, &deadline) == ETIMEDOUT)
			break;
	bool done = scrubber->done >= scrubber->asked;
	pthread_mutex_unlock(&scrubber->lock);
	return done;
}
