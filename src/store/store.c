/*
 * The store's own functions: opening, sessions, put, sync; reading is in read.c. Owns the locks of store_internal.h; objects lie in packs.c, their places in index.c.
 *
 * A put takes its digest's stripe, so the same object put twice at once is stored once, and a sweep cannot free what a put has just found. It appends the object first and
 * enters it into the index second: whoever finds an entry finds the bytes.
 * Any thread. Lock order: maintenance, quiet, stripe, then those inside packs and index.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "base/disk.h"
#include "base/banned.h"

enum { LOAD_SHOULD_GROW = 60, LOAD_MUST_GROW = 85 };
static const uint64_t CHECKPOINT_BYTES = 256ULL << 20;

pthread_mutex_t *store_stripe(struct store *store, const struct digest *digest)
{
	return &store->stripes[digest->bytes[DIGEST_SIZE - 1] % STRIPE_COUNT];
}

static struct store *allocate(const char *folder, bool writer)
{
	struct store *store = memory_alloc(sizeof *store);
	*store = (struct store){ .writer = writer, .lock_fd = -1, .folder = memory_strdup(folder) };
	for (int i = 0; i < STRIPE_COUNT; i++)
		pthread_mutex_init(&store->stripes[i], NULL);
	pthread_rwlock_init(&store->quiet, NULL);
	pthread_mutex_init(&store->maintenance, NULL);
	pthread_mutex_init(&store->session_lock, NULL);
	return store;
}

static void release(struct store *store)
{
	packs_close(store->packs);
	references_close(store->references);
	index_close(store->index);
	free(store->retired.items);
	store_scrub_close(store);
	file_close_cleanup(&store->lock_fd);
	for (int i = 0; i < STRIPE_COUNT; i++)
		pthread_mutex_destroy(&store->stripes[i]);
	pthread_rwlock_destroy(&store->quiet);
	pthread_mutex_destroy(&store->maintenance);
	pthread_mutex_destroy(&store->session_lock);
	free(store->folder);
	free(store);
}

static int lock_folder(struct store *store, struct error *err)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s/lock", store->folder) >= sizeof path)
		return error_set(err, ERROR_INVALID, "path too long: %s", store->folder);
	store->lock_fd = disk_open(path, O_RDWR | O_CREAT, 0600);
	if (store->lock_fd < 0)
		return error_set_errno(err, errno, "cannot open %s", path);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? error_set(err, ERROR_CONFLICT,
						      "store %s is in use by another process", store->folder)
					    : error_set_errno(err, errno, "cannot lock %s", path);
	return 0;
}

static struct references_index describe_index(const struct store *store)
{
	return (struct references_index){ .slots = index_slot_count(store->index),
		.objects = index_object_count(store->index),
		.generation = index_generation(store->index) };
}

static int begin_moving(void *context, uint64_t slots, struct error *err)
{
	return references_begin_moving(((struct store *)context)->references, slots, err);
}

static void move_count(void *context, uint64_t from, uint64_t to)
{
	references_move(((struct store *)context)->references, from, to);
}

static void shift_count(void *context, uint64_t from, uint64_t to)
{
	references_shift(((struct store *)context)->references, from, to);
}

static void end_moving(void *context, bool done)
{
	references_end_moving(((struct store *)context)->references, done);
}

/* `generation`: the index's before recovery, when it was saved. */
static int open_references(
	struct store *store, enum index_condition condition, uint32_t generation, struct error *err)
{
	struct index_follower follower = { .context = store,
		.begin = begin_moving,
		.move = move_count,
		.end = end_moving,
		.shift = shift_count };
	struct references_index index = describe_index(store);
	struct references_retired retired;
	index.generation = generation;
	if (references_open(
		    store->folder, &index, condition == INDEX_CLEAN, &store->references, &retired, err))
		return -1;
	for (uint32_t i = 0; i < retired.count; i++)
		digest_list_append(&store->retired, &retired.roots[i]);
	atomic_store(&store->strays, references_loose(store->references) > 0);
	index_set_follower(store->index, &follower);
	return 0;
}

static int recover(struct store *store, enum index_condition condition, struct error *err)
{
	uint32_t generation = index_generation(store->index);
	return store_recover(store, condition, err) || open_references(store, condition, generation, err) ? -1
													  : 0;
}

