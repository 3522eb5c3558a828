/* What all codecs do with a field that a shape describes: a member of a structure, the value of a map's entry, or (structures apart) an item of a list. */
#pragma once

#include "shape/shape.h"

/* Whether a field is absent: see shape.h. A structure's field is its pointer. */
bool shape_value_is_absent(const struct shape *shape, const void *field);
/* The member of that model name; NULL: none. */
const struct shape_member *shape_find_member(const struct shape *shape, const char *name);
/* The size of a field of that shape. */
size_t shape_field_size(const struct shape *shape);
