/* Encryption under a symmetric key's record: blobs and material put together. Any thread. Permissions and states are the caller's business. */
#pragma once

#include "svc/kms/blob.h"
#include "svc/kms/common.h"

/* Under the newest material. *blob is the arena's. */
int kms_wrap(struct amid *amid, const struct kms_key_record *key,
	const struct kms_EncryptionContextType *context, const void *plain, size_t size, struct arena *arena,
	struct shape_blob *blob, struct error *err);
/* Under the material that the blob names. *plain is the arena's, the caller cleanses it. InvalidCiphertextException. */
int kms_unwrap(struct amid *amid, const struct kms_key_record *key, const struct kms_blob *blob,
	const struct kms_EncryptionContextType *context, struct arena *arena, struct shape_blob *plain,
	struct error *err);
