/*
 * The rules are those of the EBS user guide. What a volume is made of:
 *
 *	snapshot    volume         base
 *	none        plain          none
 *	none        under K        none; a data key of its own
 *	plain       plain          the snapshot's tree
 *	under K     under K        the snapshot's tree, with its data key
 *	other       under K        its twin: the same tree under a data key of K's, made once for the account
 *
 * Data keys and grants are made before the batch is committed: if that fails, there is a grant that nobody uses.
 */
#include "svc/ec2/encryption.h"

#include <string.h>

#include "svc/key_ring.h"
#include "svc/keys.h"
#include "base/banned.h"

/* A refusal of KMS is no error of the call. */
static int note_refusal(struct call *call, struct encryption *encryption, const struct error *err)
{
	if (!data_key_is_refused(err))
		return -1;
	encryption->refusal = data_key_reason(call->arena, err);
	encryption->words = data_key_words(call->arena, err);
	return 0;
}

static bool is_own(struct call *call, const struct snapshot_record *source)
{
	return strcmp(source->record.account, call->account) == 0;
}

int encryption_choose(struct call *call, struct shape_boolean encrypted, const char *kms_key_id,
	const struct snapshot_record *source, struct encryption *encryption, struct error *err)
{
	bool by_default, sealed = source && boolean_or(source->encrypted, false);
	const char *default_key;
	struct key_description key;
	*encryption = (struct encryption){ 0 };
	if (kms_key_id && !boolean_or(encrypted, false))
		return error_set(err, ERROR_PARAMETER_DEPENDENCY,
			"The parameter KmsKeyId requires the parameter Encrypted to be set.");
	if (ebs_encryption_default(call, &by_default, &default_key, err))
		return -1;
	encryption->wanted = boolean_or(encrypted, false) || by_default || sealed;
	if (!encryption->wanted)
		return 0;
	if (!kms_key_id && sealed && is_own(call, source)) {
		encryption->kms_key = source->kms_key;
		return 0;
	}
	if (keys_resolve(call, kms_key_id ? kms_key_id : default_key, &key, err))
		return note_refusal(call, encryption, err);
	encryption->kms_key = key.arn;
	return 0;
}

int encryption_share_key(struct call *call, const struct record_data_key *data_key, const char *disk,
	struct record_data_key **shared, struct error *err)
{
	char *grant;
	if (!data_key || !data_key->wrapped)
		return error_set(
			err, ERROR_CORRUPT, "the record of what %s is made of has no data key", disk);
	if (keys_grant(call, data_key->wrapped, data_key->id, keys_grantee(call->arena, call->account, disk),
		    &grant, err))
		return -1;
	*shared = arena_alloc(call->arena, sizeof **shared);
	**shared =
		(struct record_data_key){ .id = data_key->id, .wrapped = data_key->wrapped, .grant = grant };
	return 0;
}

int encryption_share_source(struct call *call, const struct snapshot_record *source, const char *disk,
	struct record_data_key **shared, struct error *err)
{
	const struct record_data_key *key = source->data_key;
	if (key && key->wrapped &&
		keys_check_source(
			call, key->wrapped, key->id, keys_grantee(call->arena, call->account, disk), err))
		return -1;
	return encryption_share_key(call, key, disk, shared, err);
}

int encryption_make_key(struct call *call, const char *kms_key, const char *disk,
	struct record_data_key **data_key, struct error *err)
{
	char *wrapped;
	if (keys_make_data_key(call, kms_key, disk, NULL, &wrapped, err))
		return -1;
	const struct record_data_key made = { .id = disk, .wrapped = wrapped };
	return encryption_share_key(call, &made, disk, data_key, err);
}

static struct twin_record *find_prepared(const struct encryption_twins *twins, const char *key)
{
	for (size_t i = 0; i < twins->count; i++)
		if (strcmp(twins->items[i].key, key) == 0)
			return &twins->items[i];
	return NULL;
}

