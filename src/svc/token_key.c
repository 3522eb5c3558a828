/*
 * Keys on PKCS#11 tokens, through p11-kit. CKM_AES_CBC without padding is what nearly all tokens have that have AES at all; the 32 bytes are random and encrypted with a random IV, so nothing more is needed to keep them secret, and
 * whether they are the right ones is told by what is sealed under them (src/svc/root_key.c). Each call loads the module, opens a session, logs in, and takes all of it down again, on the caller's thread; whatever can be
 * found wrong without the PIN is found before the PIN is used.
 *
 * Sealed: version 1, IV (16 bytes), ciphertext (32 bytes).
 */
#include "svc/token_key.h"

#include <openssl/crypto.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/uri.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

enum { VERSION = 1, IV_SIZE = 16, PIN_MAX = 256, SLOTS_MAX = 256, ATTRIBUTES_MAX = 8, AES_256 = 32 };

struct token {
	P11KitUri *uri;
	CK_FUNCTION_LIST *module;
	bool initialized, has_session;
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	const char *path, *label, *object, *pin_file;
	struct arena *arena;
};

static int failed(struct error *err, const struct token *token, const char *what, CK_RV code)
{
	return error_set(
		err, ERROR_UNAVAILABLE, "the token %s: %s: %s", token->label, what, p11_kit_strerror(code));
}

/* file:/PATH and file:///PATH are what RFC 7512 writes for /PATH. */
static const char *pin_path(const char *source)
{
	if (!text_starts_with(source, "file:"))
		return source;
	source += strlen("file:");
	return text_starts_with(source, "//") ? source + 2 : source;
}

static const char *object_label(P11KitUri *uri, struct arena *arena)
{
	const CK_ATTRIBUTE *label = p11_kit_uri_get_attribute(uri, CKA_LABEL);
	return label ? arena_printf(arena, "%.*s", (int)label->ulValueLen, (const char *)label->pValue) : "";
}

static const char *token_label(P11KitUri *uri, struct arena *arena)
{
	const CK_TOKEN_INFO *info = p11_kit_uri_get_token_info(uri);
	int size = (int)p11_kit_space_strlen(info->label, sizeof info->label);
	return info->label[0] ? arena_printf(arena, "%.*s", size, (const char *)info->label) : "";
}

static bool is_secret_key(P11KitUri *uri)
{
	const CK_ATTRIBUTE *class = p11_kit_uri_get_attribute(uri, CKA_CLASS);
	CK_OBJECT_CLASS value = CKO_SECRET_KEY;
	if (class && class->ulValueLen == sizeof value)
		memcpy(&value, class->pValue, sizeof value);
	return value == CKO_SECRET_KEY;
}

static int check_parts(struct token *token, struct error *err)
{
	static const char example[] =
		"pkcs11:token=TOKEN;object=KEY?module-path=/usr/lib/.../MODULE.so&pin-source=file:/PATH";
	const char *source = p11_kit_uri_get_pin_source(token->uri);
	if (p11_kit_uri_get_pin_value(token->uri))
		return error_set(err, ERROR_INVALID,
			"a PKCS#11 URI with pin-value is refused: everybody on this host can read a command line. Put the PIN into a file (0600), and that into pin-source=file:/PATH");
	if (p11_kit_uri_any_unrecognized(token->uri) || p11_kit_uri_get_module_name(token->uri))
		return error_set(err, ERROR_INVALID,
			"the PKCS#11 URI has an attribute that is not taken; it looks like %s", example);
	if (!token->path || token->path[0] != '/')
		return error_set(err, ERROR_INVALID,
			"the PKCS#11 URI has no module-path, an absolute one; it looks like %s", example);
	if (!*token->label)
		return error_set(
			err, ERROR_INVALID, "the PKCS#11 URI names no token; it looks like %s", example);
	if (!*token->object || !is_secret_key(token->uri))
		return error_set(err, ERROR_INVALID,
			"the PKCS#11 URI names no object that is a secret key; it looks like %s", example);
	if (!source || !*source || *source == '|')
		return error_set(err, ERROR_INVALID,
			"the PKCS#11 URI has no pin-source that is a file; it looks like %s", example);
	token->pin_file = pin_path(source);
	return 0;
}

