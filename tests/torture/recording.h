/*
 * A recording: what one run of a scenario did to a folder, operation by operation, with the data. From it crash.h builds what a crash after any of them would leave.
 *
 * Files and folders are numbered nodes; node 0 is the folder that is recorded. A node keeps its number when it is renamed, and is never used again when it is removed.
 * Nothing here locks: the simulated disk does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORDING_NAME_SIZE = 72, RECORDING_NODE_LIMIT = 4096, SECTOR_SIZE = 512 };
/* Folders of this name stand for a tmpfs: what is in them survives a process, not a loss of power. */
#define RECORDING_TMPFS "tmpfs"

enum operation_kind {
	OPERATION_WRITE,
	OPERATION_PUNCH,
	OPERATION_TRUNCATE,
	OPERATION_EXTEND, /* makes the file at least so large */
	OPERATION_SYNC,
	OPERATION_SYNC_RANGE,  /* msync: what was written in the range */
	OPERATION_SYNC_FAILED, /* the kernel reported an error, and forgot what was to be written */
	OPERATION_CREATE,
	OPERATION_RENAME,
	OPERATION_REMOVE,
	OPERATION_SYNC_FOLDER,
};

struct operation {
	enum operation_kind kind;
	bool stored; /* a write by a store into a mapping: another such one that follows was not seen apart from it */
	uint32_t node;      /* the file; of the last four, the folder */
	uint32_t child;     /* CREATE: the new node */
	uint32_t to_folder; /* RENAME */
	uint64_t offset, size;
	uint8_t *data;
	char name[RECORDING_NAME_SIZE], to_name[RECORDING_NAME_SIZE];
};

struct recording_entry {
	char name[RECORDING_NAME_SIZE];
	uint32_t node;
};

struct recording_node {
	bool folder, tmpfs;
	struct recording_entry *entries; /* as they are now */
	unsigned entry_count;
};

struct recording {
	char root[256];
	struct operation *operations;
	size_t count, capacity;
	size_t initial; /* so many operations at the beginning tell what was there, durable, when the recording began */
	struct recording_node nodes[RECORDING_NODE_LIMIT];
	uint32_t node_count;
};

/* Another one that goes on from the first `count` operations of this one, in another folder that holds what they left. */
struct recording *recording_fork(const struct recording *recording, size_t count, const char *root);
/* A recording of the folder `root`, which may hold something. */
struct recording *recording_create(const char *root);
void recording_destroy(struct recording *recording); /* NULL is legal */

/* The node of a path; -1 if it is outside of the folder or there is none. */
int64_t recording_find(const struct recording *recording, const char *path);
/* The folder that holds a path, and the path's last name; -1 if it is outside. */
int64_t recording_find_folder(const struct recording *recording, const char *path, const char **name);

void recording_add_data(struct recording *recording, uint32_t node, uint64_t offset, const void *data,
	size_t size, bool stored);
void recording_add_change(
	struct recording *recording, enum operation_kind kind, uint32_t node, uint64_t offset, uint64_t size);
uint32_t recording_add_create(struct recording *recording, uint32_t folder, const char *name, bool is_folder);
void recording_add_rename(struct recording *recording, uint32_t folder, const char *name, uint32_t to_folder,
	const char *to_name);
void recording_add_remove(struct recording *recording, uint32_t folder, const char *name);

/* One line on standard output for each operation from `from` to `to`. */
void recording_print(const struct recording *recording, size_t from, size_t to);

/* Entries of a folder, for those who replay a recording as well. */
void entries_set(struct recording_entry **entries, unsigned *count, const char *name, uint32_t node);
bool entries_remove(struct recording_entry **entries, unsigned *count, const char *name, uint32_t *node);
const struct recording_entry *entries_find(
	const struct recording_entry *entries, unsigned count, const char *name);
