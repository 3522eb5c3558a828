/*
 * The descriptors of pack files: each opened once, when it is first asked for, and shared. A pack that was removed is let go of when the last lease of it ends, so nobody reads from a
 * descriptor that has become another file's, and the disk gets its space back. For packs.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { PACK_NUMBER_LIMIT = 1 << 22 };

struct pack_files;

/* `folder` stays the caller's. */
struct pack_files *pack_files_create(const char *folder, bool writer);
void pack_files_destroy(struct pack_files *files); /* no lease is left; NULL is legal */

/* The version that a pack's header says it is of; 0 if it says none. What is wrong with it is found, and told, when it is needed. */
uint32_t pack_files_version(const struct pack_files *files, uint32_t number);
void pack_files_path(const struct pack_files *files, uint32_t number, char *path, size_t size);
/* Makes the file of a new pack. */
int pack_files_create_pack(struct pack_files *files, uint32_t number, int *fd, struct error *err);
/* The descriptor for whoever keeps the pack from being removed: it appends to it, or holds the store's maintenance lock. */
int pack_files_descriptor(struct pack_files *files, uint32_t number, int *fd, struct error *err);
/* The descriptor, valid until the lease is given back. ERROR_NOT_FOUND if there is no such pack (any more). Lock-free once the file is open. */
int pack_files_lease(struct pack_files *files, uint32_t number, int *fd, struct error *err);
void pack_files_return(struct pack_files *files, uint32_t number);
/* The file has no name any more: closed now, or with the last lease. */
void pack_files_forget(struct pack_files *files, uint32_t number);
/* The same for every file that is found to have lost its name. */
void pack_files_forget_removed(struct pack_files *files);
