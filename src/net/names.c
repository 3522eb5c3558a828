/* Names by hash: see names.h. SHA-256 is more than is needed, but it is there; what is cut off leaves collisions to a chance of 2^-48 a pair. */
#include "net/names.h"

#include "base/digest.h"
#include "base/text.h"
#include "base/banned.h"

static void append_hash(const char *text, unsigned digits, char *out, size_t size, const char *before)
{
	struct digest digest;
	char hex[2 * DIGEST_SIZE + 1];
	digest_sha256(text, strlen(text), &digest);
	text_hex(digest.bytes, DIGEST_SIZE, hex);
	snprintf(out, size, "%s%.*s", before, (int)digits, hex);
}

void name_prefix(const char *name, char prefix[static NAME_NAMESPACE_SIZE])
{
	append_hash(name, 8, prefix, NAME_NAMESPACE_SIZE, "amid-");
}

void name_namespace(const char *name, const char *vpc_id, char out[static NAME_NAMESPACE_SIZE])
{
	char prefix[NAME_NAMESPACE_SIZE], before[NAME_NAMESPACE_SIZE + 1];
	name_prefix(name, prefix);
	snprintf(before, sizeof before, "%s-", prefix);
	append_hash(vpc_id, 16, out, NAME_NAMESPACE_SIZE, before);
}

void name_tap(const char *interface_id, char out[static NAME_TAP_SIZE])
{
	append_hash(interface_id, 12, out, NAME_TAP_SIZE, "tap");
}
