/* The table of key specs: what kinds of keys there are and what they can do. */
#include <string.h>

#include "svc/kms/common.h"
#include "base/banned.h"

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const char *const symmetric_algorithms[] = { "SYMMETRIC_DEFAULT", NULL };
static const char *const rsa_encryption[] = { "RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256", NULL };
static const char *const rsa_signing[] = { "RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384",
	"RSASSA_PKCS1_V1_5_SHA_512", "RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512", NULL };

static const struct kms_spec specs[] = {
	{ "SYMMETRIC_DEFAULT", KMS_SYMMETRIC, 32, NULL, symmetric_algorithms },
	{ "RSA_2048", KMS_RSA, 2048, NULL, NULL },
	{ "RSA_3072", KMS_RSA, 3072, NULL, NULL },
	{ "RSA_4096", KMS_RSA, 4096, NULL, NULL },
	{ "ECC_NIST_P256", KMS_EC, 0, "P-256", NAMES("ECDSA_SHA_256") },
	{ "ECC_NIST_P384", KMS_EC, 0, "P-384", NAMES("ECDSA_SHA_384") },
	{ "ECC_NIST_P521", KMS_EC, 0, "P-521", NAMES("ECDSA_SHA_512") },
	{ "ECC_SECG_P256K1", KMS_EC, 0, "secp256k1", NAMES("ECDSA_SHA_256") },
	{ "HMAC_224", KMS_HMAC, 28, NULL, NAMES("HMAC_SHA_224") },
	{ "HMAC_256", KMS_HMAC, 32, NULL, NAMES("HMAC_SHA_256") },
	{ "HMAC_384", KMS_HMAC, 48, NULL, NAMES("HMAC_SHA_384") },
	{ "HMAC_512", KMS_HMAC, 64, NULL, NAMES("HMAC_SHA_512") },
};

const struct kms_spec *kms_find_spec(const char *name)
{
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
		if (strcmp(specs[i].name, name) == 0)
			return &specs[i];
	return NULL;
}

const char *const *kms_algorithms(const struct kms_spec *spec, const char *usage)
{
	if (spec->family == KMS_RSA)
		return strcmp(usage, KMS_SIGN_VERIFY) == 0 ? rsa_signing : rsa_encryption;
	return spec->algorithms;
}

bool kms_has_algorithm(const struct kms_key_record *record, const char *algorithm)
{
	const char *const *names = kms_algorithms(kms_find_spec(record->spec), record->usage);
	while (*names && strcmp(*names, algorithm) != 0)
		names++;
	return *names != NULL;
}

bool kms_is_symmetric(const struct kms_key_record *record)
{
	return kms_find_spec(record->spec)->family == KMS_SYMMETRIC;
}
