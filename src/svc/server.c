/*
 * The server. Order of opening: lock of the data folder, metadata, secrets, accounts, stores, networks, machines, uploads, controllers, door; closing is the reverse. Nothing is answered before everything is open.
 */
#include "svc/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/cloudtrail.h"
#include "api/ebs.h"
#include "api/ec2.h"
#include "api/iam.h"
#include "api/kms.h"
#include "api/organizations.h"
#include "api/rbin.h"
#include "api/sts.h"
#include "aws/door.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "audit/log.h"
#include "svc/accounts.h"
#include "svc/audit.h"
#include "svc/authorize/authorize.h"
#include "svc/control/control.h"
#include "svc/ebs/area.h"
#include "svc/ebs/upload.h"
#include "svc/extra.h"
#include "svc/iam_policies.h"
#include "svc/identity_cache.h"
#include "svc/imds/imds.h"
#include "svc/key_ring.h"
#include "svc/kms/grant_count.h"
#include "svc/last_use.h"
#include "svc/organization_cache.h"
#include "svc/scrub.h"
#include "svc/peers.h"
#include "svc/secret.h"
#include "svc/secret_scans.h"
#include "base/banned.h"

struct server {
	struct amid amid;
	struct arena *arena; /* what lives as long as the server */
	struct door *door;
	int lock_fd;
	bool first_start;
};

static const struct service *const services[] = { &cloudtrail_service, &ec2_service, &ebs_service,
	&iam_service, &kms_service, &organizations_service, &rbin_service, &sts_service, NULL };

