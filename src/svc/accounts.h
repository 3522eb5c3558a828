/* Accounts and their access keys: the ones every amid has, and who a key belongs to. */
#pragma once

#include "aws/door.h"
#include "svc/amid.h"

/*
 * On the first start makes the operator's account and the platform's (owner alias "amazon"), each with a root access key written to DATA/root-credentials and DATA/platform-credentials (mode 0600, in the format of
 * AWS_SHARED_CREDENTIALS_FILE); with --auth any the account 123456789012. *first_start tells. Makes the default networks of all accounts in all regions.
 */
int accounts_prepare(struct amid *amid, bool *first_start, struct error *err);
/* door_lookup; `context` is the struct amid. */
int accounts_lookup(void *context, const char *access_key_id, const char *session_token, struct arena *arena,
	struct door_identity *identity, struct error *err);
/* Forgets everything of an account but itself and its keys, and gives it default networks again (POST /_amid/reset). */
int accounts_reset(struct amid *amid, const char *account, struct error *err);
