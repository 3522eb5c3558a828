/*
 * Making, opening, closing and removing volumes.
 *
 * Opening takes the layers that the manifest names, and then those that the runtime folder knows to be active: a freeze switches in memory first and is written down later, and a process
 * may die in between. Files of layers that are in neither are leftovers and go.
 * Each function runs in its caller's thread; the lock on the folder keeps other processes out.
 */
#include "volume/prefetch.h"
#include "volume/volume_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "store/tree.h"
#include "base/banned.h"

/* `fd` is -1 on failure. */
static int lock_folder(const char *folder, int *fd, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = arena_printf(scratch, "%s/lock", folder);
	*fd = disk_open(path, O_RDWR | O_CREAT, 0600);
	if (*fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (!flock(*fd, LOCK_EX | LOCK_NB))
		return 0;
	int lock_errno = errno;
	close(*fd);
	*fd = -1;
	return lock_errno == EWOULDBLOCK
		? error_set(err, ERROR_CONFLICT, "volume %s is open in another process", folder)
		: error_set_errno(err, lock_errno, "cannot lock %s", path);
}

static int write_new_volume(const char *folder, uint64_t size, const struct digest *base, struct error *err)
{
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	memset(manifest, 0, sizeof *manifest);
	manifest->size = size;
	manifest->layer_count = 1;
	manifest->layers[0].number = 1;
	text_random_bytes(manifest->id, sizeof manifest->id);
	if (base && !digest_is_zero(base)) {
		manifest->base = *base;
		manifest->base_size = size;
	}
	struct layer_place place = { .folder = folder, .volume_id = manifest->id };
	struct layer *layer = NULL;
	int result = layer_create(&place, 1, size, &layer, err);
	/* syncs the folder, and with it the layer's names: nobody looks here before it has its own */
	if (!result)
		result = manifest_write(folder, manifest, err);
	layer_close(layer);
	free(manifest);
	return result;
}

static int give_name(const char *unfinished, const char *folder, struct error *err)
{
	if (disk_rename(unfinished, folder) == 0)
		return 0;
	return errno == EEXIST || errno == ENOTEMPTY
		? error_set(err, ERROR_DUPLICATE, "volume %s exists already", folder)
		: error_set_errno(err, errno, "cannot make %s", folder);
}

/* A folder of its own beside the volume's; NULL with errno. */
static char *make_unfinished(struct arena *scratch, const char *folder)
{
	enum { RANDOM_BYTES = 8 };
	uint8_t bytes[RANDOM_BYTES];
	char hex[2 * RANDOM_BYTES + 1];
	char *path;
	do {
		text_random_bytes(bytes, sizeof bytes);
		path = arena_printf(
			scratch, "%s" VOLUME_UNFINISHED "%s", folder, text_hex(bytes, sizeof bytes, hex));
		if (!disk_make_folder(path, 0700))
			return path;
	} while (errno == EEXIST);
	return NULL;
}

int volume_create(const char *folder, uint64_t size, const struct digest *base, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	if (!size || size % VOLUME_SECTOR_SIZE || size > MAP_VOLUME_LIMIT)
		return error_set(err, ERROR_INVALID, "a volume cannot have %" PRIu64 " bytes", size);
	if (access(folder, F_OK) == 0)
		return error_set(err, ERROR_DUPLICATE, "volume %s exists already", folder);
	/* whole under another name first: what a crash leaves there is no volume, and is never taken for one */
	char *unfinished = make_unfinished(scratch, folder);
	if (!unfinished)
		return error_set_errno(err, errno, "cannot make a folder beside %s", folder);
	if (write_new_volume(unfinished, size, base, err) || give_name(unfinished, folder, err)) {
		file_remove_tree(unfinished, NULL);
		return -1;
	}
	return file_sync_folder(dirname(arena_strdup(scratch, folder)), err);
}

static struct volume *allocate(const char *folder, const char *runtime_folder, struct store *store)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	struct volume *volume = aligned_alloc(64, (sizeof *volume + 63) / 64 * 64);
	if (!volume)
		abort();
	memset(volume, 0, sizeof *volume);
	volume->lock_fd = -1;
	volume->store = store;
	volume->folder = memory_strdup(folder);
	volume->runtime_folder = memory_strdup(runtime_folder);
	volume->name = memory_strdup(basename(arena_strdup(scratch, folder)));
	volume->manifest = memory_alloc(sizeof *volume->manifest);
	volume->place = (struct layer_place){ .folder = volume->folder,
		.runtime_folder = volume->runtime_folder,
		.volume_id = volume->manifest->id };
	volume->space.reserve = SPACE_RESERVE_DEFAULT;
	gate_init(&volume->gate);
	for (int i = 0; i < GATE_STRIPES; i++)
		pthread_rwlock_init(&volume->readers[i].lock, NULL);
	for (int i = 0; i < FILL_STRIPES; i++)
		pthread_mutex_init(&volume->fill[i], NULL);
	pthread_mutex_init(&volume->maintenance, NULL);
	pthread_mutex_init(&volume->stack_lock, NULL);
	pthread_mutex_init(&volume->prefetch_lock, NULL);
	pthread_cond_init(&volume->prefetch_changed, NULL);
	return volume;
}

