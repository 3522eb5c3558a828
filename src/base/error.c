/* The error value and the table of codes. Holds no state; safe from every thread. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#undef error_set /* see the end of error.h */
#undef error_set_errno
#undef error_prefix

static const struct {
	const char *aws_code;
	int http_status;
	const char *reason;
} codes[ERROR_CODE_COUNT] = {
	[ERROR_NONE] = { "None", 200, NULL },
#define ERROR_CODE(symbol, aws_code, http_status) [symbol] = { aws_code, http_status, NULL },
#define ERROR_CODE_REASON(symbol, aws_code, http_status, reason) [symbol] = { aws_code, http_status, reason },
#include "base/error_codes.h"
#undef ERROR_CODE_REASON
#undef ERROR_CODE
};

const char *error_aws_code(enum error_code code)
{
	return code < ERROR_CODE_COUNT ? codes[code].aws_code : "InternalError";
}

int error_http_status(enum error_code code)
{
	return code < ERROR_CODE_COUNT ? codes[code].http_status : 500;
}

const char *error_reason(enum error_code code)
{
	return code < ERROR_CODE_COUNT ? codes[code].reason : NULL;
}

int error_set(struct error *err, enum error_code code, const char *format, ...)
{
	if (!err)
		return -1;
	err->code = code;
	err->detail = NULL;
	va_list args;
	va_start(args, format);
	vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	return -1;
}

int error_set_errno(struct error *err, int errno_value, const char *format, ...)
{
	if (!err)
		return -1;
	err->code = errno_value == ENOSPC || errno_value == EDQUOT ? ERROR_NO_SPACE
		: errno_value == ENOENT                            ? ERROR_NOT_FOUND
								   : ERROR_INTERNAL;
	err->detail = NULL;
	va_list args;
	va_start(args, format);
	vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	size_t used = strlen(err->message);
	snprintf(err->message + used, sizeof err->message - used, ": %s", strerror(errno_value));
	return -1;
}

int error_prefix(struct error *err, const char *format, ...)
{
	if (!err)
		return -1;
	char before[sizeof err->message];
	memcpy(before, err->message, sizeof before);
	va_list args;
	va_start(args, format);
	vsnprintf(err->message, sizeof err->message, format, args);
	va_end(args);
	size_t used = strlen(err->message);
	snprintf(err->message + used, sizeof err->message - used, ": %s", before);
	return -1;
}
