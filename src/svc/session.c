/* Session tokens: a principal as JSON by the table of `record session`, sealed. Everything runs on the caller's thread. */
#include "svc/session.h"

#include <stdio.h>
#include <string.h>

#include "api/records.h"
#include "base/clock.h"
#include "base/text.h"
#include "shape/json.h"
#include "svc/seal.h"
#include "base/banned.h"

#define PURPOSE "session"
#define PREFIX "ASIA"

enum { PREFIX_SIZE = 4, ACCOUNT_LETTERS = 8, RANDOM_LETTERS = 8, ACCOUNT_DIGITS = 12 };
#define KEY_ID_SIZE (PREFIX_SIZE + ACCOUNT_LETTERS + RANDOM_LETTERS)

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static const char *const type_names[] = {
	[PRINCIPAL_ROOT] = "root",
	[PRINCIPAL_USER] = "user",
	[PRINCIPAL_ROLE_SESSION] = "role",
	[PRINCIPAL_FEDERATED_USER] = "federated",
	[PRINCIPAL_SERVICE] = "service",
};

/* 12 digits are fewer than 40 bits: 8 letters of 5. */
static char *make_key_id(struct arena *arena, const char *account)
{
	char id[KEY_ID_SIZE + 1] = PREFIX;
	uint8_t random[RANDOM_LETTERS];
	int64_t number = 0;
	text_parse_int64(account, &number);
	for (int i = 0; i < ACCOUNT_LETTERS; i++)
		id[PREFIX_SIZE + i] = letters[number >> (5 * (ACCOUNT_LETTERS - 1 - i)) & 31];
	text_random_bytes(random, sizeof random);
	for (int i = 0; i < RANDOM_LETTERS; i++)
		id[PREFIX_SIZE + ACCOUNT_LETTERS + i] = letters[random[i] % 32];
	return arena_strdup(arena, id);
}

bool session_account_of_key(const char *access_key_id, char account[13])
{
	uint64_t number = 0;
	if (strlen(access_key_id) != KEY_ID_SIZE || !text_starts_with(access_key_id, PREFIX))
		return false;
	for (int i = 0; i < ACCOUNT_LETTERS; i++) {
		const char *letter = strchr(letters, access_key_id[PREFIX_SIZE + i]);
		if (!letter)
			return false;
		number = number * 32 + (uint64_t)(letter - letters);
	}
	for (int i = ACCOUNT_DIGITS; i--; number /= 10)
		account[i] = (char)('0' + number % 10);
	account[ACCOUNT_DIGITS] = '\0';
	return number == 0; /* else it has more digits than accounts have */
}

/* The secret goes with one token, not only with the id: ids are short enough for two to meet. */
static const char *secret_of(
	struct amid *amid, const char *access_key_id, const char *token, struct arena *arena)
{
	return seal_derive_secret(amid, PURPOSE, arena_printf(arena, "%s %s", access_key_id, token), arena);
}

static void set_texts(struct record_string_list *list, const char *const *texts, size_t count)
{
	list->items = (const char **)texts;
	list->count = count;
	list->set = count > 0;
}

static void set_tags(struct session_record *session, const struct principal *principal, struct arena *arena)
{
	session->tags.items =
		arena_alloc_array(arena, principal->session_tag_count + 1, sizeof *session->tags.items);
	session->tags.count = principal->session_tag_count;
	session->tags.set = principal->session_tag_count > 0;
	for (size_t i = 0; i < principal->session_tag_count; i++) {
		const struct principal_tag *tag = &principal->session_tags[i];
		session->tags.items[i] = (struct record_session_tag){
			.key = tag->key, .value = tag->value, .transitive = some_boolean(tag->transitive)
		};
	}
}

