#include "scene.h"

#include "base/file.h"

static void open_parts(struct scene *s)
{
	struct amid_region *region = &s->regions[0];
	if (store_open(region->store_folder, &region->store, &s->err) ||
		uploads_open(&s->amid, &s->amid.uploads, &s->err))
		fail_msg("%s", s->err.message);
}

int ebs_scene_setup(void **state)
{
	scene_setup(state);
	struct scene *s = *state;
	s->amid.region_count = 1;
	s->regions[0].store_folder = arena_printf(s->arena, "%s/store", s->folder);
	s->regions[0].uploads_folder = arena_printf(s->arena, "%s/uploads", s->folder);
	assert_int_equal(file_make_folder(s->regions[0].uploads_folder, 0700, &s->err), 0);
	open_parts(s);
	return 0;
}

static void close_parts(struct scene *s)
{
	uploads_close(s->amid.uploads);
	store_close(s->regions[0].store);
}

int ebs_scene_teardown(void **state)
{
	struct scene *s = *state;
	close_parts(s);
	file_remove_tree(s->regions[0].store_folder, &s->err);
	file_remove_tree(s->regions[0].uploads_folder, &s->err);
	return scene_teardown(state);
}

void ebs_restart(struct scene *s)
{
	close_parts(s);
	open_parts(s);
}

#define EBS_RUN(scene, name, handler, request, result) \
	scene_run((scene), &ebs_operation_##name, \
		(int (*)(struct call *, const void *, void *, struct error *))(void *)(handler), (request), \
		(result))

const char *ebs_start(struct scene *s, int64_t size_gib, const char *parent)
{
	const struct ebs_StartSnapshotRequest request = { .volume_size = some_integer(size_gib),
		.parent_snapshot_id = parent };
	struct ebs_StartSnapshotResponse result;
	assert_ok(EBS_RUN(s, StartSnapshot, ebs_start_snapshot, &request, &result));
	assert_string_equal(result.status, "pending");
	return result.snapshot_id;
}

enum error_code ebs_try_put(struct scene *s, const char *snapshot_id, int64_t index, unsigned char fill)
{
	static uint8_t data[STORE_BLOCK_SIZE];
	struct digest digest;
	memset(data, fill, sizeof data);
	digest_sha256(data, sizeof data, &digest);
	const struct ebs_PutSnapshotBlockRequest request = {
		.snapshot_id = snapshot_id,
		.block_index = some_integer(index),
		.block_data = { data, sizeof data },
		.data_length = some_integer(sizeof data),
		.checksum = text_base64(s->arena, digest.bytes, DIGEST_SIZE),
		.checksum_algorithm = "SHA256",
	};
	struct ebs_PutSnapshotBlockResponse result;
	return EBS_RUN(s, PutSnapshotBlock, ebs_put_snapshot_block, &request, &result);
}

enum error_code ebs_try_complete(struct scene *s, const char *snapshot_id, int64_t changed_blocks)
{
	const struct ebs_CompleteSnapshotRequest request = { .snapshot_id = snapshot_id,
		.changed_blocks_count = some_integer(changed_blocks) };
	struct ebs_CompleteSnapshotResponse result;
	return EBS_RUN(s, CompleteSnapshot, ebs_complete_snapshot, &request, &result);
}

void ebs_put(struct scene *s, const char *snapshot_id, int64_t index, unsigned char fill)
{
	assert_ok(ebs_try_put(s, snapshot_id, index, fill));
}

void ebs_complete(struct scene *s, const char *snapshot_id, int64_t changed_blocks)
{
	assert_ok(ebs_try_complete(s, snapshot_id, changed_blocks));
}

void ebs_assert_blocks(
	struct scene *s, const char *snapshot_id, const int *indexes, const unsigned char *fills)
{
	const struct ebs_ListSnapshotBlocksRequest list = { .snapshot_id = snapshot_id };
	struct ebs_ListSnapshotBlocksResponse listed;
	size_t count = 0;
	assert_ok(EBS_RUN(s, ListSnapshotBlocks, ebs_list_snapshot_blocks, &list, &listed));
	while (indexes[count] >= 0)
		count++;
	assert_int_equal(listed.blocks.count, count);
	for (size_t i = 0; i < count; i++) {
		const struct ebs_Block *block = &listed.blocks.items[i];
		assert_int_equal(block->block_index.value, indexes[i]);
		const struct ebs_GetSnapshotBlockRequest get = { .snapshot_id = snapshot_id,
			.block_index = block->block_index,
			.block_token = block->block_token };
		struct ebs_GetSnapshotBlockResponse got;
		assert_ok(EBS_RUN(s, GetSnapshotBlock, ebs_get_snapshot_block, &get, &got));
		assert_int_equal(got.block_data.size, STORE_BLOCK_SIZE);
		assert_int_equal(got.block_data.data[0], fills[i]);
		assert_memory_equal(got.block_data.data, got.block_data.data + 1, STORE_BLOCK_SIZE - 1);
	}
}

struct snapshot_record *ebs_record(struct scene *s, const char *snapshot_id)
{
	struct snapshot_record *snapshot;
	assert_int_equal(meta_get(s->meta, &record_snapshot, s->call.account, s->call.region, snapshot_id,
				 s->arena, &snapshot, &s->err),
		0);
	return snapshot;
}

struct roots {
	struct scene *scene;
	struct meta_rows rows;
	size_t next;
	bool listed;
};

static int next_root(void *context, struct digest *root, struct error *err)
{
	struct roots *roots = context;
	if (!roots->listed &&
		meta_list(roots->scene->meta, &record_snapshot, &(struct meta_query){ 0 },
			roots->scene->arena, &roots->rows, err))
		return -1;
	roots->listed = true;
	while (roots->next < roots->rows.count) {
		const struct snapshot_record *snapshot = roots->rows.items[roots->next++];
		if (snapshot->root)
			return text_unhex(snapshot->root, root->bytes, DIGEST_SIZE) ? -1 : 1;
	}
	return 0;
}

void ebs_collect(struct scene *s)
{
	struct roots roots = { .scene = s };
	struct store_collect_result result;
	if (store_collect(s->regions[0].store, next_root, &roots, &result, &s->err))
		fail_msg("%s", s->err.message);
}
