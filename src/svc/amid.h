/*
 * The one `struct amid`: everything a running server has, made in server.c, handed to every handler (call->amid) and controller.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "compute/compute.h"
#include "meta/meta.h"
#include "net/net.h"
#include "store/store.h"
#include "volume/server.h"
#include "volume/volume.h"
#include "work/work.h"

struct audit_log;
struct identity_cache;
struct last_uses;

/* A region of another amid, or (region and url NULL) only the key of one that asks here. */
struct amid_peer_config {
	const char *region;
	const char *url; /* "https://host:port" */
	const char *key; /* a file of 32 bytes, which both have */
};

/* What the operator chose. Texts live as long as the process. */
struct amid_config {
	const char *data;                      /* absolute path of the data folder */
	const char *listen;                    /* "127.0.0.1:4566" */
	const char *tls_certificate, *tls_key; /* files; NULL: plain HTTP */
	bool auth_any;
	const struct compute_driver *compute;
	const char *const *regions; /* NULL-terminated; the first is the default */
	unsigned scrub_rate_mib;    /* of the scrubber, MiB a second; 0: only when it is told to */
	const char *plugin;         /* path of the nbdkit plugin */
	const char *gate_program;   /* path of the scanner of the secret gate */
	bool io_unlimited; /* disks are not held to the IOPS and throughput of their volumes' types */
	const char *
		reserve; /* what is left free on the disk, as space_parse_reserve takes it; NULL: the default */
	const char *root_key;            /* a file; NULL: DATA/root-key, or ... */
	const char *root_key_passphrase; /* ... a file with a passphrase, or ... */
	const char *root_key_pkcs11;     /* ... a URI of a token's key, if that is not NULL */
	unsigned audit_keep_days;        /* how long the audit trail is kept; 0: for ever */
	const struct amid_peer_config *peers;
	size_t peer_count;
	int64_t compress_after_ms; /* cold blocks are compressed after so long; 0: never */
};

/* A region has a store of its own; nothing is shared between regions but the accounts. */
struct amid_region {
	struct amid *amid;
	const char *name;
	struct store *store;
	const char *store_folder;
	const char *volumes_folder;   /* a folder for each volume */
	const char *instances_folder; /* a folder for each instance */
	const char *traces_folder;    /* boot traces, by root digest */
	struct cold_list *cold;       /* which snapshots nobody reads any more; while the controllers run */
	const char *uploads_folder;   /* journals of unfinished EBS direct snapshots */
	/*
	 * Held for reading while a volume is given a new base tree (its root published in a record, then put into the volume's manifest), for writing while garbage collection lists the roots: so a root is
	 * seen in the one or in the other place.
	 */
	pthread_rwlock_t roots_lock;
};

enum { AMID_OFFLINE_LOCKS = 16 };

struct amid {
	const struct amid_config *config;
	struct meta *meta;
	struct iam_policies *iam_policies; /* compiled policies of principals: src/svc/iam_policies.h */
	struct audit_log *audit;           /* the audit trail: src/svc/audit.h */
	struct secrets *secrets; /* what sealed things in the metadata are opened with: src/svc/secret.h */
	struct peers *peers;     /* amids that have other regions: src/svc/peers.h; NULL: none */
	struct grant_counts *grant_counts; /* how many a key may still have: src/svc/kms/grant_count.h */
	struct key_ring *key_ring;         /* data keys of encrypted disks in use: src/svc/key_ring.h */
	struct amid_region *regions;
	unsigned region_count;
	struct compute *compute;
	struct net *net; /* NULL with the dry driver */
	/* Held while amid itself has a volume open, by the volume's id: threads wait for each other instead of failing at the folder's lock. Taken under roots_lock where both are needed. */
	pthread_mutex_t offline_locks[AMID_OFFLINE_LOCKS];
	pthread_mutex_t
		network_lock; /* from reading a VPC's description to applying it, so that the newest wins */
	struct imds *imds;    /* NULL with the dry driver */
	struct uploads *uploads;
	struct areas *areas; /* memory that clients share: src/svc/ebs/area.h */
	struct scrubber *scrubber;
	struct secret_scans *secret_scans; /* NULL: nothing is scanned (tests of handlers) */
	struct work *work;
	struct identity_cache *identities;        /* NULL: look-ups read the records */
	struct organization_cache *organizations; /* NULL: paths in organizations are read anew each time */
	struct last_uses *last_uses;              /* NULL: nobody notes uses of keys, roles, images */
	struct upkeep *upkeep;
	struct server_watch *server_watch; /* NULL with the dry driver */
	const char *runtime_folder;        /* on a tmpfs: live maps and sockets */
	uint8_t token_key[32]; /* of the data folder: tokens of blocks, pages and the metadata service */
};

/* The account of callers with --auth any, and the owner of the Quick Start images. */
#define ACCOUNT_ANY "123456789012"
#define ACCOUNT_PLATFORM "137112412989"
#define ALIAS_PLATFORM "amazon"

/* The lock of a data folder, for what is done while no server uses it: a descriptor, held until it is closed. -1: ERROR_CONFLICT if a server has it, ERROR_NOT_FOUND if there is no data in it. */
int amid_lock_offline(const char *data, struct error *err);
/* NULL if amid does not serve that region. */
struct amid_region *amid_find_region(struct amid *amid, const char *name);
/* Whether `zone` is one of the region's Availability Zones (REGIONa, REGIONb, REGIONc). */
bool amid_is_zone(const struct amid_region *region, const char *zone);
/* Paths of a volume and of its server, for src/volume/server.h; the texts are the arena's. */
struct volume_server_paths amid_volume_paths(
	struct amid *amid, struct amid_region *region, const char *volume_id, struct arena *arena);
/*
 * Opens a volume that no server has open, for the length of an operation; waits while another thread has it. ERROR_CONFLICT if a server has just been started. On success amid_close_volume must follow, on the same
 * thread, before another volume is opened.
 */
int amid_open_volume(struct amid *amid, struct amid_region *region, const struct volume_server_paths *paths,
	struct volume **volume, struct error *err);
void amid_close_volume(struct amid *amid, const struct volume_server_paths *paths, struct volume *volume);
/* The folder of an instance's machine. */
char *amid_instance_folder(struct amid_region *region, const char *instance_id, struct arena *arena);
