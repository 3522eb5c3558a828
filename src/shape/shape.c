/* The tables of plain scalars, which the generated tables of all services share, and what all codecs ask of a field. No state; safe from every thread. */
#include "shape/shape.h"

#include <string.h>

#include "shape/value.h"
#include "base/banned.h"

const struct shape shape_string = { .name = "string", .kind = SHAPE_STRING };
const struct shape shape_integer = { .name = "integer", .kind = SHAPE_INTEGER };
const struct shape shape_long = { .name = "long", .kind = SHAPE_LONG };
const struct shape shape_float = { .name = "float", .kind = SHAPE_FLOAT };
const struct shape shape_double = { .name = "double", .kind = SHAPE_DOUBLE };
const struct shape shape_boolean = { .name = "boolean", .kind = SHAPE_BOOLEAN };
const struct shape shape_timestamp = { .name = "timestamp", .kind = SHAPE_TIMESTAMP };
const struct shape shape_blob = { .name = "blob", .kind = SHAPE_BLOB };

bool shape_value_is_absent(const struct shape *shape, const void *field)
{
	switch (shape->kind) {
	case SHAPE_STRING:
	case SHAPE_STRUCTURE:
		return !*(const void *const *)field;
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		return !((const struct shape_integer *)field)->set;
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return !((const struct shape_double *)field)->set;
	case SHAPE_BOOLEAN:
		return !((const struct shape_boolean *)field)->set;
	case SHAPE_TIMESTAMP:
		return !((const struct shape_timestamp *)field)->set;
	case SHAPE_BLOB:
		return !((const struct shape_blob *)field)->data;
	case SHAPE_LIST:
	case SHAPE_MAP:
		return !((const struct shape_list *)field)->set;
	}
	return true;
}

const struct shape_member *shape_find_member(const struct shape *shape, const char *name)
{
	for (unsigned i = 0; i < shape->member_count; i++) {
		if (strcmp(shape->members[i].name, name) == 0)
			return &shape->members[i];
	}
	return NULL;
}

size_t shape_field_size(const struct shape *shape)
{
	static const size_t sizes[] = { [SHAPE_STRING] = sizeof(char *),
		[SHAPE_INTEGER] = sizeof(struct shape_integer),
		[SHAPE_LONG] = sizeof(struct shape_integer),
		[SHAPE_FLOAT] = sizeof(struct shape_double),
		[SHAPE_DOUBLE] = sizeof(struct shape_double),
		[SHAPE_BOOLEAN] = sizeof(struct shape_boolean),
		[SHAPE_TIMESTAMP] = sizeof(struct shape_timestamp),
		[SHAPE_BLOB] = sizeof(struct shape_blob),
		[SHAPE_STRUCTURE] = sizeof(void *),
		[SHAPE_LIST] = sizeof(struct shape_list),
		[SHAPE_MAP] = sizeof(struct shape_list) };
	return sizes[shape->kind];
}
