/* GenerateRandom: the kernel's random bytes. Runs on the thread of the call. */
#include "svc/kms/common.h"
#include "base/text.h"
#include "base/banned.h"

int kms_generate_random(struct call *call, const struct kms_GenerateRandomRequest *request,
	struct kms_GenerateRandomResponse *result, struct error *err)
{
	if (request->custom_key_store_id)
		return error_set(err, ERROR_KMS_CUSTOM_KEY_STORE_NOT_FOUND,
			"There is no custom key store %.64s.", request->custom_key_store_id);
	if (request->recipient)
		return error_set(err, ERROR_KMS_UNSUPPORTED_OPERATION, "There are no enclaves here.");
	if (!request->number_of_bytes.set)
		return error_set(err, ERROR_VALIDATION, "NumberOfBytes is required.");
	size_t size = (size_t)request->number_of_bytes.value;
	uint8_t *bytes = arena_alloc(call->arena, size);
	text_random_bytes(bytes, size);
	result->plaintext = (struct shape_blob){ bytes, size };
	return 0;
}
