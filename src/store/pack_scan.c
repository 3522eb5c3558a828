/* Looking for objects in a pack by their headers, wherever they begin: for recovery, which believes nothing else, and for checks. Any thread; holds no lock. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/disk.h"
#include "store/packs.h"
#include "base/banned.h"

int packs_scan(struct packs *packs, uint32_t number, uint64_t from, packs_visit *visit, void *context,
	uint64_t *end_out, struct error *err)
{
	struct pack_header pack;
	struct object_header object;
	struct stat status;
	uint8_t bytes[OBJECT_HEADER_SIZE];
	int fd;
	if (packs_read_header(packs, number, &pack, err) || packs_descriptor(packs, number, &fd, err))
		return -1;
	if (fstat(fd, &status))
		return error_set_errno(err, errno, "cannot examine pack %" PRIu32, number);
	uint64_t offset = from > PACK_HEADER_SIZE ? from : PACK_HEADER_SIZE;
	uint64_t size = (uint64_t)status.st_size, data_end = 0, alignment = format_alignment(pack.group);
	*end_out = offset;
	while (offset + OBJECT_HEADER_SIZE <= size) {
		if (disk_read(fd, bytes, sizeof bytes, offset))
			return error_set_errno(err, errno, "cannot read pack %" PRIu32, number);
		uint64_t end = format_decode_object(&pack, offset, bytes, &object)
			? 0
			: format_object_end(pack.group, offset, object.stored_size);
		if (end && end <= (size + alignment - 1) / alignment * alignment) {
			struct index_entry entry = { .digest = object.digest,
				.pack = number,
				.offset = offset,
				.size = object.size,
				.stored_size = object.stored_size,
				.kind = object.kind,
				.encoding = object.encoding };
			if (visit(context, &entry, object.state == OBJECT_LIVE, err))
				return -1;
			*end_out = offset = end;
			continue;
		}
		/* no header here: on to the next place one may be, over holes at once */
		offset += alignment;
		if (offset >= data_end) {
			uint64_t next = offset;
			int more = disk_next_data(fd, &next, &data_end);
			if (more < 0)
				return error_set_errno(err, errno, "cannot examine pack %" PRIu32, number);
			if (!more)
				break;
			offset = next > offset ? next / alignment * alignment : offset;
		}
	}
	return 0;
}
