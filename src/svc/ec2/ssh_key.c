/*
 * SSH key pairs.
 *
 * Two binary forms matter. The SSH "blob" (RFC 4253: strings and big integers, each behind a 32-bit length) is what an OpenSSH line carries in Base64; the
 * SubjectPublicKeyInfo (DER) is what OpenSSL reads and what EC2's MD5 fingerprint is taken of. An imported key is turned into an EVP_PKEY from whichever
 * form it came in and written out as a blob again, so that what is stored is canonical and was understood.
 *
 * Private keys pass through OpenSSL's own buffers, which are wiped when freed, and through the one text that the caller wipes. Runs on the thread of a call.
 */
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/digest.h"
#include "base/text.h"
#include "svc/ec2/ssh_key.h"
#include "base/banned.h"

enum {
	ED25519_SIZE = 32, /* of the public key, and of the private seed */
	RSA_BITS_NEW = 2048,
	RSA_BITS_MIN = 1024,
	RSA_BITS_MAX = 16384,
	RSA_NUMBER_MAX = RSA_BITS_MAX / 8 + 1,
	RSA_EXPONENT_MAX = 8, /* bytes; larger ones only make verification slow */
	MATERIAL_MAX = 16 * 1024,
	PEM_LINE = 70, /* OpenSSH's width */
};

static const char *const type_names[] = { [SSH_KEY_RSA] = "ssh-rsa", [SSH_KEY_ED25519] = "ssh-ed25519" };

static void free_pkey(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
static void free_bignum(BIGNUM **number)
{
	BN_free(*number);
}
static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}
#define PKEY_SCOPED __attribute__((cleanup(free_pkey)))
#define BIGNUM_SCOPED __attribute__((cleanup(free_bignum)))
#define BIO_SCOPED __attribute__((cleanup(free_bio)))

/* A byte string under construction; never longer than its fixed room, which is sized for the largest key. */
struct blob {
	uint8_t bytes[2 * RSA_NUMBER_MAX + 64];
	size_t size;
};

static void blob_add(struct blob *blob, const void *data, size_t size)
{
	memcpy(blob->bytes + blob->size, data, size);
	blob->size += size;
}

static void blob_add_number(struct blob *blob, uint32_t number)
{
	uint8_t bytes[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8),
		(uint8_t)number };

	blob_add(blob, bytes, sizeof bytes);
}

static void blob_add_string(struct blob *blob, const void *data, size_t size)
{
	blob_add_number(blob, (uint32_t)size);
	blob_add(blob, data, size);
}

static void blob_add_text(struct blob *blob, const char *text)
{
	blob_add_string(blob, text, strlen(text));
}

/* A positive "mpint": a zero byte goes first if the top bit is set. */
static void blob_add_bignum(struct blob *blob, const BIGNUM *number)
{
	uint8_t bytes[RSA_NUMBER_MAX] = { 0 };
	int size = BN_num_bits(number) / 8 + 1;

	BN_bn2binpad(number, bytes, size);
	blob_add_string(blob, bytes, (size_t)size);
}

/* Takes the next string off the front of a blob; -1 if it is not all there. */
static int take_string(const uint8_t **data, size_t *size, const uint8_t **string, size_t *string_size)
{
	if (*size < 4)
		return -1;
	const uint8_t *bytes = *data;
	size_t length = (size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 | bytes[3];
	if (length > *size - 4)
		return -1;
	*string = bytes + 4;
	*string_size = length;
	*data += 4 + length;
	*size -= 4 + length;
	return 0;
}

/* The SSH blob of a key. */
static int make_blob(EVP_PKEY *key, enum ssh_key_type type, struct blob *blob)
{
	blob_add_text(blob, type_names[type]);
	if (type == SSH_KEY_ED25519) {
		uint8_t raw[ED25519_SIZE];
		size_t size = sizeof raw;
		if (EVP_PKEY_get_raw_public_key(key, raw, &size) != 1 || size != sizeof raw)
			return -1;
		blob_add_string(blob, raw, sizeof raw);
		return 0;
	}
	BIGNUM *exponent BIGNUM_SCOPED = NULL;
	BIGNUM *modulus BIGNUM_SCOPED = NULL;
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1 ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus) != 1)
		return -1;
	blob_add_bignum(blob, exponent);
	blob_add_bignum(blob, modulus);
	return 0;
}

