/*
 * KMS for the rest of amid: what EC2 and EBS do with keys, on behalf of a caller or, later, by a grant. Implemented in src/svc/kms/disk_keys.c.
 *
 * The way of a disk's data key, as between EBS and KMS:
 *	keys_resolve(call, KmsKeyId or NULL, &key, err)                   which key; is it usable
 *	keys_make_data_key(call, key.arn, "vol-1", plain, &wrapped, err)   GenerateDataKeyWithoutPlaintext with the caller's rights, through EC2; the wrapped key goes into the record
 *	keys_grant(call, wrapped, "vol-1", grantee, &grant, err)           CreateGrant with the caller's rights (kms:GrantIsForAWSResource), when the disk is to be used: attach, launch, copy
 *	keys_open_data_key(amid, wrapped, "vol-1", grantee, plain, err)    Decrypt, by the grant: no caller. Each time the service needs the key
 *	keys_retire_grant(amid, grant, err)                                when it needs it no more
 *
 *	keys_open_for_caller(call, wrapped, "snap-1", plain, err)          Decrypt, with the caller's rights: EBS direct reads
 *
 * `resource` is the value of the encryption context aws:ebs:id: the volume or snapshot that the data key was first made for. It must be the same each time. Everything is safe from every thread. Nothing but keys_open_data_key,
 * keys_open_for_caller and keys_make_data_key gives out key material; the caller cleanses `plain`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aws/call.h"

enum { KEYS_DATA_KEY_SIZE = 64 };

enum keys_state { KEYS_ENABLED, KEYS_DISABLED, KEYS_PENDING_DELETION, KEYS_UNAVAILABLE };

/* Texts are the call's arena's. */
struct key_description {
	const char *arn;
	const char *id;
	const char *account;
	const char *region;
	enum keys_state state;
	bool aws_managed; /* alias/aws/ebs: usable in its own account only */
	bool multi_region;
	bool symmetric; /* fit for disks: SYMMETRIC_DEFAULT, ENCRYPT_DECRYPT */
};

/*
 * A key by id, ARN, alias or alias ARN; NULL: the account's alias/aws/ebs in the call's region, made if it is missing. The caller needs no permission of KMS for that (what it then does with the key, it does). A key of
 * another account by ARN only. -1, ERROR_KMS_NOT_FOUND; whatever state the key is in, it is described.
 */
int keys_resolve(struct call *call, const char *key, struct key_description *description, struct error *err);
/* The same for what is in a record, with no caller: by key ARN. */
int keys_describe(struct amid *amid, const char *key_arn, struct arena *arena,
	struct key_description *description, struct error *err);

/*
 * A new data key under that key: kms:GenerateDataKeyWithoutPlaintext as the caller, kms:ViaService ec2.REGION.amazonaws.com. `wrapped` (call's arena) is text that names the key, good for a record. `plain` may be NULL.
 * Errors: ERROR_ACCESS_DENIED, ERROR_KMS_DISABLED, ERROR_KMS_INVALID_STATE, ERROR_KMS_INVALID_KEY_USAGE, ERROR_KMS_NOT_FOUND; EC2 words them.
 */
int keys_make_data_key(struct call *call, const char *key_arn, const char *resource,
	uint8_t plain[KEYS_DATA_KEY_SIZE], char **wrapped, struct error *err);
/*
 * Lets `grantee` open it later: kms:CreateGrant as the caller, for an AWS resource, with the operation Decrypt under the encryption context of `resource` only. The same grant asked for twice is one grant. `grant` (call's arena) names it, good for a record.
 */
int keys_grant(struct call *call, const char *wrapped, const char *resource, const char *grantee,
	char **grant, struct error *err);
/*
 * Whether this caller may read the disk that was made under that key, as a launch or a copy does; nothing is made. It takes what keys_grant asks for, and of another account's key all that EBS documents: kms:DescribeKey,
 * kms:Decrypt, kms:GenerateDataKeyWithoutPlaintext and kms:ReEncryptFrom as well. Errors as of keys_grant; the message names the first permission that is missing.
 */
int keys_check_source(
	struct call *call, const char *wrapped, const char *resource, const char *grantee, struct error *err);
/* Who opens the keys of an account's disk, as a grant names it: "arn:aws:sts::ACCOUNT:assumed-role/aws:ec2-infrastructure/ID". */
char *keys_grantee(struct arena *arena, const char *account, const char *id);
/*
 * kms:Decrypt by a grant that names `grantee`. Errors say why in words that can be shown: ERROR_KMS_DISABLED, ERROR_KMS_INVALID_STATE (pending deletion), ERROR_KMS_NOT_FOUND (gone), ERROR_ACCESS_DENIED (no such grant any more),
 * ERROR_KMS_INVALID_CIPHERTEXT.
 */
int keys_open_data_key(struct amid *amid, const char *wrapped, const char *resource, const char *grantee,
	uint8_t plain[KEYS_DATA_KEY_SIZE], struct error *err);
/* kms:Decrypt as the caller, through EC2: for a caller who is to see what the disk hides, now and only now. Errors are those of keys_make_data_key, and ERROR_KMS_INVALID_CIPHERTEXT. */
int keys_open_for_caller(struct call *call, const char *wrapped, const char *resource,
	uint8_t plain[KEYS_DATA_KEY_SIZE], struct error *err);
/*
 * The same data key wrapped under another key, or for another resource: kms:ReEncryptFrom and kms:ReEncryptTo as the caller, through EC2.
 */
int keys_reencrypt(struct call *call, const char *wrapped, const char *resource, const char *new_key_arn,
	const char *new_resource, char **new_wrapped, struct error *err);
/* The ARN of the key that a wrapped data key is under; NULL: not a wrapped key. */
const char *keys_wrapped_arn(struct arena *arena, const char *wrapped);
/* The controller of keys, for the table of src/svc/control: deletion and rotation when their time comes. `id`: of a key. */
int keys_control(void *context, const char *id, int64_t *again_ms, struct error *err);
/* A grant that is gone already is a success. */
int keys_retire_grant(struct amid *amid, const char *grant, struct error *err);
