/*
 * The table of rules. A row has patterns of paths (* stands for anything, slashes too) and, unless the path says it all, a look at the content (contents.h). The first row that a file meets is its finding, so the special ones come
 * first: a host key is a private key too.
 *
 * Rows with ANYWHERE hold for a file of that name in whatever place and file system. Rows with an area hold below some folders only, as their content alone decides; in a file system that has no /etc everything is such an area.
 */
#include "gate/rules.h"

#include <string.h>

#include "base/text.h"
#include "gate/contents.h"
#include "base/banned.h"

enum { PATHS_MAX = 16 };

enum area {
	ANYWHERE,
	AREA_KEYS,     /* /root /home /etc /var/lib /opt /srv */
	AREA_ACCOUNTS, /* /root /home /etc */
};

struct row {
	struct gate_rule rule;
	enum area area;
	bool (*content)(const char *content, size_t size); /* NULL: not being empty is enough */
	const char *paths[PATHS_MAX];
};

static const struct row rows[] = {
	{ { "unreadable", GATE_UNREADABLE, "Look into it yourself; nobody has." }, ANYWHERE, NULL, { NULL } },
	{ { "ssh-host-key", GATE_HIGH,
		  "Remove it; each machine makes its own at its first start (ssh-keygen -A, cloud-init)." },
		ANYWHERE, NULL, { "*/etc/ssh/ssh_host_*_key", "*/etc/dropbear/dropbear_*_host_key" } },
	{ { "authorized-keys", GATE_MEDIUM,
		  "Remove it: who has its private key can log into every machine made of this image." },
		ANYWHERE, contents_has_entry,
		{ "*/.ssh/authorized_keys", "*/.ssh/authorized_keys2", "*/etc/ssh/authorized_keys/*",
			"*/etc/dropbear/authorized_keys" } },
	{ { "aws-credentials", GATE_HIGH, "Remove it, and make the key inactive; use an instance profile." },
		ANYWHERE, contents_has_aws_secret,
		{ "*/.aws/credentials", "*/.aws/config", "*/.boto", "*/.s3cfg", "*/.aws/cli/cache/*",
			"*/.aws/sso/cache/*" } },
	{ { "google-credentials", GATE_HIGH, "Remove it, and revoke it (gcloud auth revoke)." }, ANYWHERE,
		NULL,
		{ "*/.config/gcloud/credentials.db", "*/.config/gcloud/access_tokens.db",
			"*/.config/gcloud/application_default_credentials.json",
			"*/.config/gcloud/legacy_credentials/*" } },
	{ { "azure-credentials", GATE_HIGH, "Remove it (az account clear), and revoke the session." },
		ANYWHERE, NULL,
		{ "*/.azure/accessTokens.json", "*/.azure/msal_token_cache*",
			"*/.azure/service_principal_entries*" } },
	{ { "netrc", GATE_HIGH, "Remove it, and change the passwords in it." }, ANYWHERE,
		contents_has_password, { "*/.netrc", "*/etc/netrc", "*/_netrc" } },
	{ { "database-password", GATE_HIGH, "Remove it, and change the passwords in it." }, ANYWHERE,
		contents_has_entry, { "*/.pgpass" } },
	{ { "database-password", GATE_HIGH, "Remove it, and change the passwords in it." }, ANYWHERE,
		contents_has_password, { "*/.my.cnf", "*/.mylogin.cnf", "*/etc/mysql/debian.cnf" } },
	{ { "git-credentials", GATE_HIGH, "Remove it, and revoke the tokens in it." }, ANYWHERE,
		contents_has_url_password, { "*/.git-credentials", "*/.config/git/credentials" } },
	{ { "docker-auth", GATE_HIGH, "Remove it (docker logout), and revoke the tokens in it." }, ANYWHERE,
		contents_has_docker_auth,
		{ "*/.docker/config.json", "*/.dockercfg", "*/containers/auth.json",
			"*/var/lib/kubelet/config.json" } },
	{ { "kubeconfig", GATE_HIGH, "Remove it, and revoke its client certificate or token." }, ANYWHERE,
		contents_has_kubernetes_secret,
		{ "*/.kube/config", "*/etc/kubernetes/*.conf", "*/etc/rancher/*.yaml",
			"*/var/lib/kubelet/kubeconfig" } },
	{ { "registry-token", GATE_HIGH, "Remove it, and revoke the token." }, ANYWHERE,
		contents_has_registry_token,
		{ "*/.npmrc", "*/.pypirc", "*/.cargo/credentials", "*/.cargo/credentials.toml",
			"*/.gem/credentials", "*/.terraform.d/credentials.tfrc.json",
			"*/.config/gh/hosts.yml" } },
	{ { "vault-token", GATE_HIGH, "Remove it, and revoke the token." }, ANYWHERE, NULL,
		{ "*/.vault-token" } },
	{ { "shell-history", GATE_LOW, "Remove it; commands have names of machines in them, and passwords." },
		ANYWHERE, NULL,
		{ "*/.bash_history", "*/.zsh_history", "*/.zhistory", "*/.ash_history", "*/.sh_history",
			"*/.ksh_history", "*/.histfile", "*/.history", "*/fish/fish_history" } },
	{ { "client-history", GATE_LOW, "Remove it; statements have names and passwords in them." }, ANYWHERE,
		NULL,
		{ "*/.mysql_history", "*/.mariadb_history", "*/.psql_history", "*/.python_history",
			"*/.sqlite_history", "*/.rediscli_history", "*/.node_repl_history", "*/.irb_history",
			"*/.mongosh/*history*", "*/.dbshell" } },
	{ { "password-hash", GATE_MEDIUM,
		  "Lock the password (passwd -l): it can be guessed from its hash, and is the same on every machine." },
		ANYWHERE, contents_has_password_hash,
		{ "*/etc/shadow", "*/etc/shadow-", "*/etc/master.passwd" } },
	{ { "cloud-init-user-data", GATE_MEDIUM,
		  "Run cloud-init clean: user data often has passwords and tokens in it." },
		ANYWHERE, contents_has_user_data,
		{ "*/var/lib/cloud/instances/*/user-data.txt",
			"*/var/lib/cloud/instances/*/vendor-data.txt" } },
	{ { "private-key", GATE_HIGH, "Remove it, and replace the key wherever it is used." }, AREA_KEYS,
		contents_has_private_key, { "*" } },
	{ { "aws-key-pair", GATE_HIGH, "Remove it, and make the key inactive; use an instance profile." },
		AREA_ACCOUNTS, contents_has_aws_key_pair, { "*" } },
};

