/* Values at a path of anything that a shape describes: requests and records alike. No state. */
#include <string.h>

#include "aws/scalar.h"
#include "shape/value.h"
#include "svc/authorize/internal.h"
#include "base/banned.h"

/* The member that a path begins with; *rest is what follows. */
static const struct shape_member *first_member(const struct shape *shape, const char *path, const char **rest)
{
	size_t size = strcspn(path, ".");
	*rest = path[size] ? path + size + 1 : NULL;
	for (unsigned i = 0; i < shape->member_count; i++) {
		const char *name = shape->members[i].name;
		if (strlen(name) == size && memcmp(name, path, size) == 0)
			return &shape->members[i];
	}
	return NULL;
}

static void add_field(const struct shape *shape, const void *field, const char *rest, struct arena *arena,
	struct texts *texts);

static void add_items(const struct shape *shape, const void *field, const char *rest, struct arena *arena,
	struct texts *texts)
{
	const struct shape_list *list = field;
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		if (shape->element->kind == SHAPE_STRUCTURE && rest)
			walk_texts(shape->element, item, rest, arena, texts);
		else if (shape->element->kind != SHAPE_STRUCTURE)
			add_field(shape->element, item, rest, arena, texts);
	}
}

static void add_field(const struct shape *shape, const void *field, const char *rest, struct arena *arena,
	struct texts *texts)
{
	if (shape_value_is_absent(shape, field))
		return;
	switch (shape->kind) {
	case SHAPE_STRUCTURE:
		if (rest)
			walk_texts(shape, *(const void *const *)field, rest, arena, texts);
		return;
	case SHAPE_LIST:
		add_items(shape, field, rest, arena, texts);
		return;
	case SHAPE_MAP:
	case SHAPE_BLOB:
		return;
	default:
		if (!rest)
			*ARENA_APPEND(arena, texts->items, texts->count) =
				scalar_format(arena, shape, "iso8601", field);
	}
}

void walk_texts(const struct shape *shape, const void *structure, const char *path, struct arena *arena,
	struct texts *texts)
{
	const char *rest;
	const struct shape_member *member = first_member(shape, path, &rest);
	if (member)
		add_field(member->shape, (const char *)structure + member->offset, rest, arena, texts);
}

const char *walk_text(const struct shape *shape, const void *structure, const char *path, struct arena *arena)
{
	struct texts texts = { 0 };
	walk_texts(shape, structure, path, arena, &texts);
	return texts.count ? texts.items[0] : NULL;
}

const void *walk_field(
	const struct shape *shape, const void *structure, const char *path, const struct shape **field_shape)
{
	for (;;) {
		const char *rest;
		const struct shape_member *member = first_member(shape, path, &rest);
		if (!member)
			return NULL;
		const void *field = (const char *)structure + member->offset;
		if (shape_value_is_absent(member->shape, field))
			return NULL;
		*field_shape = shape = member->shape;
		if (!rest)
			return field;
		if (shape->kind != SHAPE_STRUCTURE)
			return NULL;
		structure = *(const void *const *)field;
		path = rest;
	}
}
