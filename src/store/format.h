/*
 * Pack files on disk: the header of a pack and the header of an object in it, byte by byte in docs/design/store.md. Encoders and decoders only, no I/O; the decoders are total:
 * any bytes give either a valid header or -1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"

enum {
	PACK_HEADER_SIZE = 4096, /* objects begin here */
	OBJECT_HEADER_SIZE = 64,
	PACK_NONCE_SIZE = 16,
	/* 1: pages of 1,024 ids, no checksum of the payload; 2: roots without the number of blocks */
	FORMAT_VERSION = 3,
};

/* Blocks are aligned so that the page cache and O_DIRECT like them; pages and roots are small, so they are packed tightly elsewhere. */
enum pack_class { PACK_BLOCKS = 0, PACK_SMALL = 1, PACK_CLASS_COUNT = 2 };

enum object_state { OBJECT_LIVE = 1, OBJECT_DEAD = 2 };

struct pack_header {
	enum pack_class group;
	uint32_t number;
	/* Random; part of every object header's checksum, so that bytes inside a payload cannot pass for a header. */
	uint8_t nonce[PACK_NONCE_SIZE];
};

struct object_header {
	uint8_t kind;     /* enum store_object_kind */
	uint8_t encoding; /* 0: plain. Others are refused by this version. */
	uint8_t state;
	uint32_t size;        /* plain */
	uint32_t stored_size; /* in the pack */
	uint32_t checksum;    /* CRC-32C of the stored bytes of a live page or root; else 0 */
	struct digest digest;
};

void format_encode_pack(const struct pack_header *header, uint8_t out[OBJECT_HEADER_SIZE]);
int format_decode_pack(const uint8_t in[OBJECT_HEADER_SIZE], struct pack_header *header);
/* The version that a pack's header says it is of, whether it is known or not; 0 if it is no pack's header, or a damaged one. */
uint32_t format_pack_version(const uint8_t in[OBJECT_HEADER_SIZE]);
/* `offset` is where the header lies in the pack; it is part of the checksum. */
void format_encode_object(const struct pack_header *pack, uint64_t offset, const struct object_header *header,
	uint8_t out[OBJECT_HEADER_SIZE]);
int format_decode_object(const struct pack_header *pack, uint64_t offset,
	const uint8_t in[OBJECT_HEADER_SIZE], struct object_header *header);

/*
 * Whether bytes begin with a live page or root of that digest, header and payload, as far as the payload's checksum can tell (the header's own is not looked at): the payload's size, or 0.
 */
uint32_t format_sound_object(const uint8_t *bytes, size_t available, const struct digest *digest);

enum pack_class format_class_of(uint8_t kind);
/* Alignment of headers: also the step in which a scan looks for the next one. */
uint32_t format_alignment(enum pack_class group);
uint64_t format_payload_offset(enum pack_class group, uint64_t header_offset);
uint64_t format_object_end(enum pack_class group, uint64_t header_offset, uint32_t stored_size);