int store_open(const char *folder, struct store **store_out, struct error *err)
{
	enum index_condition condition;
	if (file_make_folder(folder, 0700, err))
		return -1;
	struct store *store = allocate(folder, true);
	if (lock_folder(store, err) || packs_open(folder, true, &store->packs, err) ||
		index_open_writer(folder, &store->index, &condition, err) || recover(store, condition, err)) {
		if (store->index && index_has_failed(store->index))
			index_abandon(store->index);
		release(store);
		return -1;
	}
	store_scrub_open(store);
	*store_out = store;
	return 0;
}

int store_open_reader(const char *folder, struct store **store_out, struct error *err)
{
	struct store *store = allocate(folder, false);
	if (packs_open(folder, false, &store->packs, err) || index_open_reader(folder, &store->index, err)) {
		release(store);
		return -1;
	}
	*store_out = store;
	return 0;
}

/* Retired roots that the file has no room for would be forgotten: then the counts are not saved, and the next opening begins with a collection. */
static int save_references(struct store *store, struct error *err)
{
	struct references_index index = describe_index(store);
	struct references_retired retired = { .count = (uint32_t)store->retired.count };
	if (store->retired.count > REFERENCES_RETIRED_LIMIT)
		return 0;
	if (retired.count)
		memcpy(retired.roots, store->retired.items, retired.count * sizeof *retired.roots);
	return references_save(store->references, &index, &retired, err);
}
static int checkpoint_and_heal(struct store *store, struct error *err);

void store_close(struct store *store)
{
	if (!store)
		return;
	struct error err;
	if (store->writer) {
		pthread_mutex_lock(&store->maintenance);
		if (checkpoint_and_heal(store, &err) || save_references(store, &err) ||
			index_mark_clean(store->index, &err))
			log_error(
				"store-close-failed", "folder=%s message=\"%s\"", store->folder, err.message);
		if (index_has_failed(store->index))
			index_abandon(store->index);
		pthread_mutex_unlock(&store->maintenance);
	}
	release(store);
}

void store_set_listener(struct store *store, store_listener *listener, void *context)
{
	pthread_mutex_lock(&store->session_lock);
	store->listener = listener;
	store->listener_context = context;
	pthread_mutex_unlock(&store->session_lock);
}

void store_tell(struct store *store)
{
	pthread_mutex_lock(&store->session_lock);
	store_listener *listener = store->listener;
	void *context = store->listener_context;
	pthread_mutex_unlock(&store->session_lock);
	if (listener)
		listener(context);
}

int store_session_open(struct store *store, struct store_session **session_out, struct error *err)
{
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	struct store_session *session = memory_alloc(sizeof *session);
	pthread_mutex_lock(&store->session_lock);
	*session = (struct store_session){
		.store = store, .generation = index_generation(store->index), .next = store->sessions
	};
	if (store->sessions)
		store->sessions->previous = session;
	store->sessions = session;
	pthread_mutex_unlock(&store->session_lock);
	*session_out = session;
	return 0;
}

void store_session_close(struct store_session *session)
{
	if (!session)
		return;
	struct store *store = session->store;
	pthread_mutex_lock(&store->session_lock);
	if (session->previous)
		session->previous->next = session->next;
	else
		store->sessions = session->next;
	if (session->next)
		session->next->previous = session->previous;
	/* if nobody has published them meanwhile, and unless somebody has taken up the rest, they are garbage now */
	for (size_t i = 0; i < session->roots.count; i++)
		digest_list_append(&store->retired, &session->roots.items[i]);
	/* what it put is of its generation or a later one: while one as old is open, nothing more can be freed than before */
	bool oldest = true;
	for (const struct store_session *other = store->sessions; other; other = other->next)
		oldest &= other->generation > session->generation;
	store->protections_ended += oldest;
	bool retired = store->retired.count > 0;
	pthread_mutex_unlock(&store->session_lock);
	bool loose = references_loose(store->references) > 0;
	if (oldest && loose)
		atomic_store(&store->strays, true);
	if (oldest && (loose || retired))
		store_tell(store);
	free(session->roots.items);
	free(session);
}

void store_session_stream(struct store_session *session)
{
	session->way = PACKS_PAST_CACHE;
}

struct store *store_session_store(const struct store_session *session)
{
	return session->store;
}

