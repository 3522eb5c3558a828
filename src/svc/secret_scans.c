/*
 * One thread a scan, SCANS_MAX of which work at a time; each has the scanner's process (gate/scanner.h) and serves it blocks of one tree, decrypted if need be. A scan is in the list while it runs, so that whoever asks for the
 * same tree waits for the same scan. It belongs to its thread and to those who wait: the last of them frees it.
 *
 * `lock` is held for the list only, never while reading or waiting for anything but the condition.
 */
#include "svc/secret_scans.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "gate/scanner.h"
#include "store/tree.h"
#include "svc/ec2/encryption.h"
#include "svc/key_ring.h"
#include "volume/cipher.h"
#include "base/banned.h"

enum { SCANS_MAX = 2 };

struct scan {
	struct secret_scans *scans;
	struct scan *next;
	struct amid_region *region;
	struct digest root;
	char *account, *root_text;
	struct cipher *cipher; /* NULL: plain */
	unsigned users;
	bool done;
	int result;
	struct error err;
	/* the thread's own, while it runs */
	struct tree *tree;
	struct arena *arena;
};

struct secret_scans {
	struct amid *amid;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct scan *list;
	unsigned threads, working;
	bool stopping;
	int stop_fd; /* an eventfd: readable when all is to end */
};