static void release(struct volume *volume)
{
	struct stack *stack = volume->stack;
	volume_await_dropped(volume);
	for (unsigned i = 0; stack && i < stack->count; i++)
		layer_close(stack->layers[i]);
	if (stack)
		base_close(stack->base);
	free(stack);
	volume_free_retired(volume);
	layer_close(volume->spare);
	file_close_cleanup(&volume->lock_fd);
	gate_destroy(&volume->gate);
	for (int i = 0; i < GATE_STRIPES; i++)
		pthread_rwlock_destroy(&volume->readers[i].lock);
	for (int i = 0; i < FILL_STRIPES; i++)
		pthread_mutex_destroy(&volume->fill[i]);
	pthread_mutex_destroy(&volume->maintenance);
	pthread_mutex_destroy(&volume->stack_lock);
	pthread_mutex_destroy(&volume->prefetch_lock);
	pthread_cond_destroy(&volume->prefetch_changed);
	free(volume->manifest);
	free(volume->folder);
	free(volume->runtime_folder);
	free(volume->name);
	free(volume);
}

static bool is_in_manifest(const struct manifest *manifest, uint64_t number)
{
	for (uint32_t i = 0; i < manifest->layer_count; i++)
		if (manifest->layers[i].number == number)
			return true;
	return false;
}

/*
 * Removes files of layers that are not in the manifest (which by now has every layer of the stack). The manifest's name is made durable before: its writer may have died, or failed, between giving it and that, and the
 * one before still speaks of them.
 */
static void remove_leftovers(const struct volume *volume)
{
	DIR *folder = file_sync_folder(volume->folder, NULL) ? NULL : opendir(volume->folder);
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		uint64_t number;
		char suffix[5];
		if (sscanf(entry->d_name, "%" SCNu64 ".%4s", &number, suffix) == 2 &&
			(text_equal(suffix, "data") || text_equal(suffix, "map")) &&
			!is_in_manifest(volume->manifest, number))
			layer_remove(&volume->place, number, NULL);
	}
	if (folder)
		closedir(folder);
}

/* Adds the layers that a process before us put on top without living to write it down. */
static int adopt_active_layers(struct volume *volume, struct error *err)
{
	struct manifest *manifest = volume->manifest;
	uint64_t frozen_size;
	for (;;) {
		struct manifest_layer *top = &manifest->layers[manifest->layer_count - 1];
		if (!layer_find_active(&volume->place, top->number + 1, &frozen_size))
			return 0;
		if (manifest->layer_count == MANIFEST_LAYER_LIMIT || !frozen_size ||
			frozen_size > manifest->size)
			return error_set(err, ERROR_CORRUPT,
				"the live map of layer %" PRIu64 " of %s is damaged", top->number + 1,
				volume->folder);
		top->frozen_size = frozen_size;
		top[1] = (struct manifest_layer){ .number = top->number + 1 };
		manifest->layer_count++;
		volume->unsynced = true;
	}
}

