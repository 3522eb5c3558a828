/*
 * A PKCS#11 module with one token, "fake", and one AES key, "key", that does what the test tells it to through fake_token(): for what a token in software never says. Its cipher flips the bits of what it is given.
 */
#include "fake_token.h"

#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <string.h>

static struct fake_token state;
static bool searched;

struct fake_token *fake_token(void)
{
	return &state;
}

static CK_RV initialize(void *arguments)
{
	(void)arguments;
	state.open++;
	return CKR_OK;
}

static CK_RV finalize(void *reserved)
{
	(void)reserved;
	state.open--;
	return CKR_OK;
}

static CK_RV get_slot_list(CK_BBOOL with_token, CK_SLOT_ID *slots, CK_ULONG *count)
{
	(void)with_token;
	*count = 1;
	if (slots)
		slots[0] = 7;
	return CKR_OK;
}

static CK_RV get_info(CK_INFO *info)
{
	memset(info, ' ', sizeof *info);
	return CKR_OK;
}

static CK_RV get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	(void)slot;
	memset(info, ' ', sizeof *info);
	return CKR_OK;
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	(void)slot;
	memset(info, ' ', sizeof *info);
	memcpy(info->label, "fake", 4);
	info->flags = state.flags;
	return CKR_OK;
}

static CK_RV get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	(void)slot;
	*info = (CK_MECHANISM_INFO){ 16, 32, state.decrypt_only ? CKF_DECRYPT : CKF_ENCRYPT | CKF_DECRYPT };
	return type == CKM_AES_CBC ? CKR_OK : CKR_MECHANISM_INVALID;
}

static CK_RV open_session(
	CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	(void)slot, (void)flags, (void)application, (void)notify;
	*session = 1;
	state.open++;
	return CKR_OK;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	(void)session;
	state.open--;
	return CKR_OK;
}

static CK_RV log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG size)
{
	(void)session;
	state.logins++;
	return user == CKU_USER && size == 4 && memcmp(pin, "1234", 4) == 0 ? CKR_OK : CKR_PIN_INCORRECT;
}

static CK_RV find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count)
{
	(void)session, (void)template, (void)count;
	searched = false;
	return CKR_OK;
}

static CK_RV find_objects(
	CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG limit, CK_ULONG *count)
{
	(void)session, (void)limit;
	*count = searched ? 0 : 1;
	objects[0] = 1;
	searched = true;
	return CKR_OK;
}

static CK_RV find_objects_final(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_OK;
}

static CK_RV get_attribute_value(
	CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	static const CK_KEY_TYPE aes = CKK_AES;
	(void)session, (void)object, (void)count;
	if (attributes->type != CKA_KEY_TYPE)
		return CKR_ATTRIBUTE_TYPE_INVALID; /* a token that does not tell the size */
	memcpy(attributes->pValue, &aes, sizeof aes);
	return CKR_OK;
}

static CK_RV begin(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	(void)session, (void)key;
	return mechanism->mechanism == CKM_AES_CBC && mechanism->ulParameterLen == 16 ? CKR_OK
										      : CKR_MECHANISM_INVALID;
}

static CK_RV flip(CK_BYTE *in, CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size)
{
	for (CK_ULONG i = 0; i < size; i++)
		out[i] = in[i] ^ 0xff;
	*out_size = size - state.short_by;
	return CKR_OK;
}

static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size)
{
	(void)session;
	return flip(in, size, out, out_size);
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size)
{
	(void)session;
	CK_RV code = flip(in, size, out, out_size);
	out[0] ^= state.forgets;
	return code;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	static CK_FUNCTION_LIST functions = {
		.version = { 2, 40 },
		.C_Initialize = initialize,
		.C_Finalize = finalize,
		.C_GetFunctionList = C_GetFunctionList,
		.C_GetSlotList = get_slot_list,
		.C_GetInfo = get_info,
		.C_GetSlotInfo = get_slot_info,
		.C_GetTokenInfo = get_token_info,
		.C_GetMechanismInfo = get_mechanism_info,
		.C_OpenSession = open_session,
		.C_CloseSession = close_session,
		.C_Login = log_in,
		.C_FindObjectsInit = find_objects_init,
		.C_FindObjects = find_objects,
		.C_FindObjectsFinal = find_objects_final,
		.C_GetAttributeValue = get_attribute_value,
		.C_EncryptInit = begin,
		.C_Encrypt = encrypt,
		.C_DecryptInit = begin,
		.C_Decrypt = decrypt,
	};
	*list = &functions;
	return CKR_OK;
}
