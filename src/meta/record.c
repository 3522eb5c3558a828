/* A record's row and its C struct: the head comes from columns, the rest from the JSON body. No state. */
#include "meta/meta_internal.h"

#include <string.h>

#include "base/banned.h"
#include "shape/json.h"

/* Members that this program does not know are left out: a newer one wrote them. */
int meta_record_decode(const struct record_kind *kind, const struct record *head, const char *body,
	size_t size, struct arena *arena, void **record, struct error *err)
{
	void *decoded = arena_alloc(arena, kind->shape->size);
	if (size > BODY_SIZE_LIMIT)
		return error_set(
			err, ERROR_CORRUPT, "%s %s: a body of %zu bytes", kind->name, head->id, size);
	struct error why;
	if (json_decode(arena, kind->shape, body, size, true, decoded, &why))
		return error_set(err, ERROR_CORRUPT, "%s %s: %s", kind->name, head->id, why.message);
	memcpy(decoded, head, sizeof *head);
	*record = decoded;
	return 0;
}

int meta_record_read(const struct record_kind *kind, struct cursor *row, struct arena *arena, void **record,
	struct error *err)
{
	struct record head = {
		.account = arena_strdup(arena, cursor_text(row, 0)),
		.region = arena_strdup(arena, cursor_text(row, 1)),
		.id = arena_strdup(arena, cursor_text(row, 2)),
		.version = cursor_number(row, 3),
	};
	const char *body = cursor_text(row, 4);
	return meta_record_decode(kind, &head, body, cursor_size(row, 4), arena, record, err);
}
