/* Names of images. */
#include "svc/ec2/image_names.h"

#include <string.h>

#include "base/banned.h"

static const char name_characters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789()[] ./-'@_";

int image_check_name(const char *name, struct error *err)
{
	size_t size = strlen(name);
	if (size >= 3 && size <= 128 && strspn(name, name_characters) == size)
		return 0;
	return error_set(err, ERROR_AMI_NAME_MALFORMED,
		"AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_': %s",
		name);
}

int image_explain_duplicate(struct call *call, const char *name, struct error *err)
{
	struct meta_rows rows;
	struct meta_query query = {
		.account = call->account, .region = call->region, .index = "name", .value = name
	};
	struct error ignored;
	if (err->code != ERROR_DUPLICATE ||
		meta_list(call->amid->meta, &record_image, &query, call->arena, &rows, &ignored) ||
		!rows.count)
		return -1;
	return error_set(err, ERROR_AMI_NAME_DUPLICATE, "AMI name %s is already in use by AMI %s", name,
		((struct record *)rows.items[0])->id);
}
