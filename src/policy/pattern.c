/*
 * Texts with wildcards and variables, as they stand in Action, Resource and Condition.
 *
 * A pattern is cut into tokens when its policy is compiled; the frequent forms (everything, a literal, a prefix) need none. Matching never goes back over what an earlier * has taken: between two
 * stars the leftmost place where the tokens fit is as good as any other. So the time is at most the product of both lengths, and for tokens without ? their sum. Nothing is allocated: a variable's value
 * is read where the request has it, and is always literal, whatever characters it has.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "policy/policy_internal.h"
#include "base/banned.h"

struct builder {
	struct compiler *compiler;
	unsigned flags;
	struct token *tokens;
	size_t count;
	char *literal; /* what is being gathered; room for the whole text */
	size_t literal_length;
	bool variables;
};

static void flush_literal(struct builder *builder)
{
	if (!builder->literal_length)
		return;
	struct token *token = ARENA_APPEND(builder->compiler->arena, builder->tokens, builder->count);
	token->kind = TOKEN_LITERAL;
	token->length = (uint32_t)builder->literal_length;
	token->text = arena_strndup(builder->compiler->arena, builder->literal, builder->literal_length);
	builder->literal_length = 0;
}

static struct token *add_token(struct builder *builder, enum token_kind kind)
{
	flush_literal(builder);
	struct token *token = ARENA_APPEND(builder->compiler->arena, builder->tokens, builder->count);
	token->kind = kind;
	return token;
}

static void add_char(struct builder *builder, char c)
{
	builder->literal[builder->literal_length++] =
		builder->flags & PATTERN_LOWER ? (char)tolower((unsigned char)c) : c;
}

static const char *skip_spaces(const char *at, const char *end)
{
	while (at < end && *at == ' ')
		at++;
	return at;
}

/* Behind "${NAME,": spaces, the default in single quotes, spaces. Returns where the brace should be, or NULL. */
static const char *read_default(
	struct builder *builder, const char *at, const char *end, const char **text, uint32_t *length)
{
	at = skip_spaces(at, end);
	if (at == end || *at != '\'')
		return NULL;
	const char *quote = memchr(at + 1, '\'', (size_t)(end - at - 1));
	if (!quote)
		return NULL;
	*length = (uint32_t)(quote - at - 1);
	*text = arena_strndup(builder->compiler->arena, at + 1, *length);
	return skip_spaces(quote + 1, end);
}

/* At "${": one of the three characters that stand for themselves, or a variable. Returns what follows; NULL: refused. */
static const char *read_variable(struct builder *builder, const char *at, const char *end)
{
	at += 2;
	if (end - at >= 2 && strchr("*?$", *at) && at[1] == '}') {
		add_char(builder, *at);
		return at + 2;
	}
	const char *name = at = skip_spaces(at, end);
	while (at < end && *at != '}' && *at != ',')
		at++;
	size_t name_length = (size_t)(at - name);
	while (name_length && name[name_length - 1] == ' ')
		name_length--;
	const char *text = NULL;
	uint32_t length = 0;
	if (at < end && *at == ',')
		at = read_default(builder, at + 1, end, &text, &length);
	if (!at || at >= end || *at != '}' || !name_length) {
		compile_refuse(builder->compiler, SYNTAX_ERRORS, "a policy variable is malformed");
		return NULL;
	}
	struct token *token = add_token(builder, TOKEN_VARIABLE);
	token->key = compile_intern_key(builder->compiler, name, name_length);
	token->text = text;
	token->length = length;
	builder->variables = true;
	return at + 1;
}

static int read_tokens(struct builder *builder, const char *at, const char *end)
{
	bool variables = (builder->flags & PATTERN_VARIABLES) && builder->compiler->variables;
	unsigned colons_before = builder->flags & PATTERN_ARN ? 5 : 0;
	bool braces = false; /* in a ${...} that stands where it is no variable: its colons part nothing */
	while (at < end) {
		if (variables && !colons_before && *at == '$' && at + 1 < end && at[1] == '{') {
			at = read_variable(builder, at, end);
			if (!at)
				return -1;
			continue;
		}
		if ((builder->flags & PATTERN_WILDCARDS) && *at == '*') {
			flush_literal(builder);
			if (!builder->count || builder->tokens[builder->count - 1].kind != TOKEN_STAR)
				add_token(builder, TOKEN_STAR);
		} else if ((builder->flags & PATTERN_WILDCARDS) && *at == '?') {
			add_token(builder, TOKEN_QUESTION);
		} else {
			add_char(builder, *at);
			braces = *at == '{' || (braces && *at != '}');
			colons_before -= colons_before && *at == ':' && !braces;
		}
		at++;
	}
	flush_literal(builder);
	return 0;
}