/* "ab:cd:..." of a digest of some bytes. */
static char *hex_fingerprint(struct arena *arena, const EVP_MD *algorithm, const void *data, size_t size)
{
	uint8_t bytes[EVP_MAX_MD_SIZE];
	unsigned count = 0;

	if (EVP_Digest(data, size, bytes, &count, algorithm, NULL) != 1 || count == 0)
		return NULL;
	char *text = arena_alloc(arena, 3 * (size_t)count);
	for (unsigned i = 0; i < count; i++) {
		text_hex(&bytes[i], 1, text + 3 * (size_t)i);
		text[3 * (size_t)i + 2] = i + 1 < count ? ':' : '\0';
	}
	return text;
}

static char *blob_fingerprint(struct arena *arena, const struct blob *blob)
{
	struct digest digest;

	digest_sha256(blob->bytes, blob->size, &digest);
	return text_base64(arena, digest.bytes, sizeof digest.bytes);
}

static char *md5_fingerprint(struct arena *arena, EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int size = i2d_PUBKEY(key, &der);
	char *text = size > 0 ? hex_fingerprint(arena, EVP_md5(), der, (size_t)size) : NULL;

	OPENSSL_free(der);
	return text;
}

static char *sha1_fingerprint(struct arena *arena, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	uint8_t *der = NULL;
	int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	char *text = size > 0 ? hex_fingerprint(arena, EVP_sha1(), der, (size_t)size) : NULL;

	if (size > 0)
		OPENSSL_clear_free(der, (size_t)size);
	PKCS8_PRIV_KEY_INFO_free(info);
	return text;
}

/* The stored form and the fingerprint; `created`: the private key is there too. NULL fields if OpenSSL fails. */
static int describe_key(EVP_PKEY *key, enum ssh_key_type type, bool created, struct arena *arena,
	struct ssh_public_key *public_key)
{
	struct blob blob = { .size = 0 };

	if (make_blob(key, type, &blob) != 0)
		return -1;
	public_key->type = type;
	public_key->openssh =
		arena_printf(arena, "%s %s", type_names[type], text_base64(arena, blob.bytes, blob.size));
	if (type == SSH_KEY_ED25519)
		public_key->fingerprint = blob_fingerprint(arena, &blob);
	else
		public_key->fingerprint =
			created ? sha1_fingerprint(arena, key) : md5_fingerprint(arena, key);
	return public_key->fingerprint ? 0 : -1;
}