/* Grows the index when it is getting full; waits for a collection only when it must. */
static int make_room(struct store *store, struct error *err)
{
	int result = 0;
	unsigned load = index_load_percent(store->index);
	if (load < LOAD_SHOULD_GROW)
		return 0;
	if (load >= LOAD_MUST_GROW)
		pthread_mutex_lock(&store->maintenance);
	else if (pthread_mutex_trylock(&store->maintenance))
		return 0;
	if (index_load_percent(store->index) >= LOAD_SHOULD_GROW) {
		pthread_rwlock_wrlock(&store->quiet);
		result = index_rebuild(store->index, false, err);
		pthread_rwlock_unlock(&store->quiet);
	}
	pthread_mutex_unlock(&store->maintenance);
	return result;
}

void digest_list_append(struct digest_list *list, const struct digest *digest)
{
	if (list->count == list->capacity) {
		list->capacity = list->capacity ? 2 * list->capacity : 4;
		list->items = memory_realloc(list->items, list->capacity * sizeof *list->items);
	}
	list->items[list->count++] = *digest;
}

void store_retire(struct store *store, const struct digest *root)
{
	pthread_mutex_lock(&store->session_lock);
	digest_list_append(&store->retired, root);
	pthread_mutex_unlock(&store->session_lock);
	store_tell(store);
}

/*
 * Puts an object anew that is there, but known to be damaged. The new one is durable before the old one is marked dead: no crash leaves none, and one that leaves both costs the old one's space. Its
 * bytes are not punched: they lie where the disk has failed.
 */
static int heal_locked(struct store *store, const struct object_header *object, const void *data,
	uint64_t *added, struct error *err)
{
	struct index_entry entry, fresh;
	struct digest actual;
	char hex[2 * DIGEST_SIZE + 1];
	uint64_t slot;
	text_hex(&object->digest, sizeof object->digest, hex);
	digest_sha256(data, object->size, &actual);
	if (!digest_equal(&actual, &object->digest))
		return error_set(err, ERROR_INVALID, "the bytes put as object %s are others", hex);
	if (packs_append(store->packs, object, data, PACKS_CACHED, &fresh, err) ||
		store_sync_packs(store, err))
		return -1;
	fresh.generation = index_generation(store->index);
	if (index_find_slot(store->index, &object->digest, &slot) &&
		index_find(store->index, &object->digest, &entry)) {
		index_remove(store->index, slot, &object->digest);
		if (packs_mark_dead(store->packs, &entry, NULL))
			log_warning("object-not-marked-dead", "digest=%s", hex);
	}
	index_insert(store->index, &fresh);
	references_spoil(store->references); /* it has moved to another slot; a collection counts anew */
	damage_remove(store->damage, &object->digest);
	*added = store_entry_bytes(&fresh);
	atomic_fetch_add(&store->appended, *added);
	log_info(
		"object-healed", "digest=%s pack=%" PRIu32 " offset=%" PRIu64, hex, fresh.pack, fresh.offset);
	return 0;
}

enum { NOT_NEW = -1 };

/* *added stays 0 if the object was there; *slot gets its place in the index if it is new. */
static int put_locked(struct store_session *session, const struct object_header *object, const void *data,
	uint64_t *slot, uint64_t *added, struct error *err)
{
	struct store *store = session->store;
	struct index_entry entry;
	uint32_t generation = index_generation(store->index);
	if (damage_has(store->damage, &object->digest))
		return heal_locked(store, object, data, added, err);
	if (index_touch(store->index, &object->digest, generation))
		return 0;
	if (packs_append(store->packs, object, data, session->way, &entry, err))
		return -1;
	entry.generation = generation;
	*slot = index_insert(store->index, &entry);
	*added = store_entry_bytes(&entry);
	atomic_fetch_add(&store->appended, *added);
	return 0;
}

int store_put(struct store_session *session, enum store_object_kind kind, const struct digest *digest,
	const void *data, size_t size, uint64_t *added, struct error *err)
{
	struct store *store = session->store;
	uint64_t bytes = 0, slot = (uint64_t)NOT_NEW;
	if (size > STORE_BLOCK_SIZE || !size)
		return error_set(err, ERROR_INVALID, "an object cannot have %zu bytes", size);
	if (make_room(store, err))
		return -1;
	struct object_header object = { .kind = (uint8_t)kind,
		.state = OBJECT_LIVE,
		.size = (uint32_t)size,
		.stored_size = (uint32_t)size,
		.digest = *digest };
	if (kind == STORE_ROOT) {
		pthread_mutex_lock(&store->session_lock);
		digest_list_append(&session->roots, digest);
		pthread_mutex_unlock(&store->session_lock);
	}
	pthread_mutex_t *stripe = store_stripe(store, digest);
	pthread_rwlock_rdlock(&store->quiet);
	pthread_mutex_lock(stripe);
	int result = put_locked(session, &object, data, &slot, &bytes, err);
	pthread_mutex_unlock(stripe);
	if (slot != (uint64_t)NOT_NEW)
		store_count_put(store, slot, object.kind, data, size);
	pthread_rwlock_unlock(&store->quiet);
	if (added)
		*added = bytes;
	return result;
}

