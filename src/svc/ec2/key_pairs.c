/*
 * Key pairs: CreateKeyPair, ImportKeyPair, DescribeKeyPairs, DeleteKeyPair.
 *
 * Only the public key is stored. The private key of a created pair exists in the one answer that hands it out, in the memory of that call. The name is
 * unique per account and region by the record's index, which decides between two calls that come at once. Runs on the thread of the call.
 */
#include "svc/ec2/describe.h"
#include "svc/ec2/ssh_key.h"
#include "base/banned.h"

enum { KEY_NAME_MAX = 255 };

static const char *const taggable[] = { "key-pair", NULL };

static int check_key_name(const char *name, struct error *err)
{
	size_t size = strlen(name);
	bool plain = size > 0 && size <= KEY_NAME_MAX && name[0] != ' ' && name[size - 1] != ' ';

	for (size_t i = 0; i < size && plain; i++)
		plain = name[i] >= ' ' && name[i] <= '~';
	if (!plain)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter KeyName is invalid. It is 1 to %d printable ASCII "
			"characters, without spaces around them",
			name, KEY_NAME_MAX);
	return 0;
}

/* The caller's key pair of that name; NULL: none. */
static int find_by_name(
	struct call *call, const char *name, struct key_pair_record **found, struct error *err)
{
	struct meta_query query = {
		.account = call->account,
		.region = call->region,
		.index = "name",
		.value = name,
	};
	struct meta_rows rows;

	if (meta_list(call->amid->meta, &record_key_pair, &query, call->arena, &rows, err) != 0)
		return -1;
	*found = rows.count ? rows.items[0] : NULL;
	return 0;
}

static int refuse_duplicate(const char *name, struct error *err)
{
	return error_set(err, ERROR_KEY_PAIR_DUPLICATE, "The keypair '%s' already exists.", name);
}

static int check_new_name(struct call *call, const char *name, struct error *err)
{
	struct key_pair_record *existing;

	if (check_key_name(name, err) != 0 || find_by_name(call, name, &existing, err) != 0)
		return -1;
	return existing ? refuse_duplicate(name, err) : 0;
}

/* Stores a new key pair of that name and tags. */
static int store_key_pair(struct call *call, const char *name, const struct ssh_public_key *key,
	struct record_tag_list tags, struct key_pair_record *pair, struct error *err)
{
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);

	*pair = (struct key_pair_record){
		.record = { .account = call->account,
			.region = call->region,
			.id = text_random_id(call->arena, "key") },
		.name = name,
		.fingerprint = key->fingerprint,
		.key_type = key->type == SSH_KEY_RSA ? "rsa" : "ed25519",
		.public_key = arena_printf(call->arena, "%s %s", key->openssh, name),
		.created = ec2_now(),
		.tags = tags,
	};
	meta_batch_put(batch, &record_key_pair, pair);
	struct error failure;
	if (meta_commit(call->amid->meta, batch, &failure) == 0)
		return 0;
	if (failure.code == ERROR_DUPLICATE)
		return refuse_duplicate(name, err);
	return error_set(err, failure.code, "%s", failure.message);
}

static int parse_key_type(const char *text, enum ssh_key_type *type, struct error *err)
{
	*type = text && strcmp(text, "ed25519") == 0 ? SSH_KEY_ED25519 : SSH_KEY_RSA;
	if (text && *type == SSH_KEY_RSA && strcmp(text, "rsa") != 0)
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.64s) for parameter KeyType is invalid. It is rsa or ed25519", text);
	return 0;
}

int ec2_create_key_pair(struct call *call, const struct ec2_CreateKeyPairRequest *request,
	struct ec2_KeyPair *result, struct error *err)
{
	enum ssh_key_type type;
	struct record_tag_list tags;
	struct ssh_public_key key;
	struct key_pair_record pair;
	char *private_pem = NULL;

	if (request->key_format && strcmp(request->key_format, "pem") != 0)
		return error_set(err, ERROR_UNSUPPORTED_OPERATION,
			"KeyFormat %.16s is not supported by this endpoint; puttygen turns a pem file into "
			"one",
			request->key_format);
	if (parse_key_type(request->key_type, &type, err) != 0 ||
		ec2_tags_from_specifications(
			call, &request->tag_specifications, "key-pair", taggable, &tags, err) != 0 ||
		check_new_name(call, request->key_name, err) != 0)
		return -1;
	if (ssh_key_generate(type, call->arena, &key, &private_pem, err) != 0)
		return -1;
	if (store_key_pair(call, request->key_name, &key, tags, &pair, err) != 0) {
		ssh_key_wipe(private_pem);
		return -1;
	}
	result->key_pair_id = pair.record.id;
	result->key_name = pair.name;
	result->key_fingerprint = pair.fingerprint;
	result->key_material = private_pem;
	result->tags = ec2_tags_result(call, &pair.tags);
	return 0;
}

