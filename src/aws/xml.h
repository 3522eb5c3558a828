/* Writing XML: what the ec2 and query protocols answer in. No state; safe from every thread. */
#pragma once

#include "aws/call.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "shape/shape.h"

#define XML_DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

/* Appends text with what XML reserves escaped. Characters that XML 1.0 cannot hold in any form, and bytes that are no UTF-8, become U+FFFD. */
void xml_write_text(struct buffer *out, const char *text);
/* Appends <name>text</name>. */
void xml_write_element(struct buffer *out, const char *name, const char *text);
/* Appends an element for each member of a structure that is present. */
void xml_write_members(struct buffer *out, enum protocol protocol, struct arena *arena,
	const struct shape *shape, const void *value);
