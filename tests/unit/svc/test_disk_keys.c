/* src/svc/keys.h: the way of a disk's data key, its refusals with their reasons; and the ciphertext's form. */
#include <sqlite3.h>

#include "api/kms.h"
#include "base/text.h"
#include "handlers.h"
#include "svc/keys.h"
#include "svc/kms/blob.h"
#include "svc/kms/grant_count.h"

#define RESOURCE "vol-00000000000000001"
#define GRANTEE_ID "i-00000000000000001"

/* The caller is the account's root: the default policy lets it do everything. */
static void be_root(struct scene *s)
{
	static const struct principal root = { .type = PRINCIPAL_ROOT,
		.account = "111111111111",
		.arn = "arn:aws:iam::111111111111:root",
		.id = "111111111111" };
	s->call.principal = &root;
}

/* A customer's key; its ARN. */
static const char *make_key(struct scene *s, const struct kms_CreateKeyRequest *request)
{
	struct kms_CreateKeyResponse made = { 0 };
	if (kms_create_key(&s->call, request, &made, &s->err))
		fail_msg("%s", s->err.message);
	return made.key_metadata->arn;
}

static const char *grantee_of(struct scene *s)
{
	return keys_grantee(s->arena, s->call.account, GRANTEE_ID);
}

/* A data key under `arn`, wrapped, and the grant for it. */
static char *make_wrapped(struct scene *s, const char *arn, uint8_t plain[KEYS_DATA_KEY_SIZE], char **grant)
{
	char *wrapped;
	if (keys_make_data_key(&s->call, arn, RESOURCE, plain, &wrapped, &s->err) ||
		keys_grant(&s->call, wrapped, RESOURCE, grantee_of(s), grant, &s->err))
		fail_msg("%s", s->err.message);
	return wrapped;
}

static enum error_code open_wrapped(struct scene *s, const char *wrapped, uint8_t plain[KEYS_DATA_KEY_SIZE])
{
	s->err = (struct error){ 0 };
	return keys_open_data_key(&s->amid, wrapped, RESOURCE, grantee_of(s), plain, &s->err) ? s->err.code
											      : ERROR_NONE;
}

static void a_data_key_is_opened_by_its_grant_only(void **state)
{
	struct scene *s = *state;
	uint8_t plain[KEYS_DATA_KEY_SIZE], opened[KEYS_DATA_KEY_SIZE] = { 0 };
	char *grant = NULL, *again = NULL;
	be_root(s);
	const char *arn = make_key(s, &(struct kms_CreateKeyRequest){ 0 });
	char *wrapped = make_wrapped(s, arn, plain, &grant);
	assert_string_equal(keys_wrapped_arn(s->arena, wrapped), arn);
	assert_ok(open_wrapped(s, wrapped, opened));
	assert_memory_equal(plain, opened, sizeof plain);
	assert_int_equal(keys_check_source(&s->call, wrapped, RESOURCE, grantee_of(s), &s->err), 0);
	assert_int_equal(keys_grant(&s->call, wrapped, RESOURCE, grantee_of(s), &again, &s->err), 0);
	assert_string_equal(grant, again);
	/* another resource, another grantee: no */
	assert_int_equal(keys_open_data_key(&s->amid, wrapped, "vol-2", grantee_of(s), opened, &s->err), -1);
	assert_error(s->err.code, ERROR_ACCESS_DENIED);
	assert_int_equal(keys_open_data_key(&s->amid, wrapped, RESOURCE, "arn:aws:iam::111111111111:root",
				 opened, &s->err),
		-1);
	assert_error(s->err.code, ERROR_ACCESS_DENIED);
	/* retired: no more; retired again: fine */
	assert_int_equal(keys_retire_grant(&s->amid, grant, &s->err), 0);
	assert_int_equal(keys_retire_grant(&s->amid, grant, &s->err), 0);
	assert_error(open_wrapped(s, wrapped, opened), ERROR_ACCESS_DENIED);
	assert_int_equal(keys_retire_grant(&s->amid, "nonsense", &s->err), -1);
}