int ec2_import_key_pair(struct call *call, const struct ec2_ImportKeyPairRequest *request,
	struct ec2_ImportKeyPairResult *result, struct error *err)
{
	struct record_tag_list tags;
	struct ssh_public_key key;
	struct key_pair_record pair;

	if (ec2_tags_from_specifications(
		    call, &request->tag_specifications, "key-pair", taggable, &tags, err) != 0 ||
		check_new_name(call, request->key_name, err) != 0 ||
		ssh_key_import(request->public_key_material.data, request->public_key_material.size,
			call->arena, &key, err) != 0 ||
		store_key_pair(call, request->key_name, &key, tags, &pair, err) != 0)
		return -1;
	result->key_pair_id = pair.record.id;
	result->key_name = pair.name;
	result->key_fingerprint = pair.fingerprint;
	result->tags = ec2_tags_result(call, &pair.tags);
	return 0;
}

/* The key pair that a DeleteKeyPair names; NULL: none. */
static int find_named(struct call *call, const struct ec2_DeleteKeyPairRequest *request,
	struct key_pair_record **found, struct error *err)
{
	if (request->key_name && request->key_pair_id)
		return error_set(err, ERROR_INVALID_PARAMETER_COMBINATION,
			"The parameters KeyName and KeyPairId cannot be used together");
	if (request->key_name)
		return find_by_name(call, request->key_name, found, err);
	if (request->key_pair_id)
		return EC2_GET(call, record_key_pair, request->key_pair_id, found, err);
	return error_set(
		err, ERROR_MISSING_PARAMETER, "The request must contain the parameter KeyName or KeyPairId");
}

int ec2_delete_key_pair(struct call *call, const struct ec2_DeleteKeyPairRequest *request,
	struct ec2_DeleteKeyPairResult *result, struct error *err)
{
	struct key_pair_record *pair;

	if (find_named(call, request, &pair, err) != 0)
		return -1;
	result->return_ = some_boolean(true);
	if (!pair)
		return 0; /* as on AWS: gone is what was asked for */
	struct meta_batch *batch = meta_batch_create(call->amid->meta, call->arena);
	meta_batch_delete(batch, &record_key_pair, pair);
	result->key_pair_id = pair->record.id;
	return meta_commit(call->amid->meta, batch, err);
}

static const struct describe_kind key_pairs = {
	.shape = &ec2_shape_KeyPairInfo,
	.filters =
		(const struct describe_filter[]){
			{ "fingerprint", "KeyFingerprint" },
			{ "key-name", "KeyName" },
			{ "key-pair-id", "KeyPairId" },
			{ NULL },
		},
};

/* Every name and id asked for must be that of a key pair of the caller. */
static int check_asked(
	const struct meta_rows *rows, const char *const *asked, size_t count, bool by_id, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		bool found = false;
		for (size_t j = 0; j < rows->count && !found; j++) {
			const struct key_pair_record *pair = rows->items[j];
			found = text_equal(by_id ? pair->record.id : pair->name, asked[i]);
		}
		if (!found)
			return error_set(err, ERROR_KEY_PAIR_NOT_FOUND,
				"The key pair%s '%.255s' does not exist", by_id ? " ID" : "",
				text_or(asked[i], ""));
	}
	return 0;
}

int ec2_describe_key_pairs(struct call *call, const struct ec2_DescribeKeyPairsRequest *request,
	struct ec2_DescribeKeyPairsResult *result, struct error *err)
{
	const struct ec2_KeyNameStringList *names = &request->key_names;
	const struct ec2_KeyPairIdStringList *ids = &request->key_pair_ids;
	struct meta_query query = { .account = call->account, .region = call->region };
	struct describe_page no_pages = { 0 };
	struct meta_rows rows;

	if (meta_list(call->amid->meta, &record_key_pair, &query, call->arena, &rows, err) != 0 ||
		check_asked(&rows, names->items, names->count, false, err) != 0 ||
		check_asked(&rows, ids->items, ids->count, true, err) != 0)
		return -1;
	for (size_t i = 0; i < rows.count; i++) {
		const struct key_pair_record *pair = rows.items[i];
		if (!describe_wants(names->items, names->count, pair->name) ||
			!describe_wants(ids->items, ids->count, pair->record.id))
			continue;
		*ARENA_APPEND(call->arena, result->key_pairs.items,
			result->key_pairs.count) = (struct ec2_KeyPairInfo){
			.key_pair_id = pair->record.id,
			.key_name = pair->name,
			.key_type = pair->key_type,
			.key_fingerprint = pair->fingerprint,
			.public_key =
				boolean_or(request->include_public_key, false) ? pair->public_key : NULL,
			.create_time = pair->created,
			.tags = ec2_tags_result(call, &pair->tags),
		};
	}
	return describe_finish(call, &key_pairs, &request->filters, &no_pages, &result->key_pairs, err);
}
