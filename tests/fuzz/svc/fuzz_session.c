/*
 * Fuzz target (libFuzzer): session tokens. Any text as a token: refused, without a fault. Then the same bytes as what a token of ours holds, sealed as it should be (a version of amid with other members, or with a fault, may
 * have sealed it): it is taken or refused; what is taken has all that the door relies on.
 */
#include <stdlib.h>
#include <string.h>

#include "svc/seal.h"
#include "svc/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_token(struct amid *amid, const char *token, struct arena *arena)
{
	struct principal principal;
	const char *secret;
	struct error err;
	if (session_open(amid, "ASIAAAAAAAAAAAAAAAAA", token, arena, &principal, &secret, &err)) {
		if (err.code != ERROR_NOT_FOUND && err.code != ERROR_EXPIRED_TOKEN)
			abort();
		return;
	}
	if (!principal.account || !principal.arn || !principal.id || !principal.temporary ||
		strlen(secret) != 40 || (principal.session_tag_count && !principal.session_tags))
		abort();
	for (size_t i = 0; i < principal.session_tag_count; i++)
		if (!principal.session_tags[i].key || !principal.session_tags[i].value)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct amid amid = { .token_key = { 1, 2, 3 } };
	struct arena *arena ARENA_SCOPED = arena_create();
	char account[13];
	char *text = arena_strndup(arena, (const char *)data, size);
	open_token(&amid, text, arena);
	session_account_of_key(text, account);
	char *sealed = seal_make(&amid, "session", "ASIAAAAAAAAAAAAAAAAA", data, size, arena);
	if (sealed)
		open_token(&amid, sealed, arena);
	return 0;
}
