/*
 * Space ahead of sequential writers: a layer's file gets its blocks in large pieces before they are written, so that a write needs to find none. For the volume folder only.
 */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "base/space.h"

struct ahead {
	pthread_mutex_t lock;
	uint64_t begin, end;   /* of the run of writes under way */
	uint64_t reserved_end; /* space was asked for up to here */
};

void ahead_init(struct ahead *ahead);
void ahead_destroy(struct ahead *ahead);
/*
 * A write to a part of the file that may have no blocks yet is about to happen. Whatever goes wrong here costs speed only. `file_size`: nothing is reserved beyond it. Any thread; never waits for
 * another one. Nothing is reserved unless the disk of `folder` has far more than that left beyond its reserve.
 */
void ahead_note_write(struct ahead *ahead, int fd, uint64_t file_size, uint64_t offset, uint64_t size,
	const char *folder, const struct space_reserve *reserve);
