/* Fuzz target (libFuzzer): pack and object headers, pages, roots. Whatever decodes must encode to the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "store/format.h"
#include "store/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct page page;
	static uint8_t again[PAGE_LIMIT];
	struct pack_header pack = { .group = PACK_SMALL };
	struct object_header object;
	struct root root;
	if (size >= OBJECT_HEADER_SIZE) {
		format_decode_pack(data, &pack);
		format_decode_object(&pack, 4096, data, &object);
	}
	if (!page_decode(data, size, &page) &&
		(page_encode(&page, again) != size || memcmp(again, data, size)))
		abort();
	if (!root_decode(data, size, &root)) {
		root_encode(&root, again);
		if (memcmp(again, data, size))
			abort();
	}
	return 0;
}