/* PKCS#1: "BEGIN RSA PRIVATE KEY". */
static char *write_rsa_pem(struct arena *arena, EVP_PKEY *key)
{
	BIO *bio BIO_SCOPED = BIO_new(BIO_s_secmem());
	char *text = NULL;

	if (!bio || PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return NULL;
	long size = BIO_get_mem_data(bio, &text);
	return size > 0 ? arena_strndup(arena, text, (size_t)size) : NULL;
}

/* What the Base64 of an unencrypted OpenSSH private key holds: see PROTOCOL.key of OpenSSH. */
static int make_openssh_private_blob(EVP_PKEY *key, struct blob *out)
{
	static const char magic[] = "openssh-key-v1";
	struct blob public_blob = { .size = 0 };
	struct blob inner = { .size = 0 };
	uint8_t pair[2 * ED25519_SIZE]; /* the seed, then the public key */
	size_t seed_size = ED25519_SIZE, public_size = ED25519_SIZE;
	uint32_t check;

	if (make_blob(key, SSH_KEY_ED25519, &public_blob) != 0 ||
		EVP_PKEY_get_raw_private_key(key, pair, &seed_size) != 1 ||
		EVP_PKEY_get_raw_public_key(key, pair + ED25519_SIZE, &public_size) != 1)
		return -1;
	text_random_bytes(&check, sizeof check);
	blob_add_number(&inner, check);
	blob_add_number(&inner, check);
	blob_add(&inner, public_blob.bytes, public_blob.size); /* type and public key, as in the blob */
	blob_add_string(&inner, pair, sizeof pair);
	blob_add_text(&inner, ""); /* comment */
	for (uint8_t padding = 1; inner.size % 8 != 0; padding++)
		blob_add(&inner, &padding, 1);

	blob_add(out, magic, sizeof magic);
	blob_add_text(out, "none"); /* cipher */
	blob_add_text(out, "none"); /* key derivation */
	blob_add_text(out, "");
	blob_add_number(out, 1); /* keys */
	blob_add_string(out, public_blob.bytes, public_blob.size);
	blob_add_string(out, inner.bytes, inner.size);
	OPENSSL_cleanse(pair, sizeof pair);
	OPENSSL_cleanse(&inner, sizeof inner);
	return 0;
}

static char *write_openssh_pem(struct arena *arena, EVP_PKEY *key)
{
	static const char header[] = "-----BEGIN OPENSSH PRIVATE KEY-----\n";
	static const char footer[] = "-----END OPENSSH PRIVATE KEY-----\n";
	struct blob blob = { .size = 0 };

	if (make_openssh_private_blob(key, &blob) != 0)
		return NULL;
	char *base64 = text_base64(arena, blob.bytes, blob.size);
	size_t size = strlen(base64);
	char *text = arena_alloc(arena, sizeof header + sizeof footer + size + size / PEM_LINE + 1);
	char *end = stpcpy(text, header);
	for (size_t at = 0; at < size; at += PEM_LINE) {
		size_t line = size - at < PEM_LINE ? size - at : PEM_LINE;
		end = mempcpy(end, base64 + at, line);
		*end++ = '\n';
	}
	memcpy(end, footer, sizeof footer);
	OPENSSL_cleanse(&blob, sizeof blob);
	OPENSSL_cleanse(base64, size);
	return text;
}

int ssh_key_generate(enum ssh_key_type type, struct arena *arena, struct ssh_public_key *public_key,
	char **private_pem, struct error *err)
{
	EVP_PKEY *key PKEY_SCOPED =
		type == SSH_KEY_RSA ? EVP_RSA_gen(RSA_BITS_NEW) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	*private_pem = NULL;
	if (!key || describe_key(key, type, true, arena, public_key) != 0)
		return error_set(err, ERROR_INTERNAL, "making an %s key failed", type_names[type]);
	*private_pem = type == SSH_KEY_RSA ? write_rsa_pem(arena, key) : write_openssh_pem(arena, key);
	if (!*private_pem)
		return error_set(err, ERROR_INTERNAL, "writing an %s key failed", type_names[type]);
	return 0;
}

void ssh_key_wipe(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
}

static EVP_PKEY *rsa_from_numbers(const BIGNUM *modulus, const BIGNUM *exponent)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *parameters = NULL;
	EVP_PKEY *key = NULL;

	if (builder && context && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1)
		parameters = OSSL_PARAM_BLD_to_param(builder);
	if (parameters && EVP_PKEY_fromdata_init(context) == 1)
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	EVP_PKEY_CTX_free(context);
	return key;
}

