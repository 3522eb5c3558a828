/* The rules are the tables of "Encryption outcomes for EBS direct APIs" in the EBS user guide. Runs on the thread of the call. */
#include "svc/ebs/encryption.h"

#include <string.h>

#include "svc/ec2/encryption.h"
#include "svc/key_ring.h"
#include "svc/keys.h"
#include "base/banned.h"

/* In the words of this API. */
static int explain_refusal(const char *what, struct error *err)
{
	if (!data_key_is_refused(err))
		return -1;
	if (err->code != ERROR_ACCESS_DENIED && err->code != ERROR_UNAUTHORIZED)
		err->code = ERROR_VALIDATION_KEY;
	return error_prefix(err, "The KMS key of %s cannot be used", what);
}

static int inherit_key(struct call *call, const struct ebs_StartSnapshotRequest *request,
	const struct snapshot_record *parent, struct snapshot_record *snapshot, struct error *err)
{
	if (request->encrypted.set || request->kms_key_arn)
		return error_set(err, ERROR_VALIDATION,
			"Encrypted and KmsKeyArn cannot be specified together with an encrypted parent snapshot.");
	snapshot->kms_key = parent->kms_key;
	return encryption_share_key(call, parent->data_key, snapshot->record.id, &snapshot->data_key, err);
}

static int make_key(struct call *call, const struct ebs_StartSnapshotRequest *request,
	const char *default_key, struct snapshot_record *snapshot, struct error *err)
{
	struct key_description key;
	if (keys_resolve(call, request->kms_key_arn ? request->kms_key_arn : default_key, &key, err))
		return -1;
	snapshot->kms_key = key.arn;
	return encryption_make_key(call, key.arn, snapshot->record.id, &snapshot->data_key, err);
}

int ebs_encrypt_start(struct call *call, const struct ebs_StartSnapshotRequest *request,
	const struct snapshot_record *parent, struct snapshot_record *snapshot, struct error *err)
{
	bool by_default, sealed = parent && boolean_or(parent->encrypted, false);
	const char *default_key;
	if (parent && request->encrypted.set)
		return error_set(err, ERROR_VALIDATION,
			"Encrypted and ParentSnapshotId cannot be specified together.");
	if (ebs_encryption_default(call, &by_default, &default_key, err))
		return -1;
	if (parent && !sealed && by_default)
		return error_set(err, ERROR_VALIDATION,
			"The parent snapshot %s is not encrypted, but encryption by default is enabled.",
			parent->record.id);
	bool encrypted = sealed || (!parent && (by_default || boolean_or(request->encrypted, false)));
	if (!encrypted && request->kms_key_arn && !parent)
		return error_set(err, ERROR_VALIDATION,
			"KmsKeyArn cannot be specified for a snapshot that is not encrypted.");
	if (!encrypted)
		return 0;
	snapshot->encrypted = some_boolean(true);
	int result = sealed ? inherit_key(call, request, parent, snapshot, err)
			    : make_key(call, request, default_key, snapshot, err);
	return result ? explain_refusal("the snapshot", err) : 0;
}

int ebs_open_upload(
	struct call *call, const struct snapshot_record *snapshot, struct cipher **cipher, struct error *err)
{
	*cipher = NULL;
	if (!boolean_or(snapshot->encrypted, false))
		return 0;
	uint8_t *key = cipher_key_alloc();
	int result = key_ring_take(call->amid, snapshot->record.account, snapshot->record.id,
			     snapshot->data_key, key, err) ||
			cipher_open(key, cipher, err)
		? explain_refusal(snapshot->record.id, err)
		: 0;
	cipher_key_free(key);
	return result;
}

int ebs_seal_block(struct cipher *cipher, uint64_t index, const void *plain, void *sealed, struct error *err)
{
	return cipher_seal_sparse(cipher, sealed, plain, index * (STORE_BLOCK_SIZE / CIPHER_SECTOR_SIZE),
		STORE_BLOCK_SIZE, err);
}

int ebs_open_snapshot(
	struct call *call, const struct snapshot_record *snapshot, struct cipher **cipher, struct error *err)
{
	const struct record_data_key *data_key = snapshot->data_key;
	*cipher = NULL;
	if (!boolean_or(snapshot->encrypted, false))
		return 0;
	if (!data_key || !data_key->wrapped)
		return error_set(err, ERROR_CORRUPT, "the record of %s has no data key", snapshot->record.id);
	uint8_t *key = cipher_key_alloc();
	int result = keys_open_for_caller(call, data_key->wrapped, data_key->id, key, err) ||
			cipher_open(key, cipher, err)
		? explain_refusal(snapshot->record.id, err)
		: 0;
	cipher_key_free(key);
	return result;
}
