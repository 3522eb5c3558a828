/* The rules of the secret gate: what they find, and what looks alike and is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gate/contents.h"
#include "gate/rules.h"
#include "samples.h"

#include "base/banned.h"

static const char *match(const char *path, const char *content)
{
	size_t size = strlen(content);
	int rule = -1;
	if (gate_file_want(path, size, false) != GATE_WANT_NOTHING)
		rule = gate_match(path, size, false, content, size);
	return rule < 0 ? "" : gate_rule((unsigned)rule)->name;
}

struct sample {
	const char *path, *content, *rule; /* rule "": nothing is to be found */
};

static void check_all(const struct sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(match(samples[i].path, samples[i].content), samples[i].rule) != 0)
			fail_msg("%s: \"%s\", not \"%s\"", samples[i].path,
				match(samples[i].path, samples[i].content), samples[i].rule);
}
#define CHECK_ALL(samples) check_all((samples), sizeof(samples) / sizeof *(samples))

static void finds_what_is_secret(void **state)
{
	static const struct sample samples[] = {
		{ "/root/.ssh/id_ed25519", SAMPLE_KEY, "private-key" },
		{ "/etc/ssl/private/server.pem",
			"x\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n" SAMPLE_BODY
			"\n",
			"private-key" },
		{ "/home/ann/keys/a", "-----BEGIN EC PRIVATE KEY-----\r\n" SAMPLE_BODY "\r\n",
			"private-key" },
		{ "/srv/app/account.json",
			"{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n" SAMPLE_BODY "\\n\"}",
			"private-key" },
		{ "/opt/x/secret.asc", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" SAMPLE_BODY "\n",
			"private-key" },
		{ "/var/lib/x/k.ppk", "PuTTY-User-Key-File-3: ssh-rsa\nPrivate-Lines: 1\nAAAA\n",
			"private-key" },
		{ "/etc/ssh/ssh_host_ed25519_key", SAMPLE_KEY, "ssh-host-key" },
		{ "/root/.ssh/authorized_keys", "# a\n\nssh-ed25519 AAAA ann\n", "authorized-keys" },
		{ "/home/ann/.aws/credentials", SAMPLE_AWS, "aws-credentials" },
		{ "/home/ann/.aws/config", SAMPLE_AWS, "aws-credentials" },
		{ "/etc/deploy.env", "ID=" SAMPLE_AWS_ID "\nKEY=\"" SAMPLE_AWS_SECRET "\"\n",
			"aws-key-pair" },
		{ "/root/.config/gcloud/credentials.db", "SQLite format 3", "google-credentials" },
		{ "/root/.azure/msal_token_cache.json", "{}", "azure-credentials" },
		{ "/root/.netrc", "machine a login b password c\n", "netrc" },
		{ "/root/.pgpass", "localhost:5432:*:ann:secret\n", "database-password" },
		{ "/root/.my.cnf", "[client]\npassword = x\n", "database-password" },
		{ "/home/ann/.git-credentials", "https://ann:token@example.org\n", "git-credentials" },
		{ "/root/.docker/config.json", "{\"auths\": {\"r\": {\"auth\": \"YW5uOnNlY3JldA==\"}}}",
			"docker-auth" },
		{ "/root/.kube/config", "users:\n- user:\n    client-key-data: LS0tLS1CRUdJTiBSU0E\n",
			"kubeconfig" },
		{ "/root/.npmrc", "//registry.npmjs.org/:_authToken=npm_0123456789\n", "registry-token" },
		{ "/root/.vault-token", "s.0123", "vault-token" },
		{ "/root/.bash_history", "ls\n", "shell-history" },
		{ "/home/ann/.zsh_history", "ls\n", "shell-history" },
		{ "/srv/ann/.bash_history", "ls\n", "shell-history" },
		{ "/root/.psql_history", "select 1\n", "client-history" },
		{ "/root/.python_history", "1\n", "client-history" },
		{ "/etc/shadow", "root:*:1::::::\nann:$y$j9T$abcdefgh$0123456789:19000:0:99999:7:::\n",
			"password-hash" },
		{ "/var/lib/cloud/instances/i-1/user-data.txt", "#cloud-config\npassword: a\n",
			"cloud-init-user-data" },
		{ "/var/lib/cloud/instances/i-1/user-data.txt", "#!/bin/sh\n", "cloud-init-user-data" },
	};
	CHECK_ALL(samples);
}

