/*
 * Client tokens. The id of a token's record is the digest of account, region, operation and token, so that finding it is one look-up and equal tokens of different callers
 * never meet. The parameters are compared by the digest of their JSON form.
 */
#include "aws/idempotency.h"

#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "shape/json.h"
#include "shape/value.h"
#include "base/banned.h"

enum {
	LIFETIME_MS = 24 * 60 * 60 * 1000,
	TOKEN_LENGTH_MAX = 64 /* EC2's; others have theirs in the tables */
};

static const struct shape_member *find_token_member(const struct shape *shape)
{
	for (unsigned i = 0; i < shape->member_count; i++) {
		if (shape->members[i].idempotency_token)
			return &shape->members[i];
	}
	return NULL;
}

/* The digest of all parameters but the token and DryRun, in hexadecimal. */
static const char *digest_parameters(
	struct arena *arena, const struct shape *shape, const struct shape_member *token, const void *request)
{
	const struct shape_member *dry_run = shape_find_member(shape, "DryRun");
	char *copy = arena_memdup(arena, request, shape->size);
	struct buffer json BUFFER_SCOPED = { 0 };
	struct digest digest;
	memset(copy + token->offset, 0, shape_field_size(token->shape));
	if (dry_run)
		memset(copy + dry_run->offset, 0, shape_field_size(dry_run->shape));
	json_encode(&json, shape, copy);
	digest_sha256(json.data, json.size, &digest);
	return text_hex(&digest, sizeof digest, arena_alloc(arena, 2 * sizeof digest + 1));
}

static const char *record_id(const struct call *call, const char *token)
{
	const char *const fields[] = { call->account, call->region, call->operation->shape->name, token };
	struct buffer text BUFFER_SCOPED = { 0 };
	struct digest digest;
	char hex[2 * sizeof digest + 1];
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		buffer_append(&text, fields[i], strlen(fields[i]) + 1);
	digest_sha256(text.data, text.size, &digest);
	return arena_printf(call->arena, "token-%s", text_hex(&digest, sizeof digest, hex));
}

static int compare_with_stored(struct idempotency *idempotency, const struct client_token_record *stored,
	enum error_code mismatch, struct error *err)
{
	struct client_token_record *record = idempotency->record;
	if (stored->expires.ms <= clock_now_ms()) {
		record->record.version = stored->record.version; /* this request takes its place */
		return 0;
	}
	if (!text_equal(stored->parameters_digest, record->parameters_digest))
		return error_set(err, mismatch,
			"The client token '%.64s' was used before, with other parameters", record->token);
	idempotency->done = true;
	idempotency->resource_ids = stored->resource_ids.items;
	idempotency->resource_count = stored->resource_ids.count;
	return 0;
}

int idempotency_begin(struct call *call, struct meta *meta, const void *request, enum error_code mismatch,
	struct idempotency *idempotency, struct error *err)
{
	const struct shape_operation *operation = call->operation->shape;
	const struct shape_member *member = find_token_member(operation->input);
	const char *token = member ? *(const char *const *)((const char *)request + member->offset) : NULL;
	*idempotency = (struct idempotency){ .call = call, .meta = meta };
	if (!token || !*token)
		return 0;
	if (!member->shape->has_max && strlen(token) > TOKEN_LENGTH_MAX)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE, "The %s is longer than %d characters",
			member->name, TOKEN_LENGTH_MAX);
	struct client_token_record *record = arena_alloc(call->arena, sizeof *record), *stored;
	record->record = (struct record){
		.account = call->account, .region = call->region, .id = record_id(call, token)
	};
	record->operation = operation->name;
	record->token = token;
	record->parameters_digest = digest_parameters(call->arena, operation->input, member, request);
	idempotency->record = record;
	if (meta_get(meta, &record_client_token, call->account, call->region, record->record.id, call->arena,
		    &stored, err) < 0)
		return -1;
	return stored ? compare_with_stored(idempotency, stored, mismatch, err) : 0;
}

void idempotency_record(
	struct idempotency *idempotency, struct meta_batch *batch, const char *const *ids, size_t count)
{
	struct client_token_record *record = idempotency->record;
	if (!record)
		return;
	int64_t now = clock_now_ms();
	record->created = some_timestamp(now);
	record->expires = some_timestamp(now + LIFETIME_MS);
	record->resource_ids.items = arena_memdup(idempotency->call->arena, ids, count * sizeof *ids);
	record->resource_ids.count = count;
	record->resource_ids.set = true;
	meta_batch_put(batch, &record_client_token, record);
}

int idempotency_commit(struct idempotency *idempotency, struct meta_batch *batch, struct error *err)
{
	const struct client_token_record *record = idempotency->record;
	struct client_token_record *stored;
	struct error own, look_up;
	if (meta_commit(idempotency->meta, batch, &own) == 0)
		return 0;
	*err = own;
	/* a duplicate of something else (a name) stays what it is, unless the request that has the name is this one's twin */
	if (own.code == ERROR_DUPLICATE && record && !record->record.version &&
		meta_get(idempotency->meta, &record_client_token, record->record.account,
			record->record.region, record->record.id, idempotency->call->arena, &stored,
			&look_up) == 0 &&
		stored)
		return error_set(err, ERROR_CONFLICT, "The client token is being used by another request");
	return -1;
}

/* As many at a time as one transaction should delete. */
enum { SWEEP_SIZE = 500, RECORD_ID_SIZE = 96 };

/* Looks at the tokens behind *after_id, and moves it on. */
static int sweep_some(
	struct meta *meta, int64_t now, char after_id[RECORD_ID_SIZE], size_t *seen, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const struct meta_query query = { .after_id = after_id, .limit = SWEEP_SIZE };
	struct meta_rows rows;
	struct meta_batch *batch = meta_batch_create(meta, arena);
	if (meta_list(meta, &record_client_token, &query, arena, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct client_token_record *record = rows.items[i];
		if (record->expires.ms <= now)
			meta_batch_delete(batch, &record_client_token, record);
		snprintf(after_id, RECORD_ID_SIZE, "%s", record->record.id);
	}
	*seen = rows.count;
	return meta_commit(meta, batch, err);
}

int idempotency_sweep(struct meta *meta, struct error *err)
{
	char after_id[RECORD_ID_SIZE] = "";
	size_t seen = 0;
	struct error failure;
	int64_t now = clock_now_ms();
	do {
		if (sweep_some(meta, now, after_id, &seen, &failure) == 0)
			continue;
		if (failure.code == ERROR_CONFLICT)
			return 0; /* one of them was taken up again meanwhile: the next sweep will see */
		return error_set(err, failure.code, "%s", failure.message);
	} while (seen == SWEEP_SIZE);
	return 0;
}
