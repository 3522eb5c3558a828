/* Secrets at rest: what is sealed opens, for its purpose only; a wrong, missing or readable root key is refused, and nothing is changed by the attempt. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/aead.h"
#include "base/file.h"
#include "base/text.h"
#include "handlers.h"
#include "svc/accounts.h"
#include "svc/secret.h"

static const char *in_folder(struct scene *s, const char *name)
{
	return arena_printf(s->arena, "%s/%s", s->folder, name);
}

static void write_file(struct scene *s, const char *name, const char *text, mode_t mode)
{
	if (file_replace(in_folder(s, name), text, strlen(text), mode, &s->err))
		fail_msg("%s", s->err.message);
}

/* Opens the folder's secrets anew; the error's code. */
static enum error_code reopen(struct scene *s, const char *root_key, const char *passphrase)
{
	struct secrets_config config = { s->folder, root_key, passphrase };
	secrets_close(s->amid.secrets);
	s->amid.secrets = NULL;
	return secrets_open(&config, s->meta, &s->amid.secrets, &s->err) ? s->err.code : ERROR_NONE;
}

/* As if its record had never been committed. */
static void forget_root_key(struct scene *s)
{
	struct root_key_record *record;
	struct meta_batch *batch = meta_batch_create(s->meta, s->arena);
	if (meta_get(s->meta, &record_root_key, "", "", "master", s->arena, &record, &s->err))
		fail_msg("%s", s->err.message);
	assert_non_null(record);
	meta_batch_delete(batch, &record_root_key, record);
	assert_int_equal(meta_commit(s->meta, batch, &s->err), 0);
}

static char *seal(struct scene *s, const char *purpose, const char *text)
{
	char *sealed;
	assert_int_equal(secret_seal(&s->amid, purpose, text, strlen(text), s->arena, &sealed, &s->err), 0);
	return sealed;
}

/* NULL: does not open. */
static const char *open_sealed(struct scene *s, const char *purpose, const char *sealed)
{
	void *data;
	size_t size;
	if (secret_open(&s->amid, purpose, sealed, s->arena, &data, &size, &s->err)) {
		assert_error(s->err.code, ERROR_CORRUPT);
		return NULL;
	}
	assert_int_equal(size, strlen(data));
	return data;
}

static void what_is_sealed_opens_for_its_purpose_only(void **state)
{
	struct scene *s = *state;
	char *sealed = seal(s, "access-key:A", "wJalr"), *again = seal(s, "access-key:A", "wJalr");
	assert_string_not_equal(sealed, again);
	assert_null(strstr(sealed, "wJalr"));
	assert_string_equal(open_sealed(s, "access-key:A", sealed), "wJalr");
	assert_null(open_sealed(s, "access-key:B", sealed));
	assert_string_equal(open_sealed(s, "x", seal(s, "x", "")), "");
	assert_null(open_sealed(s, "access-key:A", ""));
	assert_null(open_sealed(s, "access-key:A", "not base64!"));
	for (size_t i = 0; i < strlen(sealed) - 3;
		i++) { /* all but the padding, and the character whose last bits are not used */
		char *changed = arena_strdup(s->arena, sealed);
		changed[i] = changed[i] == 'B' ? 'C' : 'B';
		assert_null(open_sealed(s, "access-key:A", changed));
	}
}

static void the_same_root_key_opens_what_was_sealed(void **state)
{
	struct scene *s = *state;
	struct stat found;
	char *sealed = seal(s, "x", "secret");
	assert_int_equal(stat(in_folder(s, "root-key"), &found), 0);
	assert_int_equal(found.st_mode & 0777, 0600);
	assert_ok(reopen(s, NULL, NULL));
	assert_string_equal(open_sealed(s, "x", sealed), "secret");
	/* moved elsewhere */
	assert_int_equal(rename(in_folder(s, "root-key"), in_folder(s, "elsewhere")), 0);
	assert_ok(reopen(s, in_folder(s, "elsewhere"), NULL));
	assert_string_equal(open_sealed(s, "x", sealed), "secret");
	unlink(in_folder(s, "elsewhere"));
}

