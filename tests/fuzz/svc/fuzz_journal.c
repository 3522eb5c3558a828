/* Fuzz target (libFuzzer): the journal of an upload with any content. It opens or is refused; what opens can be read, and takes another record that is there afterwards. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "svc/ebs/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64] = "/dev/shm/amid-fuzz-journal-XXXXXX";
	struct journal *journal;
	struct journal_entry *entries, entry = { .index = 7, .digest = { { 1 } } };
	struct error err;
	size_t before, after;
	int fd = mkstemp(path);
	if (fd < 0 || file_write_full(fd, data, size))
		abort();
	close(fd);
	if (!journal_open(path, "snap-0123456789abcdef0", &journal, &err)) {
		if (!journal_load(journal, &entries, &before, &err)) {
			free(entries);
			if (!journal_append(journal, &entry, 1, &err) &&
				(journal_load(journal, &entries, &after, &err) || after < before || !after))
				abort();
			free(entries);
		}
		journal_close(journal);
	}
	unlink(path);
	return 0;
}
