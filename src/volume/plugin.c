/*
 * The nbdkit plugin: serves one volume. nbdkit does the NBD protocol with its own threads, which call the functions here in parallel; the control socket has threads of its
 * own (control_server.c), and one more waits for SIGTERM.
 *
 *   nbdkit amid-volume volume=FOLDER runtime=FOLDER store=FOLDER control=SOCKET id=NAME [traces=FOLDER] [reserve=BYTES|PERCENT%] [key-fd=NUMBER]
 *
 * With key-fd, a descriptor that was inherited and has the key (64 bytes, then its end), the volume is encrypted: its guest sees plain data, and requests of whole sectors only.
 */
#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "store/store.h"
#include "volume/control_server.h"
#include "volume/encrypted.h"
#include "volume/volume.h"
#include "base/banned.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* nbdkit's callbacks carry no context before a connection, so the one volume is here. */
static struct {
	char *volume, *runtime, *store, *control, *id, *traces, *reserve, *key_fd;
} settings;
static struct volume *volume;
static struct store *store;
static struct control_server *control;
static struct cipher *cipher;       /* NULL: the volume is not encrypted */
static struct encrypted *encrypted; /* likewise */

static int fail(const struct error *err)
{
	nbdkit_error("%s", err->message);
	volume_note_fault(settings.volume, err);
	switch (err->code) {
	case ERROR_NO_SPACE:
		nbdkit_set_error(ENOSPC);
		break;
	case ERROR_INVALID:
		nbdkit_set_error(EINVAL);
		break;
	default:
		nbdkit_set_error(EIO);
	}
	return -1;
}

static void plugin_load(void)
{
	umask(0077); /* sockets are for us only */
}

static int plugin_config(const char *key, const char *value)
{
	const struct {
		const char *key;
		char **value;
		int path;
	} keys[] = { { "volume", &settings.volume, 1 }, { "runtime", &settings.runtime, 1 },
		{ "store", &settings.store, 1 }, { "control", &settings.control, 1 },
		{ "id", &settings.id, 0 }, { "traces", &settings.traces, 1 },
		{ "reserve", &settings.reserve, 0 }, { "key-fd", &settings.key_fd, 0 } };
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (!text_equal(keys[i].key, key))
			continue;
		free(*keys[i].value);
		*keys[i].value = keys[i].path ? nbdkit_absolute_path(value) : memory_strdup(value);
		return *keys[i].value ? 0 : -1;
	}
	nbdkit_error("unknown parameter %s", key);
	return -1;
}

static int plugin_config_complete(void)
{
	if (settings.volume && settings.runtime && settings.store && settings.control && settings.id)
		return 0;
	nbdkit_error("volume=, runtime=, store=, control= and id= are needed");
	return -1;
}

/*
 * A server that was killed answers no more but holds the volume's lock until the kernel has closed the last of its files, and amid opens a volume itself for the length of a short operation. Neither
 * can be waited for but by trying again.
 */
static int open_volume(struct error *err)
{
	enum { PATIENCE_MS = 15000, PAUSE_MS = 5 };
	int64_t deadline = clock_monotonic_ms() + PATIENCE_MS;
	while (volume_open(settings.volume, settings.runtime, store, &volume, err)) {
		if (err->code != ERROR_CONFLICT || clock_monotonic_ms() >= deadline)
			return -1;
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_MS * 1000000L }, NULL);
	}
	return 0;
}

/* The key is in memory from here on only as the cipher has it. */
static int open_cipher(struct error *err)
{
	int fd;
	if (!settings.key_fd)
		return 0;
	if (nbdkit_parse_int("key-fd", settings.key_fd, &fd))
		return error_set(err, ERROR_INVALID, "key-fd= is not a number");
	cipher_protect_process();
	uint8_t *key = cipher_key_alloc();
	ssize_t got = 0;
	for (size_t used = 0; used < CIPHER_KEY_SIZE; used += (size_t)got) {
		got = read(fd, key + used, CIPHER_KEY_SIZE - used);
		if (got <= 0)
			break;
	}
	close(fd);
	int result = got > 0 ? cipher_open(key, &cipher, err)
			     : error_set(err, ERROR_INVALID, "key-fd= has no whole key");
	cipher_key_free(key);
	return result;
}

static int plugin_get_ready(void)
{
	struct error err;
	struct space_reserve reserve = SPACE_RESERVE_DEFAULT;
	if ((settings.reserve && space_parse_reserve(settings.reserve, &reserve, &err)) ||
		open_cipher(&err) || store_open_reader(settings.store, &store, &err) || open_volume(&err))
		return fail(&err);
	if (cipher)
		encrypted = encrypted_create(volume, cipher);
	volume_set_reserve(volume, &reserve);
	if (control_server_create(settings.control, volume, settings.traces, &control, &err))
		return fail(&err);
	return 0;
}

