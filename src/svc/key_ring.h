/*
 * The data keys of encrypted disks: opened by the grant that the disk's record names, and held in memory for as long as an instance uses the disk, so that its volume server can be started again whatever has become of the KMS
 * key meanwhile. A disk that is taken into use is asked for anew. Every function is safe from every thread.
 */
#pragma once

#include "api/records.h"
#include "svc/amid.h"
#include "volume/cipher.h"

struct key_ring;

struct key_ring *key_ring_create(void);
void key_ring_destroy(struct key_ring *ring); /* cleanses the keys; NULL is legal */

/*
 * The data key of `disk` (a volume, snapshot or twin of `account`) into `key`, which comes of cipher_key_alloc. Errors are those of keys_open_data_key; ERROR_INVALID: the record has no data key.
 */
int data_key_open(struct amid *amid, const char *account, const char *disk,
	const struct record_data_key *data_key, uint8_t *key, struct error *err);
/* The same, as a cipher, which is the caller's. */
int data_key_open_cipher(struct amid *amid, const char *account, const char *disk,
	const struct record_data_key *data_key, struct cipher **cipher, struct error *err);
/* The same, out of the ring if it is there, and into it. */
int key_ring_take(struct amid *amid, const char *account, const char *disk,
	const struct record_data_key *data_key, uint8_t *key, struct error *err);
/* The disk is used no more. */
void key_ring_drop(struct amid *amid, const char *disk);
/* Whether that is why a disk could not be opened or made: its KMS key is disabled, being deleted, gone, or not granted. */
bool data_key_is_refused(const struct error *err);
/* The message without what is encoded for the caller of an operation, for a state that lasts. */
char *data_key_words(struct arena *arena, const struct error *err);
/* Why an instance or volume cannot be had, as StateReason says it: "Client.InvalidKMSKey.InvalidState: ...". */
char *data_key_reason(struct arena *arena, const struct error *err);
/*
 * The disk is gone, or needs the key no more: the grant that its record had is retired. Only when the record without it is committed: a commit that failed is made again, with the key. Fine with NULL. What fails is logged.
 */
void data_key_retire(struct amid *amid, const char *grant);
/* Takes the grant out of the record's data key (which may be NULL), for data_key_retire. */
const char *data_key_take_grant(struct record_data_key *data_key);