/* A key from an SSH blob; NULL if it is not a whole and plausible one. */
static EVP_PKEY *read_blob(const uint8_t *data, size_t size)
{
	const uint8_t *name, *first, *second;
	size_t name_size, first_size, second_size;

	if (take_string(&data, &size, &name, &name_size) != 0 ||
		take_string(&data, &size, &first, &first_size) != 0)
		return NULL;
	if (name_size == strlen("ssh-ed25519") && memcmp(name, "ssh-ed25519", name_size) == 0) {
		if (first_size != ED25519_SIZE || size != 0)
			return NULL;
		return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, first, first_size);
	}
	if (name_size != strlen("ssh-rsa") || memcmp(name, "ssh-rsa", name_size) != 0)
		return NULL;
	if (take_string(&data, &size, &second, &second_size) != 0 || size != 0)
		return NULL;
	if (first_size == 0 || first_size > RSA_EXPONENT_MAX || second_size == 0 ||
		second_size > RSA_NUMBER_MAX)
		return NULL;
	BIGNUM *exponent BIGNUM_SCOPED = BN_bin2bn(first, (int)first_size, NULL);
	BIGNUM *modulus BIGNUM_SCOPED = BN_bin2bn(second, (int)second_size, NULL);
	return exponent && modulus ? rsa_from_numbers(modulus, exponent) : NULL;
}

/* The Base64 body of an RFC 4716 file: lines without the markers and "Header: value" lines, which a trailing backslash continues. */
static char *rfc4716_body(struct arena *arena, const char *text)
{
	size_t count = 0;
	char **lines = text_split(arena, text, '\n', &count);
	char *body = arena_alloc(arena, strlen(text) + 1);
	char *end = body;
	bool continued = false;

	for (size_t i = 1; i < count && !text_starts_with(lines[i], "---- END SSH2 PUBLIC KEY ----"); i++) {
		size_t size = strcspn(lines[i], "\r");
		bool header = continued || memchr(lines[i], ':', size);
		continued = header && size > 0 && lines[i][size - 1] == '\\';
		if (!header)
			end = mempcpy(end, lines[i], size);
	}
	return body;
}

/* Recognises the form and reads the key. */
static EVP_PKEY *read_material(struct arena *arena, const char *text)
{
	size_t size = 0;
	uint8_t *data;

	if (text_starts_with(text, "---- BEGIN SSH2 PUBLIC KEY ----")) {
		data = text_unbase64(arena, rfc4716_body(arena, text), &size);
		return data ? read_blob(data, size) : NULL;
	}
	if (text_starts_with(text, "ssh-")) {
		const char *body = text + strcspn(text, " \t");
		body += strspn(body, " \t");
		data = text_unbase64(arena, arena_strndup(arena, body, strcspn(body, " \t\r\n")), &size);
		return data ? read_blob(data, size) : NULL;
	}
	data = text_unbase64(arena, text, &size);
	if (!data)
		return NULL;
	const uint8_t *at = data;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)size);
	if (key && at != data + size) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

/* Which type a key is; -1 if EC2 does not take it. */
static int classify_key(EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "ED25519"))
		return SSH_KEY_ED25519;
	if (!EVP_PKEY_is_a(key, "RSA"))
		return -1;
	int bits = EVP_PKEY_get_bits(key);
	BIGNUM *exponent BIGNUM_SCOPED = NULL;
	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1)
		return -1;
	return BN_is_odd(exponent) && BN_num_bytes(exponent) <= RSA_EXPONENT_MAX ? SSH_KEY_RSA : -1;
}

int ssh_key_import(const void *material, size_t size, struct arena *arena, struct ssh_public_key *public_key,
	struct error *err)
{
	static const char message[] = "Key is not in valid OpenSSH public key format";

	if (size > MATERIAL_MAX || memchr(material, '\0', size))
		return error_set(err, ERROR_KEY_FORMAT, "%s", message);
	const char *text = arena_strndup(arena, material, size);
	text += strspn(text, " \t\r\n");
	EVP_PKEY *key PKEY_SCOPED = *text ? read_material(arena, text) : NULL;
	int type = key ? classify_key(key) : -1;
	if (type < 0)
		return error_set(err, ERROR_KEY_FORMAT, "%s", message);
	if (describe_key(key, (enum ssh_key_type)type, false, arena, public_key) != 0)
		return error_set(err, ERROR_INTERNAL, "describing an imported key failed");
	return 0;
}
