/* EBS direct handlers called directly, over real metadata and a real store in a folder of their own. */
#pragma once

#include "../svc/handlers.h"
#include "api/ebs.h"
#include "svc/ebs/upload.h"

int ebs_scene_setup(
	void **state); /* *state is the struct scene of handlers.h, its first region with a store and uploads */
int ebs_scene_teardown(void **state);
/* Closes the uploads, the store and opens them again, as a restarted server does. */
void ebs_restart(struct scene *scene);
/* Calls that must succeed. */
const char *ebs_start(struct scene *scene, int64_t size_gib, const char *parent);
void ebs_put(struct scene *scene, const char *snapshot_id, int64_t index, unsigned char fill);
void ebs_complete(struct scene *scene, const char *snapshot_id, int64_t changed_blocks);
/* The code of a call. */
enum error_code ebs_try_put(struct scene *scene, const char *snapshot_id, int64_t index, unsigned char fill);
enum error_code ebs_try_complete(struct scene *scene, const char *snapshot_id, int64_t changed_blocks);
/* The listed blocks are exactly these (ended by -1), and each is filled with what `fills` says. */
void ebs_assert_blocks(
	struct scene *scene, const char *snapshot_id, const int *indexes, const unsigned char *fills);
struct snapshot_record *ebs_record(struct scene *scene, const char *snapshot_id); /* NULL: none */
/* Garbage collection with the roots of the snapshots' records. */
void ebs_collect(struct scene *scene);
