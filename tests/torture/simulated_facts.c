/* What a simulated disk (simulated_disk.c) tells that is the same at all times: nothing that counts is in a cache, and there is room. No state. */
#include "base/disk.h"

#include "base/banned.h"

/* What a crash leaves is in no cache; and what is read must not depend on what else this machine does. */
bool disk_is_cached(int fd, uint64_t offset, uint64_t size)
{
	(void)fd;
	(void)offset;
	(void)size;
	return false;
}

int disk_space(const char *path, uint64_t *total, uint64_t *available)
{
	(void)path;
	*total = 64ULL << 30;
	*available = 32ULL << 30;
	return 0;
}
