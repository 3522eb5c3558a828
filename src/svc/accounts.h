/* Accounts and their root access keys: the ones every amid has, and new ones; and who a key belongs to. */
#pragma once

#include "aws/door.h"
#include "svc/amid.h"

/*
 * On the first start makes the operator's account and the platform's (owner alias "amazon"), each with a root access key written to DATA/root-credentials and DATA/platform-credentials (mode 0600, in the format of
 * AWS_SHARED_CREDENTIALS_FILE); with --auth any the account 123456789012. *first_start tells. Makes the default networks of all accounts in all regions.
 */
int accounts_prepare(struct amid *amid, bool *first_start, struct error *err);
/* door_lookup; `context` is the struct amid. Takes root keys, users' keys and temporary credentials; none of a suspended account, nor of a user or role that is gone. */
int accounts_lookup(void *context, const char *access_key_id, const char *session_token, struct arena *arena,
	struct door_identity *identity, struct error *err);
/* door_used: notes when the key, or the role of the session, was last used. */
void accounts_note_use(
	void *context, const struct principal *principal, const char *service, const char *region);

struct account_record;
struct organization_record;
struct record_tag_list;

/* What a new account is to have; all may be NULL, but the name. */
struct account_plan {
	const char *name, *alias, *email;
	const struct organization_record *organization; /* it joins this one, below its root */
	const struct record_tag_list *tags;
	bool is_operator; /* the one that makes others */
	bool root_key;
};
struct account_made {
	const char *id;
	const char *access_key_id, *secret; /* of its root; NULL without one */
};
/*
 * Puts a new account with a random id into the batch, for the caller to commit: ERROR_DUPLICATE if the id is taken, then try again. Its networks (accounts_make_networks) come after the commit; if that is not reached, at the
 * next start. `id` NULL: a random one.
 */
int accounts_plan(struct amid *amid, struct meta_batch *batch, const char *id,
	const struct account_plan *plan, struct arena *arena, struct account_made *made, struct error *err);
/* Puts another key of an account's root into the batch; fills in `made`. */
int accounts_put_root_key(struct amid *amid, struct meta_batch *batch, const char *account,
	struct arena *arena, struct account_made *made, struct error *err);
/* The default networks of an account in all regions, where they are not there yet. */
int accounts_make_networks(struct amid *amid, const char *account, struct error *err);
/* The operator's account; *account NULL: there is none. */
int accounts_find_operator(
	struct amid *amid, struct arena *arena, struct account_record **account, struct error *err);

/* Forgets everything of an account but itself and the keys of its root, and gives it default networks again (POST /_amid/reset). */
int accounts_reset(struct amid *amid, const char *account, struct error *err);