static void lets_pass_what_only_looks_secret(void **state)
{
	static const struct sample samples[] = {
		{ "/root/.ssh/id_ed25519.pub", "ssh-ed25519 AAAA ann\n", "" },
		{ "/etc/ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\n" SAMPLE_BODY "\n", "" },
		{ "/etc/ssl/public.pem", "-----BEGIN PUBLIC KEY-----\n" SAMPLE_BODY "\n", "" },
		{ "/root/README", "A key begins with -----BEGIN PRIVATE KEY----- and some Base64.\n", "" },
		{ "/usr/local/share/doc/key.pem", SAMPLE_KEY, "" }, /* of no area */
		{ "/etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA host\n", "" },
		{ "/root/.ssh/authorized_keys", "", "" },
		{ "/root/.ssh/authorized_keys", "# no-one\n\n", "" },
		{ "/root/.aws/config", "[default]\nregion = us-east-1\noutput = json\n", "" },
		{ "/root/.aws/credentials", "[default]\naws_secret_access_key =\n", "" },
		{ "/root/a", "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n", "" },
		{ "/root/a", SAMPLE_AWS_ID " da39a3ee5e6b4b0d3255bfef95601890afd80709\n", "" },
		{ "/root/a", "X" SAMPLE_AWS_ID " " SAMPLE_AWS_SECRET "\n", "" },
		{ "/root/a", SAMPLE_AWS_SECRET "\n", "" },
		{ "/root/.netrc", "machine a login b\n", "" },
		{ "/root/.pgpass", "# host:port:database:user:secret\n", "" },
		{ "/root/.git-credentials", "https://example.org\n", "" },
		{ "/root/.docker/config.json", "{\"auths\": {}, \"credsStore\": \"pass\"}", "" },
		{ "/root/.kube/config", "clusters: []\nusers: []\n", "" },
		{ "/root/.npmrc", "registry=https://registry.npmjs.org/\n", "" },
		{ "/root/.bash_history", "", "" },
		{ "/root/bash_history.txt", "ls\n", "" },
		{ "/etc/shadow",
			"root:*:1::::::\nann:!$y$j9T$abcdefgh$0:1::::::\nbin:!!:1::::::\nx::1::::::\n", "" },
		{ "/var/lib/cloud/instances/i-1/user-data.txt", "#cloud-config\n\n", "" },
		{ "/var/lib/cloud/instances/i-1/cloud-config.txt", "x: 1\n", "" },
	};
	CHECK_ALL(samples);
}

static void large_files_are_no_key_files_but_may_be_histories(void **state)
{
	assert_int_equal(gate_file_want("/root/x", GATE_CONTENT_SIZE, false), GATE_WANT_CONTENT);
	assert_int_equal(gate_file_want("/root/x", GATE_CONTENT_SIZE + 1, false), GATE_WANT_NOTHING);
	assert_int_equal(gate_file_want("/root/.bash_history", 1 << 30, false), GATE_WANT_CONTENT - 1);
	assert_int_equal(gate_match("/root/.bash_history", 1 << 30, false, "", 0) > 0, true);
}

static void a_file_system_without_etc_is_all_data(void **state)
{
	assert_int_equal(
		gate_match("/ann/key", sizeof SAMPLE_KEY - 1, false, SAMPLE_KEY, sizeof SAMPLE_KEY - 1), -1);
	assert_true(
		gate_match("/ann/key", sizeof SAMPLE_KEY - 1, true, SAMPLE_KEY, sizeof SAMPLE_KEY - 1) > 0);
}

static void system_folders_are_not_walked(void **state)
{
	static const char *const skipped[] = { "/proc", "/usr/share", "/usr/share/doc", "/var/lib/dpkg",
		"/lib" };
	static const char *const walked[] = { "/", "/usr", "/usr/local", "/root", "/library", "/var/lib",
		"/data" };
	for (size_t i = 0; i < sizeof skipped / sizeof *skipped; i++)
		assert_false(gate_folder_is_walked(skipped[i]));
	for (size_t i = 0; i < sizeof walked / sizeof *walked; i++)
		assert_true(gate_folder_is_walked(walked[i]));
}

static void every_rule_says_what_to_do(void **state)
{
	for (unsigned i = 0; i < gate_rule_count(); i++) {
		assert_true(strlen(gate_rule(i)->name) > 0);
		assert_true(strlen(gate_rule(i)->advice) > 0 && !strchr(gate_rule(i)->advice, '\n'));
		assert_int_equal(gate_rule(i)->severity == GATE_UNREADABLE, i == GATE_RULE_UNREADABLE);
	}
	assert_null(gate_rule((unsigned)gate_rule_count()));
	for (int reason = 1; reason < GATE_REASON_COUNT; reason++)
		assert_true(strlen(gate_reason_text((enum gate_reason)reason)) > 0);
}

static void bytes_behind_a_nul_count(void **state)
{
	static const char content[] = "a\0" SAMPLE_KEY;
	assert_true(contents_has_private_key(content, sizeof content - 1));
	assert_false(contents_has_private_key(content, 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_is_secret),
		cmocka_unit_test(lets_pass_what_only_looks_secret),
		cmocka_unit_test(large_files_are_no_key_files_but_may_be_histories),
		cmocka_unit_test(a_file_system_without_etc_is_all_data),
		cmocka_unit_test(system_folders_are_not_walked),
		cmocka_unit_test(every_rule_says_what_to_do),
		cmocka_unit_test(bytes_behind_a_nul_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
