/*
 * src/svc/keys.h: keys for disks, through EC2. A wrapped data key is "ARN BLOB": the key's ARN, a space, the ciphertext in Base64. The ARN only says where to look; what was sealed under which key the ciphertext says itself, and proves.
 * Any thread.
 */
#include "svc/keys.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "svc/kms/crypt.h"
#include "svc/kms/grants.h"
#include "svc/kms/grants_make.h"
#include "svc/kms/new_key.h"
#include "svc/kms/permit.h"
#include "base/banned.h"

enum { ARN_PARTS = 6 };

#define EBS_CONTEXT "aws:ebs:id"

static void describe(const struct kms_key *key, struct key_description *description)
{
	const struct kms_key_record *record = key->record;
	enum keys_state state = KEYS_ENABLED;
	if (kms_check_not_pending(key, NULL))
		state = KEYS_PENDING_DELETION;
	else if (strcmp(record->state, KMS_DISABLED) == 0)
		state = KEYS_DISABLED;
	else if (strcmp(record->state, KMS_ENABLED) != 0)
		state = KEYS_UNAVAILABLE;
	*description = (struct key_description){ .arn = key->arn,
		.id = record->record.id,
		.account = record->record.account,
		.region = record->record.region,
		.state = state,
		.aws_managed = record->service != NULL,
		.multi_region = boolean_or(record->multi_region, false),
		.symmetric = kms_is_symmetric(record) && strcmp(record->usage, KMS_ENCRYPT_DECRYPT) == 0 };
}

int keys_resolve(struct call *call, const char *name, struct key_description *description, struct error *err)
{
	struct kms_key key;
	const char *wanted = name ? name : "alias/aws/ebs";
	if (strcmp(wanted, "alias/aws/ebs") == 0 && kms_ensure_managed_key(call, err))
		return -1;
	if (kms_find_key(call, wanted, KMS_ANY, &key, err))
		return -1;
	describe(&key, description);
	return 0;
}

/* A key by its ARN, wherever it is. NotFoundException. */
static int find_by_arn(
	struct amid *amid, const char *arn, struct arena *arena, struct kms_key *key, struct error *err)
{
	size_t count;
	char **parts = text_split(arena, arn, ':', &count);
	*key = (struct kms_key){ .arn = arena_strdup(arena, arn) };
	if (count == ARN_PARTS && text_starts_with(parts[5], "key/") &&
		meta_get(amid->meta, &record_kms_key, parts[4], parts[3], parts[5] + strlen("key/"), arena,
			&key->record, err))
		return -1;
	return key->record ? 0 : error_set(err, ERROR_KMS_NOT_FOUND, "Key '%.300s' does not exist", arn);
}

int keys_describe(struct amid *amid, const char *key_arn, struct arena *arena,
	struct key_description *description, struct error *err)
{
	struct kms_key key;
	if (find_by_arn(amid, key_arn, arena, &key, err))
		return -1;
	describe(&key, description);
	return 0;
}

/* The encryption context of a resource. `entry` must live as long as the result. */
static struct kms_EncryptionContextType context_of(
	const char *resource, struct kms_EncryptionContextType_entry *entry)
{
	*entry = (struct kms_EncryptionContextType_entry){ EBS_CONTEXT, resource };
	return (struct kms_EncryptionContextType){ entry, 1, true };
}

static int check_fit(const struct kms_key *key, struct error *err)
{
	if (kms_check_enabled(key, err) || kms_check_usage(key, KMS_ENCRYPT_DECRYPT, err))
		return -1;
	return kms_is_symmetric(key->record)
		? 0
		: error_set(err, ERROR_KMS_INVALID_KEY_USAGE, "%s is not a symmetric key.", key->arn);
}

static int permit(struct call *call, const struct kms_key *key, const char *action,
	const struct kms_EncryptionContextType *context, struct error *err)
{
	struct kms_use use = { .action = action, .grantable = true, .through_ec2 = true, .context = context };
	return kms_permit(call, key, &use, err) || check_fit(key, err) ? -1 : 0;
}

static int wrap(struct call *call, const struct kms_key *key, const struct kms_EncryptionContextType *context,
	const uint8_t plain[KEYS_DATA_KEY_SIZE], char **wrapped, struct error *err)
{
	struct shape_blob blob;
	if (kms_wrap(call->amid, key->record, context, plain, KEYS_DATA_KEY_SIZE, call->arena, &blob, err))
		return -1;
	*wrapped =
		arena_printf(call->arena, "%s %s", key->arn, text_base64(call->arena, blob.data, blob.size));
	return 0;
}

