/*
 * Which trees of a region's store somebody needs: the roots of snapshots, also of those in the recycle bin; what copies in other regions are still to bring, and what other amids are copying; the bases of root volumes that are to be replaced, of volumes, as their
 * records and as their manifests have them, and of what instances were launched with.
 */
#pragma once

#include <stdbool.h>

#include "base/digest.h"
#include "svc/amid.h"

struct published_roots {
	struct digest *items; /* the arena's */
	size_t count;
};

/*
 * All of them, for a collection. Takes the region's roots lock for writing, so that a root which moves from a record into a manifest is seen in the one or in the other.
 */
int published_list(struct amid *amid, struct amid_region *region, struct arena *arena,
	struct published_roots *roots, struct error *err);
/* For each of some roots, whether it is one. Looks only for these: in the records by their indexes, in the manifests if need be. Takes the same lock. */
int published_find(struct amid *amid, struct amid_region *region, const struct digest *roots, size_t count,
	bool *published, struct error *err);
/* What the records alone say, by region and without a lock, for whoever has the metadata to itself: `hex` is a root digest, NULL or empty; `id` is the record's. */
typedef int published_visit(void *context, const char *id, const char *hex, struct error *err);
int published_visit_recorded(struct meta *meta, const char *region, struct arena *arena,
	published_visit *visit, void *context, struct error *err);
/* The bases in the manifests alone. The caller holds the roots lock, if it matters that one moves. */
int published_list_bases(
	struct amid_region *region, struct arena *arena, struct published_roots *roots, struct error *err);
/* Whether an index of a kind of record holds roots; *elsewhere: of a tree in another region's store, perhaps. */
bool published_in_index(const char *kind, const char *index, bool *elsewhere);