/* Waits for SIGTERM, which all threads have blocked. */
static void *end_on_signal(void *context)
{
	sigset_t *signals = context;
	struct error err;
	int number;
	while (!sigwait(signals, &number))
		if (control_server_end_process(control, &err))
			log_error("volume-server-end-failed", "message=\"%s\"", err.message);
	return NULL;
}

static int plugin_after_fork(void)
{
	static sigset_t signals;
	pthread_t thread;
	struct error err;
	/* this is nbdkit's only thread as yet, so those to come block it as well */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (pthread_sigmask(SIG_BLOCK, &signals, NULL) ||
		pthread_create(&thread, NULL, end_on_signal, &signals)) {
		nbdkit_error("cannot start the signal thread");
		return -1;
	}
	pthread_detach(thread);
	if (encrypted && encrypted_start(encrypted, &err))
		return fail(&err);
	return control_server_run(control, &err) ? fail(&err) : 0;
}

/* nbdkit ended of its own accord, without connections. */
static void plugin_unload(void)
{
	encrypted_destroy(encrypted);
	cipher_close(cipher);
	volume_close(volume);
	store_close(store);
	if (control && settings.control)
		unlink(settings.control);
	char *texts[] = { settings.volume, settings.runtime, settings.store, settings.control, settings.id,
		settings.traces, settings.reserve, settings.key_fd };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		free(texts[i]);
}

static void *plugin_open(int readonly)
{
	const char *name = nbdkit_export_name();
	if (name && *name && !text_equal(name, settings.id)) {
		nbdkit_error("no such export");
		return NULL;
	}
	(void)readonly;
	return volume;
}

static const char *plugin_default_export(int readonly, int is_tls)
{
	(void)readonly;
	(void)is_tls;
	return settings.id;
}

static int64_t plugin_get_size(void *handle)
{
	(void)handle;
	return (int64_t)volume_size(volume);
}

static int plugin_yes(void *handle)
{
	(void)handle;
	return 1;
}

static int plugin_no(void *handle)
{
	(void)handle;
	return 0;
}

static int plugin_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

static int plugin_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_EMULATE;
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = encrypted ? CIPHER_SECTOR_SIZE : 1;
	*preferred = VOLUME_GRAIN_SIZE;
	*maximum = UINT32_MAX;
	return 0;
}

static int plugin_pread(void *handle, void *data, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct error err;
	(void)handle;
	(void)flags;
	int result = encrypted ? encrypted_read(encrypted, data, offset, count, &err)
			       : volume_read(volume, data, offset, count, &err);
	return result ? fail(&err) : 0;
}

static int finish(int result, uint32_t flags, struct error *err)
{
	if (!result && flags & NBDKIT_FLAG_FUA)
		result = volume_flush(volume, err);
	return result ? fail(err) : 0;
}

static int plugin_pwrite(void *handle, const void *data, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct error err;
	(void)handle;
	int result = encrypted ? encrypted_write(encrypted, data, offset, count, &err)
			       : volume_write(volume, data, offset, count, &err);
	return finish(result, flags, &err);
}

static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	struct error err;
	(void)handle;
	int result = encrypted ? encrypted_zero(encrypted, offset, count, &err)
			       : volume_zero(volume, offset, count, &err);
	return finish(result, flags, &err);
}

static int plugin_flush(void *handle, uint32_t flags)
{
	struct error err;
	(void)handle;
	(void)flags;
	return volume_flush(volume, &err) ? fail(&err) : 0;
}

static int plugin_extents(
	void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
	struct error err;
	uint64_t end = offset + count, length;
	bool zero;
	(void)handle;
	for (; offset < end; offset += length) {
		if (volume_extent(volume, offset, end - offset, &zero, &length, &err))
			return fail(&err);
		if (nbdkit_add_extent(
			    extents, offset, length, zero ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0))
			return -1;
		if (flags & NBDKIT_FLAG_REQ_ONE)
			break;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "amid-volume",
	.longname = "amid volume",
	.description = "serves one volume of amid",
	.config_help =
		"volume=FOLDER runtime=FOLDER store=FOLDER control=SOCKET id=NAME [traces=FOLDER] [key-fd=NUMBER]",
	.load = plugin_load,
	.unload = plugin_unload,
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.get_ready = plugin_get_ready,
	.after_fork = plugin_after_fork,
	.open = plugin_open,
	.default_export = plugin_default_export,
	.get_size = plugin_get_size,
	.can_write = plugin_yes,
	.can_flush = plugin_yes,
	.can_trim = plugin_yes,
	.can_zero = plugin_yes,
	.can_fast_zero = plugin_yes,
	.can_fua = plugin_can_fua,
	.can_multi_conn = plugin_yes,
	.can_extents = plugin_yes,
	.can_cache = plugin_can_cache,
	.is_rotational = plugin_no,
	.block_size = plugin_block_size,
	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.zero = plugin_zero,
	.trim = plugin_zero,
	.flush = plugin_flush,
	.extents = plugin_extents,
};

/* what the macro defines, and nbdkit looks for */
struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)