int keys_make_data_key(struct call *call, const char *key_arn, const char *resource,
	uint8_t plain[KEYS_DATA_KEY_SIZE], char **wrapped, struct error *err)
{
	struct kms_EncryptionContextType_entry entry;
	struct kms_EncryptionContextType context = context_of(resource, &entry);
	uint8_t made[KEYS_DATA_KEY_SIZE];
	struct kms_key key;
	if (kms_find_key(call, key_arn, KMS_ANY, &key, err) ||
		permit(call, &key, "GenerateDataKeyWithoutPlaintext", &context, err))
		return -1;
	text_random_bytes(made, sizeof made);
	int result = wrap(call, &key, &context, made, wrapped, err);
	if (plain && result == 0)
		memcpy(plain, made, sizeof made);
	OPENSSL_cleanse(made, sizeof made);
	return result;
}

const char *keys_wrapped_arn(struct arena *arena, const char *wrapped)
{
	const char *space = strchr(wrapped, ' ');
	return space ? arena_strndup(arena, wrapped, (size_t)(space - wrapped)) : NULL;
}

static int find_wrapping(
	struct amid *amid, const char *wrapped, struct arena *arena, struct kms_key *key, struct error *err)
{
	const char *arn = keys_wrapped_arn(arena, wrapped);
	if (!arn)
		return error_set(err, ERROR_KMS_INVALID_CIPHERTEXT, "this is not a wrapped data key");
	return find_by_arn(amid, arn, arena, key, err);
}

char *keys_grantee(struct arena *arena, const char *account, const char *id)
{
	return arena_printf(arena, "arn:aws:sts::%s:assumed-role/aws:ec2-infrastructure/%s", account, id);
}

/* The grant that a disk's key is opened by. `pair` must live as long as it. */
static struct kms_grant_record disk_grant(
	struct call *call, const char *resource, const char *grantee, struct record_tag *pair)
{
	static const char *operations[] = { "Decrypt" };
	*pair = (struct record_tag){ .key = EBS_CONTEXT, .value = resource };
	return (struct kms_grant_record){ .name = arena_printf(call->arena, "%s %s", grantee, resource),
		.grantee = grantee,
		.operations = { operations, 1, true },
		.has_subset = some_boolean(true),
		.subset = { pair, 1, true } };
}

static int permit_grant(struct call *call, const char *wrapped, const struct kms_grant_record *grant,
	struct kms_key *key, struct error *err)
{
	struct kms_use use = {
		.action = "CreateGrant", .grantable = true, .through_ec2 = true, .grant = grant
	};
	return find_wrapping(call->amid, wrapped, call->arena, key, err) ||
			kms_permit(call, key, &use, err) || check_fit(key, err)
		? -1
		: 0;
}

/* What the user guide of EBS asks of the users of another account's key, beside kms:CreateGrant. */
static int permit_foreign(
	struct call *call, const struct kms_key *key, const char *resource, struct error *err)
{
	struct kms_EncryptionContextType_entry entry;
	struct kms_EncryptionContextType context = context_of(resource, &entry);
	if (strcmp(key->record->record.account, call->account) == 0)
		return 0;
	return permit(call, key, "DescribeKey", NULL, err) || permit(call, key, "Decrypt", &context, err) ||
			permit(call, key, "GenerateDataKeyWithoutPlaintext", &context, err) ||
			permit(call, key, "ReEncryptFrom", &context, err)
		? -1
		: 0;
}

int keys_check_source(
	struct call *call, const char *wrapped, const char *resource, const char *grantee, struct error *err)
{
	struct record_tag pair;
	struct kms_grant_record wanted = disk_grant(call, resource, grantee, &pair);
	struct kms_key key;
	return permit_grant(call, wrapped, &wanted, &key, err) || permit_foreign(call, &key, resource, err)
		? -1
		: 0;
}

static void take_back(struct call *call, void *grant)
{
	struct error err;
	if (keys_retire_grant(call->amid, grant, &err))
		log_warning(
			"grant-not-retired", "grant=\"%s\" error=\"%s\"", (const char *)grant, err.message);
}

int keys_grant(struct call *call, const char *wrapped, const char *resource, const char *grantee,
	char **grant, struct error *err)
{
	struct record_tag pair;
	struct kms_grant_record made = disk_grant(call, resource, grantee, &pair);
	struct kms_key key;
	bool is_new;
	if (permit_grant(call, wrapped, &made, &key, err) || kms_grant_make(call, &key, &made, &is_new, err))
		return -1;
	*grant = arena_printf(
		call->arena, "%s %s %s", made.record.account, made.record.region, made.record.id);
	if (is_new)
		call_on_failure(call, take_back, *grant);
	return 0;
}

