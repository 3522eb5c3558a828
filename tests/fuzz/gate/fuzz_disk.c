/* Any bytes as a disk: partition tables and ext file systems that somebody has bent. Whatever it is, the scan ends, and every finding is one that amid would take. */
#include <stdlib.h>
#include <string.h>

#include "gate/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static int read_block(void *context, uint64_t index, void *block)
{
	const struct input *input = context;
	if (index * GATE_BLOCK_SIZE >= input->size)
		abort();
	size_t offset = (size_t)index * GATE_BLOCK_SIZE, left = input->size - offset;
	memcpy(block, input->data + offset, left < GATE_BLOCK_SIZE ? left : GATE_BLOCK_SIZE);
	return 0;
}

static void take_finding(void *context, const struct gate_finding *finding)
{
	if (finding->rule >= gate_rule_count() || finding->reason >= GATE_REASON_COUNT ||
		finding->partition > GATE_PARTITION_MAX ||
		!memchr(finding->path, '\0', sizeof finding->path) ||
		(finding->rule == GATE_RULE_UNREADABLE) != (finding->reason != GATE_REASON_NONE))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct gate_scan scan = { .disk = gate_disk_create(size, read_block, &input), .found = take_finding };
	gate_scan_run(&scan);
	gate_disk_destroy(scan.disk);
	if (scan.findings > GATE_FINDINGS_MAX)
		abort();
	return 0;
}
