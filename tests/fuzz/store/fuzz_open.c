/* Fuzz target (libFuzzer): a store folder in which a pack file or the index has any content. Opening recovers or refuses; a store that opens can be checked, written and closed. The first byte of the input says which file it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of the smallest index's size, so that it gets past the first check: the input's beginning is its header's, the rest of it the first slots'. */
enum { INDEX_SIZE = 69632, INDEX_HEADER = 4096, HEADER_USED = 128 };

static int write_index(const char *path, const uint8_t *data, size_t size, struct error *err)
{
	static uint8_t index[INDEX_SIZE];
	size_t head = size < HEADER_USED ? size : HEADER_USED, rest = size - head;
	memset(index, 0, sizeof index);
	memcpy(index, data, head);
	memcpy(index + INDEX_HEADER, data + head,
		rest < INDEX_SIZE - INDEX_HEADER ? rest : INDEX_SIZE - INDEX_HEADER);
	return file_replace(path, index, sizeof index, 0600, err);
}

static void ignore_line(void *context, const char *line)
{
}

static void put_one(struct store *store)
{
	struct store_session *session;
	struct digest digest;
	struct error err;
	static const char bytes[600] = "a block";
	digest_sha256(bytes, sizeof bytes, &digest);
	if (store_session_open(store, &session, &err))
		return;
	if (!store_put(session, STORE_BLOCK, &digest, bytes, sizeof bytes, NULL, &err) &&
		!store_sync(store, &err)) {
		static char back[STORE_BLOCK_SIZE];
		size_t length;
		/* what was put is there, unless the damaged index says that it lies elsewhere: then it must be noticed */
		if (!store_get(store, &digest, back, &length, &err) &&
			(length != sizeof bytes || memcmp(back, bytes, length)))
			abort();
	}
	store_session_close(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char folder[64] = "/dev/shm/amid-fuzz-store-XXXXXX", path[128];
	struct error err;
	struct store *store;
	uint64_t faults;
	if (!size || !mkdtemp(folder))
		return 0;
	snprintf(path, sizeof path, "%s/packs", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof path, data[0] & 1 ? "%s/packs/0000000001.pack" : "%s/index", folder);
	if (data[0] & 1 ? file_replace(path, data + 1, size - 1, 0600, &err)
			: write_index(path, data + 1, size - 1, &err))
		abort();
	if (!store_open(folder, &store, &err)) {
		store_check(store, ignore_line, NULL, &faults, &err);
		put_one(store);
		store_close(store);
	}
	file_remove_tree(folder, NULL);
	return 0;
}