int volume_open_stack(struct volume *volume, struct error *err)
{
	struct manifest *manifest = volume->manifest;
	if (adopt_active_layers(volume, err))
		return -1;
	struct stack *stack = stack_create(NULL, manifest->layer_count);
	volume->stack = stack;
	if (!digest_is_zero(&manifest->base) &&
		base_open(
			volume->store, &manifest->base, manifest->base_size, volume->name, &stack->base, err))
		return -1;
	for (uint32_t i = 0; i < manifest->layer_count; i++) {
		const struct manifest_layer *entry = &manifest->layers[i];
		struct layer **layer = &stack->layers[manifest->layer_count - 1 - i];
		int failed = entry->durable ? layer_open_frozen(volume->folder, entry->number, layer, err)
					    : layer_open_live(&volume->place, entry->number, layer, err);
		if (failed)
			return -1;
		(*layer)->frozen_size = entry->frozen_size;
		if (entry->durable)
			layer_remove_live(&volume->place, entry->number);
		else if (i + 1 < manifest->layer_count)
			volume->unsynced = true;
	}
	return 0;
}

int volume_open(const char *folder, const char *runtime_folder, struct store *store,
	struct volume **volume_out, struct error *err)
{
	struct volume *volume = allocate(folder, runtime_folder, store);
	if (manifest_read(folder, volume->manifest, err) || lock_folder(folder, &volume->lock_fd, err) ||
		manifest_read(folder, volume->manifest, err) || volume_open_stack(volume, err) ||
		/* a growth may have been broken off, after the manifest said so */
		volume_extend_top(volume, volume->manifest->size, err)) {
		release(volume);
		return -1;
	}
	volume->size = volume->manifest->size;
	remove_leftovers(volume);
	volume_prepare_spare(volume);
	*volume_out = volume;
	return 0;
}

void volume_set_reserve(struct volume *volume, const struct space_reserve *reserve)
{
	volume->space.reserve = *reserve;
}

/* Everything is on disk now: the live maps have nothing to add. */
static void remove_live_maps(struct volume *volume)
{
	struct stack *stack = volume->stack;
	for (unsigned i = 0; i < stack->count; i++)
		layer_remove_live(&volume->place, stack->layers[i]->number);
	if (volume->spare)
		layer_remove(&volume->place, volume->spare->number, NULL);
}

void volume_close(struct volume *volume)
{
	struct error err;
	if (!volume)
		return;
	prefetch_wait(volume, true);
	/* if it cannot be written down, the live maps keep it for the next to open */
	if (volume_flush(volume, &err))
		log_error("volume-close-failed", "volume=%s message=\"%s\"", volume->name, err.message);
	else
		remove_live_maps(volume);
	release(volume);
}

int volume_retire(struct volume *volume, struct error *err)
{
	enum { FOR_EVER_MS = 1 << 30 };
	prefetch_wait(volume, true); /* a trace that is being recorded is written as it is */
	/* someone else's hold must not keep us from ending */
	gate_release(&volume->gate);
	if (gate_hold(&volume->gate, FOR_EVER_MS, err))
		return -1;
	if (volume_flush(volume, err)) {
		gate_release(&volume->gate);
		return -1;
	}
	pthread_mutex_lock(&volume->maintenance);
	pthread_mutex_lock(&volume->stack_lock);
	remove_live_maps(volume);
	/* both locks stay taken: nothing may change any more */
	return 0;
}

int volume_remove(const char *folder, const char *runtime_folder, struct error *err)
{
	struct stat status;
	if (stat(folder, &status) && errno == ENOENT)
		return 0;
	int fd FILE_SCOPED = -1;
	if (lock_folder(folder, &fd, err))
		return -1;
	struct manifest *manifest = memory_alloc(sizeof *manifest);
	/* without a manifest it was half removed before, live maps first */
	if (!manifest_read(folder, manifest, NULL)) {
		struct layer_place place = {
			.folder = folder, .runtime_folder = runtime_folder, .volume_id = manifest->id
		};
		uint64_t last = manifest->layers[manifest->layer_count - 1].number, frozen_size;
		for (uint32_t i = 0; i < manifest->layer_count; i++)
			layer_remove_live(&place, manifest->layers[i].number);
		while (layer_find_active(&place, ++last, &frozen_size))
			layer_remove_live(&place, last);
		layer_remove_live(&place, last); /* the spare */
	}
	free(manifest);
	return file_remove_tree(folder, err);
}

uint64_t volume_size(const struct volume *volume)
{
	return atomic_load_explicit(&volume->size, memory_order_acquire);
}