/* The grant by which the twin's controller reads the source. It is asked for even if that has been done: whoever may not use the source's key may not have what it hides. */
static int share_source(
	struct call *call, const struct snapshot_record *source, struct twin_record *twin, struct error *err)
{
	struct record_data_key *shared;
	if (!boolean_or(source->encrypted, false))
		return 0;
	if (encryption_share_source(call, source, twin->record.id, &shared, err))
		return -1;
	if (twin->record.version == 0)
		twin->source_key = shared;
	else if (strcmp(twin->state, "completed") == 0)
		data_key_retire(call->amid, shared->grant);
	return 0;
}

static int make_twin(struct call *call, const struct snapshot_record *source, const char *key,
	const char *kms_key, struct twin_record *twin, struct error *err)
{
	*twin = (struct twin_record){
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "twin") },
		.state = "pending",
		.key = key,
		.source_root = source->root,
		.kms_key = kms_key,
		.created = ec2_now(),
	};
	return encryption_make_key(call, kms_key, twin->record.id, &twin->data_key, err);
}

/* The account's twin of the source under that key, of this call or an earlier one; else a new one. */
static int choose_twin(struct call *call, const struct snapshot_record *source, const char *kms_key,
	struct encryption_twins *twins, struct twin_record **twin, struct error *err)
{
	const char *key = arena_printf(call->arena, "%s/%s", source->root, kms_key);
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "key", .value = key, .limit = 1
	};
	*twin = find_prepared(twins, key);
	if (*twin)
		return 0;
	if (meta_list(call->amid->meta, &record_twin, &query, call->arena, &rows, err))
		return -1;
	struct twin_record chosen;
	if (rows.count)
		chosen = *(struct twin_record *)rows.items[0];
	else if (make_twin(call, source, key, kms_key, &chosen, err))
		return -1;
	if (share_source(call, source, &chosen, err))
		return -1;
	*twin = ARENA_APPEND(call->arena, twins->items, twins->count);
	**twin = chosen;
	return 0;
}

void encryption_put_twins(const struct encryption_twins *twins, struct meta_batch *batch)
{
	for (size_t i = 0; i < twins->count; i++) {
		if (twins->items[i].record.version)
			meta_batch_expect(batch, &record_twin, &twins->items[i]);
		else
			meta_batch_put(batch, &record_twin, &twins->items[i]);
	}
}

static int find_twin_origin(struct call *call, const struct snapshot_record *source,
	struct encryption_twins *twins, struct volume_origin *origin, struct error *err)
{
	struct twin_record *twin;
	if (choose_twin(call, source, origin->encryption.kms_key, twins, &twin, err))
		return note_refusal(call, &origin->encryption, err);
	origin->data_key = twin->data_key;
	if (strcmp(twin->state, "completed") == 0)
		origin->base = twin->root;
	else
		origin->twin = twin->record.id;
	return 0;
}

int encryption_find_origin(struct call *call, const struct encryption *encryption,
	const struct snapshot_record *source, struct encryption_twins *twins, struct volume_origin *origin,
	struct error *err)
{
	*origin = (struct volume_origin){ .encryption = *encryption };
	if (!source || encryption->refusal)
		return 0;
	if (!encryption->wanted ||
		(boolean_or(source->encrypted, false) && is_own(call, source) &&
			strcmp(text_or(source->kms_key, ""), encryption->kms_key) == 0)) {
		origin->base = source->root;
		origin->data_key = source->data_key;
		return 0;
	}
	return find_twin_origin(call, source, twins, origin, err);
}

int encryption_apply(struct call *call, const struct volume_origin *origin, struct volume_record *volume,
	struct error *err)
{
	struct encryption encryption = origin->encryption;
	volume->base = origin->base;
	if (!encryption.wanted)
		return 0;
	volume->encrypted = some_boolean(true);
	volume->kms_key = encryption.kms_key;
	volume->twin = origin->twin;
	int refused = 0;
	if (!encryption.refusal)
		refused = origin->data_key ? encryption_share_key(call, origin->data_key, volume->record.id,
						     &volume->data_key, err)
					   : encryption_make_key(call, encryption.kms_key, volume->record.id,
						     &volume->data_key, err);
	if (refused && note_refusal(call, &encryption, err))
		return -1;
	volume->key_error = encryption.refusal;
	if (volume->key_error)
		volume->base = volume->twin = NULL; /* it holds nothing */
	return 0;
}
