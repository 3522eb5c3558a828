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

struct imds_roles; /* the credentials that instances were given lately */

struct imds_roles *imds_roles_create(void);
void imds_roles_destroy(struct imds_roles *roles); /* NULL is legal */
/* The role that the instance's profile gives it now; *role NULL: none. `profile` NULL, or where the profile goes: NULL if there is none any more. */
int imds_role_find(struct amid *amid, const struct instance_record *instance, struct arena *arena,
	struct iam_role_record **role, const struct instance_profile_record **profile, struct error *err);
/*
 * What there is at iam/security-credentials/ROLE: credentials of the instance, for six hours and renewed after one; or why the role gives none. `delivery` is "2.0" for a request with a token, else "1.0". *document NULL: the
 * instance does not have that role.
 */
int imds_role_credentials(struct amid *amid, struct imds_roles *roles, const struct instance_record *instance,
	const char *role_name, const char *delivery, struct arena *arena, const char **document,
	struct error *err);
/* iam/info, of an instance with a profile. */
const char *imds_role_info(const struct instance_record *instance,
	const struct instance_profile_record *profile, struct arena *arena);
#define IMDS_CREDENTIALS "meta-data/iam/security-credentials/"

/*
 * Looks a path up (without the version, no slash at its ends): a leaf's text, or a listing of what lies below, one name a line, with a slash behind those that have more below them. false: nothing there.
 */
bool imds_tree_find(
	const struct imds_tree *tree, const char *path, struct arena *arena, const char **data, size_t *size);
