/*
 * What a hostile guest may send over its agent's channel: no crash, no leak, a bounded line.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "compute/agent_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_reader reader = { .waiting_sentinel = size && data[0] & 1 };
	while (size > 1) {
		size_t piece = 1 + data[0], used;
		json_t *answer;
		data++;
		size--;
		if (piece > size)
			piece = size;
		agent_reader_feed(&reader, (const char *)data, piece, &used, &answer);
		if (used > piece || (used < piece && !answer) || (answer && !json_is_object(answer)) ||
			reader.line.size > AGENT_ANSWER_LIMIT)
			abort();
		json_decref(answer);
		data += used;
		size -= used;
	}
	buffer_free(&reader.line);
	return 0;
}
