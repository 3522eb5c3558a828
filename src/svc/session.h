/*
 * Temporary credentials. They are stateless: the session token is the session, sealed (seal.h) for its access key id; the secret follows from that id and the token. So nothing is stored, and nothing has to be removed
 * when they expire. The access key id is ASIA, 8 letters for the account, 8 random ones. They are no longer taken when the data folder's token key is lost, when their time by amid's clock is over, and (accounts.c
 * sees to that) when the account is suspended or the role or user behind them is gone.
 *
 * No state; safe from every thread.
 */
#pragma once

#include "aws/principal.h"
#include "svc/amid.h"

struct session_credentials {
	const char *access_key_id, *secret, *token;
	int64_t expires_ms;
};

/*
 * Credentials for a principal, which has all that the session is to be (type, account, arn, id, policies, tags ...), from now on for `seconds`; its access_key_id, temporary, issued_ms and expires_ms do not matter. In the
 * arena. ERROR_INVALID: policies and tags make it too large (64 KiB).
 */
int session_make(struct amid *amid, const struct principal *principal, int64_t seconds, struct arena *arena,
	struct session_credentials *credentials, struct error *err);
/* Who a token stands for, and the secret that its requests are signed with. ERROR_NOT_FOUND: not made here, or for another key; ERROR_EXPIRED_TOKEN. */
int session_open(struct amid *amid, const char *access_key_id, const char *token, struct arena *arena,
	struct principal *principal, const char **secret, struct error *err);
/* ERROR_EXPIRED_TOKEN: the session's time is over by now. */
int session_check_time(const struct principal *session, struct error *err);
/* The account that the id of a temporary access key names; false: it is none. The key need not exist. */
bool session_account_of_key(const char *access_key_id, char account[13]);
