/*
 * Fuzz target (libFuzzer): a trail with any content. Of the bytes the first says where the head's and the index's end. Checking and searching it ends well; it opens, takes a record, and that one is found; a trail that was whole
 * is whole afterwards.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/log.h"
#include "audit/search.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define EVENT "{\"fuzz\":\"the record that is appended\"}"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int describe(
	const char *event, size_t size, int64_t *time_ms, uint64_t words[AUDIT_WORDS_MAX], size_t *count)
{
	*time_ms = (int64_t)size;
	words[0] = size;
	*count = 1;
	return size % 7 ? 0 : -1;
}

static bool take(void *context, const char *event, size_t size, const struct audit_place *place)
{
	if (size == strlen(EVENT) && memcmp(event, EVENT, size) == 0)
		++*(unsigned *)context;
	return true;
}

static void put(struct arena *arena, const char *folder, const char *name, const void *data, size_t size)
{
	int fd = open(arena_printf(arena, "%s/%s", folder, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || file_write_full(fd, data, size))
		abort();
	close(fd);
}

static unsigned search(const char *folder)
{
	unsigned count = 0;
	struct error err;
	const struct audit_search asked = { .found = take, .context = &count };
	if (audit_search(folder, &asked, &err))
		abort();
	return count;
}

static void append(const char *folder, bool was_whole)
{
	struct audit_log *log;
	struct audit_verdict verdict;
	struct error err;
	uint64_t word = 1;
	if (audit_log_open(folder, 0, describe, &log, &err))
		return;
	unsigned before = search(folder);
	uint64_t number = audit_log_append(log, 1, EVENT, strlen(EVENT), &word, 1);
	if (audit_log_sync(log, number, &err) == 0 &&
		(search(folder) != before + 1 || audit_verify(folder, &verdict, &err) ||
			(was_whole && !verdict.whole)))
		abort();
	audit_log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char folder[] = "/dev/shm/amid-fuzz-audit-XXXXXX";
	struct audit_verdict verdict;
	struct error err;
	log_set_level((enum log_level) - 1);
	if (size < 2 || !mkdtemp(folder))
		return 0;
	size_t head = data[0] % 2 ? AUDIT_HEAD_SIZE : 0, index = (size_t)data[1] * 8;
	data += 2;
	size -= 2;
	if (head > size)
		head = size;
	if (head)
		put(arena, folder, "head", data, head);
	size_t log_size = size - head, index_size = index < log_size ? index : log_size;
	put(arena, folder, "2026-11-21.0001.log", data + head, log_size - index_size);
	put(arena, folder, "2026-11-21.0001.index", data + size - index_size, index_size);
	if (audit_verify(folder, &verdict, &err))
		abort();
	search(folder);
	append(folder, verdict.whole);
	file_remove_tree(folder, NULL);
	return 0;
}