/* Index entries stand for so many grants of a key: they are what is counted. */
static void pretend_grants(struct scene *s, const char *arn, int count)
{
	sqlite3 *database;
	assert_int_equal(sqlite3_open(arena_printf(s->arena, "%s/meta.db", s->folder), &database), SQLITE_OK);
	sqlite3_busy_timeout(database, 5000);
	char *sql = arena_printf(s->arena,
		"DELETE FROM record_index WHERE id LIKE 'pretended-%%';"
		"INSERT INTO record_index (kind, name, value, account, region, id, is_unique)"
		" WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
		" SELECT 'kms_grant', 'key', '%s', '111111111111', 'us-east-1', 'pretended-' || i, 0 FROM n",
		count, strrchr(arn, '/') + 1);
	assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(database);
}

static enum error_code create_grant(struct scene *s, const char *arn, const char *name)
{
	struct kms_CreateGrantRequest request = { .key_id = arn,
		.name = name,
		.grantee_principal = "arn:aws:iam::111111111111:root",
		.operations = STRINGS("Decrypt") };
	struct kms_CreateGrantResponse result = { 0 };
	s->err = (struct error){ 0 };
	return kms_create_grant(&s->call, &request, &result, &s->err) ? s->err.code : ERROR_NONE;
}

static void a_key_has_at_most_50000_grants(void **state)
{
	struct scene *s = *state;
	be_root(s);
	const char *arn = make_key(s, &(struct kms_CreateKeyRequest){ 0 });
	pretend_grants(s, arn, 49999);
	assert_ok(create_grant(s, arn, "the last one"));
	assert_error(create_grant(s, arn, "one more"), ERROR_KMS_LIMIT_EXCEEDED);
	assert_ok(create_grant(s, arn, "the last one")); /* it is there */
	assert_ok(create_grant(s, make_key(s, &(struct kms_CreateKeyRequest){ 0 }), "of another key"));
	pretend_grants(s, arn, 49998);
	assert_ok(create_grant(s, arn, "one more"));
}

/* Counted again when it may matter, and not before. */
static void grants_are_counted_now_and_then(void **state)
{
	struct scene *s = *state;
	be_root(s);
	s->amid.grant_counts = grant_counts_create();
	const char *arn = make_key(s, &(struct kms_CreateKeyRequest){ 0 });
	pretend_grants(s, arn, 49996);
	assert_ok(create_grant(s, arn, "1")); /* 49996 are known: 3 more are possible */
	assert_ok(create_grant(s, make_key(s, &(struct kms_CreateKeyRequest){ 0 }), "of another key"));
	pretend_grants(s, arn, 49990);
	for (int i = 2; i < 5; i++)
		assert_ok(create_grant(s, arn, arena_printf(s->arena, "%d", i)));
	for (int i = 5; i < 11; i++) /* counted: 49994 */
		assert_ok(create_grant(s, arn, arena_printf(s->arena, "%d", i)));
	assert_error(create_grant(s, arn, "11"), ERROR_KMS_LIMIT_EXCEEDED);
	pretend_grants(s, arn, 1);
	assert_ok(create_grant(s, arn, "11"));
	pretend_grants(s, arn, 60000);
	assert_ok(create_grant(s, arn, "12")); /* nobody looks */
	grant_counts_destroy(s->amid.grant_counts);
	s->amid.grant_counts = NULL;
}

static void what_is_altered_does_not_open(void **state)
{
	struct scene *s = *state;
	uint8_t plain[KEYS_DATA_KEY_SIZE], opened[KEYS_DATA_KEY_SIZE];
	char *grant;
	be_root(s);
	char *wrapped = make_wrapped(s, make_key(s, &(struct kms_CreateKeyRequest){ 0 }), plain, &grant);
	size_t blob = (size_t)(strchr(wrapped, ' ') + 1 - wrapped);
	for (size_t i = blob; i < strlen(wrapped) - 2; i += 3) {
		char *changed = arena_strdup(s->arena, wrapped);
		changed[i] = changed[i] == 'B' ? 'C' : 'B';
		assert_error(open_wrapped(s, changed, opened), ERROR_KMS_INVALID_CIPHERTEXT);
	}
	assert_error(open_wrapped(s, "nonsense", opened), ERROR_KMS_INVALID_CIPHERTEXT);
	assert_error(open_wrapped(s, "arn:aws:kms:us-east-1:1:key/x AAAA", opened), ERROR_KMS_NOT_FOUND);
	/* the ARN of another key in front of it */
	const char *other = make_key(s, &(struct kms_CreateKeyRequest){ 0 });
	char *moved = arena_printf(s->arena, "%s %s", other, wrapped + blob);
	assert_int_not_equal(open_wrapped(s, moved, opened), ERROR_NONE);
}

