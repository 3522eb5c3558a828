/* Names by hash: see names.h. SHA-256 is more than is needed, but it is there; what is cut off leaves collisions to a chance of 2^-48 a pair. */
#include "net/names.h"

#include "base/digest.h"
#include "base/text.h"
#include "base/banned.h"

enum { HEX_SIZE = 2 * DIGEST_SIZE + 1 };

static const char *hash(const char *text, char hex[static HEX_SIZE])
{
	struct digest digest;
	digest_sha256(text, strlen(text), &digest);
	return text_hex(digest.bytes, DIGEST_SIZE, hex);
}

void name_prefix(const char *name, char prefix[static NAME_NAMESPACE_SIZE])
{
	char hex[HEX_SIZE];
	snprintf(prefix, NAME_NAMESPACE_SIZE, "amid-%.8s", hash(name, hex));
}

void name_namespace(const char *name, const char *vpc_id, char out[static NAME_NAMESPACE_SIZE])
{
	char amid_hex[HEX_SIZE], vpc_hex[HEX_SIZE];
	snprintf(out, NAME_NAMESPACE_SIZE, "amid-%.8s-%.16s", hash(name, amid_hex), hash(vpc_id, vpc_hex));
}

void name_tap(const char *interface_id, char out[static NAME_TAP_SIZE])
{
	char hex[HEX_SIZE];
	snprintf(out, NAME_TAP_SIZE, "tap%.12s", hash(interface_id, hex));
}
