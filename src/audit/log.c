/*
 * The queue before the files. Callers append records to a list; the thread takes all of it, writes and syncs it as a group, and wakes who waits. It begins at once when somebody waits, else AUDIT_DELAY_MS after the first record.
 * When writing fails, what was taken goes back to the front of the list, those who wait are told, and it is tried again every second; after a failed sync never again.
 */
#include "audit/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "audit/files.h"
#include "base/log.h"
#include "base/banned.h"

enum { GROUP_MAX = 4 * 1024 * 1024, QUEUE_MAX = 8 * 1024 * 1024, RETRY_MS = 1000 };

struct audit_log {
	struct audit_files files; /* the thread's */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wanted, done;
	struct audit_record *first, **end;
	size_t queued;     /* bytes in the list */
	uint64_t appended; /* number of the newest record */
	uint64_t durable, tried, waited_for;
	struct error failure; /* of the last try; code 0: it went well */
	bool full;            /* no room could be made for calls to come */
	bool ending;
};

/* Waits until there is something to do; false: it ends, and nothing is left. Under the lock. */
static bool wait_for_work(struct audit_log *log)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += AUDIT_DELAY_MS / 1000;
	bool failing = log->failure.code || log->full;
	while (!log->ending) {
		bool urgent = log->waited_for > (failing ? log->tried : log->durable);
		if (log->first && urgent)
			return true;
		if (!log->first && !failing) {
			pthread_cond_wait(&log->wanted, &log->lock);
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += AUDIT_DELAY_MS / 1000;
		} else if (pthread_cond_timedwait(&log->wanted, &log->lock, &until)) {
			return true;
		}
	}
	return log->first && !failing;
}

/* Writes a list; what is left of it is what could not be written. */
static int write_list(struct audit_log *log, struct audit_record **list, struct error *err)
{
	while (*list)
		if (audit_files_write(&log->files, list, GROUP_MAX, err))
			return -1;
	return 0;
}

static void put_back(struct audit_log *log, struct audit_record *left)
{
	struct audit_record **end = &left;
	while (*end) {
		log->queued += (*end)->size;
		end = &(*end)->next;
	}
	*end = log->first;
	if (!log->first)
		log->end = end;
	log->first = left;
	if (!log->first)
		log->end = &log->first;
}

static void tell(struct audit_log *log, const struct error *err, bool roomy)
{
	if (err->code && !log->failure.code)
		log_error("audit-failed", "message=\"%s\"", err->message);
	if (!roomy && !log->full)
		log_error("audit-disk-full", "folder=%s", log->files.folder);
	if (!err->code && roomy && (log->failure.code || log->full))
		log_info("audit-goes-on", "folder=%s", log->files.folder);
}

static void work(struct audit_log *log)
{
	struct audit_record *list = log->first;
	uint64_t last = log->appended;
	struct error err = { 0 };
	log->first = NULL;
	log->end = &log->first;
	log->queued = 0;
	pthread_mutex_unlock(&log->lock);
	write_list(log, &list, &err);
	bool roomy = audit_files_reserve(&log->files);
	pthread_mutex_lock(&log->lock);
	tell(log, &err, roomy);
	log->durable = list ? list->number - 1 : last;
	put_back(log, list);
	log->tried = last;
	log->failure = err;
	log->full = !roomy;
	pthread_cond_broadcast(&log->done);
}

static void *run(void *context)
{
	struct audit_log *log = context;
	pthread_mutex_lock(&log->lock);
	while (wait_for_work(log))
		work(log);
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

int audit_log_open(const char *folder, unsigned keep_days, audit_describe *describe,
	struct audit_log **result, struct error *err)
{
	struct audit_log *log = memory_alloc(sizeof *log);
	pthread_condattr_t attributes;
	*log = (struct audit_log){ 0 };
	log->end = &log->first;
	if (audit_files_open(folder, keep_days, describe, &log->files, err)) {
		free(log);
		return -1;
	}
	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&log->wanted, &attributes);
	pthread_cond_init(&log->done, &attributes);
	pthread_condattr_destroy(&attributes);
	int failed = pthread_create(&log->thread, NULL, run, log);
	if (failed) {
		audit_files_close(&log->files);
		free(log);
		return error_set_errno(err, failed, "cannot start the thread that writes the audit trail");
	}
	*result = log;
	return 0;
}

void audit_log_close(struct audit_log *log)
{
	if (!log)
		return;
	pthread_mutex_lock(&log->lock);
	log->ending = true;
	pthread_cond_signal(&log->wanted);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	if (log->first)
		log_error("audit-lost", "records=%" PRIu64 " message=\"%s\"", log->appended - log->durable,
			log->failure.message);
	for (struct audit_record *record = log->first, *next; record; record = next) {
		next = record->next;
		free(record);
	}
	audit_files_close(&log->files);
	pthread_cond_destroy(&log->wanted);
	pthread_cond_destroy(&log->done);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

int audit_log_admit(struct audit_log *log, bool writing, struct error *err)
{
	int result = 0;
	pthread_mutex_lock(&log->lock);
	if (log->failure.code && (writing || log->queued > QUEUE_MAX))
		result = error_set(err,
			log->failure.code == ERROR_NO_SPACE ? ERROR_NO_SPACE : ERROR_UNAVAILABLE,
			"The call was not made, because it cannot be recorded: the audit trail cannot be written. The server's log tells why.");
	else if (log->full && writing)
		result = error_set(err, ERROR_NO_SPACE,
			"The call was not made, because it cannot be recorded: there is no space left on the disk of the audit trail.");
	pthread_mutex_unlock(&log->lock);
	return result;
}

uint64_t audit_log_append(struct audit_log *log, int64_t time_ms, const char *event, size_t size,
	const uint64_t *words, size_t word_count)
{
	struct audit_record *record = memory_alloc(sizeof *record + word_count * sizeof *words + size);
	*record = (struct audit_record){ .time_ms = time_ms, .size = size, .word_count = word_count };
	if (word_count)
		memcpy(record->words, words, word_count * sizeof *words);
	memcpy(audit_record_event(record), event, size);
	pthread_mutex_lock(&log->lock);
	uint64_t number = record->number = ++log->appended;
	bool idle = !log->first;
	*log->end = record;
	log->end = &record->next;
	log->queued += size;
	if (idle)
		pthread_cond_signal(&log->wanted);
	pthread_mutex_unlock(&log->lock);
	return number;
}

int audit_log_sync(struct audit_log *log, uint64_t number, struct error *err)
{
	pthread_mutex_lock(&log->lock);
	if (!number)
		number = log->appended;
	if (log->waited_for < number)
		log->waited_for = number;
	pthread_cond_signal(&log->wanted);
	while (log->durable < number && !(log->failure.code && log->tried >= number))
		pthread_cond_wait(&log->done, &log->lock);
	int result = 0;
	if (log->durable < number)
		result = error_set(err,
			log->failure.code == ERROR_NO_SPACE ? ERROR_NO_SPACE : ERROR_UNAVAILABLE,
			"The call was made, but it is not recorded yet: the audit trail cannot be written. The server's log tells why.");
	pthread_mutex_unlock(&log->lock);
	return result;
}

const char *audit_log_folder(const struct audit_log *log)
{
	return log->files.folder;
}
