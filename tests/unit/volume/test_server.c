/* Volume servers, with a stock NBD client: nbdkit with the plugin (AMID_TEST_PLUGIN), started, found, frozen, killed, stopped. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "place.h"
#include "volume/server.h"
#include "volume/trace.h"

enum { MIB = 1 << 20 };

static char log_path[300], sockets[90]; /* a socket path has at most 107 bytes */
static uint8_t data[MIB], read_back[MIB];

static struct volume_server_paths server_paths(const struct place *place)
{
	struct error err;
	snprintf(log_path, sizeof log_path, "%s/log", place->root);
	snprintf(sockets, sizeof sockets, "%.80s/s", place->root);
	ASSERT_OK(file_make_folder(sockets, 0700, &err));
	return (struct volume_server_paths){ .id = "vol-1",
		.volume_folder = place->folder,
		.runtime_folder = place->runtime,
		.socket_folder = sockets,
		.store_folder = place->store_folder,
		.plugin = getenv("AMID_TEST_PLUGIN"),
		.log = log_path };
}

static struct nbd_handle *connect_client(const char *id)
{
	char path[400];
	struct nbd_handle *nbd = nbd_create();
	snprintf(path, sizeof path, "%s/%s.nbd", sockets, id);
	nbd_set_export_name(nbd, id);
	nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION);
	if (nbd_connect_unix(nbd, path))
		fail_msg("%s", nbd_get_error());
	return nbd;
}

static void disconnect_client(struct nbd_handle *nbd)
{
	nbd_shutdown(nbd, 0);
	nbd_close(nbd);
}

static int add_extent(
	void *context, const char *name, uint64_t offset, uint32_t *entries, size_t count, int *error)
{
	uint64_t *zeros = context;
	(void)name;
	(void)offset;
	(void)error;
	for (size_t i = 0; i < count; i += 2)
		*zeros += entries[i + 1] & LIBNBD_STATE_ZERO ? entries[i] : 0;
	return 0;
}

int __wrap_disk_punch(int fd, uint64_t offset, uint64_t size);

/* As on a file system without holes: then a pack of dead blocks is worth compacting. */
int __wrap_disk_punch(int fd, uint64_t offset, uint64_t size)
{
	(void)fd;
	(void)offset;
	(void)size;
	errno = EOPNOTSUPP;
	return -1;
}

static bool holds_removed_pack(const struct process *process)
{
	char path[64];
	bool held = false;
	snprintf(path, sizeof path, "/proc/%d/fd", (int)process->pid);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	for (struct dirent *entry; (entry = readdir(folder));) {
		char target[512];
		ssize_t size = readlinkat(dirfd(folder), entry->d_name, target, sizeof target - 1);
		if (size > 0) {
			target[size] = '\0';
			held |= strstr(target, ".pack (deleted)") != NULL;
		}
	}
	closedir(folder);
	return held;
}

static int one_root(void *context, struct digest *root, struct error *err)
{
	const struct digest **left = context;
	(void)err;
	if (!*left)
		return 0;
	*root = **left;
	*left = NULL;
	return 1;
}

/* A root over 8 MiB, all but the first of them collected later; returns with the volume made of it. */
static struct digest make_base(struct place *place)
{
	struct error err;
	struct volume *volume;
	ASSERT_OK(volume_create(place->folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place->folder, place->runtime, place->store, &volume, &err));
	for (unsigned i = 0; i < 8; i++) {
		scratch_fill(data, sizeof data, i);
		ASSERT_OK(volume_write(volume, data, i * (uint64_t)MIB, MIB, &err));
	}
	place_snapshot(place, volume, &(struct volume_seal_result){ 0 });
	ASSERT_OK(volume_zero(volume, MIB, 7 * MIB, &err));
	struct digest root = place_snapshot(place, volume, &(struct volume_seal_result){ 0 });
	volume_close(volume);
	return root;
}

static void a_server_lets_go_of_packs_that_were_compacted(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	struct store_compact_result compacted;
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	struct digest root = make_base(&place);
	const struct digest *left = &root;
	ASSERT_OK(store_collect(place.store, one_root, &left, NULL, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	struct nbd_handle *nbd = connect_client("vol-1");
	scratch_fill(data, sizeof data, 0);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, 0, 0), 0);
	assert_memory_equal(data, read_back, MIB);
	ASSERT_OK(store_compact(place.store, UINT64_MAX, &compacted, &err));
	assert_int_equal(compacted.packs_removed, 1);
	assert_true(holds_removed_pack(&process));
	ASSERT_OK(volume_server_let_go(&paths, &err));
	assert_false(holds_removed_pack(&process));
	memset(read_back, 0, sizeof read_back);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, 0, 0), 0);
	assert_memory_equal(data, read_back, MIB);
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

