/* Policy documents as they come in: which letters they may have, how quotas count them, whether they compile. No state. */
#include <string.h>

#include "shape/utf8.h"
#include "svc/iam/policies.h"
#include "base/banned.h"

static bool is_document_text(const char *document)
{
	size_t size = strlen(document);
	while (size) {
		uint32_t code;
		size_t taken = utf8_character(document, size, &code);
		if (!taken || code > 0xff || (code < ' ' && code != '\t' && code != '\n' && code != '\r'))
			return false;
		document += taken;
		size -= taken;
	}
	return true;
}

int iam_check_document(enum policy_kind kind, const char *document, struct error *err)
{
	struct policy *policy;
	if (!is_document_text(document))
		return error_set(err, ERROR_VALIDATION_QUERY,
			"The specified value for policyDocument is invalid. It must contain only printable characters.");
	if (policy_compile(kind, document, strlen(document), &policy, err))
		return -1;
	policy_release(policy);
	return 0;
}

size_t iam_document_size(const char *document)
{
	size_t size = 0;
	for (; *document; document++)
		size += !strchr(" \t\n\r", *document) && ((unsigned char)*document & 0xc0) != 0x80;
	return size;
}
