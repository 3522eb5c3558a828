/*
 * What a hostile QEMU may send its monitor's client: no crash, no leak, no unbounded memory. Bytes are fed in pieces whose sizes come from the input too.
 */
#include <stddef.h>
#include <stdint.h>

#include "compute/qmp_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_event(void *context, const char *name, json_t *data)
{
	/* as a driver does: look at fields that may be of any type or missing */
	const char *device = json_string_value(json_object_get(data, "device"));
	*(size_t *)context +=
		(device != NULL) + json_is_true(json_object_get(data, "guest")) + (size_t)(name[0] == 'S');
}

static const struct qmp_listener listener = { .event = on_event };

static int take(void *context, json_t *message)
{
	return qmp_take_message(context, message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t seen = 0;
	struct qmp_lines lines = { 0 };
	struct qmp *qmp = qmp_create_detached(&listener, &seen);
	while (size > 1) {
		size_t piece = 1 + data[0];
		data++;
		size--;
		if (piece > size)
			piece = size;
		if (qmp_lines_feed(&lines, (const char *)data, piece, take, qmp))
			break;
		data += piece;
		size -= piece;
	}
	qmp_lines_free(&lines);
	qmp_destroy_detached(qmp);
	return 0;
}
