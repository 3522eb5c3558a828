/* The server of an encrypted volume, with a stock NBD client: nothing plain lies in any file, nor in the server's arguments or environment, and nothing is read without the key. */
#include <fcntl.h>
#include <ftw.h>
#include <libnbd.h>
#include <signal.h>
#include <sys/stat.h>

#include "place.h"
#include "volume/cipher.h"
#include "volume/server.h"

enum { MIB = 1 << 20, MARKERS = 4, MARKER_SIZE = 16, CHUNK = 4 * MIB };

static char log_path[300], sockets[90];
static uint8_t data[MIB], read_back[MIB], key[CIPHER_KEY_SIZE];
/* what is searched for: MARKERS pieces of `searched`, each MARKER_SIZE bytes, `stride` bytes from each other */
static const uint8_t *searched;
static size_t stride;
static bool found;

static struct volume_server_paths server_paths(const struct place *place)
{
	struct error err;
	snprintf(log_path, sizeof log_path, "%s/log", place->root);
	snprintf(sockets, sizeof sockets, "%.80s/s", place->root);
	ASSERT_OK(file_make_folder(sockets, 0700, &err));
	for (unsigned i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(3 * i + 1);
	return (struct volume_server_paths){ .id = "vol-1",
		.volume_folder = place->folder,
		.runtime_folder = place->runtime,
		.socket_folder = sockets,
		.store_folder = place->store_folder,
		.plugin = getenv("AMID_TEST_PLUGIN"),
		.key = key,
		.log = log_path };
}

static struct nbd_handle *connect_client(void)
{
	char path[400];
	struct nbd_handle *nbd = nbd_create();
	snprintf(path, sizeof path, "%s/vol-1.nbd", sockets);
	nbd_set_export_name(nbd, "vol-1");
	if (nbd_connect_unix(nbd, path))
		fail_msg("%s", nbd_get_error());
	return nbd;
}

static void disconnect_client(struct nbd_handle *nbd)
{
	nbd_shutdown(nbd, 0);
	nbd_close(nbd);
}

static int search_file(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	static uint8_t chunk[CHUNK];
	(void)walk;
	int fd = type == FTW_F && S_ISREG(status->st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	off_t at = 0;
	ssize_t got;
	/* not the holes of sparse files; chunks overlap by a marker */
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && (got = pread(fd, chunk, sizeof chunk, at)) > 0) {
		for (unsigned i = 0; i < MARKERS; i++)
			found |= memmem(chunk, (size_t)got, searched + i * stride, MARKER_SIZE) != NULL;
		at += got > MARKER_SIZE ? got - MARKER_SIZE + 1 : got;
	}
	close(fd);
	return 0;
}

/* Whether any of some pieces of `bytes` lies in a file below the folder. */
static bool lies_below(const char *folder, const void *bytes, size_t size)
{
	searched = bytes;
	stride = size / MARKERS;
	found = false;
	assert_int_equal(nftw(folder, search_file, 16, FTW_PHYS), 0);
	return found;
}

static bool lies_in_proc(const struct process *process, const char *name, const void *bytes, size_t size)
{
	char path[64];
	static uint8_t text[65536];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)process->pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t got = read(fd, text, sizeof text);
	close(fd);
	assert_true(got > 0);
	return memmem(text, (size_t)got, bytes, size) != NULL;
}

static struct digest seal(struct place *place, const struct volume_server_paths *paths)
{
	struct error err;
	struct store_session *session;
	struct volume_seal_result sealed;
	struct digest root;
	uint64_t layer;
	ASSERT_OK(volume_server_freeze(paths, 1, &layer, &err));
	ASSERT_OK(store_session_open(place->store, &session, &err));
	ASSERT_OK(volume_seal(
		place->folder, place->runtime, layer, place->store, session, &root, &sealed, &err));
	ASSERT_OK(volume_server_rebase(paths, layer, &root, &err));
	store_session_close(session);
	return root;
}

static void nothing_plain_leaves_the_server(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	assert_false(lies_in_proc(&process, "cmdline", key, 8));
	assert_false(lies_in_proc(&process, "environ", key, 8));
	struct nbd_handle *nbd = connect_client();
	assert_int_equal(nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM), CIPHER_SECTOR_SIZE);
	scratch_fill(data, sizeof data, 11);
	assert_int_equal(nbd_pwrite(nbd, data, MIB, MIB + 512, 0), 0);
	assert_int_equal(nbd_flush(nbd, 0), 0);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, MIB + 512, 0), 0);
	assert_memory_equal(read_back, data, MIB);
	assert_false(lies_below(place.root, data, MIB));
	(void)seal(&place, &paths);
	assert_false(lies_below(place.root, data, MIB));
	assert_false(lies_below(place.root, key, sizeof key));
	assert_int_equal(nbd_pread(nbd, read_back, MIB, MIB + 512, 0), 0); /* from the store, now */
	assert_memory_equal(read_back, data, MIB);
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	/* without the key there is ciphertext: this also shows that the search finds what is there */
	paths.key = NULL;
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	nbd = connect_client();
	assert_int_equal(nbd_pread(nbd, read_back, MIB, MIB + 512, 0), 0);
	assert_int_not_equal(memcmp(read_back, data, MIB), 0);
	assert_true(lies_below(place.root, read_back, MIB));
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

static void requests_are_of_whole_sectors_and_holes_stay(void **state)
{
	struct error err;
	struct place place;
	struct process process;
	static uint8_t zeros[MIB];
	place_open(&place, state);
	struct volume_server_paths paths = server_paths(&place);
	ASSERT_OK(volume_create(place.folder, 8 * MIB, NULL, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	struct nbd_handle *nbd = connect_client();
	nbd_set_strict_mode(nbd, 0);
	scratch_fill(data, sizeof data, 12);
	assert_int_equal(nbd_pwrite(nbd, data, 100, 0, 0), -1);
	assert_int_equal(nbd_pread(nbd, read_back, 512, 1, 0), -1);
	assert_int_equal(nbd_zero(nbd, 100, 0, 0), -1);
	assert_int_equal(nbd_trim(nbd, 512, 100, 0), -1);
	assert_int_equal(nbd_pwrite(nbd, data, MIB, 0, LIBNBD_CMD_FLAG_FUA), 0);
	assert_int_equal(nbd_trim(nbd, MIB / 2, 0, 0), 0);
	assert_int_equal(nbd_zero(nbd, MIB / 4, MIB / 2, 0), 0);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, 0, 0), 0);
	assert_memory_equal(read_back, zeros, 3 * MIB / 4);
	assert_memory_equal(read_back + 3 * MIB / 4, data + 3 * MIB / 4, MIB / 4);
	disconnect_client(nbd);
	/* a server that was killed is started again with the key, and has what was written */
	process_signal(&process, SIGKILL);
	ASSERT_OK(process_wait_end(&process, 10000, &err));
	ASSERT_OK(volume_server_start(&paths, &process, &err));
	nbd = connect_client();
	memset(read_back, 1, MIB);
	assert_int_equal(nbd_pread(nbd, read_back, MIB, 0, 0), 0);
	assert_memory_equal(read_back + 3 * MIB / 4, data + 3 * MIB / 4, MIB / 4);
	disconnect_client(nbd);
	ASSERT_OK(volume_server_stop(&paths, 5000, &err));
	place_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(nothing_plain_leaves_the_server),
		TEST(requests_are_of_whole_sectors_and_holes_stay) };
	if (!getenv("AMID_TEST_PLUGIN"))
		return 77; /* counted as skipped */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