int session_make(struct amid *amid, const struct principal *principal, int64_t seconds, struct arena *arena,
	struct session_credentials *credentials, struct error *err)
{
	int64_t now_ms = clock_now_ms();
	struct buffer text BUFFER_SCOPED = { 0 };
	struct session_record session = {
		.type = type_names[principal->type],
		.account = principal->account,
		.arn = principal->arn,
		.principal_id = principal->id,
		.user_name = principal->user_name,
		.issuer_arn = principal->issuer_arn,
		.issuer_id = principal->issuer_id,
		.session_name = principal->session_name,
		.mfa = some_boolean(principal->mfa),
		.issued = some_timestamp(now_ms),
		/* answers tell whole seconds */
		.expires = some_timestamp((now_ms / 1000 + seconds) * 1000),
		.source_identity = principal->source_identity,
	};
	set_texts(&session.policies, principal->session_policies, principal->session_policy_count);
	set_texts(&session.policy_arns, principal->session_policy_arns, principal->session_policy_arn_count);
	set_tags(&session, principal, arena);
	struct record_session_instance instance;
	if (principal->instance) {
		instance = (struct record_session_instance){ .arn = principal->instance->arn,
			.vpc = principal->instance->vpc,
			.private_address = principal->instance->private_address,
			.delivery = principal->instance->delivery };
		session.instance = &instance;
	}
	json_encode(&text, record_session.shape, &session);
	const char *id = make_key_id(arena, principal->account);
	const char *token = seal_make(amid, PURPOSE, id, text.data, text.size, arena);
	if (!token)
		return error_set(err, ERROR_INVALID, "the session would hold %zu bytes", text.size);
	*credentials = (struct session_credentials){ .access_key_id = id,
		.secret = secret_of(amid, id, token, arena),
		.token = token,
		.expires_ms = session.expires.ms };
	return 0;
}

static int type_of(const char *name)
{
	for (size_t i = 0; name && i < sizeof type_names / sizeof *type_names; i++)
		if (strcmp(type_names[i], name) == 0)
			return (int)i;
	return -1;
}

static bool has_whole_tags(const struct session_record *session)
{
	for (size_t i = 0; i < session->tags.count; i++)
		if (!session->tags.items[i].key || !session->tags.items[i].value)
			return false;
	return true;
}

static const struct principal_tag *tags_of(const struct session_record *session, struct arena *arena)
{
	struct principal_tag *tags = arena_alloc_array(arena, session->tags.count + 1, sizeof *tags);
	for (size_t i = 0; i < session->tags.count; i++)
		tags[i] = (struct principal_tag){ .key = session->tags.items[i].key,
			.value = session->tags.items[i].value,
			.transitive = boolean_or(session->tags.items[i].transitive, false) };
	return tags;
}

static const struct principal_instance *instance_of(const struct session_record *session, struct arena *arena)
{
	if (!session->instance)
		return NULL;
	struct principal_instance *instance = arena_alloc(arena, sizeof *instance);
	*instance = (struct principal_instance){ .arn = session->instance->arn,
		.vpc = session->instance->vpc,
		.private_address = session->instance->private_address,
		.delivery = session->instance->delivery };
	return instance;
}

static struct principal principal_of(
	const struct session_record *session, int type, const char *access_key_id, struct arena *arena)
{
	return (struct principal){
		.type = (enum principal_type)type,
		.account = session->account,
		.arn = session->arn,
		.id = session->principal_id,
		.access_key_id = access_key_id,
		.user_name = session->user_name,
		.issuer_arn = session->issuer_arn,
		.issuer_id = session->issuer_id,
		.session_name = session->session_name,
		.temporary = true,
		.mfa = boolean_or(session->mfa, false),
		.issued_ms = session->issued.ms,
		.expires_ms = session->expires.ms,
		.session_policies = session->policies.items,
		.session_policy_count = session->policies.count,
		.session_policy_arns = session->policy_arns.items,
		.session_policy_arn_count = session->policy_arns.count,
		.session_tags = tags_of(session, arena),
		.session_tag_count = session->tags.count,
		.source_identity = session->source_identity,
		.instance = instance_of(session, arena),
	};
}

int session_check_time(const struct principal *session, struct error *err)
{
	if (session->expires_ms > clock_now_ms())
		return 0;
	return error_set(err, ERROR_EXPIRED_TOKEN, "The security token included in the request is expired");
}

int session_open(struct amid *amid, const char *access_key_id, const char *token, struct arena *arena,
	struct principal *principal, const char **secret, struct error *err)
{
	size_t size;
	struct error unreadable;
	struct session_record session = { 0 };
	const char *text = seal_open(amid, PURPOSE, access_key_id, token, arena, &size);
	if (!text || json_decode(arena, record_session.shape, text, size, true, &session, &unreadable))
		return error_set(
			err, ERROR_NOT_FOUND, "the session token is none of key %.64s", access_key_id);
	int type = type_of(session.type);
	if (type < 0 || !has_whole_tags(&session) || !session.account || !session.arn ||
		!session.principal_id || !session.expires.set)
		return error_set(
			err, ERROR_NOT_FOUND, "the session token of key %.64s lacks a part", access_key_id);
	*principal = principal_of(&session, type, access_key_id, arena);
	if (session_check_time(principal, err))
		return -1;
	*secret = secret_of(amid, access_key_id, token, arena);
	return 0;
}