/* The caller frees token->uri, whatever is returned. The texts are the arena's or the URI's. */
static int parse(const char *text, struct arena *arena, struct token *token, struct error *err)
{
	*token = (struct token){ .uri = p11_kit_uri_new(), .arena = arena };
	int result = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, token->uri);
	if (result != P11_KIT_URI_OK)
		return error_set(err, ERROR_INVALID, "that is no PKCS#11 URI (RFC 7512): %s",
			p11_kit_uri_message(result));
	token->path = p11_kit_uri_get_module_path(token->uri);
	token->label = token_label(token->uri, arena);
	token->object = object_label(token->uri, arena);
	return check_parts(token, err);
}

int token_key_check(const char *uri, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct token token;
	int result = parse(uri, arena, &token, err);
	p11_kit_uri_free(token.uri);
	return result;
}

const char *token_key_name(const char *uri, struct arena *arena)
{
	struct token token;
	struct error err;
	const char *name = parse(uri, arena, &token, &err)
		? "a key of a token"
		: arena_printf(arena, "the key %s of the token %s", token.object, token.label);
	p11_kit_uri_free(token.uri);
	return name;
}

static int load_module(struct token *token, struct error *err)
{
	p11_kit_be_quiet();
	token->module = p11_kit_module_load(token->path, 0);
	if (!token->module) {
		const char *why = p11_kit_message();
		return error_set(err, ERROR_NOT_FOUND, "cannot load the PKCS#11 module %s%s%s", token->path,
			why ? ": " : "", why ? why : "");
	}
	CK_RV code = p11_kit_module_initialize(token->module);
	token->initialized = code == CKR_OK;
	CK_INFO info;
	if (code == CKR_OK)
		code = token->module->C_GetInfo(&info);
	if (code != CKR_OK)
		return error_set(err, ERROR_UNAVAILABLE, "the PKCS#11 module %s does not start: %s",
			token->path, p11_kit_strerror(code));
	return p11_kit_uri_match_module_info(token->uri, &info)
		? 0
		: error_set(err, ERROR_NOT_FOUND,
			  "the PKCS#11 module %s is not what library-... of the URI says", token->path);
}

static int find_token(struct token *token, struct error *err)
{
	const CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(token->uri), any = (CK_SLOT_ID)-1;
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG count = SLOTS_MAX, found = 0;
	CK_RV code = token->module->C_GetSlotList(CK_TRUE, slots, &count);
	if (code != CKR_OK)
		return failed(err, token, "cannot list the slots", code);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO info;
		CK_SLOT_INFO slot;
		if ((wanted != any && wanted != slots[i]) ||
			token->module->C_GetSlotInfo(slots[i], &slot) != CKR_OK ||
			!p11_kit_uri_match_slot_info(token->uri, &slot) ||
			token->module->C_GetTokenInfo(slots[i], &info) != CKR_OK ||
			!p11_kit_uri_match_token_info(token->uri, &info))
			continue;
		token->slot = slots[i];
		token->info = info;
		found++;
	}
	if (found == 1)
		return 0;
	if (found)
		return error_set(err, ERROR_INVALID,
			"there are %lu tokens %s: say which one with serial= in the PKCS#11 URI", found,
			token->label);
	return error_set(err, ERROR_NOT_FOUND, "there is no token %s in any of the %lu slots with one of %s",
		token->label, count, token->path);
}

static int check_mechanism(const struct token *token, struct error *err)
{
	CK_MECHANISM_INFO info;
	const CK_FLAGS needed = CKF_ENCRYPT | CKF_DECRYPT;
	CK_RV code = token->module->C_GetMechanismInfo(token->slot, CKM_AES_CBC, &info);
	if (code != CKR_OK || (info.flags & needed) != needed)
		return error_set(err, ERROR_UNAVAILABLE, "the token %s cannot encrypt with AES (CKM_AES_CBC)",
			token->label);
	return 0;
}

