/*
 * Parameter checks by the tables: required members, enumerations, limits of numbers, lengths and counts, over a decoded request. Each protocol has its own codes and words:
 *	ec2          MissingParameter, UnknownParameter, InvalidParameterValue
 *	query        ValidationError
 *	rest-json, json    ValidationException
 * No state; safe from every thread.
 */
#pragma once

#include "aws/call.h"
#include "base/error.h"
#include "shape/shape.h"

/* Checks a whole input struct. The message names the parameter at fault as the client wrote it ("BlockDeviceMapping.1.Ebs.VolumeSize"). */
int check_input(enum protocol protocol, const struct shape *shape, const void *input, struct error *err);
/* The error of one parameter whose text could not be read; `expected` is scalar_parse()'s. `value` NULL: not to be shown. Returns -1. */
int check_malformed(enum protocol protocol, const char *parameter, const char *value, const char *expected,
	struct error *err);

enum { CHECK_NAME_SIZE = 128 };
/* The name of a member in requests of a protocol, maybe made in `name`. */
const char *check_member_name(
	enum protocol protocol, const struct shape_member *member, char name[CHECK_NAME_SIZE]);
