/* Principal and NotPrincipal: whom they name, and whether that is the caller. */
#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "policy/policy_internal.h"
#include "base/banned.h"

enum { ACCOUNT_DIGITS = 12 };

static bool is_account(const char *text, size_t length)
{
	if (length != ACCOUNT_DIGITS)
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return true;
}

/* AIDA..., AROA...: what a user or role that was named has become. */
static bool is_unique_id(const char *text)
{
	size_t length = strlen(text);
	for (size_t i = 0; i < length; i++)
		if (!isupper((unsigned char)text[i]) && !isdigit((unsigned char)text[i]))
			return false;
	return length >= 16 && length <= 128 &&
		(text_starts_with(text, "AIDA") || text_starts_with(text, "AROA"));
}

/* "arn:PARTITION:iam::ACCOUNT:REST" or its like of sts: the REST, and where the account stands; NULL: something else. */
static const char *read_arn(const char *arn, const char **account)
{
	if (!text_starts_with(arn, "arn:aws"))
		return NULL;
	const char *service = strchr(arn + strlen("arn:"), ':');
	if (!service || (!text_starts_with(service, ":iam::") && !text_starts_with(service, ":sts::")))
		return NULL;
	*account = service + strlen(":iam::");
	if (strlen(*account) <= ACCOUNT_DIGITS || !is_account(*account, ACCOUNT_DIGITS) ||
		(*account)[ACCOUNT_DIGITS] != ':')
		return NULL;
	return *account + ACCOUNT_DIGITS + 1;
}

static int read_aws(struct compiler *compiler, const char *text, struct named_principal *principal)
{
	static const char *const kinds[] = { "user/", "role/", "assumed-role/", "federated-user/", NULL };
	const char *account;
	if (strcmp(text, "*") == 0) {
		principal->kind = NAMED_ANYONE;
		return 0;
	}
	principal->text = arena_strdup(compiler->arena, text);
	principal->kind = is_account(text, strlen(text)) ? NAMED_ACCOUNT : NAMED_ID;
	if (principal->kind == NAMED_ACCOUNT || is_unique_id(text))
		return 0;
	const char *rest = strpbrk(text, "*?") ? NULL : read_arn(text, &account);
	if (rest && strcmp(rest, "root") == 0) {
		principal->kind = NAMED_ACCOUNT;
		principal->text = arena_strndup(compiler->arena, account, ACCOUNT_DIGITS);
		return 0;
	}
	for (size_t i = 0; rest && kinds[i]; i++)
		if (text_starts_with(rest, kinds[i]) && rest[strlen(kinds[i])]) {
			principal->kind = NAMED_ARN;
			return 0;
		}
	return compile_refuse(compiler, "Invalid principal in policy:", "\"AWS\":\"%.120s\"", text);
}

/* A service's or a provider's name. */
static int read_name(
	struct compiler *compiler, const char *type, const char *text, struct named_principal *principal)
{
	if (!*text || strpbrk(text, "*? "))
		return compile_refuse(
			compiler, "Invalid principal in policy:", "\"%s\":\"%.120s\"", type, text);
	principal->text = arena_strdup(compiler->arena, text);
	principal->kind = strcmp(type, "Service") == 0 ? NAMED_SERVICE
		: strcmp(type, "Federated") == 0       ? NAMED_FEDERATED
						       : NAMED_CANONICAL;
	return 0;
}

static int read_type(struct compiler *compiler, const char *type, json_t *names,
	struct named_principal **principals, size_t *count)
{
	bool aws = strcmp(type, "AWS") == 0;
	if (!aws && strcmp(type, "Service") != 0 && strcmp(type, "Federated") != 0 &&
		strcmp(type, "CanonicalUser") != 0)
		return compile_refuse(compiler, SYNTAX_ERRORS, "there is no type of principals %.32s", type);
	for (size_t i = 0; i < compile_list_count(names); i++) {
		const char *text = compile_list_item(names, i);
		if (!text)
			return compile_refuse(compiler, SYNTAX_ERRORS, "a principal is not a string");
		struct named_principal *principal = ARENA_APPEND(compiler->arena, *principals, *count);
		if ((aws ? read_aws(compiler, text, principal) : read_name(compiler, type, text, principal)) <
			0)
			return -1;
	}
	return 0;
}

static int read_principals(struct compiler *compiler, json_t *element, struct statement *statement)
{
	struct named_principal *principals = NULL;
	size_t count = 0;
	const char *type, *text = json_string_value(element);
	json_t *names;
	if (text && strcmp(text, "*") == 0) {
		if (compiler->policy->kind == POLICY_TRUST)
			return compile_refuse(compiler,
				"AssumeRolepolicy contained an invalid principal: \"STAR\":\"*\".",
				"a role's is {\"AWS\": \"*\"}");
		ARENA_APPEND(compiler->arena, principals, count)->kind = NAMED_ANYONE;
	} else if (!json_is_object(element)) {
		return compile_refuse(compiler, text ? "Invalid principal in policy:" : SYNTAX_ERRORS,
			"Principal is neither \"*\" nor an object");
	} else {
		json_object_foreach(element, type, names)
		{
			if (read_type(compiler, type, names, &principals, &count) < 0)
				return -1;
		}
	}
	if (!count)
		return compile_refuse(
			compiler, "Missing required field Principal cannot be empty!", "it names nobody");
	statement->principals = principals;
	statement->principal_count = (uint32_t)count;
	return 0;
}

