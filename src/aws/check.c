/* Parameter checks: one walk over the decoded struct, which keeps the path of where it is for messages. */
#include "aws/check.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "shape/value.h"
#include "base/banned.h"

struct checker {
	enum protocol protocol;
	char path[256]; /* "BlockDeviceMapping.1.Ebs" */
	size_t path_size;
	struct error *err;
};

const char *check_member_name(
	enum protocol protocol, const struct shape_member *member, char name[CHECK_NAME_SIZE])
{
	if (protocol != PROTOCOL_EC2)
		return member->wire_name;
	if (member->query_name)
		return member->query_name;
	snprintf(name, CHECK_NAME_SIZE, "%s", member->wire_name);
	name[0] = (char)toupper((unsigned char)name[0]);
	return name;
}

/* Lengthens the path by a name, and gives what it was, for leave(). A path too long for messages is cut. */
static size_t enter(struct checker *checker, const char *name)
{
	size_t before = checker->path_size, room = sizeof checker->path - before;
	int size = snprintf(checker->path + before, room, "%s%s", before ? "." : "", name);
	checker->path_size += (size_t)size < room ? (size_t)size : room - 1;
	return before;
}

static void leave(struct checker *checker, size_t before)
{
	checker->path_size = before;
	checker->path[before] = '\0';
}

static enum error_code validation_code(enum protocol protocol)
{
	return protocol == PROTOCOL_QUERY ? ERROR_VALIDATION_QUERY : ERROR_VALIDATION;
}

static int missing(struct checker *checker)
{
	if (checker->protocol == PROTOCOL_EC2)
		return error_set(checker->err, ERROR_MISSING_PARAMETER,
			"The request must contain the parameter %s", checker->path);
	return error_set(checker->err, validation_code(checker->protocol),
		"1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null",
		checker->path);
}

/* `value` as the client gave it; NULL: not to be shown. `constraint`: "have a value between 1 and 5". */
static int invalid(struct checker *checker, const char *value, const char *constraint)
{
	if (checker->protocol == PROTOCOL_EC2 && !value)
		return error_set(checker->err, ERROR_INVALID_PARAMETER_VALUE,
			"The value of parameter %s is invalid. It must %s", checker->path, constraint);
	if (checker->protocol == PROTOCOL_EC2)
		return error_set(checker->err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%.100s) for parameter %s is invalid. It must %s", value, checker->path,
			constraint);
	return error_set(checker->err, validation_code(checker->protocol),
		"1 validation error detected: Value %s%.100s%s at '%s' failed to satisfy constraint: Member must %s",
		value ? "'" : "", value ? value : "", value ? "'" : "", checker->path, constraint);
}

int check_malformed(enum protocol protocol, const char *parameter, const char *value, const char *expected,
	struct error *err)
{
	struct checker checker = { .protocol = protocol, .err = err };
	char constraint[64];
	enter(&checker, parameter);
	snprintf(constraint, sizeof constraint, "be %s", expected);
	return invalid(&checker, value, constraint);
}

/* Whether `number` is within min and max; if not, *constraint says what it must. `noun`: "a value", "a length". */
static bool within(const struct shape *shape, int64_t number, const char *noun, char *constraint, size_t size)
{
	bool low = shape->has_min && number < shape->min, high = shape->has_max && number > shape->max;
	if (!low && !high)
		return true;
	if (shape->has_min && shape->has_max)
		snprintf(constraint, size, "have %s between %" PRId64 " and %" PRId64, noun, shape->min,
			shape->max);
	else if (low)
		snprintf(constraint, size, "have %s greater than or equal to %" PRId64, noun, shape->min);
	else
		snprintf(constraint, size, "have %s less than or equal to %" PRId64, noun, shape->max);
	return false;
}

static bool in_enum(const struct shape *shape, const char *value)
{
	for (const char *const *known = shape->enum_values; known && *known; known++) {
		if (strcmp(*known, value) == 0)
			return true;
	}
	return !shape->enum_values;
}

/* "satisfy enum value set: [a, b]", cut if it is long. */
static void describe_enum(const struct shape *shape, char *text, size_t size)
{
	size_t used = (size_t)snprintf(text, size, "satisfy enum value set: [");
	for (const char *const *known = shape->enum_values; *known && used + strlen(*known) + 8 < size;
		known++)
		used += (size_t)snprintf(
			text + used, size - used, "%s%s", known == shape->enum_values ? "" : ", ", *known);
	snprintf(text + used, size - used, "]");
}

