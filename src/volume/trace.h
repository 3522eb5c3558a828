/*
 * Boot traces: in what order a boot touched the blocks of its image first. Recorded in a volume server, kept in a file per root digest, read again at the next launch. For the volume folder
 * and amid, which removes those of images that are gone.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/error.h"

enum {
	TRACE_LIMIT = 8192, /* blocks: 4 GiB. What a boot reads after that is not its start any more. */
	TRACE_HEADER_SIZE = 56,
	TRACE_SIZE_LIMIT = TRACE_HEADER_SIZE + 4 * TRACE_LIMIT,
};

struct trace;

struct trace *trace_create(uint64_t block_count);
void trace_destroy(struct trace *trace); /* NULL is legal */
/* Notes the blocks that the bytes lie in, unless they were noted before. Any thread, no locks. */
void trace_note_read(struct trace *trace, uint64_t offset, uint64_t size);
/* The blocks noted so far; *blocks belongs to the trace. Only when nobody notes any more. */
uint32_t trace_blocks(const struct trace *trace, const uint32_t **blocks);

/* The file's bytes: docs/design/volume.md. `out` has room for TRACE_SIZE_LIMIT; returns the size. */
size_t trace_encode(const struct digest *root, const uint32_t *blocks, uint32_t count, uint8_t *out);
/* -1 unless the bytes are a whole trace of that root; *count gets the number of blocks (room for TRACE_LIMIT). Total on any bytes. */
int trace_decode(
	const uint8_t *bytes, size_t size, const struct digest *root, uint32_t *blocks, uint32_t *count);
/* FOLDER/ROOT.trace, replaced durably. */
int trace_write(const char *folder, const struct digest *root, const uint32_t *blocks, uint32_t count,
	struct error *err);
/* ERROR_NOT_FOUND, ERROR_CORRUPT. */
int trace_read(
	const char *folder, const struct digest *root, uint32_t *blocks, uint32_t *count, struct error *err);