int principal_compile(struct compiler *compiler, json_t *object, struct statement *statement)
{
	json_t *element = json_object_get(object, "Principal"),
	       *negated = json_object_get(object, "NotPrincipal");
	enum policy_kind kind = compiler->policy->kind;
	if (kind == POLICY_IDENTITY || kind == POLICY_ORGANIZATION) {
		if (element || negated)
			return compile_refuse(compiler, "Policy document should not specify a principal.",
				"Has prohibited field %s", element ? "Principal" : "NotPrincipal");
		return 0;
	}
	if (!element && !negated)
		return compile_refuse(compiler, "Missing required field Principal", "it names nobody");
	if (negated && kind == POLICY_TRUST)
		return compile_refuse(
			compiler, "Has prohibited field NotPrincipal", "a role names whom it trusts");
	if (negated && !statement->deny)
		return compile_refuse(
			compiler, "Allow with NotPrincipal is not allowed.", "NotPrincipal is for Deny");
	statement->has_principal = true;
	statement->not_principal = negated != NULL;
	return read_principals(compiler, negated ? negated : element, statement);
}

/* A role session's id may carry the session's name behind a colon. */
static bool same_id(const char *named, const char *id)
{
	size_t length = strlen(named);
	return id && strncmp(id, named, length) == 0 && (!id[length] || id[length] == ':');
}

/* "accounts.google.com", or the ARN of a provider with that address. */
static bool same_provider(const char *named, const char *provider)
{
	static const char inner[] = ":oidc-provider/";
	const char *found = strstr(named, inner);
	return provider &&
		(strcmp(named, provider) == 0 || (found && strcmp(found + strlen(inner), provider) == 0));
}

static enum grade match_arn(const char *named, const struct policy_caller *caller)
{
	if (caller->arn && strcmp(named, caller->arn) == 0)
		return GRADE_SELF;
	return caller->issuer_arn && strcmp(named, caller->issuer_arn) == 0 ? GRADE_ISSUER : GRADE_NONE;
}

bool principal_has_account(const struct policy_caller *caller)
{
	return caller->account && caller->type != POLICY_CALLER_SERVICE &&
		caller->type != POLICY_CALLER_WEB_IDENTITY && caller->type != POLICY_CALLER_ANONYMOUS;
}

static enum grade match_one(const struct named_principal *named, const struct policy_caller *caller)
{
	bool matches = false;
	switch (named->kind) {
	case NAMED_ANYONE:
		matches = true;
		break;
	case NAMED_ACCOUNT:
		if (!principal_has_account(caller) || strcmp(named->text, caller->account) != 0)
			return GRADE_NONE;
		return caller->type == POLICY_CALLER_ROOT ? GRADE_SELF : GRADE_ACCOUNT;
	case NAMED_ARN:
		return match_arn(named->text, caller);
	case NAMED_ID:
		if (!same_id(named->text, caller->id))
			return GRADE_NONE;
		return caller->type == POLICY_CALLER_USER ? GRADE_SELF : GRADE_ISSUER;
	case NAMED_SERVICE:
		matches = caller->type == POLICY_CALLER_SERVICE && text_equal(named->text, caller->service);
		break;
	case NAMED_FEDERATED:
		matches = caller->type == POLICY_CALLER_WEB_IDENTITY &&
			same_provider(named->text, caller->service);
		break;
	case NAMED_CANONICAL: /* only S3 has these */
		break;
	}
	return matches ? GRADE_SELF : GRADE_NONE;
}

/*
 * Whether a NotPrincipal exempts the caller: its account, the role or user behind its session, and itself must all be named, because IAM looks at one after the other. Users and roles with a
 * permissions boundary are never exempt. (Both from the page "NotPrincipal".)
 */
static bool is_exempt(
	const struct statement *statement, const struct policy_caller *caller, bool has_boundary)
{
	bool account = !principal_has_account(caller), issuer = !caller->issuer_arn,
	     self = caller->type == POLICY_CALLER_ROOT;
	if (has_boundary)
		return false;
	for (uint32_t i = 0; i < statement->principal_count; i++) {
		const struct named_principal *named = &statement->principals[i];
		enum grade grade = match_one(named, caller);
		if (named->kind == NAMED_ANYONE)
			return true;
		account |= named->kind == NAMED_ACCOUNT && grade != GRADE_NONE;
		issuer |= grade == GRADE_ISSUER;
		self |= grade == GRADE_SELF && named->kind != NAMED_ACCOUNT;
	}
	return account && issuer && self;
}

enum grade principal_match(
	const struct statement *statement, const struct policy_caller *caller, bool has_boundary)
{
	if (!statement->has_principal)
		return GRADE_SELF;
	if (statement->not_principal)
		return is_exempt(statement, caller, has_boundary) ? GRADE_NONE : GRADE_SELF;
	enum grade best = GRADE_NONE;
	for (uint32_t i = 0; i < statement->principal_count && best < GRADE_SELF; i++) {
		enum grade grade = match_one(&statement->principals[i], caller);
		best = grade > best ? grade : best;
	}
	return best;
}