static void a_stock_client_reads_writes_and_survives_a_kill(void **state)
{
	struct error err;
	struct place place;
	struct process process, found;
	uint64_t zeros = 0;
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_FAILS(volume_server_find(&paths, &found, &err), ERROR_NOT_FOUND);
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	ASSERT_OK(volume_server_start(&paths, &found, &err)); /* runs already */
	assert_int_equal(process.pid, found.pid);
	char path[400];
	struct stat status;
	snprintf(path, sizeof path, "%s/vol-1.ctl", sockets);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	snprintf(path, sizeof path, "%s/vol-1.nbd", sockets);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	struct nbd_handle *nbd = connect_client("vol-1");
	assert_int_equal(nbd_get_size(nbd), 8 * MIB);
	assert_true(nbd_can_multi_conn(nbd) && nbd_can_fua(nbd) && nbd_can_trim(nbd) && nbd_can_zero(nbd));
	scratch_fill(data, sizeof data, 1);
	assert_int_equal(nbd_pwrite(nbd, data, MIB, MIB + 512, LIBNBD_CMD_FLAG_FUA), 0);
	assert_int_equal(nbd_trim(nbd, 65536, 2 * MIB - 65536 * 2, 0), 0);
	memset(data + MIB - 512 - 65536 * 2, 0, 65536);
	assert_int_equal(nbd_flush(nbd, 0), 0);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, MIB + 512, 0), 0);
	assert_memory_equal(data, read_back, MIB);
	assert_int_equal(nbd_block_status(nbd, 8 * MIB, 0,
				 (nbd_extent_callback){ .callback = add_extent, .user_data = &zeros }, 0),
		0);
	assert_true(zeros >= 6 * MIB && zeros < 7 * MIB + 65536);
	assert_int_equal(nbd_pwrite(nbd, "unflushed", 9, 4 * MIB, 0), 0);
	process_signal(&process, SIGKILL);
	ASSERT_OK(process_wait_end(&process, 5000, &err));
	nbd_close(nbd);
	ASSERT_FAILS(volume_server_find(&paths, &found, &err), ERROR_NOT_FOUND);
	ASSERT_OK(volume_server_start(&paths, &process, &err)); /* over the stale sockets */
	nbd = connect_client("vol-1");
	assert_int_equal(nbd_pread(nbd, read_back, MIB, MIB + 512, 0), 0);
	assert_memory_equal(data, read_back, MIB);
	assert_int_equal(nbd_pread(nbd, read_back, 9, 4 * MIB, 0), 0);
	assert_memory_equal(read_back, "unflushed", 9);
	/* SIGTERM ends it although a client is connected, and loses nothing */
	process_signal(&process, SIGTERM);
	ASSERT_OK(process_wait_end(&process, 5000, &err));
	nbd_close(nbd);
	struct volume *volume;
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	ASSERT_OK(volume_read(volume, read_back, 4 * MIB, 9, &err));
	assert_memory_equal(read_back, "unflushed", 9);
	volume_close(volume);
	place_close(&place);
}

static void assert_owner(const char *suffix, uid_t owner)
{
	char path[400];
	struct stat status;
	snprintf(path, sizeof path, "%s/vol-1.%s", sockets, suffix);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_uid, owner);
	assert_int_equal(status.st_mode & 0777, 0600);
}