static void a_wrong_root_key_is_refused_and_nothing_is_changed(void **state)
{
	static const char wrong[] = "0123456789abcdef0123456789abcdef";
	struct scene *s = *state;
	char *sealed = seal(s, "x", "secret");
	assert_int_equal(rename(in_folder(s, "root-key"), in_folder(s, "right")), 0);
	/* missing: not made anew */
	assert_error(reopen(s, NULL, NULL), ERROR_NOT_FOUND);
	assert_non_null(strstr(s->err.message, in_folder(s, "root-key")));
	assert_int_not_equal(access(in_folder(s, "root-key"), F_OK), 0);
	write_file(s, "root-key", wrong, 0600);
	assert_error(reopen(s, NULL, NULL), ERROR_INVALID);
	assert_non_null(strstr(s->err.message, in_folder(s, "root-key")));
	write_file(s, "root-key", "short", 0600);
	assert_error(reopen(s, NULL, NULL), ERROR_INVALID);
	write_file(s, "root-key", "0123456789abcdef0123456789abcdef0", 0600);
	assert_error(reopen(s, NULL, NULL), ERROR_INVALID);
	write_file(s, "phrase", "correct horse\n", 0600);
	assert_error(reopen(s, NULL, in_folder(s, "phrase")), ERROR_INVALID);
	unlink(in_folder(s, "phrase"));
	/* the right one, but for all to read */
	chmod(in_folder(s, "right"), 0640);
	assert_error(reopen(s, in_folder(s, "right"), NULL), ERROR_INVALID);
	assert_non_null(strstr(s->err.message, "0600"));
	chmod(in_folder(s, "right"), 0600);
	assert_int_equal(rename(in_folder(s, "right"), in_folder(s, "root-key")), 0);
	assert_ok(reopen(s, NULL, NULL));
	assert_string_equal(open_sealed(s, "x", sealed), "secret");
}

static void a_first_start_that_was_cut_short_goes_on_with_its_key(void **state)
{
	static const char key[] = "0123456789abcdef0123456789abcdef";
	struct scene *s = *state;
	struct arena *arena = s->arena;
	char *data;
	size_t size;
	forget_root_key(s);
	write_file(s, "root-key", key, 0600);
	assert_ok(reopen(s, NULL, NULL));
	assert_int_equal(file_read(in_folder(s, "root-key"), 64, arena, &data, &size, &s->err), 0);
	assert_string_equal(data, key);
	/* a key that the operator names is never made */
	forget_root_key(s);
	assert_error(reopen(s, in_folder(s, "none"), NULL), ERROR_NOT_FOUND);
	assert_int_not_equal(access(in_folder(s, "none"), F_OK), 0);
}

static void a_passphrase_makes_the_root_key(void **state)
{
	struct scene *s = *state;
	const char *phrase = in_folder(s, "phrase");
	forget_root_key(s);
	unlink(in_folder(s, "root-key"));
	write_file(s, "phrase", "\n", 0600);
	assert_error(reopen(s, NULL, phrase), ERROR_INVALID);
	write_file(s, "phrase", "correct horse battery staple\n", 0600);
	assert_ok(reopen(s, NULL, phrase));
	assert_int_not_equal(access(in_folder(s, "root-key"), F_OK), 0);
	char *sealed = seal(s, "x", "secret");
	write_file(s, "phrase", "correct horse battery staple", 0600); /* with or without a line's end */
	assert_ok(reopen(s, NULL, phrase));
	assert_string_equal(open_sealed(s, "x", sealed), "secret");
	write_file(s, "phrase", "wrong horse\n", 0600);
	assert_error(reopen(s, NULL, phrase), ERROR_INVALID);
	assert_non_null(strstr(s->err.message, phrase));
	assert_null(strstr(s->err.message, "horse"));
	assert_error(reopen(s, NULL, NULL), ERROR_INVALID);
	assert_int_not_equal(access(in_folder(s, "root-key"), F_OK), 0);
	assert_error(reopen(s, "a", "b"), ERROR_INVALID);
	unlink(phrase);
}

