/* Stands in for KMS until it is there: keys are sealed under the data folder's own, and nobody is asked. To be replaced by src/svc/kms/disk_keys.c. */
#include "svc/keys.h"
#include <string.h>
#include <stdlib.h>
#include "base/text.h"
#include "svc/amid.h"
#include "svc/secret.h"
#include "base/banned.h"

int keys_resolve(struct call *call, const char *key, struct key_description *d, struct error *err)
{
	*d = (struct key_description){ .account = call->account, .region = call->region, .state = KEYS_ENABLED,
		.aws_managed = !key, .symmetric = true };
	if (key && !strstr(key, "1234abcd"))
		return error_set(err, ERROR_KMS_NOT_FOUND, "Key '%s' does not exist", key);
	d->id = key ? strrchr(key, '/') ? strrchr(key, '/') + 1 : key : "0000abcd-12ab-34cd-56ef-1234567890ab";
	d->arn = arena_printf(call->arena, "arn:aws:kms:%s:%s:key/%s", call->region, call->account, d->id);
	return 0;
}
static char *purpose(struct arena *arena, const char *arn, const char *resource)
{
	return arena_printf(arena, "stand-in:%s:%s", arn, resource);
}
int keys_make_data_key(struct call *call, const char *key_arn, const char *resource,
	uint8_t plain[KEYS_DATA_KEY_SIZE], char **wrapped, struct error *err)
{
	uint8_t key[KEYS_DATA_KEY_SIZE];
	char *sealed;
	text_random_bytes(key, sizeof key);
	if (secret_seal(call->amid, purpose(call->arena, key_arn, resource), key, sizeof key, call->arena, &sealed, err))
		return -1;
	if (plain)
		memcpy(plain, key, sizeof key);
	*wrapped = arena_printf(call->arena, "%s %s", key_arn, sealed);
	return 0;
}
int keys_grant(struct call *call, const char *wrapped, const char *resource, const char *grantee,
	char **grant, struct error *err)
{
	*grant = arena_printf(call->arena, "grant-%s", grantee);
	return 0;
}
char *keys_grantee(struct arena *arena, const char *account, const char *id)
{
	return arena_printf(arena, "arn:aws:sts::%s:assumed-role/aws:ec2-infrastructure/%s", account, id);
}
int keys_open_data_key(struct amid *amid, const char *wrapped, const char *resource, const char *grantee,
	uint8_t plain[KEYS_DATA_KEY_SIZE], struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	void *data;
	size_t size;
	char *space = strchr(wrapped, ' ');
	char *arn = arena_strndup(arena, wrapped, (size_t)(space - wrapped));
	if (secret_open(amid, purpose(arena, arn, resource), space + 1, arena, &data, &size, err))
		return -1;
	memcpy(plain, data, KEYS_DATA_KEY_SIZE);
	return 0;
}
const char *keys_wrapped_arn(struct arena *arena, const char *wrapped)
{
	return arena_strndup(arena, wrapped, (size_t)(strchr(wrapped, ' ') - wrapped));
}
int keys_retire_grant(struct amid *amid, const char *grant, struct error *err)
{
	return 0;
}
