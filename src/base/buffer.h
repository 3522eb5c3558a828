/* A growable byte string. Always NUL-terminated behind `size`, so that text in it can be used as a C string. */
#pragma once

#include <stddef.h>
#include <stdarg.h>

struct buffer {
	char *data; /* NULL while empty */
	size_t size;
	size_t capacity;
};

void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char c);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for `size` bytes in an empty buffer, beginning at a multiple of 4096 (until it has to grow): as much as is going to be appended. */
void buffer_prepare(struct buffer *buffer, size_t size);
/* Forgets the content, keeps the memory. */
void buffer_clear(struct buffer *buffer);
/* Frees the memory; the buffer is empty and usable again. */
void buffer_free(struct buffer *buffer);
/* The content as a C string; "" while empty. Valid until the next change. */
const char *buffer_text(const struct buffer *buffer);

/* struct buffer out BUFFER_SCOPED = { 0 }; */
#define BUFFER_SCOPED __attribute__((cleanup(buffer_free)))