static int lock_data(struct server *server, struct error *err)
{
	const char *data = server->amid.config->data;
	if (file_make_folder(data, 0700, err))
		return -1;
	char *path = arena_printf(server->arena, "%s/lock", data);
	server->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (server->lock_fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (flock(server->lock_fd, LOCK_EX | LOCK_NB))
		return error_set(err, ERROR_CONFLICT, "another amid serves the data folder %s", data);
	return 0;
}

/* Tokens that clients hold must outlive a restart. Without the file, or with one that is damaged, those given out before are no longer taken, and that is all. */
static int load_token_key(struct server *server, struct error *err)
{
	struct amid *amid = &server->amid;
	char *path = arena_printf(server->arena, "%s/token-key", amid->config->data), *data;
	size_t size;
	struct error missing;
	if (file_read(path, sizeof amid->token_key, server->arena, &data, &size, &missing) == 0 &&
		size == sizeof amid->token_key) {
		memcpy(amid->token_key, data, size);
		return 0;
	}
	text_random_bytes(amid->token_key, sizeof amid->token_key);
	return file_replace(path, amid->token_key, sizeof amid->token_key, 0600, err);
}

/* A folder in /dev/shm, where anybody might have made one of its name. With the mode also if an earlier amid made it with another. */
static int take_runtime_folder(const char *path, mode_t mode, struct error *err)
{
	struct stat status;
	if (file_make_folder(path, mode, err))
		return -1;
	int fd FILE_SCOPED = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		return error_set_errno(err, errno, "cannot open the folder %s", path);
	if (status.st_uid != geteuid())
		return error_set(err, ERROR_INVALID, "the folder %s is user %u's: remove it", path,
			(unsigned)status.st_uid);
	return fchmod(fd, mode) ? error_set_errno(err, errno, "cannot set the mode of %s", path) : 0;
}

/*
 * Sockets and live maps lie on a tmpfs, under a name short enough for a socket's path and the same at each start. Machines, which are users of their own, pass through it to their disks' sockets; everything in there has a
 * mode that keeps others out.
 */
static int make_runtime_folder(struct server *server, struct error *err)
{
	struct amid *amid = &server->amid;
	char *real = realpath(amid->config->data, NULL);
	if (!real)
		return error_set_errno(err, errno, "cannot resolve %s", amid->config->data);
	struct digest digest;
	char hex[2 * DIGEST_SIZE + 1];
	digest_sha256(real, strlen(real), &digest);
	free(real);
	const char *folder =
		arena_printf(server->arena, "/dev/shm/amid-%.10s", text_hex(digest.bytes, DIGEST_SIZE, hex));
	bool machines = amid->config->compute != &compute_driver_dry && geteuid() == 0;
	mode_t way = machines ? 0711 : 0700;
	if (take_runtime_folder(folder, way, err))
		return -1;
	amid->runtime_folder = folder;
	return take_runtime_folder(arena_printf(server->arena, "%s/maps", folder), 0700, err) ||
			take_runtime_folder(arena_printf(server->arena, "%s/s", folder), way, err) ||
			take_runtime_folder(arena_printf(server->arena, "%s/m", folder), 0700, err)
		? -1
		: 0;
}

static int set_reserve(const struct amid_config *config, struct store *store, struct error *err)
{
	struct space_reserve reserve;
	if (!config->reserve)
		return 0;
	if (space_parse_reserve(config->reserve, &reserve, err))
		return -1;
	store_set_reserve(store, &reserve);
	return 0;
}

static int open_region(struct server *server, const char *name, struct amid_region *region, struct error *err)
{
	struct arena *arena = server->arena;
	char *folder = arena_printf(arena, "%s/regions/%s", server->amid.config->data, name);
	region->amid = &server->amid;
	region->name = name;
	region->store_folder = arena_printf(arena, "%s/store", folder);
	region->volumes_folder = arena_printf(arena, "%s/volumes", folder);
	region->instances_folder = arena_printf(arena, "%s/instances", folder);
	region->traces_folder = arena_printf(arena, "%s/traces", folder);
	region->uploads_folder = arena_printf(arena, "%s/uploads", folder);
	/* a collection must not starve behind a stream of snapshots, nor block one for long: writers first */
	pthread_rwlockattr_t attributes;
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&region->roots_lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	return file_make_folder(region->volumes_folder, 0700, err) ||
			file_make_folder(region->instances_folder, 0700, err) ||
			file_make_folder(region->uploads_folder, 0700, err) ||
			file_make_folder(region->traces_folder, 0700, err) ||
			store_open(region->store_folder, &region->store, err) ||
			set_reserve(server->amid.config, region->store, err)
		? -1
		: 0;
}

static int open_regions(struct server *server, struct error *err)
{
	struct amid *amid = &server->amid;
	unsigned count = 0;
	while (amid->config->regions[count])
		count++;
	amid->regions = arena_alloc_array(server->arena, count, sizeof *amid->regions);
	for (; amid->region_count < count; amid->region_count++)
		if (open_region(server, amid->config->regions[amid->region_count],
			    &amid->regions[amid->region_count], err))
			return error_prefix(err, "region %s", amid->config->regions[amid->region_count]);
	return 0;
}

static void serve_metadata(void *context, const char *vpc_id, int listen_fd)
{
	imds_listen(((struct amid *)context)->imds, vpc_id, listen_fd);
}

/* The dry driver's machines are on no network. */
static int open_network(struct server *server, struct error *err)
{
	struct amid *amid = &server->amid;
	if (amid->config->compute == &compute_driver_dry)
		return 0;
	struct net_callbacks callbacks = { .metadata_listener = serve_metadata, .context = amid };
	if (imds_open(amid, &amid->imds, err))
		return -1;
	return net_open(strrchr(amid->runtime_folder, '-') + 1, &callbacks, &amid->net, err);
}

static int open_secrets(struct amid *amid, struct error *err)
{
	struct secrets_config config = { .data = amid->config->data,
		.root_key = amid->config->root_key,
		.passphrase = amid->config->root_key_passphrase,
		.pkcs11 = amid->config->root_key_pkcs11 };
	return secrets_open(&config, amid->meta, &amid->secrets, err);
}

static int open_parts(struct server *server, struct error *err)
{
	struct amid *amid = &server->amid;
	const char *data = amid->config->data;
	amid->iam_policies = iam_policies_open();
	pthread_mutex_init(&amid->network_lock, NULL);
	for (unsigned i = 0; i < AMID_OFFLINE_LOCKS; i++)
		pthread_mutex_init(&amid->offline_locks[i], NULL);
	if (peers_open(amid->config, &amid->peers, err) || lock_data(server, err) ||
		load_token_key(server, err) || make_runtime_folder(server, err) ||
		meta_open(arena_printf(server->arena, "%s/meta.db", data), &amid->meta, err) ||
		open_secrets(amid, err) || open_regions(server, err) ||
		accounts_prepare(amid, &server->first_start, err) ||
		last_use_open(amid->meta, &amid->last_uses, err) || audit_open(amid, err) ||
		open_network(server, err))
		return -1;
	amid->identities = identity_cache_create();
	amid->organizations = organization_cache_create();
	amid->key_ring = key_ring_create();
	amid->grant_counts = grant_counts_create();
	char *state_folder = arena_printf(server->arena, "%s/compute", data);
	char *machines = arena_printf(server->arena, "%s/m", amid->runtime_folder);
	if (file_make_folder(state_folder, 0700, err) ||
		amid->config->compute->open(
			state_folder, machines, control_machine_event, amid, &amid->compute, err))
		return -1;
	return uploads_open(amid, &amid->uploads, err) ||
			areas_open(arena_printf(server->arena, "%s/upload", amid->runtime_folder),
				&amid->areas, err) ||
			control_open(amid, err) || scrub_open(amid, &amid->scrubber, err) ||
			secret_scans_open(amid, &amid->secret_scans, err)
		? -1
		: 0;
}

static int open_door(struct server *server, struct error *err)
{
	const struct amid_config *config = server->amid.config;
	struct door_config *door = arena_alloc(server->arena, sizeof *door);
	*door = (struct door_config){
		.amid = &server->amid,
		.listen = config->listen,
		.tls_certificate = config->tls_certificate,
		.tls_key = config->tls_key,
		.auth_any = config->auth_any,
		.regions = config->regions,
		.services = services,
		.lookup = accounts_lookup,
		.lookup_context = &server->amid,
		.authorize = authorize_call,
		.used = accounts_note_use,
		.admit = audit_admit,
		.record = audit_record,
		.record_context = &server->amid,
		.extra = extra_answer,
		.extra_context = &server->amid,
	};
	return door_open(door, &server->door, err);
}

int server_open(const struct amid_config *config, struct server **result, struct error *err)
{
	struct arena *arena = arena_create();
	struct server *server = memory_alloc(sizeof *server);
	server->arena = arena;
	server->amid.config = config;
	server->lock_fd = -1;
	if (open_parts(server, err) || open_door(server, err)) {
		server_close(server);
		return -1;
	}
	*result = server;
	return 0;
}

const char *server_endpoint(const struct server *server)
{
	return door_endpoint(server->door);
}

bool server_is_first_start(const struct server *server)
{
	return server->first_start;
}

/* What is still used (sockets, live maps of running volume servers) keeps its folder. */
static void remove_empty_runtime_folder(const char *folder)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	const char *const inner[] = { "maps", "s", "m" };
	for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
		rmdir(arena_printf(arena, "%s/%s", folder, inner[i]));
	rmdir(folder);
}

