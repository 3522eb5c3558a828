/*
 * Bodies of records as they lie on the disk: any bytes, decoded as every kind of record there is (the first byte
 * chooses). What decodes must survive a round trip: encoded, decoded and encoded again it is the same text, and
 * asks for the same index entries.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "meta/meta_internal.h"
#include "shape/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void compare_entries(const struct index_entries *a, const struct index_entries *b)
{
	require(a->count == b->count);
	for (size_t i = 0; i < a->count; i++)
		require(!strcmp(a->items[i].name, b->items[i].name) &&
			!strcmp(a->items[i].value, b->items[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	size_t kinds = 0;
	while (record_kinds[kinds])
		kinds++;
	const struct record_kind *kind = record_kinds[data[0] % kinds];
	const struct record head = { "1", "r", "id", 1 };
	struct arena *arena ARENA_SCOPED = arena_create();
	struct buffer first BUFFER_SCOPED = { 0 }, second BUFFER_SCOPED = { 0 };
	struct index_entries entries, again;
	struct error err;
	void *record;
	if (meta_record_decode(kind, &head, (const char *)data + 1, size - 1, arena, &record, &err))
		return 0;
	if (meta_index_entries(kind, record, arena, &entries, &err)) {
		require(err.code == ERROR_INVALID); /* a value too long: every path leads to a plain value */
		return 0;
	}
	json_encode(&first, kind->shape, record);
	require(!meta_record_decode(kind, &head, buffer_text(&first), first.size, arena, &record, &err));
	json_encode(&second, kind->shape, record);
	require(first.size == second.size && !memcmp(first.data, second.data, first.size));
	require(!meta_index_entries(kind, record, arena, &again, &err));
	compare_entries(&entries, &again);
	return 0;
}
