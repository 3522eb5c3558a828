/* Grants as they are asked about: what one covers, tokens. The operations are in grants_api.c. */
#pragma once

#include "svc/kms/common.h"

struct kms_grants {
	struct kms_grant_record **items;
	size_t count;
};

/* Adds the grants of a key to that grantee, as it is written in them. */
int kms_grants_add(struct amid *amid, const struct kms_key_record *key, const char *grantee,
	struct arena *arena, struct kms_grants *grants, struct error *err);
/* Whether it lists the operation and its constraints hold for this encryption context (NULL: the operation has none, and constraints do not matter). */
bool kms_grant_covers(const struct kms_grant_record *grant, const char *operation,
	const struct kms_EncryptionContextType *context);
/* Whether `child` allows no more than `parent` does: its operations are among the other's, its constraints as strict. */
bool kms_grant_includes(const struct kms_grant_record *parent, const struct kms_grant_record *child);

/* A token names its grant; one that is not ours is refused. Grants work at once, so a token adds nothing. */
int kms_make_token(struct call *call, const struct kms_grant_record *grant, char **token, struct error *err);
int kms_open_token(struct amid *amid, const char *token, struct arena *arena, struct kms_grant_record **grant,
	struct error *err);
/* InvalidGrantTokenException. */
int kms_check_tokens(struct call *call, const struct kms_GrantTokenList *tokens, struct error *err);
