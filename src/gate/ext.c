/*
 * ext file systems. libext2fs reads through an I/O manager of ours, which knows nothing but the partition, and cannot write. The walk keeps folders that are still to be visited on a stack; each is visited once, by its inode, so
 * loops end. Symbolic links are not followed: what they point to is found where it is.
 *
 * A journal that was not replayed is reported, not replayed: what it holds may say more than what was seen. Deleted files, and what lies in free blocks, are not looked for.
 */
#include "gate/ext.h"

#include <ext2fs/ext2fs.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

/* ---- reading ---- */

/* What the I/O manager reads; its address comes to open() as the file's name, since that is all libext2fs hands on. */
struct stretch {
	struct gate_disk *disk;
	uint64_t offset, size;
};

static errcode_t stretch_open(const char *name, int flags, io_channel *channel);

static errcode_t stretch_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	ext2fs_free_mem(&channel->name);
	ext2fs_free_mem(&channel);
	return 0;
}

static errcode_t stretch_set_blksize(io_channel channel, int size)
{
	channel->block_size = size;
	return 0;
}

/* A negative count is one of bytes. */
static errcode_t stretch_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	struct stretch *stretch = channel->private_data;
	uint64_t size =
		count < 0 ? (uint64_t) - (int64_t)count : (uint64_t)count * (uint64_t)channel->block_size;
	uint64_t offset;
	if (__builtin_mul_overflow(block, (unsigned long long)channel->block_size, &offset) ||
		offset > stretch->size || size > stretch->size - offset)
		return EXT2_ET_SHORT_READ;
	return gate_disk_read(stretch->disk, stretch->offset + offset, data, size) ? EXT2_ET_SHORT_READ : 0;
}

static errcode_t stretch_read(io_channel channel, unsigned long block, int count, void *data)
{
	return stretch_read64(channel, block, count, data);
}

static errcode_t stretch_write64(io_channel channel, unsigned long long block, int count, const void *data)
{
	return EXT2_ET_RO_FILSYS;
}

static errcode_t stretch_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return EXT2_ET_RO_FILSYS;
}

static errcode_t stretch_flush(io_channel channel)
{
	return 0;
}

static struct struct_io_manager stretch_manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "amid",
	.open = stretch_open,
	.close = stretch_close,
	.set_blksize = stretch_set_blksize,
	.read_blk = stretch_read,
	.write_blk = stretch_write,
	.flush = stretch_flush,
	.read_blk64 = stretch_read64,
	.write_blk64 = stretch_write64,
};

static errcode_t stretch_open(const char *name, int flags, io_channel *channel)
{
	io_channel io = NULL;
	errcode_t result = ext2fs_get_memzero(sizeof *io, &io);
	if (result)
		return result;
	io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	io->manager = &stretch_manager;
	io->block_size = 1024;
	io->refcount = 1;
	io->private_data = (void *)(uintptr_t)strtoull(name, NULL, 16);
	result = ext2fs_get_mem(strlen(name) + 1, &io->name);
	if (result) {
		ext2fs_free_mem(&io);
		return result;
	}
	memcpy(io->name, name, strlen(name) + 1);
	*channel = io;
	return 0;
}

/* ---- the walk ---- */

struct folder {
	ext2_ino_t inode;
	unsigned depth;
	char *path;
};

struct walk {
	struct gate_scan *scan;
	ext2_filsys file_system;
	unsigned partition;
	bool whole_is_home;
	struct folder *stack;
	size_t count, capacity;
	uint32_t *seen; /* inodes of folders, open addressing, 0: free */
	size_t seen_count, seen_capacity;
	const struct folder *current;
	char content[GATE_CONTENT_SIZE + 1];
};

/* Whether the folder is new; it is seen from then on. */
static bool mark_seen(struct walk *walk, uint32_t inode)
{
	if (walk->seen_count * 2 >= walk->seen_capacity) {
		size_t capacity = walk->seen_capacity ? walk->seen_capacity * 2 : 1024;
		uint32_t *old = walk->seen;
		size_t old_capacity = walk->seen_capacity;
		walk->seen = memory_alloc(capacity * sizeof *walk->seen);
		memset(walk->seen, 0, capacity * sizeof *walk->seen);
		walk->seen_capacity = capacity;
		walk->seen_count = 0;
		for (size_t i = 0; i < old_capacity; i++)
			if (old[i])
				mark_seen(walk, old[i]);
		free(old);
	}
	size_t i = inode * 2654435761U % walk->seen_capacity;
	for (; walk->seen[i]; i = (i + 1) % walk->seen_capacity)
		if (walk->seen[i] == inode)
			return false;
	walk->seen[i] = inode;
	walk->seen_count++;
	return true;
}

