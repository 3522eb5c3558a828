/* The growable byte string: doubles its memory; ends the process when there is none (see arena.h). */
#include "base/buffer.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/banned.h"

static void reserve(struct buffer *buffer, size_t more)
{
	assert(more < SIZE_MAX / 4 && buffer->size < SIZE_MAX / 4);
	size_t need = buffer->size + more + 1;
	if (need <= buffer->capacity)
		return;
	size_t capacity = buffer->capacity ? buffer->capacity : 256;
	while (capacity < need)
		capacity *= 2;
	buffer->data = memory_realloc(buffer->data, capacity);
	buffer->capacity = capacity;
}

void buffer_prepare(struct buffer *buffer, size_t size)
{
	enum { ALIGNMENT = 4096 };
	assert(!buffer->size && size < SIZE_MAX / 4);
	if (size < buffer->capacity)
		return;
	free(buffer->data);
	buffer->capacity = (size + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	buffer->data = memory_alloc_aligned(ALIGNMENT, buffer->capacity);
	buffer->data[0] = '\0';
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	reserve(buffer, size);
	if (size)
		memcpy(buffer->data + buffer->size, data, size);
	buffer->size += size;
	buffer->data[buffer->size] = '\0';
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char c)
{
	buffer_append(buffer, &c, 1);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	assert(size >= 0);
	reserve(buffer, (size_t)size);
	vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
	va_end(again);
	buffer->size += (size_t)size;
}

void buffer_clear(struct buffer *buffer)
{
	buffer->size = 0;
	if (buffer->data)
		buffer->data[0] = '\0';
}

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

const char *buffer_text(const struct buffer *buffer)
{
	return buffer->data ? buffer->data : "";
}
