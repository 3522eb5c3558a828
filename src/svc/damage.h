/* What the damaged objects of a region's store mean to users: which snapshots, images and volumes they are parts of. Found out when it is asked for; costs next to nothing while there is no damage. */
#pragma once

#include "svc/amid.h"

struct damage_image {
	const char *id;
	const char *device; /* "/dev/sda1" */
};

/* A range of a disk that cannot be read. */
struct damage_range {
	const char *id;                    /* of the snapshot, or of the volume that stands on such a tree */
	uint64_t offset, size;             /* size UINT64_MAX: all of it */
	const struct damage_image *images; /* of a snapshot: those whose device it is */
	size_t image_count;
};

enum { DAMAGE_RANGES_EACH = 16 }; /* of one snapshot or volume; more are not listed */

/* Everything that is damaged in a region; the list is the arena's. */
int damage_list_ranges(struct amid *amid, struct amid_region *region, struct arena *arena,
	struct damage_range **ranges, size_t *count, struct error *err);
/* The first damaged range of a tree; *found false: there is none. `root` as in the records: hexadecimal, NULL or empty for nothing. For whoever tells the state of one volume. */
int damage_find_range(struct amid_region *region, const char *root, bool *found, uint64_t *offset,
	uint64_t *size, struct error *err);
/*
 * Writes onto the completed snapshots of a region which of them are damaged (their state message), and takes it off those that are not any more. Repeatable; a snapshot that changes at the same time is
 * left for the next time.
 */
int damage_note_snapshots(struct amid *amid, struct amid_region *region, struct error *err);