void server_close(struct server *server)
{
	if (!server)
		return;
	struct amid *amid = &server->amid;
	peers_stop(amid->peers);
	scrub_stop(amid->scrubber); /* whoever waits for it would keep the door open */
	secret_scans_stop(amid->secret_scans);
	door_close(server->door);
	secret_scans_close(amid->secret_scans);
	audit_log_close(amid->audit);
	scrub_close(amid->scrubber);
	control_stop(amid);
	areas_close(amid->areas);
	uploads_close(amid->uploads);
	if (amid->compute)
		amid->config->compute->close(amid->compute);
	control_close(amid);
	if (amid->net)
		net_close(amid->net);
	imds_close(amid->imds);
	for (unsigned i = 0; i < amid->region_count; i++)
		store_close(amid->regions[i].store);
	last_use_close(amid->last_uses);
	meta_close(amid->meta);
	peers_close(amid->peers);
	key_ring_destroy(amid->key_ring);
	grant_counts_destroy(amid->grant_counts);
	iam_policies_close(amid->iam_policies);
	secrets_close(amid->secrets);
	identity_cache_destroy(amid->identities);
	organization_cache_destroy(amid->organizations);
	if (amid->runtime_folder)
		remove_empty_runtime_folder(amid->runtime_folder);
	if (server->lock_fd >= 0)
		close(server->lock_fd);
	arena_destroy(server->arena);
	free(server);
}
