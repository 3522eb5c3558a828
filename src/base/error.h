/* Errors as values: a code of the table in error_codes.h and a message that names the thing and the value at fault. */
#pragma once

#include <stdarg.h>

enum error_code {
	ERROR_NONE = 0,
#define ERROR_CODE(symbol, aws_code, http_status) symbol,
#define ERROR_CODE_REASON(symbol, aws_code, http_status, reason) symbol,
#include "base/error_codes.h"
#undef ERROR_CODE_REASON
#undef ERROR_CODE
	ERROR_CODE_COUNT
};

/*
 * The caller's, fixed size, nothing to free. The message is one line of UTF-8 and never holds a secret. `detail` is what an answer adds behind it, too long for it: a text of the call's arena; NULL: nothing. It is set after error_set,
 * which clears it.
 */
struct error {
	enum error_code code;
	char message[512];
	const char *detail;
};

/* Fills *err (which may be NULL) and returns -1, so that `return error_set(err, ...)` is one line. A message that is too long is cut. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The same for a failed system call: the message is followed by ": " and strerror(errno_value). ENOSPC and EDQUOT become
 * ERROR_NO_SPACE, ENOENT ERROR_NOT_FOUND, all others ERROR_INTERNAL.
 */
int error_set_errno(struct error *err, int errno_value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the message of an error already set, keeping its code. Returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The AWS code ("InvalidAMIID.NotFound") and HTTP status of an error code. */
const char *error_aws_code(enum error_code code);
int error_http_status(enum error_code code);
/* What the error's `Reason` says in the services that have one ("RULE_NOT_FOUND"); NULL: nothing. */
const char *error_reason(enum error_code code);

#ifdef __clang_analyzer__ /* it sees one file at a time, and would follow the ways on which these had returned 0 */
#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_set_errno(...) (error_set_errno(__VA_ARGS__), -1)
#define error_prefix(...) (error_prefix(__VA_ARGS__), -1)
#endif
