/* Any bytes as the body of an image record: what is taken is written as JSON that reads back the same, strictly. */
#include <stdlib.h>
#include <string.h>

#include "api/records.h"
#include "shape/json.h"
#include "shape/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct buffer once BUFFER_SCOPED = { 0 }, twice BUFFER_SCOPED = { 0 };
	struct image_record image = { 0 }, again = { 0 };
	struct error err;
	/* exactly `size` bytes, so that reading behind them is seen */
	char *text = malloc(size ? size : 1);
	if (size)
		memcpy(text, data, size);
	int result = json_decode(arena, record_image.shape, text, size, true, &image, &err);
	free(text);
	if (result < 0)
		return 0;
	json_encode(&once, record_image.shape, &image);
	if (!utf8_valid(once.data, once.size) ||
		json_decode(arena, record_image.shape, once.data, once.size, false, &again, &err) < 0)
		abort();
	json_encode(&twice, record_image.shape, &again);
	if (once.size != twice.size || memcmp(once.data, twice.data, once.size) != 0)
		abort();
	return 0;
}
