/*
 * The census of a tree's blocks: the file `census` in the volume's folder, 56 bytes, replaced by rename without a sync. It names the root that it speaks of and has a checksum, so whatever a crash leaves of it is either true or
 * taken for nothing. Written by whoever seals, one at a time; no locks.
 */
#include "volume/census.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/disk.h"
#include "base/file.h"
#include "store/checksum.h"
#include "store/tree.h"
#include "store/wire.h"
#include "base/banned.h"

enum { VERSION = 1, CHECKED_FROM = 16, ROOT_AT = 16, BLOCKS_AT = 48, SIZE = 56 };
static const char MAGIC[8] = { 'A', 'M', 'I', 'D', 'C', 'E', 'N', 'S' };

static bool recall(const char *folder, const struct digest *root, uint64_t *blocks)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	uint8_t bytes[SIZE];
	int fd FILE_SCOPED = disk_open(arena_printf(scratch, "%s/census", folder), O_RDONLY, 0);
	if (fd < 0 || disk_read(fd, bytes, sizeof bytes, 0) || memcmp(bytes, MAGIC, sizeof MAGIC) != 0 ||
		wire_get(bytes + 8, 4) != VERSION ||
		wire_get(bytes + 12, 4) != checksum_crc32c(0, bytes + CHECKED_FROM, SIZE - CHECKED_FROM) ||
		memcmp(bytes + ROOT_AT, root, sizeof *root) != 0)
		return false;
	*blocks = wire_get(bytes + BLOCKS_AT, 8);
	return true;
}

void census_note(const char *folder, const struct digest *root, uint64_t blocks)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = arena_printf(scratch, "%s/census", folder);
	const char *fresh = arena_printf(scratch, "%s.new", path);
	uint8_t bytes[SIZE] = { 0 };
	memcpy(bytes, MAGIC, sizeof MAGIC);
	wire_put(bytes + 8, 4, VERSION);
	memcpy(bytes + ROOT_AT, root, sizeof *root);
	wire_put(bytes + BLOCKS_AT, 8, blocks);
	wire_put(bytes + 12, 4, checksum_crc32c(0, bytes + CHECKED_FROM, SIZE - CHECKED_FROM));
	int fd FILE_SCOPED = disk_open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd >= 0 && (disk_write(fd, bytes, sizeof bytes, 0) || disk_rename(fresh, path)))
		disk_remove(fresh);
}

static int walk(struct store *store, const struct digest *root, uint64_t *blocks, struct error *err)
{
	struct tree *tree;
	struct digest digest;
	bool found = true;
	int result = 0;
	*blocks = 0;
	if (tree_open(store, root, &tree, err))
		return -1;
	for (uint64_t index = 0; !result && found; index++) {
		result = tree_next(tree, &index, &digest, &found, err);
		*blocks += !result && found;
	}
	tree_close(tree);
	return result;
}

int census_take(const char *folder, struct store *store, const struct digest *root, uint64_t *blocks,
	struct error *err)
{
	if (recall(folder, root, blocks))
		return 0;
	if (walk(store, root, blocks, err))
		return -1;
	census_note(folder, root, *blocks);
	return 0;
}
