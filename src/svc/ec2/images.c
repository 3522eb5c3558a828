/* Images: look-ups and who may see one. */
#include "svc/ec2/images.h"

#include <string.h>

#include "base/banned.h"

bool image_is_visible(const struct call *call, const struct image_record *image)
{
	if (image->recycled)
		return false;
	if (strcmp(image->record.account, call->account) == 0 || boolean_or(image->public, false))
		return true;
	for (size_t i = 0; i < image->launch_permissions.count; i++)
		if (text_equal(image->launch_permissions.items[i].user, call->account))
			return true;
	return false;
}

int image_find(struct call *call, const char *id, struct image_record **image, struct error *err)
{
	if (ec2_check_id(id, "ami", ERROR_AMI_ID_MALFORMED, err) ||
		meta_get_any(call->amid->meta, &record_image, call->region, id, call->arena, image, err))
		return -1;
	if (!*image || !image_is_visible(call, *image))
		return error_set(err, ERROR_AMI_ID_NOT_FOUND, "The image id '[%s]' does not exist", id);
	return 0;
}

int image_find_own(struct call *call, const char *id, struct image_record **image, struct error *err)
{
	if (image_find(call, id, image, err))
		return -1;
	if (strcmp((*image)->record.account, call->account) != 0)
		return error_set(err, ERROR_AUTH_FAILURE, "Not authorized for image:%s", id);
	return 0;
}

const char *image_owner_alias(const struct image_record *image)
{
	return strcmp(image->record.account, ACCOUNT_PLATFORM) == 0 ? ALIAS_PLATFORM : NULL;
}