static void the_reason_is_told_when_a_key_is_not_usable(void **state)
{
	struct scene *s = *state;
	uint8_t plain[KEYS_DATA_KEY_SIZE], opened[KEYS_DATA_KEY_SIZE];
	char *grant, *wrapped;
	struct key_description key;
	struct kms_DisableKeyResult disabled;
	struct kms_ScheduleKeyDeletionResponse scheduled = { 0 };
	be_root(s);
	const char *arn = make_key(s, &(struct kms_CreateKeyRequest){ 0 });
	wrapped = make_wrapped(s, arn, plain, &grant);
	assert_int_equal(kms_disable_key(&s->call, &(struct kms_DisableKeyRequest){ .key_id = arn },
				 &disabled, &s->err),
		0);
	assert_error(open_wrapped(s, wrapped, opened), ERROR_KMS_DISABLED);
	assert_int_equal(keys_check_source(&s->call, wrapped, RESOURCE, grantee_of(s), &s->err), -1);
	assert_error(s->err.code, ERROR_KMS_DISABLED);
	assert_int_equal(keys_make_data_key(&s->call, arn, RESOURCE, NULL, &wrapped, &s->err), -1);
	assert_error(s->err.code, ERROR_KMS_DISABLED);
	assert_int_equal(keys_describe(&s->amid, arn, s->arena, &key, &s->err), 0);
	assert_int_equal(key.state, KEYS_DISABLED);
	assert_int_equal(
		kms_schedule_key_deletion(&s->call, &(struct kms_ScheduleKeyDeletionRequest){ .key_id = arn },
			&scheduled, &s->err),
		0);
	assert_error(open_wrapped(s, wrapped, opened), ERROR_KMS_INVALID_STATE);
	assert_int_equal(keys_describe(&s->amid, arn, s->arena, &key, &s->err), 0);
	assert_int_equal(key.state, KEYS_PENDING_DELETION);
	/* not fit for disks at all */
	struct kms_CreateKeyRequest mac = { .key_spec = "HMAC_256", .key_usage = "GENERATE_VERIFY_MAC" };
	arn = make_key(s, &mac);
	assert_int_equal(keys_make_data_key(&s->call, arn, RESOURCE, NULL, &wrapped, &s->err), -1);
	assert_error(s->err.code, ERROR_KMS_INVALID_KEY_USAGE);
	assert_int_equal(keys_describe(&s->amid, arn, s->arena, &key, &s->err), 0);
	assert_false(key.symmetric);
}

static void without_a_key_it_is_the_account_s_own(void **state)
{
	struct scene *s = *state;
	uint8_t plain[KEYS_DATA_KEY_SIZE], opened[KEYS_DATA_KEY_SIZE];
	struct key_description key, again;
	char *grant;
	assert_int_equal(keys_resolve(&s->call, NULL, &key, &s->err), 0);
	assert_true(key.aws_managed && key.symmetric && key.state == KEYS_ENABLED);
	assert_int_equal(keys_resolve(&s->call, "alias/aws/ebs", &again, &s->err), 0);
	assert_string_equal(key.arn, again.arn);
	/* a user of the account without any policy uses it through EC2, as its key policy says */
	char *wrapped = make_wrapped(s, key.arn, plain, &grant);
	assert_ok(open_wrapped(s, wrapped, opened));
	assert_memory_equal(plain, opened, sizeof plain);
	/* one of another account does not */
	s->call.account = "222222222222";
	s->call.principal = &(const struct principal){ .type = PRINCIPAL_ROOT,
		.account = "222222222222",
		.arn = "arn:aws:iam::222222222222:root",
		.id = "222222222222" };
	assert_int_equal(keys_make_data_key(&s->call, key.arn, RESOURCE, NULL, &wrapped, &s->err), -1);
	assert_error(s->err.code, ERROR_ACCESS_DENIED);
	assert_int_equal(keys_resolve(&s->call, NULL, &again, &s->err), 0);
	assert_string_not_equal(key.arn, again.arn);
	s->call.region = "us-west-2";
	assert_int_equal(keys_resolve(&s->call, NULL, &key, &s->err), 0);
	assert_string_equal(key.region, "us-west-2");
	assert_int_equal(keys_resolve(&s->call, "alias/none", &key, &s->err), -1);
	assert_error(s->err.code, ERROR_KMS_NOT_FOUND);
}