int store_keep(struct store_session *session, const struct digest *digest, bool *present, struct error *err)
{
	struct store *store = session->store;
	(void)err;
	pthread_mutex_t *stripe = store_stripe(store, digest);
	pthread_rwlock_rdlock(&store->quiet);
	pthread_mutex_lock(stripe);
	*present = index_touch(store->index, digest, index_generation(store->index));
	pthread_mutex_unlock(stripe);
	pthread_rwlock_unlock(&store->quiet);
	return 0;
}

int store_sync_packs(struct store *store, struct error *err)
{
	int result = packs_sync(store->packs, err);
	if (result)
		index_distrust(store->index);
	return result;
}

/* An index that could not be synced is written anew. The caller holds maintenance, and no collection counts on slots. */
static int heal_index(struct store *store, struct error *err)
{
	if (!index_has_failed(store->index))
		return 0;
	pthread_rwlock_wrlock(&store->quiet);
	int result = index_rebuild(store->index, false, err);
	pthread_rwlock_unlock(&store->quiet);
	return result;
}

int store_checkpoint(struct store *store, struct error *err)
{
	struct index_position positions[PACK_CLASS_COUNT];
	/* what lies before these positions is in the index, as no put is under way */
	pthread_rwlock_wrlock(&store->quiet);
	packs_positions(store->packs, positions);
	atomic_store(&store->appended, 0);
	pthread_rwlock_unlock(&store->quiet);
	if (store_sync_packs(store, err))
		return -1;
	return index_write_checkpoint(store->index, positions, err);
}

/* The same by all means: with a new index file if this one could not be synced. */
static int checkpoint_and_heal(struct store *store, struct error *err)
{
	if (heal_index(store, err))
		return -1;
	if (!store_checkpoint(store, err))
		return 0;
	return !index_has_failed(store->index) || heal_index(store, err) || store_checkpoint(store, err) ? -1
													 : 0;
}

void store_checkpoint_if_due(struct store *store)
{
	struct error err;
	/* now and then, so that recovery has little to scan */
	if (atomic_load(&store->appended) >= CHECKPOINT_BYTES && checkpoint_and_heal(store, &err))
		log_warning(
			"store-checkpoint-failed", "folder=%s message=\"%s\"", store->folder, err.message);
}

int store_sync(struct store *store, struct error *err)
{
	if (!store->writer)
		return error_set(err, ERROR_INVALID, "store %s is open for reading only", store->folder);
	if (store_sync_packs(store, err))
		return -1;
	if (atomic_load(&store->appended) >= CHECKPOINT_BYTES &&
		!pthread_mutex_trylock(&store->maintenance)) {
		store_checkpoint_if_due(store);
		pthread_mutex_unlock(&store->maintenance);
	}
	return 0;
}

/* Whoever failed left headers that do not say yet what the index says, or the other way round. */
int store_check_movable(struct store *store, struct error *err)
{
	if (!index_is_collecting(store->index))
		return 0;
	return error_set(err, ERROR_UNAVAILABLE,
		"a collection or a move of objects of %s failed; the store has to be opened again",
		store->folder);
}

uint64_t store_entry_bytes(const struct index_entry *entry)
{
	enum pack_class group = format_class_of(entry->kind);
	return format_object_end(group, entry->offset, entry->stored_size) - entry->offset;
}

void store_set_reserve(struct store *store, const struct space_reserve *reserve)
{
	packs_set_reserve(store->packs, reserve);
}

void store_get_usage(struct store *store, struct store_usage *usage)
{
	*usage = (struct store_usage){ .objects = index_object_count(store->index),
		.bytes = index_byte_count(store->index),
		.available = store->writer ? packs_available(store->packs) : 0 };
}