/* What the token says about its PIN before it is tried. */
static int check_tries(const struct token *token, struct error *err)
{
	if (token->info.flags & CKF_USER_PIN_LOCKED)
		return error_set(err, ERROR_UNAVAILABLE,
			"the PIN of the token %s is locked after too many wrong ones; its security officer can set a new one",
			token->label);
	if (token->info.flags & CKF_USER_PIN_FINAL_TRY)
		return error_set(err, ERROR_UNAVAILABLE,
			"one more wrong PIN locks the token %s, so %s is not tried; log in once by hand (pkcs11-tool --login --list-objects)",
			token->label, token->pin_file);
	return 0;
}

static int log_in(struct token *token, struct error *err)
{
	char *pin = NULL;
	size_t size;
	if (check_tries(token, err))
		return -1;
	if (file_read_private(token->pin_file, PIN_MAX, token->arena, &pin, &size, err))
		return error_prefix(err, "the PIN of the token %s", token->label);
	size_t length = strcspn(pin, "\r\n");
	CK_RV code = length ? token->module->C_Login(token->session, CKU_USER, (CK_UTF8CHAR_PTR)pin, length)
			    : CKR_OK;
	OPENSSL_cleanse(pin, size);
	if (!length)
		return error_set(err, ERROR_INVALID,
			"the first line of %s, the PIN of the token %s, is empty", token->pin_file,
			token->label);
	if (code == CKR_PIN_INCORRECT || code == CKR_PIN_LEN_RANGE || code == CKR_PIN_INVALID)
		return error_set(err, ERROR_INVALID,
			"the PIN in %s is not that of the token %s (it was tried once: tokens lock after some wrong ones)",
			token->pin_file, token->label);
	return code == CKR_OK || code == CKR_USER_ALREADY_LOGGED_IN
		? 0
		: failed(err, token, "cannot log in", code);
}

/* The URI's attributes but its type, which a template has once. */
static CK_ULONG fill_template(struct token *token, CK_OBJECT_CLASS *class, CK_BBOOL *on_token,
	CK_ATTRIBUTE template[ATTRIBUTES_MAX])
{
	CK_ULONG count, used = 0;
	const CK_ATTRIBUTE *named = p11_kit_uri_get_attributes(token->uri, &count);
	template[used++] = (CK_ATTRIBUTE){ CKA_CLASS, class, sizeof *class };
	template[used++] = (CK_ATTRIBUTE){ CKA_TOKEN, on_token, sizeof *on_token };
	for (CK_ULONG i = 0; i < count && used < ATTRIBUTES_MAX; i++)
		if (named[i].type != CKA_CLASS)
			template[used++] = named[i];
	return used;
}

static int missing_key(const struct token *token, struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND,
		"the token %s has no secret key %s; this makes it: pkcs11-tool --module %s --token-label '%s' --login --keygen --key-type AES:32 --label '%s' --sensitive",
		token->label, token->object, token->path, token->label, token->object);
}

static int find_key(struct token *token, struct error *err)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_BBOOL on_token = CK_TRUE;
	CK_ATTRIBUTE template[ATTRIBUTES_MAX];
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count = 0, size = fill_template(token, &class, &on_token, template);
	CK_RV code = token->module->C_FindObjectsInit(token->session, template, size);
	if (code == CKR_OK) {
		code = token->module->C_FindObjects(token->session, found, 2, &count);
		token->module->C_FindObjectsFinal(token->session);
	}
	if (code != CKR_OK)
		return failed(err, token, "cannot look for the key", code);
	if (!count)
		return missing_key(token, err);
	if (count > 1)
		return error_set(err, ERROR_INVALID,
			"the token %s has several secret keys %s: say which one with id= in the PKCS#11 URI",
			token->label, token->object);
	token->key = found[0];
	return 0;
}

static int check_key(const struct token *token, struct error *err)
{
	CK_KEY_TYPE type = 0;
	CK_ULONG size = AES_256; /* tokens that do not tell are believed */
	CK_ATTRIBUTE type_wanted = { CKA_KEY_TYPE, &type, sizeof type };
	CK_ATTRIBUTE size_wanted = { CKA_VALUE_LEN, &size, sizeof size };
	CK_RV code = token->module->C_GetAttributeValue(token->session, token->key, &type_wanted, 1);
	if (code != CKR_OK)
		return failed(err, token, "cannot read the key's type", code);
	if (token->module->C_GetAttributeValue(token->session, token->key, &size_wanted, 1) != CKR_OK)
		size = AES_256;
	if (type != CKK_AES || size != AES_256)
		return error_set(err, ERROR_INVALID, "the key %s of the token %s is no AES key of 256 bits",
			token->object, token->label);
	return 0;
}