static void the_socket_is_the_clients_whoever_that_is(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	if (geteuid() != 0)
		skip();
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, MIB, NULL, &err));
	/* with a socket that is made, and with one that is there */
	for (uid_t client = 1879048192; client < 1879048194; client++) {
		paths.client = client;
		ASSERT_OK(volume_server_start(&paths, &process, &err));
		assert_owner("nbd", client);
		assert_owner("ctl", 0);
		assert_owner("pid", 0);
	}
	process_signal(&process, SIGKILL);
	ASSERT_OK(process_wait_end(&process, 5000, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	assert_owner("nbd", paths.client);
	paths.client = 0;
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	assert_owner("nbd", 0);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

/* Flips a bit of the block that lies there, under everybody's feet. */
static void flip_bit(struct store *store, const struct digest *block)
{
	struct error err;
	struct store_location at;
	uint8_t byte;
	ASSERT_OK(store_locate(store, block, &at, &err));
	assert_int_equal(pread(at.fd, &byte, 1, (off_t)at.offset + 70000), 1);
	byte ^= 2;
	assert_int_equal(pwrite(at.fd, &byte, 1, (off_t)at.offset + 70000), 1);
}

static void a_guest_gets_an_error_and_never_damaged_bytes(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	struct volume *volume;
	struct store_session *session;
	struct digest blocks[2];
	size_t size;
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	scratch_fill(data, sizeof data, 1);
	ASSERT_OK(volume_write(volume, data, 0, sizeof data, &err));
	place_snapshot(&place, volume, NULL);
	volume_close(volume);
	for (int i = 0; i < 2; i++)
		digest_sha256(data + i * STORE_BLOCK_SIZE, STORE_BLOCK_SIZE, &blocks[i]);
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	struct nbd_handle *nbd = connect_client("vol-1");
	flip_bit(place.store, &blocks[1]);
	assert_int_equal(nbd_pread(nbd, read_back, 4096, 0, 0), 0);
	assert_memory_equal(read_back, data, 4096);
	/* anywhere in that block, also where the bytes are sound, in parts and as a whole */
	assert_int_equal(nbd_pread(nbd, read_back, 512, STORE_BLOCK_SIZE, 0), -1);
	assert_int_equal(nbd_get_errno(), EIO);
	assert_int_equal(nbd_pread(nbd, read_back, STORE_BLOCK_SIZE, STORE_BLOCK_SIZE, 0), -1);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, 0, 0), -1);
	/* once the store knows, and gets the content again, the server finds the good copy by itself */
	ASSERT_FAILS(store_get(place.store, &blocks[1], read_back, &size, &err), ERROR_CORRUPT);
	ASSERT_OK(store_session_open(place.store, &session, &err));
	ASSERT_OK(store_put(
		session, STORE_BLOCK, &blocks[1], data + STORE_BLOCK_SIZE, STORE_BLOCK_SIZE, NULL, &err));
	store_session_close(session);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, 0, 0), 0);
	assert_memory_equal(read_back, data, MIB);
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

static void a_boot_is_traced_through_the_control_socket(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	struct volume *volume;
	static uint32_t blocks[TRACE_LIMIT];
	uint32_t count;
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	scratch_fill(data, sizeof data, 1);
	ASSERT_OK(volume_write(volume, data, 4 * MIB, sizeof data, &err));
	struct digest root = place_snapshot(&place, volume, NULL), other = { .bytes = { 7 } };
	volume_close(volume);
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	/* without a folder for traces it is refused */
	ASSERT_FAILS(volume_server_trace(&paths, &root, 600000, &err), ERROR_INVALID);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	paths.trace_folder = place.root;
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	ASSERT_FAILS(volume_server_trace(&paths, &other, 600000, &err), ERROR_CONFLICT);
	ASSERT_OK(volume_server_trace(&paths, &root, 600000, &err));
	struct nbd_handle *nbd = connect_client("vol-1");
	assert_int_equal(nbd_pread(nbd, read_back, 512, 4 * MIB + STORE_BLOCK_SIZE, 0), 0);
	assert_int_equal(nbd_pread(nbd, read_back, 512, 4 * MIB, 0), 0);
	/* a server that ends writes down what it has */
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	ASSERT_OK(trace_read(place.root, &root, blocks, &count, &err));
	assert_int_equal(count, 2);
	assert_int_equal(blocks[0], 9);
	assert_int_equal(blocks[1], 8);
	/* now it is read ahead by it; the server may end meanwhile, and a shorter trace does not replace it */
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	ASSERT_OK(volume_server_trace(&paths, &root, 600000, &err));
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	ASSERT_OK(trace_read(place.root, &root, blocks, &count, &err));
	assert_int_equal(count, 2);
	place_close(&place);
}

