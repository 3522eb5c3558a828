/* A direct-mapped cache of blocks: file systems keep metadata together, so a few dozen lines are enough for a walk. */
#include "gate/disk.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

enum { LINES = 48 };

struct line {
	uint64_t index;
	uint8_t *data; /* NULL: nothing is here yet */
	bool valid;
};

struct gate_disk {
	uint64_t size;
	gate_read_block *read_block;
	void *context;
	struct line lines[LINES];
};

struct gate_disk *gate_disk_create(uint64_t size, gate_read_block *read_block, void *context)
{
	struct gate_disk *disk = memory_alloc(sizeof *disk);
	*disk = (struct gate_disk){ .size = size, .read_block = read_block, .context = context };
	return disk;
}

void gate_disk_destroy(struct gate_disk *disk)
{
	if (!disk)
		return;
	for (size_t i = 0; i < LINES; i++)
		free(disk->lines[i].data);
	free(disk);
}

uint64_t gate_disk_size(const struct gate_disk *disk)
{
	return disk->size;
}

static const struct line *find_line(struct gate_disk *disk, uint64_t index)
{
	struct line *line = &disk->lines[index % LINES];
	if (line->valid && line->index == index)
		return line;
	if (!line->data)
		line->data = memory_alloc(GATE_BLOCK_SIZE);
	line->index = index;
	line->valid = disk->read_block(disk->context, index, line->data) == 0;
	return line->valid ? line : NULL;
}

int gate_disk_read(struct gate_disk *disk, uint64_t offset, void *data, size_t size)
{
	uint8_t *to = data;
	if (offset > disk->size || size > disk->size - offset)
		return -1;
	while (size) {
		uint64_t from = offset % GATE_BLOCK_SIZE;
		size_t part = size < GATE_BLOCK_SIZE - from ? size : (size_t)(GATE_BLOCK_SIZE - from);
		const struct line *line = find_line(disk, offset / GATE_BLOCK_SIZE);
		if (!line)
			return -1;
		memcpy(to, line->data + from, part);
		to += part;
		offset += part;
		size -= part;
	}
	return 0;
}