static void close_token(struct token *token)
{
	if (token->has_session)
		token->module->C_CloseSession(token->session);
	if (token->initialized)
		p11_kit_module_finalize(token->module);
	if (token->module)
		p11_kit_module_release(token->module);
	p11_kit_uri_free(token->uri);
}

/* close_token follows, whatever is returned. */
static int open_token(const char *uri, struct arena *arena, struct token *token, struct error *err)
{
	if (parse(uri, arena, token, err) || load_module(token, err) || find_token(token, err) ||
		check_mechanism(token, err))
		return -1;
	CK_RV code =
		token->module->C_OpenSession(token->slot, CKF_SERIAL_SESSION, NULL, NULL, &token->session);
	if (code != CKR_OK)
		return failed(err, token, "cannot open a session", code);
	token->has_session = true;
	return log_in(token, err) || find_key(token, err) ? -1 : check_key(token, err);
}

/* 32 bytes to 32 bytes. */
static int run_cipher(struct token *token, bool encrypt, uint8_t iv[IV_SIZE], uint8_t in[TOKEN_KEY_SIZE],
	uint8_t out[TOKEN_KEY_SIZE], struct error *err)
{
	CK_MECHANISM mechanism = { CKM_AES_CBC, iv, IV_SIZE };
	CK_FUNCTION_LIST *module = token->module;
	CK_ULONG size = TOKEN_KEY_SIZE;
	CK_RV code = encrypt ? module->C_EncryptInit(token->session, &mechanism, token->key)
			     : module->C_DecryptInit(token->session, &mechanism, token->key);
	if (code == CKR_OK)
		code = encrypt ? module->C_Encrypt(token->session, in, TOKEN_KEY_SIZE, out, &size)
			       : module->C_Decrypt(token->session, in, TOKEN_KEY_SIZE, out, &size);
	if (code == CKR_OK && size == TOKEN_KEY_SIZE)
		return 0;
	return failed(err, token, encrypt ? "its key does not encrypt" : "its key does not decrypt",
		code == CKR_OK ? CKR_DATA_LEN_RANGE : code);
}

int token_key_seal(const char *uri, const uint8_t secret[TOKEN_KEY_SIZE],
	uint8_t sealed[TOKEN_KEY_SEALED_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	uint8_t plain[TOKEN_KEY_SIZE], again[TOKEN_KEY_SIZE], *iv = sealed + 1, *text = sealed + 1 + IV_SIZE;
	struct token token;
	sealed[0] = VERSION;
	text_random_bytes(iv, IV_SIZE);
	memcpy(plain, secret, sizeof plain);
	int result = open_token(uri, arena, &token, err) || run_cipher(&token, true, iv, plain, text, err) ||
			run_cipher(&token, false, iv, text, again, err)
		? -1
		: 0;
	if (result == 0 && memcmp(plain, again, sizeof plain) != 0)
		result = error_set(err, ERROR_UNAVAILABLE,
			"the token %s does not give back what it was given", token.label);
	close_token(&token);
	OPENSSL_cleanse(plain, sizeof plain);
	OPENSSL_cleanse(again, sizeof again);
	return result;
}

int token_key_open(const char *uri, const uint8_t sealed[TOKEN_KEY_SEALED_SIZE],
	uint8_t secret[TOKEN_KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	uint8_t copy[TOKEN_KEY_SEALED_SIZE];
	struct token token;
	if (sealed[0] != VERSION)
		return error_set(err, ERROR_CORRUPT,
			"what lies under the token's key has the unknown version %d", sealed[0]);
	memcpy(copy, sealed, sizeof copy);
	int result = open_token(uri, arena, &token, err);
	if (result == 0)
		result = run_cipher(&token, false, copy + 1, copy + 1 + IV_SIZE, secret, err);
	close_token(&token);
	return result;
}
