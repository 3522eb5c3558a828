/* Any bytes as any file: each look at the content stays within it. */
#include <stdlib.h>
#include <string.h>

#include "gate/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = { "/root/x", "/root/.ssh/authorized_keys", "/root/.aws/config",
		"/root/.netrc", "/root/.pgpass", "/root/.my.cnf", "/root/.git-credentials",
		"/root/.docker/config.json", "/root/.kube/config", "/root/.npmrc", "/etc/shadow",
		"/var/lib/cloud/instances/i/user-data.txt" };
	if (!size || size > GATE_CONTENT_SIZE)
		return 0;
	char *content = malloc(size + 1); /* exactly, so that a byte too many is noticed */
	memcpy(content, data, size);
	content[size] = '\0';
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		gate_match(paths[i], size, false, content, size);
	free(content);
	return 0;
}
