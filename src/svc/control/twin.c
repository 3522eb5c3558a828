/*
 * The twin controller: encrypts a tree, once for all the volumes that wait for it and those that are made of the same source under the same key later.
 *
 *	pending    a look brings the next blocks and publishes the tree of what has come, so a crash costs one step; after the last, both disks are read and compared (recode_verify)
 *	completed  those that wait are woken; kept until its source's root is published nowhere
 *	error      the same, with the reason; gone when nobody waits for it any more
 *
 * Volumes that wait are woken by the change of the record; each takes over the twin's tree in its own commit (twin_adopt).
 */
#include "svc/control/twin.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "svc/control/recode.h"
#include "svc/key_ring.h"
#include "svc/published.h"
#include "base/banned.h"

struct twin_view {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct twin_record *twin;
	const char *retired[2]; /* grants that the record has no more, once it is committed */
};

static int commit(struct twin_view *view, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_put(batch, &record_twin, view->twin);
	if (meta_commit(view->amid->meta, batch, err))
		return -1;
	for (unsigned i = 0; i < 2; i++)
		data_key_retire(view->amid, view->retired[i]);
	return 0;
}

static int list_waiting(struct twin_view *view, struct meta_rows *rows, struct error *err)
{
	struct meta_query query = { .index = "twin", .value = view->twin->record.id };
	return meta_list(view->amid->meta, &record_volume, &query, view->arena, rows, err);
}