static void push_folder(struct walk *walk, ext2_ino_t inode, unsigned depth, const char *path)
{
	if (!gate_folder_is_walked(path) && !walk->whole_is_home)
		return;
	if (!mark_seen(walk, inode))
		return;
	if (depth > GATE_DEPTH_MAX || walk->seen_count > GATE_FOLDERS_MAX) {
		gate_scan_unreadable(walk->scan, walk->partition, GATE_REASON_LIMIT, path);
		return;
	}
	if (walk->count == walk->capacity) {
		walk->capacity = walk->capacity ? walk->capacity * 2 : 64;
		walk->stack = memory_realloc(walk->stack, walk->capacity * sizeof *walk->stack);
	}
	walk->stack[walk->count++] =
		(struct folder){ .inode = inode, .depth = depth, .path = memory_strdup(path) };
}

/* The first bytes of a file into walk->content. */
static errcode_t read_content(
	struct walk *walk, ext2_ino_t inode, struct ext2_inode *node, unsigned *content_size)
{
	ext2_file_t file;
	errcode_t result = ext2fs_file_open2(walk->file_system, inode, node, 0, &file);
	*content_size = 0;
	if (result)
		return result;
	while (*content_size < GATE_CONTENT_SIZE) {
		unsigned got = 0;
		result = ext2fs_file_read(
			file, walk->content + *content_size, GATE_CONTENT_SIZE - *content_size, &got);
		if (result || !got)
			break;
		*content_size += got;
	}
	ext2fs_file_close(file);
	walk->content[*content_size] = '\0';
	walk->scan->bytes_read += *content_size;
	return result;
}

static void look_at_file(struct walk *walk, ext2_ino_t inode, struct ext2_inode *node, const char *path)
{
	uint64_t size = EXT2_I_SIZE(node);
	enum gate_want want = gate_file_want(path, size, walk->whole_is_home);
	unsigned content_size = 0;
	walk->scan->files++;
	walk->content[0] = '\0';
	if (want == GATE_WANT_NOTHING)
		return;
	if (want == GATE_WANT_CONTENT) {
		errcode_t failed = EXT2_ET_FILE_NOT_FOUND;
		if (!(node->i_flags & EXT4_ENCRYPT_FL))
			failed = read_content(walk, inode, node, &content_size);
		if (failed) {
			gate_scan_unreadable(walk->scan, walk->partition,
				node->i_flags & EXT4_ENCRYPT_FL ? GATE_REASON_ENCRYPTED : GATE_REASON_DAMAGED,
				path);
			return;
		}
	}
	int rule = gate_match(path, size, walk->whole_is_home, walk->content, content_size);
	if (rule >= 0)
		gate_scan_report(walk->scan, walk->partition, (unsigned)rule, GATE_REASON_NONE, path);
	if (walk->scan->bytes_read > GATE_READ_MAX)
		gate_scan_stop(walk->scan, walk->partition, path);
}

/* For libext2fs: an entry of walk->current. */
static int visit_entry(ext2_ino_t folder, int kind, struct ext2_dir_entry *entry, int offset, int block_size,
	char *block, void *context)
{
	struct walk *walk = context;
	struct ext2_inode node;
	char path[GATE_PATH_SIZE];
	int size = ext2fs_dirent_name_len(entry);
	const char *prefix = walk->current->path[1] ? walk->current->path : "";
	if (walk->scan->stopped)
		return DIRENT_ABORT;
	if (kind != DIRENT_OTHER_FILE || !entry->inode || size <= 0)
		return 0;
	if (++walk->scan->entries > GATE_ENTRIES_MAX) {
		gate_scan_stop(walk->scan, walk->partition, walk->current->path);
		return DIRENT_ABORT;
	}
	if (memchr(entry->name, '\0', (size_t)size) || memchr(entry->name, '/', (size_t)size) ||
		ext2fs_read_inode(walk->file_system, entry->inode, &node)) {
		gate_scan_unreadable(walk->scan, walk->partition, GATE_REASON_DAMAGED, walk->current->path);
		return 0;
	}
	if (!LINUX_S_ISREG(node.i_mode) && !LINUX_S_ISDIR(node.i_mode))
		return 0;
	if (snprintf(path, sizeof path, "%s/%.*s", prefix, size, entry->name) >= (int)sizeof path) {
		gate_scan_unreadable(walk->scan, walk->partition, GATE_REASON_LIMIT, walk->current->path);
		return 0;
	}
	if (LINUX_S_ISDIR(node.i_mode))
		push_folder(walk, entry->inode, walk->current->depth + 1, path);
	else
		look_at_file(walk, entry->inode, &node, path);
	return 0;
}

