/* Any bytes as a qcow2 file: it is refused, or every block can be asked for, and what is answered fits. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/qcow2.h"

enum { BLOCK = 512 * 1024, BLOCKS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t block[BLOCK];
	struct qcow2 *qcow2;
	struct error err;
	int fd FILE_SCOPED = memfd_create("qcow2", MFD_CLOEXEC);
	if (fd < 0 || file_write_full(fd, data, size) || qcow2_open(fd, &qcow2, &err))
		return 0;
	if (qcow2_size(qcow2) > QCOW2_SIZE_MAX)
		abort();
	uint64_t at = 0;
	for (int i = 0; i < BLOCKS_MAX && (at = qcow2_next(qcow2, at)) < qcow2_size(qcow2);
		i++, at += BLOCK) {
		bool empty;
		if (qcow2_read(qcow2, at, block, sizeof block, &empty, &err))
			break;
	}
	qcow2_close(qcow2);
	return 0;
}
