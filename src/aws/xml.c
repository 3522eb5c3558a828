/*
 * Writing XML: one walk over the struct by its shape, straight into the buffer. Lists: <imagesSet><item>...</item></imagesSet> in ec2, <Names><member>...</member></Names> in
 * query; flattened ones repeat the list's own element.
 */
#include "aws/xml.h"

#include <string.h>

#include "aws/scalar.h"
#include "shape/utf8.h"
#include "shape/value.h"
#include "base/banned.h"

/* The escaped form of a character; NULL: it stands for itself. */
static const char *escape(uint32_t code)
{
	switch (code) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\r':
		return "&#xD;"; /* as itself, a parser would read it as a line feed */
	case '\t':
	case '\n':
		return NULL;
	default:
		return code < 0x20 || code == 0xfffe || code == 0xffff ? "\xef\xbf\xbd" : NULL;
	}
}

void xml_write_text(struct buffer *out, const char *text)
{
	size_t size = strlen(text), plain = 0, at = 0;
	while (at < size) {
		uint32_t code = 0;
		size_t length = utf8_character(text + at, size - at, &code);
		const char *escaped = length ? escape(code) : "\xef\xbf\xbd";
		if (escaped) {
			buffer_append(out, text + plain, at - plain);
			buffer_append_text(out, escaped);
			plain = at + (length ? length : 1);
		}
		at += length ? length : 1;
	}
	buffer_append(out, text + plain, at - plain);
}

static void open_element(struct buffer *out, const char *name)
{
	buffer_append_char(out, '<');
	buffer_append_text(out, name);
	buffer_append_char(out, '>');
}

static void close_element(struct buffer *out, const char *name)
{
	buffer_append_text(out, "</");
	buffer_append_text(out, name);
	buffer_append_char(out, '>');
}

void xml_write_element(struct buffer *out, const char *name, const char *text)
{
	open_element(out, name);
	xml_write_text(out, text);
	close_element(out, name);
}

/* Where a walk is writing, and how. */
struct writer {
	struct buffer *out;
	enum protocol protocol;
	struct arena *arena;
};

static void write_field(const struct writer *writer, const struct shape_member *member,
	const struct shape *shape, const char *name, const void *field);

static void write_structure(
	const struct writer *writer, const struct shape *shape, const char *name, const void *value)
{
	open_element(writer->out, name);
	xml_write_members(writer->out, writer->protocol, writer->arena, shape, value);
	close_element(writer->out, name);
}

static void write_items(const struct writer *writer, const struct shape_member *member,
	const struct shape *shape, const char *name, const struct shape_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		if (shape->element->kind == SHAPE_STRUCTURE)
			write_structure(writer, shape->element, name, item);
		else if (!shape_value_is_absent(shape->element, item))
			write_field(writer, member, shape->element, name, item);
	}
}

static void write_list(const struct writer *writer, const struct shape_member *member,
	const struct shape *shape, const char *name, const struct shape_list *list)
{
	if (member->flattened) {
		write_items(writer, member, shape, name, list);
		return;
	}
	const char *usual = writer->protocol == PROTOCOL_EC2 ? "item" : "member";
	open_element(writer->out, name);
	write_items(writer, member, shape, shape->element_name ? shape->element_name : usual, list);
	close_element(writer->out, name);
}

static void write_map(const struct writer *writer, const struct shape_member *member,
	const struct shape *shape, const char *name, const struct shape_list *map)
{
	const char *entry_name = member->flattened ? name : "entry";
	if (!member->flattened)
		open_element(writer->out, name);
	for (size_t i = 0; i < map->count; i++) {
		const char *entry = (const char *)map->items + i * shape->size;
		if (shape_value_is_absent(shape->element, entry + shape->value_offset))
			continue;
		open_element(writer->out, entry_name);
		xml_write_element(writer->out, "key", *(const char *const *)entry);
		write_field(writer, member, shape->element, "value", entry + shape->value_offset);
		close_element(writer->out, entry_name);
	}
	if (!member->flattened)
		close_element(writer->out, name);
}

/* `field` is not absent; `member` is the one it is in, or in whose list. */
static void write_field(const struct writer *writer, const struct shape_member *member,
	const struct shape *shape, const char *name, const void *field)
{
	const char *format = member->timestamp_format ? member->timestamp_format : "iso8601";
	switch (shape->kind) {
	case SHAPE_STRUCTURE:
		write_structure(writer, shape, name, *(const void *const *)field);
		break;
	case SHAPE_LIST:
		write_list(writer, member, shape, name, field);
		break;
	case SHAPE_MAP:
		write_map(writer, member, shape, name, field);
		break;
	default:
		xml_write_element(writer->out, name, scalar_format(writer->arena, shape, format, field));
	}
}

void xml_write_members(struct buffer *out, enum protocol protocol, struct arena *arena,
	const struct shape *shape, const void *value)
{
	const struct writer writer = { .out = out, .protocol = protocol, .arena = arena };
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		const void *field = (const char *)value + member->offset;
		if (!shape_value_is_absent(member->shape, field))
			write_field(&writer, member, member->shape, member->wire_name, field);
	}
}