enum { ROW_COUNT = sizeof rows / sizeof *rows };

size_t gate_rule_count(void)
{
	return ROW_COUNT;
}

const struct gate_rule *gate_rule(unsigned index)
{
	return index < ROW_COUNT ? &rows[index].rule : NULL;
}

const char *gate_severity_text(enum gate_severity severity)
{
	static const char *const texts[] = { "unreadable", "low", "medium", "high" };
	return texts[severity];
}

const char *gate_reason_text(enum gate_reason reason)
{
	static const char *const texts[GATE_REASON_COUNT] = {
		[GATE_REASON_NONE] = "",
		[GATE_REASON_XFS] = "an XFS file system",
		[GATE_REASON_BTRFS] = "a btrfs file system",
		[GATE_REASON_FAT] = "a FAT file system",
		[GATE_REASON_NTFS] = "an NTFS file system",
		[GATE_REASON_LUKS] = "a LUKS container",
		[GATE_REASON_LVM] = "a physical volume of LVM",
		[GATE_REASON_RAID] = "a member of a software RAID",
		[GATE_REASON_SWAP] = "swap space",
		[GATE_REASON_SQUASHFS] = "a squashfs file system",
		[GATE_REASON_UNKNOWN] = "data of no known kind",
		[GATE_REASON_TABLE] = "the partition table is damaged or too long",
		[GATE_REASON_DAMAGED] = "damaged",
		[GATE_REASON_JOURNAL] =
			"the journal holds changes that are not in place: the file system was in use",
		[GATE_REASON_ENCRYPTED] = "encrypted by its file system",
		[GATE_REASON_LIMIT] = "too many files or findings, too large, or too deep",
		[GATE_REASON_SCANNER] = "the scanner has ended before it was through",
	};
	return texts[reason];
}

static bool is_below(const char *path, const char *folder)
{
	size_t size = strlen(folder);
	return strncmp(path, folder, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static bool is_below_any(const char *path, const char *const folders[])
{
	for (size_t i = 0; folders[i]; i++)
		if (is_below(path, folders[i]))
			return true;
	return false;
}

bool gate_folder_is_walked(const char *path)
{
	/* /usr/local is the machine's own */
	static const char *const skipped[] = { "/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/libx32",
		"/lost+found", "/proc", "/run", "/sbin", "/snap", "/sys", "/usr/bin", "/usr/games",
		"/usr/include", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/libx32",
		"/usr/sbin", "/usr/share", "/usr/src", "/var/cache/apt", "/var/cache/dnf", "/var/cache/man",
		"/var/lib/apt", "/var/lib/dpkg", "/var/lib/rpm", NULL };
	return !is_below_any(path, skipped);
}

static bool is_in_area(enum area area, const char *path, bool whole_is_home)
{
	static const char *const keys[] = { "/root", "/home", "/etc", "/var/lib", "/opt", "/srv", NULL };
	static const char *const accounts[] = { "/root", "/home", "/etc", NULL };
	return area == ANYWHERE || whole_is_home || is_below_any(path, area == AREA_KEYS ? keys : accounts);
}

static bool is_row(const struct row *row, const char *path, uint64_t size, bool whole_is_home)
{
	if (row->area != ANYWHERE &&
		(size > GATE_CONTENT_SIZE || !is_in_area(row->area, path, whole_is_home)))
		return false;
	for (size_t i = 0; i < PATHS_MAX && row->paths[i]; i++)
		if (text_match(row->paths[i], path))
			return true;
	return false;
}

enum gate_want gate_file_want(const char *path, uint64_t size, bool whole_is_home)
{
	enum gate_want want = GATE_WANT_NOTHING;
	if (size == 0)
		return GATE_WANT_NOTHING;
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (is_row(&rows[i], path, size, whole_is_home)) {
			if (rows[i].content)
				return GATE_WANT_CONTENT;
			want = GATE_WANT_MATCH;
		}
	return want;
}

int gate_match(const char *path, uint64_t size, bool whole_is_home, const char *content, size_t content_size)
{
	if (size == 0)
		return -1;
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (is_row(&rows[i], path, size, whole_is_home) &&
			(!rows[i].content || rows[i].content(content, content_size)))
			return (int)i;
	return -1;
}
