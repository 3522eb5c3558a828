/* Keys of asymmetric records as OpenSSL has them (rsa.c). EVP_PKEY_free is the caller's; freeing cleanses. */
#pragma once

#include <openssl/evp.h>

#include "svc/kms/common.h"

/* NULL: the record has none. */
EVP_PKEY *kms_public_key(const struct kms_key_record *key, struct arena *arena);
/* NULL with *err: it cannot be opened. */
EVP_PKEY *kms_private_key(struct call *call, const struct kms_key_record *key, struct error *err);
