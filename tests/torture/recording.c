/* Keeping a recording, and the names as they are at its end. */
#include "recording.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/banned.h"

enum { SCAN_CHUNK = 65536 };

const struct recording_entry *entries_find(
	const struct recording_entry *entries, unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(entries[i].name, name))
			return &entries[i];
	return NULL;
}

void entries_set(struct recording_entry **entries, unsigned *count, const char *name, uint32_t node)
{
	entries_remove(entries, count, name, NULL);
	*entries = memory_realloc(*entries, (*count + 1) * sizeof **entries);
	struct recording_entry *entry = &(*entries)[(*count)++];
	snprintf(entry->name, sizeof entry->name, "%s", name);
	entry->node = node;
}

bool entries_remove(struct recording_entry **entries, unsigned *count, const char *name, uint32_t *node)
{
	for (unsigned i = 0; i < *count; i++) {
		if (strcmp((*entries)[i].name, name) != 0)
			continue;
		if (node)
			*node = (*entries)[i].node;
		memmove(*entries + i, *entries + i + 1, (*count - i - 1) * sizeof **entries);
		(*count)--;
		return true;
	}
	return false;
}

static struct operation *add(struct recording *recording, enum operation_kind kind, uint32_t node)
{
	if (recording->count == recording->capacity) {
		recording->capacity = recording->capacity ? 2 * recording->capacity : 256;
		recording->operations = memory_realloc(
			recording->operations, recording->capacity * sizeof *recording->operations);
	}
	struct operation *operation = &recording->operations[recording->count++];
	*operation = (struct operation){ .kind = kind, .node = node };
	return operation;
}

void recording_add_data(struct recording *recording, uint32_t node, uint64_t offset, const void *data,
	size_t size, bool stored)
{
	struct operation *operation = add(recording, OPERATION_WRITE, node);
	operation->offset = offset;
	operation->size = size;
	operation->stored = stored;
	operation->data = memory_alloc(size);
	memcpy(operation->data, data, size);
}

void recording_add_change(
	struct recording *recording, enum operation_kind kind, uint32_t node, uint64_t offset, uint64_t size)
{
	struct operation *operation = add(recording, kind, node);
	operation->offset = offset;
	operation->size = size;
}

uint32_t recording_add_create(struct recording *recording, uint32_t folder, const char *name, bool is_folder)
{
	struct recording_node *parent = &recording->nodes[folder];
	if (recording->node_count == RECORDING_NODE_LIMIT || strlen(name) >= RECORDING_NAME_SIZE)
		abort();
	uint32_t child = recording->node_count++;
	recording->nodes[child].folder = is_folder;
	recording->nodes[child].tmpfs = parent->tmpfs || (is_folder && !strcmp(name, RECORDING_TMPFS));
	struct operation *operation = add(recording, OPERATION_CREATE, folder);
	operation->child = child;
	snprintf(operation->name, sizeof operation->name, "%s", name);
	entries_set(&parent->entries, &parent->entry_count, name, child);
	return child;
}

void recording_add_rename(struct recording *recording, uint32_t folder, const char *name, uint32_t to_folder,
	const char *to_name)
{
	struct recording_node *from = &recording->nodes[folder], *to = &recording->nodes[to_folder];
	struct operation *operation = add(recording, OPERATION_RENAME, folder);
	operation->to_folder = to_folder;
	snprintf(operation->name, sizeof operation->name, "%s", name);
	snprintf(operation->to_name, sizeof operation->to_name, "%s", to_name);
	uint32_t node;
	if (!entries_remove(&from->entries, &from->entry_count, name, &node))
		abort();
	entries_set(&to->entries, &to->entry_count, to_name, node);
}

void recording_add_remove(struct recording *recording, uint32_t folder, const char *name)
{
	struct operation *operation = add(recording, OPERATION_REMOVE, folder);
	snprintf(operation->name, sizeof operation->name, "%s", name);
	entries_remove(&recording->nodes[folder].entries, &recording->nodes[folder].entry_count, name, NULL);
}

static const char *inside(const struct recording *recording, const char *path)
{
	size_t length = strlen(recording->root);
	if (strncmp(path, recording->root, length) != 0 || (path[length] && path[length] != '/'))
		return NULL;
	return path + length;
}

/* Walks `length` bytes of a path from the root. */
static int64_t walk(const struct recording *recording, const char *path, size_t length)
{
	uint32_t node = 0;
	for (const char *end = path + length; path < end;) {
		char name[RECORDING_NAME_SIZE];
		size_t size = strcspn(path, "/");
		if (size > (size_t)(end - path))
			size = (size_t)(end - path);
		if (size && (size != 1 || *path != '.')) {
			if (size >= sizeof name)
				return -1;
			snprintf(name, sizeof name, "%.*s", (int)size, path);
			const struct recording_entry *entry = entries_find(
				recording->nodes[node].entries, recording->nodes[node].entry_count, name);
			if (!entry)
				return -1;
			node = entry->node;
		}
		path += size + (path + size < end);
	}
	return node;
}

