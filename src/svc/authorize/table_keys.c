/*
 * KMS: what is done with a key is decided by its policy and grants, which the handlers read; they ask authorize_check. What names no key is decided at the door.
 */
#include "svc/authorize/internal.h"
#include "base/banned.h"

static const struct table_row rows[] = {
	ROW(CancelKeyDeletion, BY_HANDLER),
	ROW(CreateAlias, BY_HANDLER),
	ROW(CreateGrant, BY_HANDLER),
	ROW(CreateKey, BY_HANDLER), /* which asks with the condition keys of what is to be made */
	ROW(Decrypt, BY_HANDLER),
	ROW(DeleteAlias, BY_HANDLER),
	ROW(DescribeKey, BY_HANDLER),
	ROW(DisableKey, BY_HANDLER),
	ROW(DisableKeyRotation, BY_HANDLER),
	ROW(EnableKey, BY_HANDLER),
	ROW(EnableKeyRotation, BY_HANDLER),
	ROW(Encrypt, BY_HANDLER),
	ROW(GenerateDataKey, BY_HANDLER),
	ROW(GenerateDataKeyPair, BY_HANDLER),
	ROW(GenerateDataKeyPairWithoutPlaintext, BY_HANDLER),
	ROW(GenerateDataKeyWithoutPlaintext, BY_HANDLER),
	ROW(GenerateMac, BY_HANDLER),
	ROW(GenerateRandom, EVERY),
	ROW(GetKeyPolicy, BY_HANDLER),
	ROW(GetKeyRotationStatus, BY_HANDLER),
	ROW(GetPublicKey, BY_HANDLER),
	ROW(ListAliases, EVERY),
	ROW(ListGrants, BY_HANDLER),
	ROW(ListKeyPolicies, BY_HANDLER),
	ROW(ListKeyRotations, BY_HANDLER),
	ROW(ListKeys, EVERY),
	ROW(ListResourceTags, BY_HANDLER),
	ROW(ListRetirableGrants, EVERY),
	ROW(PutKeyPolicy, BY_HANDLER),
	ROW(ReEncrypt, BY_HANDLER),
	ROW(ReplicateKey, BY_HANDLER),
	ROW(RetireGrant, BY_HANDLER),
	ROW(RevokeGrant, BY_HANDLER),
	ROW(RotateKeyOnDemand, BY_HANDLER),
	ROW(ScheduleKeyDeletion, BY_HANDLER),
	ROW(Sign, BY_HANDLER),
	ROW(TagResource, BY_HANDLER),
	ROW(UntagResource, BY_HANDLER),
	ROW(UpdateAlias, BY_HANDLER),
	ROW(UpdateKeyDescription, BY_HANDLER),
	ROW(UpdatePrimaryRegion, BY_HANDLER),
	ROW(Verify, BY_HANDLER),
	ROW(VerifyMac, BY_HANDLER),
};

const struct table table_kms = { "kms", "kms", rows, sizeof rows / sizeof *rows };
