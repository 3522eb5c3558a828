/*
 * What amid and its scanner say to each other over a stream socket, in the byte order of the machine they share. The scanner speaks first and alone: frames of a type and a size. amid answers a GATE_FRAME_READ with a
 * gate_wire_block and, with GATE_BLOCK_DATA, that many bytes. amid takes the scanner for hostile: everything it says is checked.
 */
#pragma once

#include <stdint.h>

#include "gate/rules.h"

enum gate_frame_type { GATE_FRAME_READ = 1, GATE_FRAME_FOUND, GATE_FRAME_DONE };

struct gate_frame {
	uint32_t type;
	uint32_t size; /* of what follows */
};

struct gate_wire_read {
	uint64_t index;
};

/* `path_size` bytes of the path follow, without a NUL. */
struct gate_wire_found {
	uint32_t rule, reason, partition, path_size;
};

struct gate_wire_done {
	uint64_t files, entries, bytes_read;
};

enum gate_block_status { GATE_BLOCK_DATA, GATE_BLOCK_ZEROS, GATE_BLOCK_FAILED };

struct gate_wire_block {
	uint32_t status;
	uint32_t size;
};

enum { GATE_FRAME_MAX = sizeof(struct gate_wire_found) + GATE_PATH_SIZE };