static void another_export_is_refused(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	char path[400];
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	struct nbd_handle *nbd = nbd_create();
	nbd_set_export_name(nbd, "vol-2");
	snprintf(path, sizeof path, "%s/vol-1.nbd", sockets);
	assert_int_equal(nbd_connect_unix(nbd, path), -1);
	nbd_close(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	assert_false(process_is_alive(&process));
	place_close(&place);
}

struct writer {
	struct nbd_handle *nbd[2];
	_Atomic bool stop;
	_Atomic uint64_t count;
};

static void *write_alternately(void *context)
{
	struct writer *writer = context;
	for (uint64_t n = 1; !atomic_load(&writer->stop); n++) {
		for (int i = 0; i < 2; i++)
			if (nbd_pwrite(writer->nbd[i], &n, sizeof n, 4096, 0))
				return "write failed";
		atomic_store(&writer->count, n);
	}
	return NULL;
}

static void two_served_volumes_are_snapshot_at_one_instant(void **state)
{
	struct error err;
	struct place place;
	struct writer writer = { 0 };
	struct process processes[2];
	struct volume_server_paths paths[2];
	char folders[2][300];
	pthread_t thread;
	void *failed;
	uint64_t layers[2], values[2];
	place_open(&place, state);
	for (int i = 0; i < 2; i++) {
		paths[i] = server_paths(&place);
		paths[i].id = i ? "vol-b" : "vol-a";
		snprintf(folders[i], sizeof folders[i], "%s/%s", place.root, paths[i].id);
		paths[i].volume_folder = folders[i];
		ASSERT_OK(volume_create(folders[i], MIB, NULL, &err));
		ASSERT_OK(volume_server_start(&paths[i], &processes[i], &err));
		writer.nbd[i] = connect_client(paths[i].id);
	}
	pthread_create(&thread, NULL, write_alternately, &writer);
	for (int round = 0; round < 40; round++) {
		uint64_t target = atomic_load(&writer.count) + 5;
		while (atomic_load(&writer.count) < target)
			;
		ASSERT_OK(volume_server_freeze(paths, 2, layers, &err));
		for (int i = 0; i < 2; i++) {
			struct store_session *session;
			struct digest root;
			struct volume *clone;
			char folder[300];
			ASSERT_OK(store_session_open(place.store, &session, &err));
			ASSERT_OK(volume_seal(folders[i], place.runtime, layers[i], place.store, session,
				&root, NULL, &err));
			ASSERT_OK(volume_server_rebase(&paths[i], layers[i], &root, &err));
			ASSERT_OK(volume_server_rebase(&paths[i], layers[i], &root, &err));
			snprintf(folder, sizeof folder, "%s/clone", place.root);
			ASSERT_OK(volume_create(folder, MIB, &root, &err));
			ASSERT_OK(volume_open(folder, place.runtime, place.store, &clone, &err));
			ASSERT_OK(volume_read(clone, &values[i], 4096, sizeof values[i], &err));
			volume_close(clone);
			ASSERT_OK(volume_remove(folder, place.runtime, &err));
			store_session_close(session);
		}
		assert_true(values[0] == values[1] || values[0] == values[1] + 1);
		assert_true(values[1] + 1 >= target);
	}
	atomic_store(&writer.stop, true);
	pthread_join(thread, &failed);
	assert_null(failed);
	ASSERT_OK(volume_server_grow(&paths[0], 2 * MIB, &err));
	ASSERT_FAILS(volume_server_grow(&paths[0], MIB, &err), ERROR_INVALID);
	struct nbd_handle *nbd = connect_client("vol-a");
	assert_int_equal(nbd_get_size(nbd), 2 * MIB);
	disconnect_client(nbd);
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(volume_server_stop(&paths[i], 5000, &err)); /* with a client connected */
		assert_false(process_is_alive(&processes[i]));
		nbd_close(writer.nbd[i]);
	}
	place_close(&place);
}

