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

int iam_check_managed_document(const char *document, struct error *err)
{
	struct policy *policy;
	if (iam_check_document(POLICY_IDENTITY, document, err) ||
		policy_compile(POLICY_IDENTITY, document, strlen(document), &policy, err))
		return -1;
	const char *language = policy_language_version(policy);
	bool current = language && strcmp(language, "2012-10-17") == 0;
	policy_release(policy);
	if (!current)
		return error_set(err, ERROR_MALFORMED_POLICY_DOCUMENT,
			"Policy document must be version 2012-10-17 or greater.");
	if (iam_document_size(document) > IAM_POLICY_SIZE)
		return error_set(
			err, ERROR_LIMIT_EXCEEDED, "Cannot exceed quota for PolicySize: %d", IAM_POLICY_SIZE);
	return 0;
}

size_t iam_document_size(const char *document)
{
	size_t size = 0;
	for (; *document; document++)
		size += !strchr(" \t\n\r", *document) && ((unsigned char)*document & 0xc0) != 0x80;
	return size;
}
