/* The tables of plain scalars, which the generated tables of all services share. Constant data. */
#include "shape/shape.h"

const struct shape shape_string = { .name = "string", .kind = SHAPE_STRING };
const struct shape shape_integer = { .name = "integer", .kind = SHAPE_INTEGER };
const struct shape shape_long = { .name = "long", .kind = SHAPE_LONG };
const struct shape shape_float = { .name = "float", .kind = SHAPE_FLOAT };
const struct shape shape_double = { .name = "double", .kind = SHAPE_DOUBLE };
const struct shape shape_boolean = { .name = "boolean", .kind = SHAPE_BOOLEAN };
const struct shape shape_timestamp = { .name = "timestamp", .kind = SHAPE_TIMESTAMP };
const struct shape shape_blob = { .name = "blob", .kind = SHAPE_BLOB };