static void a_dropped_connection_releases_its_hold(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	char answer[16];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	struct nbd_handle *nbd = connect_client("vol-1");
	snprintf(address.sun_path, sizeof address.sun_path, "%s/vol-1.ctl", sockets);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(send(fd, "hold 60000\n", 11, 0), 11);
	assert_int_equal(recv(fd, answer, sizeof answer, 0), 3);
	uint64_t layer;
	ASSERT_FAILS(volume_server_freeze(&paths, 1, &layer, &err), ERROR_CONFLICT);
	close(fd);
	assert_int_equal(nbd_pwrite(nbd, "x", 1, 0, 0), 0); /* would hang for a minute */
	/* what is too long is cut off, and harms nobody */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	memset(data, 'a', 4096);
	assert_true(send(fd, data, 4096, MSG_NOSIGNAL) > 0);
	assert_true(recv(fd, answer, sizeof answer, 0) <= 0);
	close(fd);
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

struct late_owner {
	struct volume *volume;
	int watch;
};

/* Keeps the volume until somebody else has opened its lock. */
static void *close_when_wanted(void *context)
{
	struct late_owner *owner = context;
	char event[512];
	assert_true(read(owner->watch, event, sizeof event) > 0);
	volume_close(owner->volume);
	return NULL;
}

/* As a server that was killed, of whose files the kernel closes the lock last. */
static void a_server_waits_for_the_one_before_it(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	struct late_owner owner = { .watch = inotify_init1(IN_CLOEXEC) };
	pthread_t thread;
	char lock[400];
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &owner.volume, &err));
	snprintf(lock, sizeof lock, "%s/lock", place.folder);
	assert_true(owner.watch >= 0 && inotify_add_watch(owner.watch, lock, IN_OPEN) >= 0);
	assert_int_equal(pthread_create(&thread, NULL, close_when_wanted, &owner), 0);
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	pthread_join(thread, NULL);
	close(owner.watch);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

/* The client gets an error, and who asks later finds why, whether the server runs or not. */
static void damage_leaves_a_note_with_the_volume(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	struct volume *volume;
	struct volume_fault fault;
	struct digest root;
	char pack[512];
	bool found;
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, MIB, NULL, &err));
	ASSERT_OK(volume_open(place.folder, place.runtime, place.store, &volume, &err));
	scratch_fill(data, sizeof data, 7);
	ASSERT_OK(volume_write(volume, data, 0, STORE_BLOCK_SIZE, &err));
	root = place_snapshot(&place, volume, NULL);
	volume_close(volume);
	ASSERT_OK(volume_remove(place.folder, place.runtime, &err));
	snprintf(pack, sizeof pack, "%s/packs/0000000001.pack", place.store_folder);
	int fd = open(pack, O_WRONLY);
	uint8_t byte = (uint8_t)~data[5000];
	assert_int_equal(pwrite(fd, &byte, 1, 8192 + 5000), 1); /* the one block's place */
	close(fd);
	ASSERT_OK(volume_create(place.folder, MIB, &root, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	struct nbd_handle *nbd = connect_client("vol-1");
	/* a wrong request is not the volume's fault, nor is there one without a request */
	nbd_set_strict_mode(nbd, 0);
	assert_int_equal(nbd_pread(nbd, read_back, 4096, 2 * MIB, 0), -1);
	assert_int_equal(nbd_pread(nbd, read_back, 4096, STORE_BLOCK_SIZE, 0), 0);
	ASSERT_OK(volume_find_fault(place.folder, &fault, &found, &err));
	assert_false(found);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(nbd_pread(nbd, read_back, 4096, 0, 0), -1);
		ASSERT_OK(volume_find_fault(place.folder, &fault, &found, &err));
		assert_true(found && fault.noted_ms > 0 && *fault.message);
		if (round == 0)
			ASSERT_OK(volume_forget_fault(place.folder, &err));
	}
	nbd_close(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	ASSERT_OK(volume_find_fault(place.folder, &fault, &found, &err));
	assert_true(found);
	ASSERT_OK(volume_remove(place.folder, place.runtime, &err));
	ASSERT_OK(volume_find_fault(place.folder, &fault, &found, &err));
	assert_false(found);
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_stock_client_reads_writes_and_survives_a_kill),
		TEST(the_socket_is_the_clients_whoever_that_is),
		TEST(a_guest_gets_an_error_and_never_damaged_bytes),
		TEST(a_server_lets_go_of_packs_that_were_compacted),
		TEST(a_boot_is_traced_through_the_control_socket), TEST(another_export_is_refused),
		TEST(two_served_volumes_are_snapshot_at_one_instant),
		TEST(a_dropped_connection_releases_its_hold), TEST(a_server_waits_for_the_one_before_it),
		TEST(damage_leaves_a_note_with_the_volume) };
	if (!getenv("AMID_TEST_PLUGIN"))
		return 77; /* counted as skipped */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
