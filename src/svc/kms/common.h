/* What the handlers of KMS share: finding keys, their states, their specs, parts of answers. */
#pragma once

#include "api/kms.h"
#include "api/records.h"
#include "aws/call.h"
#include "svc/amid.h"

#define KMS_ENABLED "Enabled"
#define KMS_DISABLED "Disabled"
#define KMS_PENDING_DELETION "PendingDeletion"
#define KMS_PENDING_REPLICA_DELETION "PendingReplicaDeletion"

#define KMS_ENCRYPT_DECRYPT "ENCRYPT_DECRYPT"
#define KMS_SIGN_VERIFY "SIGN_VERIFY"
#define KMS_GENERATE_VERIFY_MAC "GENERATE_VERIFY_MAC"

/* A key as a request has named it. */
struct kms_key {
	struct kms_key_record *record;
	const char *arn;
	const char *alias; /* "alias/x", if it was named by one; else NULL */
};

/* What may name a key: its id or ARN always. */
enum kms_names {
	KMS_BY_ID = 0,
	KMS_BY_ALIAS = 1, /* an alias or its ARN, too */
	KMS_FOREIGN = 2,  /* a key of another account (by ARN), too */
	KMS_ANY = KMS_BY_ALIAS | KMS_FOREIGN
};

/* -1: NotFoundException; AccessDeniedException: of another account where that is not possible; InvalidArnException. */
int kms_find_key(struct call *call, const char *name, unsigned names, struct kms_key *key, struct error *err);
/* By what a ciphertext says: any account's, in the call's region. *record NULL: none. */
int kms_find_by_id(struct amid *amid, const char *region, const char *id, struct arena *arena,
	struct kms_key_record **record, struct error *err);
char *kms_arn(struct arena *arena, const struct record *record, const char *type_and_id);
char *kms_key_arn(struct arena *arena, const struct kms_key_record *record);

/* DisabledException, KMSInvalidStateException. */
int kms_check_enabled(const struct kms_key *key, struct error *err);
/* KMSInvalidStateException: everything but what is to be deleted is fine. */
int kms_check_not_pending(const struct kms_key *key, struct error *err);
/* InvalidKeyUsageException. */
int kms_check_usage(const struct kms_key *key, const char *usage, struct error *err);
/* UnsupportedOperationException: not for keys that amid manages. */
int kms_check_customer(const struct kms_key *key, struct error *err);

enum kms_family { KMS_SYMMETRIC, KMS_RSA, KMS_EC, KMS_HMAC };

/* A row of the table of key specs. */
struct kms_spec {
	const char *name;
	enum kms_family family;
	int size;                      /* RSA: bits; HMAC: bytes of the key */
	const char *curve;             /* EC: as OpenSSL names it */
	const char *const *algorithms; /* EC: signing; HMAC: MAC; NULL-terminated */
};
/* NULL: not a spec that amid has. */
const struct kms_spec *kms_find_spec(const char *name);
bool kms_is_symmetric(const struct kms_key_record *record);
/* The names of algorithms that a key of this spec and usage takes; NULL-terminated. */
const char *const *kms_algorithms(const struct kms_spec *spec, const char *usage);
bool kms_has_algorithm(const struct kms_key_record *record, const char *algorithm);

struct kms_KeyMetadata *kms_metadata(struct call *call, const struct kms_key_record *record);
/* Checks tags of a request and makes them a record's. TagException. */
int kms_take_tags(
	struct call *call, const struct kms_TagList *tags, struct record_tag_list *into, struct error *err);
/* Commits one changed record. */
int kms_put_key(struct call *call, const struct kms_key_record *record, struct error *err);
/* Pages of lists of KMS: Limit and Marker. */
struct page;
int kms_page_open(struct call *call, struct shape_integer limit, const char *marker, struct page *page,
	struct error *err);
/* The end of an answer that checked everything and was told to do nothing. DryRunOperationException. */
int kms_dry_run(struct error *err);
