/* Key material: made, sealed in the record, opened for the length of an operation. Nothing of it is kept in memory: opening takes some microseconds. Any thread. */
#pragma once

#include "svc/kms/common.h"

/* Opened material; kms_material_close cleanses it. */
struct kms_secret {
	void *data;
	size_t size;
};

/* Adds new material to a key that has its identity, spec and usage: the newest from now on. Of an asymmetric key the public part goes into the record, too. `rotation` NULL: its first. */
int kms_material_make(struct amid *amid, struct kms_key_record *key, const char *rotation,
	struct arena *arena, struct error *err);
/* Gives `replica`, which has its identity, all materials of another region's key. */
int kms_material_copy(struct amid *amid, const struct kms_key_record *key, struct kms_key_record *replica,
	struct arena *arena, struct error *err);
/* `id` NULL: the newest. InvalidCiphertextException: the key has no such material. */
int kms_material_open(struct amid *amid, const struct kms_key_record *key, const char *id,
	struct arena *arena, struct kms_secret *secret, struct error *err);
void kms_material_close(struct kms_secret *secret);
const char *kms_material_newest(const struct kms_key_record *key);

/* A key pair: private part as PKCS #8 DER, public as SubjectPublicKeyInfo DER, both the arena's; the private one is the caller's to cleanse. */
int kms_make_pair(const struct kms_spec *spec, struct arena *arena, struct kms_secret *private_key,
	struct shape_blob *public_key, struct error *err);
