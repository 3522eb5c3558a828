/* SSH keys: what is imported is what ssh-keygen made, in every form, with the fingerprints that EC2 shows. */
#include "handlers.h"

#include "svc/ec2/ssh_key.h"

/* Made with ssh-keygen 9.2 and openssl 3.0; the MD5 is that of the DER that `openssl pkey -pubout -outform DER` writes. */
#include "ssh_key_samples.h"

static void assert_import(const char *material, const char *openssh, const char *fingerprint)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct ssh_public_key key;
	struct error err = { 0 };

	if (ssh_key_import(material, strlen(material), arena, &key, &err) != 0)
		fail_msg("%s: %s", material, err.message);
	assert_string_equal(key.openssh, openssh);
	assert_string_equal(key.fingerprint, fingerprint);
}

static void assert_refused(const char *material)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct ssh_public_key key;
	struct error err = { 0 };

	assert_int_equal(ssh_key_import(material, strlen(material), arena, &key, &err), -1);
	assert_string_equal(error_aws_code(err.code), "InvalidKey.Format");
}

static void rsa_is_read_from_every_form(void **state)
{
	(void)state;
	assert_import(sample_rsa_openssh " user@host\n", sample_rsa_openssh, sample_rsa_md5);
	assert_import(sample_rsa_rfc4716, sample_rsa_openssh, sample_rsa_md5);
	assert_import(sample_rsa_der, sample_rsa_openssh, sample_rsa_md5);
}

static void ed25519_is_read_from_every_form(void **state)
{
	(void)state;
	assert_import(sample_ed25519_openssh, sample_ed25519_openssh, sample_ed25519_sha256);
	assert_import(sample_ed25519_rfc4716, sample_ed25519_openssh, sample_ed25519_sha256);
	assert_import(sample_ed25519_der, sample_ed25519_openssh, sample_ed25519_sha256);
}

static void keys_of_other_kinds_and_broken_ones_are_refused(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();

	(void)state;
	assert_refused("");
	assert_refused(" \n");
	assert_refused("not a key");
	assert_refused("ssh-rsa");
	assert_refused("ssh-rsa AAAA");
	assert_refused("ssh-rsa !!!!");
	assert_refused("---- BEGIN SSH2 PUBLIC KEY ----");
	assert_refused(sample_ecdsa_openssh);
	assert_refused(sample_rsa512_openssh);
	/* every cut of a good one */
	for (size_t size = 0; size + 8 < strlen(sample_rsa_openssh); size += 4)
		assert_refused(arena_strndup(arena, sample_rsa_openssh, size));
}

static void a_private_key_is_no_public_key(void **state)
{
	(void)state;
	assert_refused("-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n");
}

static void generated_keys_differ_and_say_what_they_are(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct ssh_public_key one, two;
	struct error err;
	char *pem_one, *pem_two;

	(void)state;
	assert_int_equal(ssh_key_generate(SSH_KEY_ED25519, arena, &one, &pem_one, &err), 0);
	assert_int_equal(ssh_key_generate(SSH_KEY_ED25519, arena, &two, &pem_two, &err), 0);
	assert_string_not_equal(one.openssh, two.openssh);
	assert_string_not_equal(pem_one, pem_two);
	assert_true(text_starts_with(one.openssh, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"));
	assert_true(text_starts_with(pem_one, "-----BEGIN OPENSSH PRIVATE KEY-----\n"));
	assert_int_equal(strlen(one.fingerprint), 44);

	assert_int_equal(ssh_key_generate(SSH_KEY_RSA, arena, &one, &pem_one, &err), 0);
	assert_true(text_starts_with(one.openssh, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ"));
	assert_true(text_starts_with(pem_one, "-----BEGIN RSA PRIVATE KEY-----\n"));
	assert_int_equal(strlen(one.fingerprint), 59); /* 20 bytes */
}

/* The standard output of a command, its last line feed cut; the test fails if the command does. */
static char *output_of(struct arena *arena, const char *command)
{
	char text[8192];
	FILE *pipe = popen(command, "r");

	assert_non_null(pipe);
	size_t size = fread(text, 1, sizeof text - 1, pipe);
	assert_int_equal(pclose(pipe), 0);
	while (size > 0 && text[size - 1] == '\n')
		size--;
	return arena_strndup(arena, text, size);
}

/* ssh-keygen itself must read the private key and find the public one in it. */
static void assert_ssh_keygen_agrees(enum ssh_key_type type)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct ssh_public_key key;
	struct error err;
	char *pem, path[] = "/tmp/amid-key-XXXXXX"; /* made with mode 0600, as ssh-keygen asks */
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	assert_int_equal(ssh_key_generate(type, arena, &key, &pem, &err), 0);
	fputs(pem, file);
	fclose(file);
	char *public_key = output_of(arena, arena_printf(arena, "ssh-keygen -y -f %s", path));
	public_key = arena_strndup(arena, public_key, strlen(key.openssh)); /* without a comment */
	char *sha1 = output_of(arena,
		arena_printf(arena,
			"openssl pkcs8 -topk8 -nocrypt -outform DER -in %s 2>/dev/null | openssl sha1 -c",
			path));
	remove(path);
	assert_string_equal(public_key, key.openssh);
	if (type == SSH_KEY_RSA)
		assert_string_equal(strstr(sha1, "= ") + 2, key.fingerprint);
}

static void ssh_keygen_reads_a_generated_rsa_key(void **state)
{
	(void)state;
	assert_ssh_keygen_agrees(SSH_KEY_RSA);
}

static void ssh_keygen_reads_a_generated_ed25519_key(void **state)
{
	(void)state;
	assert_ssh_keygen_agrees(SSH_KEY_ED25519);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsa_is_read_from_every_form),
		cmocka_unit_test(ed25519_is_read_from_every_form),
		cmocka_unit_test(keys_of_other_kinds_and_broken_ones_are_refused),
		cmocka_unit_test(a_private_key_is_no_public_key),
		cmocka_unit_test(generated_keys_differ_and_say_what_they_are),
		cmocka_unit_test(ssh_keygen_reads_a_generated_rsa_key),
		cmocka_unit_test(ssh_keygen_reads_a_generated_ed25519_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
