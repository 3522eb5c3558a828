/* Shared by imds.c (requests) and tree.c (what there is to read). */
#pragma once

#include "api/records.h"
#include "base/arena.h"
#include "svc/amid.h"

/* One leaf of an instance's metadata: "meta-data/instance-id" and its text. */
struct imds_leaf {
	const char *path;
	const char *data;
	size_t size;
};

struct imds_tree {
	struct imds_leaf *leaves;
	size_t count;
};

/* Everything that the instance may read below a version, in the arena. */
int imds_tree_build(struct amid *amid, const struct instance_record *instance, struct arena *arena,
	struct imds_tree *tree, struct error *err);

/*
 * Looks a path up (without the version, no slash at its ends): a leaf's text, or a listing of what lies below, one name a line, with a slash behind those that have more below them. false: nothing there.
 */
bool imds_tree_find(
	const struct imds_tree *tree, const char *path, struct arena *arena, const char **data, size_t *size);