int pattern_compile(
	struct compiler *compiler, const char *text, size_t length, unsigned flags, struct pattern *pattern)
{
	struct builder builder = {
		.compiler = compiler, .flags = flags, .literal = arena_alloc(compiler->arena, length + 1)
	};
	if (read_tokens(&builder, text, text + length) < 0)
		return -1;
	const struct token *tokens = builder.tokens;
	*pattern = (struct pattern){ .kind = PATTERN_GENERAL,
		.fold = flags & PATTERN_FOLD,
		.variables = builder.variables,
		.text = "",
		.tokens = tokens,
		.token_count = (uint32_t)builder.count };
	if (builder.count == 0) {
		pattern->kind = PATTERN_LITERAL;
	} else if (builder.count == 1 && tokens[0].kind == TOKEN_STAR) {
		pattern->kind = PATTERN_ALL;
	} else if (tokens[0].kind == TOKEN_LITERAL &&
		(builder.count == 1 || (builder.count == 2 && tokens[1].kind == TOKEN_STAR))) {
		pattern->kind = builder.count == 1 ? PATTERN_LITERAL : PATTERN_PREFIX;
		pattern->text = tokens[0].text;
		pattern->length = tokens[0].length;
	}
	return 0;
}

/* What a variable stands for; NULL: nothing. Keys with several values cannot be variables. */
static const char *resolve(const struct token *token, const struct scope *scope, size_t *length)
{
	const struct policy_context_key *key = evaluation_find(scope, token->key);
	if (key && key->value_count == 1) {
		*length = strlen(key->values[0]);
		return key->values[0];
	}
	*length = token->length;
	return token->text;
}

static bool resolvable(const struct pattern *pattern, const struct scope *scope)
{
	size_t length;
	for (uint32_t i = 0; i < pattern->token_count; i++)
		if (pattern->tokens[i].kind == TOKEN_VARIABLE &&
			!resolve(&pattern->tokens[i], scope, &length))
			return false;
	return true;
}

static const char *token_text(const struct token *token, const struct scope *scope, size_t *length)
{
	if (token->kind == TOKEN_VARIABLE)
		return resolve(token, scope, length);
	*length = token->length;
	return token->text;
}

/* The tokens [first, last), none a star, at `at`: where they end, or NULL. */
static const char *match_run(const struct pattern *pattern, uint32_t first, uint32_t last,
	const struct scope *scope, const char *at, const char *end)
{
	for (uint32_t i = first; i < last; i++) {
		const struct token *token = &pattern->tokens[i];
		if (token->kind == TOKEN_QUESTION) {
			if (at == end)
				return NULL;
			at++;
			while (at < end &&
				((unsigned char)*at & 0xc0) == 0x80) /* the rest of the character */
				at++;
			continue;
		}
		size_t length;
		const char *text = token_text(token, scope, &length);
		if ((size_t)(end - at) < length ||
			(pattern->fold ? strncasecmp(at, text, length) : memcmp(at, text, length)))
			return NULL;
		at += length;
	}
	return at;
}

/* The leftmost place at or behind `at` where the run fits: its end, or NULL. */
static const char *find_run(const struct pattern *pattern, uint32_t first, uint32_t last,
	const struct scope *scope, const char *at, const char *end)
{
	if (last - first == 1 && pattern->tokens[first].kind != TOKEN_QUESTION) {
		size_t length;
		const char *text = token_text(&pattern->tokens[first], scope, &length);
		const char *found = memmem(at, (size_t)(end - at), text, length);
		return found ? found + length : NULL;
	}
	for (;; at++) {
		const char *behind = match_run(pattern, first, last, scope, at, end);
		if (behind || at == end)
			return behind;
	}
}

/* Whether the run, behind a star, can end where the text does. */
static bool match_end(const struct pattern *pattern, uint32_t first, uint32_t last, const struct scope *scope,
	const char *at, const char *end)
{
	if (last - first == 1 && pattern->tokens[first].kind != TOKEN_QUESTION) {
		size_t length;
		const char *text = token_text(&pattern->tokens[first], scope, &length);
		return (size_t)(end - at) >= length && memcmp(end - length, text, length) == 0;
	}
	for (; at <= end; at++)
		if (match_run(pattern, first, last, scope, at, end) == end)
			return true;
	return false;
}

static bool match_tokens(
	const struct pattern *pattern, const struct scope *scope, const char *at, const char *end)
{
	bool behind_star = false;
	for (uint32_t first = 0;;) {
		uint32_t last = first;
		while (last < pattern->token_count && pattern->tokens[last].kind != TOKEN_STAR)
			last++;
		if (last == pattern->token_count && behind_star)
			return first == last || match_end(pattern, first, last, scope, at, end);
		at = behind_star ? find_run(pattern, first, last, scope, at, end)
				 : match_run(pattern, first, last, scope, at, end);
		if (!at || last == pattern->token_count)
			return at == end;
		first = last + 1;
		behind_star = true;
	}
}

bool pattern_match(const struct pattern *pattern, const struct scope *scope, const char *text, size_t length,
	bool *unresolved)
{
	/* most that is compared differs at once */
	if (pattern->length && !pattern->fold && (length < pattern->length || *text != *pattern->text))
		return false;
	switch (pattern->kind) {
	case PATTERN_ALL:
		return true;
	case PATTERN_LITERAL:
		return length == pattern->length &&
			(pattern->fold ? strncasecmp(text, pattern->text, length) == 0
				       : memcmp(text, pattern->text, length) == 0);
	case PATTERN_PREFIX:
		return memcmp(text, pattern->text, pattern->length) == 0;
	case PATTERN_GENERAL:
		break;
	}
	if (pattern->variables && !resolvable(pattern, scope)) {
		if (unresolved)
			*unresolved = true;
		return false;
	}
	return match_tokens(pattern, scope, text, text + length);
}