static size_t count_characters(const char *text)
{
	size_t count = 0;
	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static int check_string(struct checker *checker, const struct shape *shape, bool sensitive, const char *value)
{
	char constraint[200];
	if (!in_enum(shape, value)) {
		describe_enum(shape, constraint, sizeof constraint);
		return invalid(checker, sensitive ? NULL : value, constraint);
	}
	if (!within(shape, (int64_t)count_characters(value), "a length", constraint, sizeof constraint))
		return invalid(checker, sensitive ? NULL : value, constraint);
	return 0;
}

static int check_integer(struct checker *checker, const struct shape *shape, int64_t value)
{
	char constraint[200], text[32];
	snprintf(text, sizeof text, "%" PRId64, value);
	if (!within(shape, value, "a value", constraint, sizeof constraint))
		return invalid(checker, text, constraint);
	if (shape->kind == SHAPE_INTEGER && (value < INT32_MIN || value > INT32_MAX))
		return invalid(checker, text, "be an integer of 32 bits");
	return 0;
}

static int check_double(struct checker *checker, const struct shape *shape, double value)
{
	char text[32];
	snprintf(text, sizeof text, "%g", value);
	if ((shape->has_min && value < (double)shape->min) || (shape->has_max && value > (double)shape->max))
		return invalid(checker, text, "be within its limits");
	return 0;
}

static int check_structure(struct checker *checker, const struct shape *shape, const void *value);
static int check_items(
	struct checker *checker, const struct shape *shape, bool sensitive, const struct shape_list *list);

/* `field` is not absent. */
static int check_value(struct checker *checker, const struct shape *shape, bool sensitive, const void *field)
{
	char constraint[200];
	switch (shape->kind) {
	case SHAPE_STRING:
		return check_string(checker, shape, sensitive, *(const char *const *)field);
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		return check_integer(checker, shape, ((const struct shape_integer *)field)->value);
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return check_double(checker, shape, ((const struct shape_double *)field)->value);
	case SHAPE_BOOLEAN:
	case SHAPE_TIMESTAMP:
		return 0;
	case SHAPE_BLOB:
		if (!within(shape, (int64_t)((const struct shape_blob *)field)->size, "a length", constraint,
			    sizeof constraint))
			return invalid(checker, NULL, constraint);
		return 0;
	case SHAPE_STRUCTURE:
		return check_structure(checker, shape, *(const void *const *)field);
	case SHAPE_LIST:
	case SHAPE_MAP:
		return check_items(checker, shape, sensitive, field);
	}
	return 0;
}

static int check_items(
	struct checker *checker, const struct shape *shape, bool sensitive, const struct shape_list *list)
{
	char constraint[200], number[24];
	if (!within(shape, (int64_t)list->count, "a number of items", constraint, sizeof constraint))
		return invalid(checker, NULL, constraint);
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		snprintf(number, sizeof number, "%zu", i + 1);
		size_t before =
			enter(checker, shape->kind == SHAPE_MAP ? *(const char *const *)item : number);
		item += shape->kind == SHAPE_MAP ? shape->value_offset : 0;
		bool by_value = shape->kind == SHAPE_LIST && shape->element->kind == SHAPE_STRUCTURE;
		if (!by_value && shape_value_is_absent(shape->element, item))
			return missing(checker);
		int result = by_value ? check_structure(checker, shape->element, item)
				      : check_value(checker, shape->element, sensitive, item);
		if (result < 0)
			return -1;
		leave(checker, before);
	}
	return 0;
}

static int check_structure(struct checker *checker, const struct shape *shape, const void *value)
{
	char name[CHECK_NAME_SIZE];
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		const void *field = (const char *)value + member->offset;
		bool absent = shape_value_is_absent(member->shape, field);
		if (absent && !member->required)
			continue;
		size_t before = enter(checker, check_member_name(checker->protocol, member, name));
		if (absent)
			return missing(checker);
		if (check_value(checker, member->shape, member->sensitive, field) < 0)
			return -1;
		leave(checker, before);
	}
	return 0;
}

int check_input(enum protocol protocol, const struct shape *shape, const void *input, struct error *err)
{
	struct checker checker = { .protocol = protocol, .err = err };
	return check_structure(&checker, shape, input);
}