/* An instance takes care of its volumes itself. */
static int wake_waiting(struct twin_view *view, struct error *err)
{
	struct meta_rows rows;
	if (list_waiting(view, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct volume_record *volume = rows.items[i];
		if (volume->attachment)
			work_enqueue(view->amid->work, "instance", volume->attachment->instance);
		else
			work_enqueue(view->amid->work, "volume", volume->record.id);
	}
	if (rows.count || strcmp(view->twin->state, "error") != 0)
		return 0;
	struct meta_batch *batch = meta_batch_create(view->amid->meta, view->arena);
	meta_batch_delete(batch, &record_twin, view->twin);
	return meta_commit(view->amid->meta, batch, err);
}

/* Volumes have grants of their own. */
static void drop_grants(struct twin_view *view)
{
	view->retired[0] = data_key_take_grant(view->twin->data_key);
	view->retired[1] = data_key_take_grant(view->twin->source_key);
	view->twin->source_key = NULL;
}

static int fail_twin(struct twin_view *view, const struct error *why, struct error *err)
{
	struct twin_record *twin = view->twin;
	log_error("twin-failed", "twin=%s error=\"%s\"", twin->record.id, why->message);
	twin->state = "error";
	twin->state_message = data_key_reason(view->arena, why);
	twin->key = twin->source_root = twin->root = NULL; /* what has come may be collected */
	drop_grants(view);
	return commit(view, err);
}

static int complete_twin(struct twin_view *view, const struct recode_step *step, struct error *err)
{
	struct twin_record *twin = view->twin;
	struct digest plain;
	char hex[2 * DIGEST_SIZE + 1];
	if (recode_verify(step, &plain, err))
		return -1;
	twin->plain_root = arena_strdup(view->arena, text_hex(plain.bytes, DIGEST_SIZE, hex));
	twin->state = "completed";
	twin->source_root = NULL;
	drop_grants(view);
	log_info("twin-completed", "twin=%s key=%s ms=%lld", twin->record.id, twin->kms_key,
		(long long)(clock_now_ms() - twin->created.ms));
	return 0;
}

static int parse_root(const char *hex, const char *id, struct digest *root, struct error *err)
{
	if (hex && text_unhex(hex, root->bytes, DIGEST_SIZE) == 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, "a root digest of %s is unreadable", id);
}

static int open_ciphers(struct twin_view *view, struct recode_step *step, struct error *err)
{
	const struct twin_record *twin = view->twin;
	const char *account = twin->record.account, *id = twin->record.id;
	if (twin->source_key &&
		data_key_open_cipher(view->amid, account, id, twin->source_key, &step->open, err))
		return -1;
	return data_key_open_cipher(view->amid, account, id, twin->data_key, &step->seal, err);
}

/* One step, up to the commit that publishes what it brought. */
static int bring_some(struct twin_view *view, struct recode_step *step, struct error *err)
{
	struct twin_record *twin = view->twin;
	struct digest present;
	char hex[2 * DIGEST_SIZE + 1];
	if (parse_root(twin->source_root, twin->record.id, &step->source, err) ||
		(twin->root && parse_root(twin->root, twin->record.id, &present, err)) ||
		open_ciphers(view, step, err))
		return -1;
	step->present = twin->root ? &present : NULL;
	step->next = (uint64_t)integer_or(twin->next, 0);
	if (recode_run(step, err))
		return -1;
	twin->root = arena_strdup(view->arena, text_hex(step->root.bytes, DIGEST_SIZE, hex));
	twin->next = some_integer((int64_t)step->next);
	return (!step->more && complete_twin(view, step, err)) || commit(view, err) ? -1 : 0;
}

static bool is_final(const struct error *why)
{
	return why->code == ERROR_CORRUPT || why->code == ERROR_NOT_FOUND || why->code == ERROR_NO_SPACE ||
		why->code == ERROR_INVALID || data_key_is_refused(why);
}

static int go_on(struct twin_view *view, struct error *err)
{
	struct recode_step step = { .from = view->region->store, .to = view->region->store };
	int result = bring_some(view, &step, err);
	recode_close(&step);
	cipher_close(step.open);
	cipher_close(step.seal);
	if (result == 0 || !is_final(err))
		return result;
	struct error why = *err;
	return fail_twin(view, &why, err);
}

int control_twin(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct twin_view view = { .amid = context, .arena = arena };
	(void)again_ms;
	if (meta_get_any(view.amid->meta, &record_twin, NULL, id, arena, &view.twin, err))
		return -1;
	if (!view.twin || !(view.region = amid_find_region(view.amid, view.twin->record.region)))
		return 0;
	return strcmp(view.twin->state, "pending") == 0 ? go_on(&view, err) : wake_waiting(&view, err);
}

int twin_adopt(struct amid *amid, struct volume_record *volume, struct arena *arena, enum twin_state *state,
	struct error *err)
{
	struct twin_record *twin = NULL;
	*state = volume->key_error ? TWIN_FAILED : TWIN_READY;
	if (!volume->twin || volume->key_error)
		return 0;
	if (meta_get_any(amid->meta, &record_twin, NULL, volume->twin, arena, &twin, err))
		return -1;
	*state = twin && strcmp(twin->state, "pending") == 0    ? TWIN_PENDING
		: twin && strcmp(twin->state, "completed") == 0 ? TWIN_READY
								: TWIN_FAILED;
	if (*state == TWIN_PENDING)
		return 0;
	volume->twin = NULL;
	if (*state == TWIN_READY)
		volume->base = twin->root;
	else
		volume->key_error =
			twin ? twin->state_message : "Server.InternalError: the twin of its snapshot is gone";
	return 0;
}

static int forget_unfindable(
	struct amid *amid, struct amid_region *region, struct twin_record *twin, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct digest source;
	bool published;
	const char *hex = twin->key ? arena_strndup(arena, twin->key, 2 * DIGEST_SIZE) : "";
	if (text_unhex(hex, source.bytes, DIGEST_SIZE))
		return 0;
	struct meta_rows waiting;
	struct meta_query query = { .index = "twin", .value = twin->record.id, .limit = 1 };
	if (published_find(amid, region, &source, 1, &published, err) ||
		meta_list(amid->meta, &record_volume, &query, arena, &waiting, err))
		return -1;
	if (published || waiting.count)
		return 0;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_delete(batch, &record_twin, twin);
	if (meta_commit(amid->meta, batch, err) && err->code != ERROR_CONFLICT)
		return -1;
	log_info("twin-forgotten", "twin=%s", twin->record.id);
	return 0;
}

int twins_forget(struct amid *amid, struct amid_region *region, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_rows rows;
	struct meta_query query = { .region = region->name, .index = "state", .value = "completed" };
	if (meta_list(amid->meta, &record_twin, &query, arena, &rows, err))
		return -1;
	for (size_t i = 0; i < rows.count; i++)
		if (forget_unfindable(amid, region, rows.items[i], err))
			return -1;
	return 0;
}
