/* What asymmetric keys do, through OpenSSL, by AWS's names of algorithms. Results are the call's arena's. */
#pragma once

#include "svc/kms/common.h"

/* RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256. ValidationException: the plaintext is too long for the key. */
int kms_rsa_encrypt(struct call *call, const struct kms_key_record *key, const char *algorithm,
	const struct shape_blob *plain, struct shape_blob *data, struct error *err);
/* InvalidCiphertextException. */
int kms_rsa_decrypt(struct call *call, const struct kms_key_record *key, const char *algorithm,
	const struct shape_blob *data, struct shape_blob *plain, struct error *err);