static void another_root_key_opens_what_was_sealed_and_the_old_one_nothing(void **state)
{
	struct scene *s = *state;
	struct secrets_config old = { .data = s->folder };
	struct secrets_config new = { .data = s->folder, .root_key = in_folder(s, "new") };
	struct secrets_config phrase = { .data = s->folder, .passphrase = in_folder(s, "phrase") };
	char *sealed = seal(s, "x", "secret");
	write_file(s, "phrase", "correct horse\n", 0600);
	assert_int_equal(secrets_change_root(&phrase, &old, s->meta, &s->err), -1);
	assert_int_equal(secrets_change_root(&old, &old, s->meta, &s->err), -1);
	assert_non_null(strstr(s->err.message, "already"));
	assert_int_equal(secrets_change_root(&old, &new, s->meta, &s->err), -1); /* missing: never made */
	assert_int_not_equal(access(new.root_key, F_OK), 0);
	assert_ok(reopen(s, NULL, NULL));
	write_file(s, "new", "0123456789abcdef0123456789abcdef", 0600);
	assert_int_equal(secrets_change_root(&old, &new, s->meta, &s->err), 0);
	assert_error(reopen(s, NULL, NULL), ERROR_INVALID);
	assert_ok(reopen(s, new.root_key, NULL));
	assert_string_equal(open_sealed(s, "x", sealed), "secret");
	assert_int_equal(secrets_change_root(&old, &new, s->meta, &s->err), -1);
	/* DATA/root-key is not made either when it is the new one */
	assert_int_equal(rename(in_folder(s, "root-key"), in_folder(s, "right")), 0);
	assert_int_equal(secrets_change_root(&new, &old, s->meta, &s->err), -1);
	assert_int_not_equal(access(in_folder(s, "root-key"), F_OK), 0);
	assert_int_equal(rename(in_folder(s, "right"), in_folder(s, "root-key")), 0);
	assert_int_equal(secrets_change_root(&new, &old, s->meta, &s->err), 0);
	assert_ok(reopen(s, NULL, NULL));
	assert_string_equal(open_sealed(s, "x", sealed), "secret");
	/* a folder that never started has nothing to change */
	forget_root_key(s);
	assert_int_equal(secrets_change_root(&old, &new, s->meta, &s->err), -1);
	assert_error(s->err.code, ERROR_NOT_FOUND);
	unlink(in_folder(s, "phrase"));
	unlink(new.root_key);
}

/* As 0.1 had them, secret and all. */
static void access_keys_of_earlier_versions_are_sealed_at_the_next_start(void **state)
{
	static const char id[] = "AKIAOLDOLDOLDOLDOLD0", secret[] = "the old secret";
	struct scene *s = *state;
	struct account_record account = { .record = { .account = "", .region = "", .id = "111111111111" },
		.name = "old" };
	struct access_key_record key = { .record = { .account = "111111111111", .region = "", .id = id },
		.secret = secret,
		.principal_arn = "arn:aws:iam::111111111111:root",
		.principal_id = "111111111111",
		.status = "Active" };
	struct access_key_record *sealed;
	struct door_identity identity = { 0 };
	bool first;
	s->config.data = s->folder;
	scene_put(s, &record_account, &account);
	scene_put(s, &record_access_key, &key);
	for (int i = 0; i < 2; i++) { /* at a second start nothing is left to do */
		if (accounts_prepare(&s->amid, &first, &s->err))
			fail_msg("%s", s->err.message);
		assert_int_equal(
			meta_get_any(s->meta, &record_access_key, NULL, id, s->arena, &sealed, &s->err), 0);
		assert_null(sealed->secret);
		assert_null(strstr(sealed->sealed_secret, secret));
		assert_int_equal(sealed->record.version, 2);
		assert_int_equal(accounts_lookup(&s->amid, id, NULL, s->arena, &identity, &s->err), 0);
		assert_string_equal(identity.secret, secret);
	}
	/* one whose seal was put there from another key's record is not taken */
	sealed->sealed_secret = seal(s, "access-key:AKIAOTHER", secret);
	scene_put(s, &record_access_key, sealed);
	assert_int_equal(accounts_lookup(&s->amid, id, NULL, s->arena, &identity, &s->err), -1);
	unlink(in_folder(s, "root-credentials"));
	unlink(in_folder(s, "platform-credentials"));
}