static void a_data_key_moves_under_another_key(void **state)
{
	struct scene *s = *state;
	uint8_t plain[KEYS_DATA_KEY_SIZE], opened[KEYS_DATA_KEY_SIZE];
	char *grant, *moved;
	be_root(s);
	const char *other = make_key(s, &(struct kms_CreateKeyRequest){ 0 });
	char *wrapped = make_wrapped(s, make_key(s, &(struct kms_CreateKeyRequest){ 0 }), plain, &grant);
	assert_int_equal(keys_reencrypt(&s->call, wrapped, RESOURCE, other, "snap-1", &moved, &s->err), 0);
	assert_string_equal(keys_wrapped_arn(s->arena, moved), other);
	assert_int_equal(keys_grant(&s->call, moved, "snap-1", grantee_of(s), &grant, &s->err), 0);
	assert_int_equal(keys_open_data_key(&s->amid, moved, "snap-1", grantee_of(s), opened, &s->err), 0);
	assert_memory_equal(plain, opened, sizeof plain);
	assert_error(open_wrapped(s, moved, opened), ERROR_ACCESS_DENIED);
	assert_int_equal(keys_reencrypt(&s->call, wrapped, "vol-2", other, "snap-1", &moved, &s->err), -1);
	assert_error(s->err.code, ERROR_KMS_INVALID_CIPHERTEXT);
}

/* The layout that docs/design/kms.md describes, read byte by byte. */
static void a_blob_is_laid_out_as_written_down(void **state)
{
	static const uint8_t material[BLOB_KEY_SIZE] = { 1, 2, 3 };
	static const char id[] = "00112233-4455-6677-8899-aabbccddeeff",
			  mrk[] = "mrk-00112233445566778899aabbccddeeff";
	struct kms_EncryptionContextType_entry entries[] = { { "b", "2" }, { "a", "1" } },
					       swapped[] = { { "a", "1" }, { "b", "2" } },
					       shifted[] = { { "a", "1b" }, { "", "2" } };
	struct kms_EncryptionContextType context = { entries, 2, true };
	struct arena *arena ARENA_SCOPED = arena_create();
	char material_id[BLOB_MATERIAL_SIZE], plain[8] = "";
	struct kms_blob blob;
	(void)state;
	memset(material_id, 'e', 64);
	material_id[64] = '\0';
	struct shape_blob data = kms_blob_seal(arena, id, material_id, material, &context, "plain", 5);
	assert_int_equal(data.size, 1 + 1 + 16 + 32 + 16 + 12 + 5 + 16);
	assert_int_equal(data.data[0], 1);
	assert_int_equal(data.data[1], 0);
	assert_memory_equal(
		data.data + 2, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
	assert_int_equal(data.data[18], 0xee);
	assert_int_equal(kms_blob_parse(data.data, data.size, &blob), 0);
	assert_string_equal(blob.key_id, id);
	assert_string_equal(blob.material_id, material_id);
	assert_int_equal(blob.plain_size, 5);
	context.items = swapped;
	assert_int_equal(kms_blob_open(&blob, material, &context, plain), 0);
	assert_memory_equal(plain, "plain", 5);
	context.items = shifted;
	assert_int_equal(kms_blob_open(&blob, material, &context, plain), -1);
	context.count = 0;
	assert_int_equal(kms_blob_open(&blob, material, &context, plain), -1);
	for (size_t size = 0; size < data.size - 5; size++)
		assert_int_equal(kms_blob_parse(data.data, size, &blob), -1);
	data = kms_blob_seal(arena, mrk, material_id, material, &context, "", 0);
	assert_int_equal(kms_blob_parse(data.data, data.size, &blob), 0);
	assert_string_equal(blob.key_id, mrk);
	assert_int_equal(kms_blob_open(&blob, material, &context, plain), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(a_data_key_is_opened_by_its_grant_only),
		SCENE_TEST(a_key_has_at_most_50000_grants),
		SCENE_TEST(grants_are_counted_now_and_then),
		SCENE_TEST(what_is_altered_does_not_open),
		SCENE_TEST(the_reason_is_told_when_a_key_is_not_usable),
		SCENE_TEST(without_a_key_it_is_the_account_s_own),
		SCENE_TEST(a_data_key_moves_under_another_key),
		cmocka_unit_test(a_blob_is_laid_out_as_written_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