int64_t recording_find(const struct recording *recording, const char *path)
{
	const char *rest = inside(recording, path);
	return rest ? walk(recording, rest, strlen(rest)) : -1;
}

int64_t recording_find_folder(const struct recording *recording, const char *path, const char **name)
{
	const char *rest = inside(recording, path), *slash = rest ? strrchr(rest, '/') : NULL;
	if (!slash)
		return -1;
	*name = slash + 1;
	return walk(recording, rest, (size_t)(slash - rest));
}

static void scan_file(struct recording *recording, uint32_t node, const char *path)
{
	static uint8_t chunk[SCAN_CHUNK];
	struct stat status;
	int fd FILE_SCOPED = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status))
		abort();
	recording_add_change(recording, OPERATION_TRUNCATE, node, 0, (uint64_t)status.st_size);
	for (off_t at = lseek(fd, 0, SEEK_DATA), end; at >= 0; at = lseek(fd, end, SEEK_DATA)) {
		end = lseek(fd, at, SEEK_HOLE);
		if (end - at > SCAN_CHUNK)
			end = at + SCAN_CHUNK;
		if (file_pread_full(fd, chunk, (size_t)(end - at), at))
			abort();
		recording_add_data(recording, node, (uint64_t)at, chunk, (size_t)(end - at), false);
	}
}

static void scan_folder(struct recording *recording, uint32_t node, const char *path)
{
	DIR *folder = opendir(path);
	if (!folder)
		abort();
	for (struct dirent *entry; (entry = readdir(folder));) {
		char inner[512];
		struct stat status;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
		if (lstat(inner, &status))
			abort();
		uint32_t child =
			recording_add_create(recording, node, entry->d_name, S_ISDIR(status.st_mode));
		if (S_ISDIR(status.st_mode))
			scan_folder(recording, child, inner);
		else
			scan_file(recording, child, inner);
	}
	closedir(folder);
}

struct recording *recording_create(const char *root)
{
	struct recording *recording = memory_alloc(sizeof *recording);
	memset(recording, 0, sizeof *recording);
	snprintf(recording->root, sizeof recording->root, "%s", root);
	recording->nodes[recording->node_count++].folder = true;
	scan_folder(recording, 0, root);
	recording->initial = recording->count;
	return recording;
}

struct recording *recording_fork(const struct recording *recording, size_t count, const char *root)
{
	struct recording *fork = memory_alloc(sizeof *fork);
	memset(fork, 0, sizeof *fork);
	snprintf(fork->root, sizeof fork->root, "%s", root);
	fork->nodes[fork->node_count++].folder = true;
	for (size_t i = 0; i < count; i++) {
		const struct operation *operation = &recording->operations[i];
		if (operation->kind == OPERATION_WRITE)
			recording_add_data(fork, operation->node, operation->offset, operation->data,
				operation->size, operation->stored);
		else if (operation->kind == OPERATION_CREATE)
			recording_add_create(fork, operation->node, operation->name,
				recording->nodes[operation->child].folder);
		else if (operation->kind == OPERATION_RENAME)
			recording_add_rename(fork, operation->node, operation->name, operation->to_folder,
				operation->to_name);
		else if (operation->kind == OPERATION_REMOVE)
			recording_add_remove(fork, operation->node, operation->name);
		else
			recording_add_change(
				fork, operation->kind, operation->node, operation->offset, operation->size);
	}
	fork->initial = recording->initial;
	return fork;
}

void recording_destroy(struct recording *recording)
{
	if (!recording)
		return;
	for (size_t i = 0; i < recording->count; i++)
		free(recording->operations[i].data);
	for (uint32_t i = 0; i < recording->node_count; i++)
		free(recording->nodes[i].entries);
	free(recording->operations);
	free(recording);
}

void recording_print(const struct recording *recording, size_t from, size_t to)
{
	static const char *const kinds[] = { "write", "punch", "truncate", "extend", "sync", "sync range",
		"sync failed", "create", "rename", "remove", "sync folder" };
	for (size_t i = from; i < to && i < recording->count; i++) {
		const struct operation *operation = &recording->operations[i];
		printf("%6zu node %" PRIu32 " %s%s offset=%" PRIu64 " size=%" PRIu64 " %s %s", i,
			operation->node, kinds[operation->kind], operation->stored ? " (store)" : "",
			operation->offset, operation->size, operation->name, operation->to_name);
		if (operation->kind == OPERATION_CREATE)
			printf(" is node %" PRIu32, operation->child);
		printf("\n");
	}
}
