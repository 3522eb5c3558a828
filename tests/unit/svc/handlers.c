#include "handlers.h"

#include "base/file.h"
#include "svc/iam_policies.h"
#include "svc/key_ring.h"
#include "svc/secret.h"

static const char *const region_names[] = { "us-east-1", "us-west-2", NULL };

static const struct principal tester = { .type = PRINCIPAL_USER,
	.account = "111111111111",
	.arn = "arn:aws:iam::111111111111:user/tester",
	.id = "AIDATESTER",
	.user_name = "tester" };

static void note_change(void *context, const struct meta_change *change)
{
	iam_policies_note(context, change);
}

int scene_setup(void **state)
{
	struct scene *s = calloc(1, sizeof *s);

	snprintf(s->folder, sizeof s->folder, "/tmp/amid-svc-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	s->arena = arena_create();
	if (meta_open(arena_printf(s->arena, "%s/meta.db", s->folder), &s->meta, &s->err) != 0)
		fail_msg("%s", s->err.message);
	s->config =
		(struct amid_config){ .listen = "127.0.0.1:4566", .auth_any = true, .regions = region_names };
	s->regions[0].name = region_names[0];
	s->regions[1].name = region_names[1];
	s->amid = (struct amid){
		.config = &s->config, .meta = s->meta, .regions = s->regions, .region_count = 2
	};
	s->amid.iam_policies = iam_policies_open();
	meta_set_listener(s->meta, note_change, s->amid.iam_policies);
	memset(s->amid.token_key, 7, sizeof s->amid.token_key);
	if (secrets_open(&(struct secrets_config){ .data = s->folder }, s->meta, &s->amid.secrets, &s->err))
		fail_msg("%s", s->err.message);
	s->amid.key_ring = key_ring_create();
	s->call = (struct call){
		.amid = &s->amid,
		.arena = s->arena,
		.operation = &s->operation,
		.account = "111111111111",
		.region = "us-east-1",
		.principal = &tester,
	};
	*state = s;
	return 0;
}

int scene_teardown(void **state)
{
	struct scene *s = *state;
	static const char *const files[] = { "meta.db", "meta.db-wal", "meta.db-shm", "meta.db-lock",
		"root-key" };
	char path[128];

	key_ring_destroy(s->amid.key_ring);
	secrets_close(s->amid.secrets);
	meta_close(s->meta);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", s->folder, files[i]);
		remove(path);
	}
	remove(s->folder);
	arena_destroy(s->arena);
	iam_policies_close(s->amid.iam_policies);
	free(s);
	return 0;
}

enum error_code scene_run(struct scene *scene, const struct shape_operation *shape,
	int (*handler)(struct call *, const void *, void *, struct error *), const void *request,
	void *result)
{
	scene->operation.shape = shape;
	scene->err = (struct error){ 0 };
	if (shape->output)
		memset(result, 0, shape->output->size);
	return handler(&scene->call, request, result, &scene->err) == 0 ? ERROR_NONE : scene->err.code;
}

void scene_put(struct scene *scene, const struct record_kind *kind, const void *record)
{
	struct meta_batch *batch = meta_batch_create(scene->meta, scene->arena);

	meta_batch_put(batch, kind, record);
	if (meta_commit(scene->meta, batch, &scene->err) != 0)
		fail_msg("%s", scene->err.message);
}
