/*
 * The garbage collector's controller, one key per region: gives back the space that no snapshot, volume or unfinished upload reaches. Woken by the store a while after a root was retired, as those are that
 * a record has lost (control_note_lost), or a session has ended.
 *
 * Which roots those are: see published.h.
 * While the store knows its reference counts, the roots that were lost are freed by them, which takes the time that what is freed takes. After an unclean end it does not: then everything is marked from all roots and swept, which
 * counts on the way.
 */
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "svc/control/internal.h"
#include "svc/published.h"
#include "base/banned.h"

/* What is deleted together is mostly freed together. */
enum { DELAY_MS = 500 };

struct collector {
	struct amid *amid;
	struct amid_region *region;
	struct arena *arena;
	struct published_roots roots;
	size_t next;
	bool listed;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct collector *collector = context;
	if (!collector->listed &&
		published_list(collector->amid, collector->region, collector->arena, &collector->roots, err))
		return -1;
	collector->listed = true;
	if (collector->next == collector->roots.count)
		return 0;
	*root = collector->roots.items[collector->next++];
	return 1;
}

static int find_published(
	void *context, const struct digest *roots, size_t count, bool *published, struct error *err)
{
	struct collector *collector = context;
	return published_find(collector->amid, collector->region, roots, count, published, err);
}

/* Boot traces (named by their root) of images that are gone. One that is lost by mistake is recorded again. */
static int remove_traces(struct collector *collector, struct error *err)
{
	DIR *folder = opendir(collector->region->traces_folder);
	int result = 0;
	for (struct dirent *entry; !result && folder && (entry = readdir(folder));) {
		struct digest root;
		bool published;
		char *hex = arena_printf(collector->arena, "%.*s", 2 * DIGEST_SIZE, entry->d_name);
		if (!strstr(entry->d_name, ".trace") || text_unhex(hex, root.bytes, DIGEST_SIZE))
			continue;
		result = find_published(collector, &root, 1, &published, err);
		if (!result && !published)
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
	if (folder)
		closedir(folder);
	return result;
}

int control_collect(void *context, const char *id, int64_t *again_ms, struct error *err)
{
	(void)again_ms;
	struct arena *arena ARENA_SCOPED = arena_create();
	struct collector collector = { .amid = context, .arena = arena };
	collector.region = amid_find_region(collector.amid, id);
	if (!collector.region)
		return 0;
	struct store *store = collector.region->store;
	int64_t begun_ms = clock_monotonic_ms();
	if (twins_forget(collector.amid, collector.region, err))
		return -1;
	struct store_collect_result result;
	bool marked = false;
	if (store_free_retired(store, find_published, &collector, &result, err)) {
		marked = err->code == ERROR_UNAVAILABLE;
		if (!marked || store_collect(store, next_root, &collector, &result, err))
			return -1;
	}
	if (remove_traces(&collector, err))
		return -1;
	if (result.objects_freed)
		upkeep_after_collection(collector.amid, id);
	if (result.objects_freed || marked)
		log_info("space-given-back", "region=%s objects=%llu bytes=%llu by=%s ms=%lld", id,
			(unsigned long long)result.objects_freed, (unsigned long long)result.bytes_freed,
			marked ? "marks" : "counts", (long long)(clock_monotonic_ms() - begun_ms));
	return 0;
}

static void wake(void *context)
{
	const struct amid_region *region = context;
	work_enqueue_after(region->amid->work, "collect", region->name, DELAY_MS);
}

void control_listen_to_stores(struct amid *amid)
{
	for (unsigned i = 0; i < amid->region_count; i++) {
		store_set_listener(amid->regions[i].store, wake, &amid->regions[i]);
		wake(&amid->regions[i]);
	}
}

/* A root that is lost in another region is still looked for everywhere: where it is not, that does no harm. */
static void retire(struct amid *amid, const struct digest *root, const char *region)
{
	for (unsigned i = 0; i < amid->region_count; i++)
		if (!region || strcmp(amid->regions[i].name, region) == 0)
			store_retire(amid->regions[i].store, root);
}

void control_note_lost(struct amid *amid, const struct meta_change *change)
{
	for (size_t i = 0; i < change->lost_count; i++) {
		bool elsewhere;
		struct digest root;
		if (published_in_index(change->kind, change->lost[i].index, &elsewhere) &&
			text_unhex(change->lost[i].value, root.bytes, DIGEST_SIZE) == 0)
			retire(amid, &root, elsewhere ? NULL : change->region);
	}
}