int secret_scans_open(struct amid *amid, struct secret_scans **result, struct error *err)
{
	int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (stop_fd < 0)
		return error_set_errno(err, errno, "cannot make an eventfd");
	struct secret_scans *scans = memory_alloc(sizeof *scans);
	pthread_condattr_t attributes;
	scans->amid = amid;
	scans->stop_fd = stop_fd;
	pthread_mutex_init(&scans->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&scans->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	*result = scans;
	return 0;
}

void secret_scans_stop(struct secret_scans *scans)
{
	if (!scans)
		return;
	pthread_mutex_lock(&scans->lock);
	scans->stopping = true;
	pthread_cond_broadcast(&scans->changed);
	pthread_mutex_unlock(&scans->lock);
	if (eventfd_write(scans->stop_fd, 1))
		log_error("secret-scans-stop-failed", "errno=%d", errno);
}

void secret_scans_close(struct secret_scans *scans)
{
	if (!scans)
		return;
	pthread_mutex_lock(&scans->lock);
	while (scans->threads)
		pthread_cond_wait(&scans->changed, &scans->lock);
	pthread_mutex_unlock(&scans->lock);
	close(scans->stop_fd);
	pthread_cond_destroy(&scans->changed);
	pthread_mutex_destroy(&scans->lock);
	free(scans);
}

/* ---- what was found ---- */

static int find_record(struct amid *amid, const char *region, const char *root, struct arena *arena,
	struct secret_scan_record **scan, struct error *err)
{
	return meta_get_any(amid->meta, &record_secret_scan, region, root, arena, scan, err);
}

static bool is_current(const struct secret_scan_record *scan)
{
	return scan && integer_or(scan->rules_version, 0) == GATE_RULES_VERSION;
}

int secret_scans_find(struct amid *amid, const struct snapshot_record *snapshot, struct arena *arena,
	struct secret_scan_record **scan, struct error *err)
{
	*scan = NULL;
	if (!snapshot->root)
		return 0;
	if (find_record(amid, snapshot->record.region, snapshot->root, arena, scan, err))
		return -1;
	if (!is_current(*scan))
		*scan = NULL;
	return 0;
}

static void fill_findings(
	struct arena *arena, const struct gate_report *report, struct secret_scan_record *record)
{
	record->findings.count = 0;
	record->findings.items = NULL;
	record->findings.set = true;
	for (size_t i = 0; i < report->count; i++) {
		const struct gate_finding *found = &report->findings[i];
		*ARENA_APPEND(arena, record->findings.items, record->findings.count) =
			(struct record_secret_finding){ .rule = gate_rule(found->rule)->name,
				.partition = some_integer(found->partition),
				.path = found->path[0] ? found->path : NULL,
				.detail = found->reason ? gate_reason_text(found->reason) : NULL };
	}
}

/* Records of trees that no snapshot has any more; looked for when there is a new one, which is seldom. */
static int forget_gone(struct scan *scan, struct meta_batch *batch, struct error *err)
{
	struct meta *meta = scan->scans->amid->meta;
	struct meta_query all = { .account = scan->account, .region = scan->region->name };
	struct meta_rows scanned, snapshots;
	if (meta_list(meta, &record_secret_scan, &all, scan->arena, &scanned, err))
		return -1;
	for (size_t i = 0; i < scanned.count; i++) {
		const struct secret_scan_record *record = scanned.items[i];
		struct meta_query having = {
			.region = scan->region->name, .index = "root", .value = record->record.id, .limit = 1
		};
		if (strcmp(record->record.id, scan->root_text) == 0)
			continue;
		if (meta_list(meta, &record_snapshot, &having, scan->arena, &snapshots, err))
			return -1;
		if (!snapshots.count)
			meta_batch_delete(batch, &record_secret_scan, record);
	}
	return 0;
}

static int keep_report(struct scan *scan, const struct gate_report *report, struct error *err)
{
	struct amid *amid = scan->scans->amid;
	struct secret_scan_record *old, record = { 0 };
	if (find_record(amid, scan->region->name, scan->root_text, scan->arena, &old, err))
		return -1;
	if (old)
		record = *old;
	else
		record.record = (struct record){
			.account = scan->account, .region = scan->region->name, .id = scan->root_text
		};
	record.rules_version = some_integer(GATE_RULES_VERSION);
	record.scanned = some_timestamp(clock_now_ms());
	record.files = some_integer((int64_t)report->files);
	fill_findings(scan->arena, report, &record);
	struct meta_batch *batch = meta_batch_create(amid->meta, scan->arena);
	meta_batch_put(batch, &record_secret_scan, &record);
	return forget_gone(scan, batch, err) || meta_commit(amid->meta, batch, err) ? -1 : 0;
}

/* ---- the thread ---- */

static int read_block(void *context, uint64_t index, void *block, bool *zeros, struct error *err)
{
	struct scan *scan = context;
	struct digest digest;
	size_t size;
	if (tree_lookup(scan->tree, index, &digest, err))
		return -1;
	*zeros = digest_is_zero(&digest);
	if (*zeros)
		return 0;
	if (store_get(scan->region->store, &digest, block, &size, err))
		return -1;
	uint64_t left = tree_size(scan->tree) - index * STORE_BLOCK_SIZE;
	if (size < (left < STORE_BLOCK_SIZE ? left : STORE_BLOCK_SIZE))
		return error_set(err, ERROR_CORRUPT, "block %llu of %s is too short",
			(unsigned long long)index, scan->root_text);
	return scan->cipher
		? cipher_unseal(scan->cipher, block, block, index * (STORE_BLOCK_SIZE / CIPHER_SECTOR_SIZE),
			  size - size % CIPHER_SECTOR_SIZE, err)
		: 0;
}

/* A tree of zeros needs no scanner. */
static int scan_tree(struct scan *scan, struct gate_report *report, struct error *err)
{
	struct gate_source source = { .size = tree_size(scan->tree), .read = read_block, .context = scan };
	struct digest block;
	uint64_t index = 0;
	bool found;
	if (tree_next(scan->tree, &index, &block, &found, err))
		return -1;
	if (!found)
		return 0;
	return gate_scanner_run(scan->scans->amid->config->gate_program, &source, scan->scans->stop_fd,
		scan->arena, report, err);
}

static int work_on(struct scan *scan, struct error *err)
{
	struct gate_report report = { 0 };
	int64_t started = clock_monotonic_ms();
	if (tree_open(scan->region->store, &scan->root, &scan->tree, err))
		return -1;
	int result = scan_tree(scan, &report, err) || keep_report(scan, &report, err) ? -1 : 0;
	if (result == 0)
		log_info("secret-scan", "root=%s findings=%zu files=%llu bytes_read=%llu ms=%lld",
			scan->root_text, report.count, (unsigned long long)report.files,
			(unsigned long long)report.bytes_read, (long long)(clock_monotonic_ms() - started));
	tree_close(scan->tree);
	return result;
}

/* The caller holds the lock. */
static void leave(struct scan *scan)
{
	if (--scan->users)
		return;
	cipher_close(scan->cipher);
	free(scan->account);
	free(scan->root_text);
	free(scan);
}

static void end(struct scan *scan, int result, const struct error *err)
{
	struct secret_scans *scans = scan->scans;
	struct scan **link = &scans->list;
	scan->done = true;
	scan->result = result;
	scan->err = *err;
	scan->err.detail = NULL;
	while (*link != scan)
		link = &(*link)->next;
	*link = scan->next;
	leave(scan);
	scans->threads--;
	pthread_cond_broadcast(&scans->changed);
}

static void *run_scan(void *context)
{
	struct scan *scan = context;
	struct secret_scans *scans = scan->scans;
	struct error err = { 0 };
	int result = -1;
	pthread_mutex_lock(&scans->lock);
	while (!scans->stopping && scans->working == SCANS_MAX)
		pthread_cond_wait(&scans->changed, &scans->lock);
	bool stopping = scans->stopping;
	scans->working++;
	pthread_mutex_unlock(&scans->lock);
	scan->arena = arena_create();
	if (stopping)
		error_set(&err, ERROR_UNAVAILABLE, "the server is being stopped");
	else
		result = work_on(scan, &err);
	if (result && !stopping)
		log_warning("secret-scan-failed", "root=%s reason=\"%s\"", scan->root_text, err.message);
	arena_destroy(scan->arena);
	pthread_mutex_lock(&scans->lock);
	scans->working--;
	end(scan, result, &err);
	pthread_mutex_unlock(&scans->lock);
	return NULL;
}

/* ---- asking ---- */

/* The caller holds the lock. */
static struct scan *find_running(
	struct secret_scans *scans, const struct amid_region *region, const struct digest *root)
{
	struct scan *scan = scans->list;
	while (scan && (scan->region != region || !digest_equal(&scan->root, root)))
		scan = scan->next;
	return scan;
}

/* The caller holds the lock. Takes the cipher, in any case. */
static int start(struct secret_scans *scans, struct amid_region *region,
	const struct snapshot_record *snapshot, const struct digest *root, struct cipher *cipher,
	struct scan **result, struct error *err)
{
	pthread_t thread;
	pthread_attr_t attributes;
	struct scan *scan = memory_alloc(sizeof *scan);
	*scan = (struct scan){ .scans = scans,
		.next = scans->list,
		.region = region,
		.root = *root,
		.account = memory_strdup(snapshot->record.account),
		.root_text = memory_strdup(snapshot->root),
		.cipher = cipher,
		.users = 1 };
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int failed = pthread_create(&thread, &attributes, run_scan, scan);
	pthread_attr_destroy(&attributes);
	if (failed) {
		leave(scan);
		return error_set_errno(err, failed, "cannot start a thread");
	}
	scans->list = scan;
	scans->threads++;
	*result = scan;
	return 0;
}

static int wait_for(struct secret_scans *scans, struct scan *scan, int64_t deadline_ms, struct error *err)
{
	const struct timespec until = { deadline_ms / 1000, deadline_ms % 1000 * 1000000 };
	int late = 0, result = -1;
	scan->users++;
	while (!scan->done && !late)
		late = pthread_cond_timedwait(&scans->changed, &scans->lock, &until);
	if (!scan->done) {
		error_set(err, ERROR_UNAVAILABLE,
			"The disk is still being looked through for secrets. Try again in a while.");
	} else {
		result = scan->result;
		*err = scan->err;
	}
	leave(scan);
	return result;
}

/*
 * A snapshot at rest has no grant: for the scan the caller gives one, by its own rights, which is retired as soon as the key is open. Each call has its own, as one that ends must not take it from another.
 */
static int open_cipher(
	struct call *call, const struct snapshot_record *snapshot, struct cipher **cipher, struct error *err)
{
	const char *id = arena_printf(call->arena, "scan-%s-%s", snapshot->record.id, call->request_id);
	struct record_data_key *shared;
	*cipher = NULL;
	if (!boolean_or(snapshot->encrypted, false))
		return 0;
	if (encryption_share_key(call, snapshot->data_key, id, &shared, err))
		return -1;
	int result = data_key_open_cipher(call->amid, call->account, id, shared, cipher, err);
	data_key_retire(call->amid, shared->grant);
	return result;
}

/* Nobody can look into it now; later somebody may, so this is not kept. */
static struct secret_scan_record *locked_record(
	struct arena *arena, const struct snapshot_record *snapshot, const struct error *err)
{
	struct secret_scan_record *record = arena_alloc(arena, sizeof *record);
	record->record = (struct record){
		.account = snapshot->record.account, .region = snapshot->record.region, .id = snapshot->root
	};
	record->rules_version = some_integer(GATE_RULES_VERSION);
	*ARENA_APPEND(arena, record->findings.items, record->findings.count) = (struct record_secret_finding){
		.rule = gate_rule(GATE_RULE_UNREADABLE)->name,
		.partition = some_integer(0),
		.detail = arena_printf(arena, "encrypted, and its key cannot be used: %s", err->message)
	};
	return record;
}

/* The scan of a snapshot that is not known yet, to its end or the deadline. *locked is set if its key cannot be used. */
static int find_out(struct call *call, const struct snapshot_record *snapshot, int64_t deadline_ms,
	bool *locked, struct error *err)
{
	struct secret_scans *scans = call->amid->secret_scans;
	struct amid_region *region = amid_find_region(call->amid, snapshot->record.region);
	struct digest root;
	struct cipher *cipher;
	struct scan *scan;
	int result;
	*locked = false;
	if (!region || text_unhex(snapshot->root, root.bytes, DIGEST_SIZE))
		return error_set(err, ERROR_CORRUPT, "the root digest of snapshot %s is unreadable",
			snapshot->record.id);
	if (open_cipher(call, snapshot, &cipher, err)) {
		*locked = data_key_is_refused(err);
		return -1;
	}
	pthread_mutex_lock(&scans->lock);
	scan = find_running(scans, region, &root);
	if (scan)
		cipher_close(cipher);
	if (scans->stopping && !scan) {
		cipher_close(cipher);
		result = error_set(err, ERROR_UNAVAILABLE, "the server is being stopped");
	} else {
		result = (!scan && start(scans, region, snapshot, &root, cipher, &scan, err)) ||
				wait_for(scans, scan, deadline_ms, err)
			? -1
			: 0;
	}
	pthread_mutex_unlock(&scans->lock);
	return result;
}

int secret_scans_wait(struct call *call, const struct snapshot_record *snapshot, int64_t deadline_ms,
	struct secret_scan_record **scan, struct error *err)
{
	bool locked;
	if (secret_scans_find(call->amid, snapshot, call->arena, scan, err))
		return -1;
	if (*scan || !snapshot->root)
		return 0;
	if (find_out(call, snapshot, deadline_ms, &locked, err)) {
		if (locked)
			*scan = locked_record(call->arena, snapshot, err);
		return locked ? 0 : -1;
	}
	if (secret_scans_find(call->amid, snapshot, call->arena, scan, err))
		return -1;
	return *scan ? 0 : error_set(err, ERROR_UNAVAILABLE, "The scan of %s was lost.", snapshot->record.id);
}
