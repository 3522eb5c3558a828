/*
 * Batches: changes are encoded on the caller's thread as they are added, so that the writer thread only runs
 * statements. What is wrong with one is kept in the batch and told by meta_commit.
 */
#include "meta/meta_internal.h"

#include <string.h>

#include "base/banned.h"
#include "shape/json.h"
#include "shape/utf8.h"

struct meta_batch *meta_batch_create(struct meta *meta, struct arena *arena)
{
	struct meta_batch *batch = arena_alloc(arena, sizeof *batch);
	batch->arena = arena;
	return batch;
}

/* Only the first thing wrong with a batch is told. */
static void set_failure(struct meta_batch *batch, const struct error *why)
{
	if (!batch->failure.code)
		batch->failure = *why;
}

static bool is_valid_key(const char *text)
{
	size_t size = strlen(text);
	return size <= KEY_LIMIT && utf8_valid(text, size);
}

static void check_key(struct meta_batch *batch, const struct batch_change *change)
{
	struct error why;
	if (!*change->id) {
		error_set(&why, ERROR_INTERNAL, "a %s without an id", change->kind);
		set_failure(batch, &why);
	} else if (!is_valid_key(change->id) || !is_valid_key(change->account) ||
		!is_valid_key(change->region)) {
		error_set(&why, ERROR_INVALID, "the id of a %s is longer than %d bytes, or not UTF-8",
			change->kind, KEY_LIMIT);
		set_failure(batch, &why);
	}
}

static struct batch_change *add_change(struct meta_batch *batch, enum change_action action,
	const struct record_kind *kind, const struct record *record)
{
	struct arena *arena = batch->arena;
	struct batch_change *change = ARENA_APPEND(arena, batch->changes, batch->count);
	*change = (struct batch_change){
		.action = action,
		.kind = kind->name,
		.account = record->account ? arena_strdup(arena, record->account) : "",
		.region = record->region ? arena_strdup(arena, record->region) : "",
		.id = record->id ? arena_strdup(arena, record->id) : "",
		.version = record->version,
	};
	check_key(batch, change);
	return change;
}

void meta_batch_put(struct meta_batch *batch, const struct record_kind *kind, const void *record)
{
	struct batch_change *change = add_change(batch, CHANGE_PUT, kind, record);
	struct error why;
	if (meta_index_entries(kind, record, batch->arena, &change->entries, &why)) {
		set_failure(batch, &why);
		return;
	}
	struct buffer body BUFFER_SCOPED = { 0 };
	json_encode(&body, kind->shape, record);
	if (body.size > BODY_SIZE_LIMIT) {
		error_set(&why, ERROR_INVALID, "%s %s is too large: %zu bytes, of at most %d", kind->name,
			change->id, body.size, BODY_SIZE_LIMIT);
		set_failure(batch, &why);
	}
	change->body = arena_strndup(batch->arena, buffer_text(&body), body.size);
	change->body_size = body.size;
}

void meta_batch_delete(struct meta_batch *batch, const struct record_kind *kind, const void *record)
{
	add_change(batch, CHANGE_DELETE, kind, record);
}

void meta_batch_expect(struct meta_batch *batch, const struct record_kind *kind, const void *record)
{
	add_change(batch, CHANGE_EXPECT, kind, record);
}

static int compare_records(const void *a, const void *b)
{
	const struct batch_change *left = *(const struct batch_change *const *)a;
	const struct batch_change *right = *(const struct batch_change *const *)b;
	int order = strcmp(left->id, right->id);
	if (!order)
		order = strcmp(left->kind, right->kind);
	if (!order)
		order = strcmp(left->account, right->account);
	return order ? order : strcmp(left->region, right->region);
}

/*
 * A record may be changed once in a batch: of two changes made from two copies that were read, one would be lost
 * without anybody noticing.
 */
int meta_batch_check(struct meta_batch *batch, struct error *err)
{
	if (batch->failure.code) {
		*err = batch->failure;
		return -1;
	}
	const struct batch_change **sorted = arena_alloc_array(batch->arena, batch->count, sizeof *sorted);
	size_t count = 0;
	for (size_t i = 0; i < batch->count; i++)
		if (batch->changes[i].action != CHANGE_EXPECT)
			sorted[count++] = &batch->changes[i];
	qsort(sorted, count, sizeof *sorted, compare_records);
	for (size_t i = 1; i < count; i++)
		if (!compare_records(&sorted[i - 1], &sorted[i]))
			return error_set(err, ERROR_INTERNAL, "%s %s is changed twice in one batch",
				sorted[i]->kind, sorted[i]->id);
	return 0;
}

int meta_commit(struct meta *meta, struct meta_batch *batch, struct error *err)
{
	struct error unused;
	if (!err)
		err = &unused;
	if (batch->committed)
		return error_set(err, ERROR_INTERNAL, "a batch is committed twice");
	batch->committed = true;
	if (meta_batch_check(batch, err))
		return -1;
	return batch->count || batch->forget_account ? writer_commit(meta->writer, batch, err) : 0;
}

int meta_forget_account(struct meta *meta, const char *account, const char *const *keep, struct error *err)
{
	if (!account || !*account)
		return error_set(err, ERROR_INVALID, "no account to forget is named");
	struct arena *arena ARENA_SCOPED = arena_create();
	struct meta_batch *batch = meta_batch_create(meta, arena);
	batch->forget_account = account;
	batch->forget_keep = keep;
	return meta_commit(meta, batch, err);
}