int keys_retire_grant(struct amid *amid, const char *grant, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct kms_grant_record *record;
	size_t count;
	char **parts = text_split(arena, grant, ' ', &count);
	if (count != 3)
		return error_set(err, ERROR_INVALID, "'%.200s' names no grant", grant);
	if (meta_get(amid->meta, &record_kms_grant, parts[0], parts[1], parts[2], arena, &record, err))
		return -1;
	if (!record)
		return 0;
	struct meta_batch *batch = meta_batch_create(amid->meta, arena);
	meta_batch_delete(batch, &record_kms_grant, record);
	return meta_commit(amid->meta, batch, err);
}

static bool is_granted(const struct kms_grants *grants, const struct kms_EncryptionContextType *context)
{
	for (size_t i = 0; i < grants->count; i++)
		if (kms_grant_covers(grants->items[i], "Decrypt", context))
			return true;
	return false;
}

static int unwrap(struct amid *amid, const struct kms_key *key, const char *wrapped,
	const struct kms_EncryptionContextType *context, struct arena *arena,
	uint8_t plain[KEYS_DATA_KEY_SIZE], struct error *err)
{
	struct kms_blob blob;
	struct shape_blob opened;
	size_t size;
	const uint8_t *data = text_unbase64(arena, strchr(wrapped, ' ') + 1, &size);
	if (!data || kms_blob_parse(data, size, &blob) || blob.plain_size != KEYS_DATA_KEY_SIZE ||
		strcmp(blob.key_id, key->record->record.id) != 0)
		return error_set(err, ERROR_KMS_INVALID_CIPHERTEXT, "The wrapped data key is damaged.");
	if (kms_unwrap(amid, key->record, &blob, context, arena, &opened, err))
		return -1;
	memcpy(plain, opened.data, KEYS_DATA_KEY_SIZE);
	OPENSSL_cleanse((void *)opened.data, opened.size);
	return 0;
}

int keys_open_data_key(struct amid *amid, const char *wrapped, const char *resource, const char *grantee,
	uint8_t plain[KEYS_DATA_KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct kms_EncryptionContextType_entry entry;
	struct kms_EncryptionContextType context = context_of(resource, &entry);
	struct kms_key key;
	struct kms_grants grants = { 0 };
	if (find_wrapping(amid, wrapped, arena, &key, err) || check_fit(&key, err) ||
		kms_grants_add(amid, key.record, grantee, arena, &grants, err))
		return -1;
	if (!is_granted(&grants, &context))
		return error_set(err, ERROR_ACCESS_DENIED, "%s has no grant to decrypt with %s for %s.",
			grantee, key.arn, resource);
	return unwrap(amid, &key, wrapped, &context, arena, plain, err);
}

int keys_open_for_caller(struct call *call, const char *wrapped, const char *resource,
	uint8_t plain[KEYS_DATA_KEY_SIZE], struct error *err)
{
	struct kms_EncryptionContextType_entry entry;
	struct kms_EncryptionContextType context = context_of(resource, &entry);
	struct kms_key key;
	return find_wrapping(call->amid, wrapped, call->arena, &key, err) ||
			permit(call, &key, "Decrypt", &context, err) ||
			unwrap(call->amid, &key, wrapped, &context, call->arena, plain, err)
		? -1
		: 0;
}

int keys_reencrypt(struct call *call, const char *wrapped, const char *resource, const char *new_key_arn,
	const char *new_resource, char **new_wrapped, struct error *err)
{
	struct kms_EncryptionContextType_entry entries[2];
	struct kms_EncryptionContextType from = context_of(resource, &entries[0]),
					 to = context_of(new_resource, &entries[1]);
	uint8_t plain[KEYS_DATA_KEY_SIZE];
	struct kms_key old, key;
	if (find_wrapping(call->amid, wrapped, call->arena, &old, err) ||
		find_by_arn(call->amid, new_key_arn, call->arena, &key, err) ||
		permit(call, &old, "ReEncryptFrom", &from, err) ||
		permit(call, &key, "ReEncryptTo", &to, err) ||
		unwrap(call->amid, &old, wrapped, &from, call->arena, plain, err))
		return -1;
	int result = wrap(call, &key, &to, plain, new_wrapped, err);
	OPENSSL_cleanse(plain, sizeof plain);
	return result;
}