/* Test case 16 of the GCM specification, laid out as aead.h says. */
static void aead_is_aes_256_gcm(void **state)
{
	static const uint8_t key[32] = { 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f,
		0x94, 0x67, 0x30, 0x83, 0x08, 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a,
		0x8f, 0x94, 0x67, 0x30, 0x83, 0x08 };
	static const char sealed_hex[] = "cafebabefacedbaddecaf888"
					 "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
					 "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
					 "76fc6ece0f4e1768cddf8853bb2d551b";
	static const char plain_hex[] = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
					"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
	static const uint8_t context[20] = { 0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed, 0xfa,
		0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2 };
	uint8_t sealed[12 + 60 + 16], plain[60], expected[60];
	(void)state;
	assert_int_equal(text_unhex(sealed_hex, sealed, sizeof sealed), 0);
	assert_int_equal(text_unhex(plain_hex, expected, sizeof expected), 0);
	assert_int_equal(aead_open(key, context, sizeof context, sealed, sizeof sealed, plain), 0);
	assert_memory_equal(plain, expected, sizeof plain);
	assert_int_equal(aead_open(key, context, 19, sealed, sizeof sealed, plain), -1);
	memset(expected, 0, sizeof expected);
	assert_memory_equal(plain, expected, sizeof plain); /* nothing unauthentic is left behind */
	assert_int_equal(aead_open(key, context, sizeof context, sealed, 27, plain), -1);
}

/* Where a secret was opened, nothing of it is left when the call is over. */
static void memory_with_secrets_is_overwritten(void **state)
{
	struct scene *s = *state;
	struct arena *arena = arena_create();
	char secret[] = "a-secret-that-is-not-to-be-found", seen[sizeof secret] = "";
	char *sealed;
	void *opened;
	size_t size;
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(memory >= 0);
	assert_int_equal(secret_seal(&s->amid, "p", secret, sizeof secret, s->arena, &sealed, &s->err), 0);
	assert_int_equal(secret_open(&s->amid, "p", sealed, arena, &opened, &size, &s->err), 0);
	off_t at = (off_t)(uintptr_t)opened;
	assert_int_equal(pread(memory, seen, sizeof seen, at), sizeof seen);
	assert_memory_equal(seen, secret, sizeof secret);
	arena_destroy(arena);
	memset(seen, 0, sizeof seen);
	(void)!pread(memory, seen, sizeof seen, at); /* what cannot be read any more is gone, too */
	assert_memory_not_equal(seen, secret, sizeof secret);
	close(memory);
}

static void a_process_with_keys_is_not_dumped(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(what_is_sealed_opens_for_its_purpose_only),
		SCENE_TEST(the_same_root_key_opens_what_was_sealed),
		SCENE_TEST(a_wrong_root_key_is_refused_and_nothing_is_changed),
		SCENE_TEST(a_first_start_that_was_cut_short_goes_on_with_its_key),
		SCENE_TEST(a_passphrase_makes_the_root_key),
		SCENE_TEST(another_root_key_opens_what_was_sealed_and_the_old_one_nothing),
		SCENE_TEST(access_keys_of_earlier_versions_are_sealed_at_the_next_start),
		SCENE_TEST(memory_with_secrets_is_overwritten),
		SCENE_TEST(a_process_with_keys_is_not_dumped),
		cmocka_unit_test(aead_is_aes_256_gcm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
