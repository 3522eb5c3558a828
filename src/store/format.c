/* Encoding and decoding of pack and object headers. Pure functions. */
#include "store/format.h"

#include <string.h>

#include "store/checksum.h"
#include "store/store.h"
#include "store/wire.h"
#include "base/banned.h"

static const uint8_t PACK_MAGIC[8] = { 'A', 'M', 'I', 'D', 'P', 'A', 'C', 'K' };
static const uint8_t OBJECT_MAGIC[4] = { 'A', 'M', 'O', 'B' };

void format_encode_pack(const struct pack_header *header, uint8_t out[OBJECT_HEADER_SIZE])
{
	memset(out, 0, OBJECT_HEADER_SIZE);
	memcpy(out, PACK_MAGIC, sizeof PACK_MAGIC);
	wire_put(out + 8, 4, FORMAT_VERSION);
	wire_put(out + 12, 4, header->group);
	wire_put(out + 16, 4, header->number);
	memcpy(out + 24, header->nonce, PACK_NONCE_SIZE);
	wire_put(out + 60, 4, checksum_crc32c(0, out, 60));
}

uint32_t format_pack_version(const uint8_t in[OBJECT_HEADER_SIZE])
{
	if (memcmp(in, PACK_MAGIC, sizeof PACK_MAGIC) || wire_get(in + 60, 4) != checksum_crc32c(0, in, 60))
		return 0;
	return (uint32_t)wire_get(in + 8, 4);
}

int format_decode_pack(const uint8_t in[OBJECT_HEADER_SIZE], struct pack_header *header)
{
	if (format_pack_version(in) != FORMAT_VERSION || wire_get(in + 12, 4) >= PACK_CLASS_COUNT)
		return -1;
	header->group = (enum pack_class)wire_get(in + 12, 4);
	header->number = (uint32_t)wire_get(in + 16, 4);
	memcpy(header->nonce, in + 24, PACK_NONCE_SIZE);
	return 0;
}

static uint32_t object_checksum(const struct pack_header *pack, uint64_t offset, const uint8_t *bytes)
{
	uint8_t place[8];
	wire_put(place, 8, offset);
	uint32_t crc = checksum_crc32c(0, pack->nonce, PACK_NONCE_SIZE);
	crc = checksum_crc32c(crc, place, sizeof place);
	return checksum_crc32c(crc, bytes, 60);
}

void format_encode_object(const struct pack_header *pack, uint64_t offset, const struct object_header *header,
	uint8_t out[OBJECT_HEADER_SIZE])
{
	memset(out, 0, OBJECT_HEADER_SIZE);
	memcpy(out, OBJECT_MAGIC, sizeof OBJECT_MAGIC);
	out[4] = header->kind;
	out[5] = header->encoding;
	out[6] = header->state;
	wire_put(out + 8, 4, header->size);
	wire_put(out + 12, 4, header->stored_size);
	memcpy(out + 16, header->digest.bytes, DIGEST_SIZE);
	wire_put(out + 56, 4, header->checksum);
	wire_put(out + 60, 4, object_checksum(pack, offset, out));
}

int format_decode_object(const struct pack_header *pack, uint64_t offset,
	const uint8_t in[OBJECT_HEADER_SIZE], struct object_header *header)
{
	if (memcmp(in, OBJECT_MAGIC, sizeof OBJECT_MAGIC) ||
		wire_get(in + 60, 4) != object_checksum(pack, offset, in))
		return -1;
	*header = (struct object_header){ .kind = in[4],
		.encoding = in[5],
		.state = in[6],
		.size = (uint32_t)wire_get(in + 8, 4),
		.stored_size = (uint32_t)wire_get(in + 12, 4),
		.checksum = (uint32_t)wire_get(in + 56, 4) };
	memcpy(header->digest.bytes, in + 16, DIGEST_SIZE);
	bool sound = header->kind >= STORE_BLOCK && header->kind <= STORE_ROOT &&
		format_class_of(header->kind) == pack->group &&
		(header->state == OBJECT_LIVE || header->state == OBJECT_DEAD) &&
		header->size <= STORE_BLOCK_SIZE && header->stored_size <= 2 * STORE_BLOCK_SIZE &&
		(header->encoding || header->stored_size == header->size);
	return sound ? 0 : -1;
}

uint32_t format_sound_object(const uint8_t *bytes, size_t available, const struct digest *digest)
{
	if (available < OBJECT_HEADER_SIZE || memcmp(bytes, OBJECT_MAGIC, sizeof OBJECT_MAGIC) || bytes[5] ||
		bytes[6] != OBJECT_LIVE || memcmp(bytes + 16, digest->bytes, DIGEST_SIZE))
		return 0;
	uint32_t size = (uint32_t)wire_get(bytes + 12, 4);
	return size <= available - OBJECT_HEADER_SIZE &&
			wire_get(bytes + 56, 4) == checksum_crc32c(0, bytes + OBJECT_HEADER_SIZE, size)
		? size
		: 0;
}

enum pack_class format_class_of(uint8_t kind)
{
	return kind == STORE_BLOCK ? PACK_BLOCKS : PACK_SMALL;
}

uint32_t format_alignment(enum pack_class group)
{
	return group == PACK_BLOCKS ? 4096 : OBJECT_HEADER_SIZE;
}

uint64_t format_payload_offset(enum pack_class group, uint64_t header_offset)
{
	return header_offset + format_alignment(group);
}

uint64_t format_object_end(enum pack_class group, uint64_t header_offset, uint32_t stored_size)
{
	uint64_t alignment = format_alignment(group);
	return (header_offset + alignment + stored_size + alignment - 1) / alignment * alignment;
}