static void visit_folder(struct walk *walk, const struct folder *folder)
{
	struct ext2_inode node;
	errcode_t result = ext2fs_read_inode(walk->file_system, folder->inode, &node);
	walk->current = folder;
	if (!result && node.i_flags & EXT4_ENCRYPT_FL) {
		gate_scan_unreadable(walk->scan, walk->partition, GATE_REASON_ENCRYPTED, folder->path);
		return;
	}
	if (!result)
		result = ext2fs_dir_iterate2(walk->file_system, folder->inode, 0, NULL, visit_entry, walk);
	if (result && !walk->scan->stopped)
		gate_scan_unreadable(walk->scan, walk->partition, GATE_REASON_DAMAGED, folder->path);
}

static void walk_all(struct walk *walk)
{
	ext2_ino_t etc;
	walk->whole_is_home = ext2fs_lookup(walk->file_system, EXT2_ROOT_INO, "etc", 3, NULL, &etc) != 0;
	push_folder(walk, EXT2_ROOT_INO, 0, "/");
	while (walk->count) {
		struct folder folder = walk->stack[--walk->count];
		if (!walk->scan->stopped)
			visit_folder(walk, &folder);
		free(folder.path);
	}
	free(walk->stack);
	free(walk->seen);
}

/* ---- opening ---- */

/*
 * What libext2fs allocates goes by the number of groups, which the file system says: it must fit into the partition, and its groups must be no smaller than mke2fs makes them.
 */
static bool is_plausible(const struct partition *partition, const struct ext2_super_block *super)
{
	uint64_t blocks = ext2fs_le32_to_cpu(super->s_blocks_count);
	uint32_t shift = ext2fs_le32_to_cpu(super->s_log_block_size);
	if (ext2fs_le32_to_cpu(super->s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT)
		blocks |= (uint64_t)ext2fs_le32_to_cpu(super->s_blocks_count_hi) << 32;
	return shift <= 6 && blocks <= partition->size >> (10 + shift) &&
		(ext2fs_le32_to_cpu(super->s_blocks_per_group) >= 256 || blocks <= 65536);
}

static errcode_t open_file_system(struct stretch *stretch, ext2_filsys *file_system)
{
	char name[32];
	snprintf(name, sizeof name, "%" PRIxPTR, (uintptr_t)stretch);
	/* checksums are no proof against malice, and a file system whose checksums are wrong still boots */
	return ext2fs_open2(name, NULL, EXT2_FLAG_64BITS | EXT2_FLAG_IGNORE_CSUM_ERRORS, 0, 0,
		&stretch_manager, file_system);
}

void ext_scan(struct gate_scan *scan, const struct partition *partition)
{
	struct stretch stretch = { .disk = scan->disk, .offset = partition->offset, .size = partition->size };
	struct ext2_super_block super;
	ext2_filsys file_system;
	if (partition->size < 2048 ||
		gate_disk_read(scan->disk, partition->offset + 1024, &super, sizeof super) ||
		!is_plausible(partition, &super) || open_file_system(&stretch, &file_system)) {
		gate_scan_unreadable(scan, partition->number, GATE_REASON_DAMAGED, NULL);
		return;
	}
	if (ext2fs_le32_to_cpu(super.s_feature_incompat) & EXT3_FEATURE_INCOMPAT_RECOVER)
		gate_scan_unreadable(scan, partition->number, GATE_REASON_JOURNAL, NULL);
	struct walk *walk = memory_alloc(sizeof *walk);
	*walk = (struct walk){ .scan = scan, .file_system = file_system, .partition = partition->number };
	walk_all(walk);
	free(walk);
	ext2fs_free(file_system);
}
