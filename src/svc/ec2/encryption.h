/*
 * Encryption of new disks: under which KMS key, if any, what a volume is to be made of, and the data keys and grants for it, with the rights of the caller. As with EBS, whether a KMS key can be used is found out after the
 * call has answered: a volume that cannot be encrypted as asked gets a `key_error`, on which its controller, or its instance's, fails.
 */
#pragma once

#include "svc/ec2/common.h"

/* ebs_encryption.c: what the caller's account has set for the region. */
int ebs_encryption_default(struct call *call, bool *encrypted, const char **kms_key, struct error *err);

/* What a call asks for, and the snapshot's own encryption and the account's default, come to. */
struct encryption {
	bool wanted;
	const char *kms_key; /* ARN; NULL: none, or it is not to be had */
	const char *refusal; /* why not, as data_key_reason has it; else NULL */
	const char *words;   /* the same without its code */
};
/*
 * `source` NULL: an empty volume. ERROR_PARAMETER_DEPENDENCY for a key without Encrypted. A snapshot of the caller's keeps its key, another account's gets the default one, unless a key is named; encryption is never taken off.
 */
int encryption_choose(struct call *call, struct shape_boolean encrypted, const char *kms_key_id,
	const struct snapshot_record *source, struct encryption *encryption, struct error *err);

/* Twins that the volumes of a call need: those that are there (to be expected), and those to be made. */
struct encryption_twins {
	struct twin_record *items;
	size_t count;
};
/* Into the batch of the volumes. ERROR_DUPLICATE of that batch may mean that another call has just made a twin: run again. */
void encryption_put_twins(const struct encryption_twins *twins, struct meta_batch *batch);

/* What volumes are made of; several may be made of one. */
struct volume_origin {
	struct encryption encryption;
	const char *base; /* NULL: empty, or not there yet */
	const struct record_data_key
		*data_key; /* of the base's lineage; NULL: plain, or each volume gets its own */
	const char *twin;  /* that is to be waited for */
};
int encryption_find_origin(struct call *call, const struct encryption *encryption,
	const struct snapshot_record *source, struct encryption_twins *twins, struct volume_origin *origin,
	struct error *err);
/* Sets the volume's base and what belongs to its encryption; its id must be set. */
int encryption_apply(struct call *call, const struct volume_origin *origin, struct volume_record *volume,
	struct error *err);

/* A new data key for `disk` (an id, of the caller's account), granted to it. The refusals of KMS are errors here. */
int encryption_make_key(struct call *call, const char *kms_key, const char *disk,
	struct record_data_key **data_key, struct error *err);
/* The data key of a snapshot, for a disk that is made of it by encrypting anew; a snapshot of another account, too. */
int encryption_share_source(struct call *call, const struct snapshot_record *source, const char *disk,
	struct record_data_key **shared, struct error *err);
/* The same data key, granted to another disk. */
int encryption_share_key(struct call *call, const struct record_data_key *data_key, const char *disk,
	struct record_data_key **shared, struct error *err);
