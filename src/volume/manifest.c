/* Encoding, reading and replacing of manifests. No state. */
#include "volume/manifest.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "store/checksum.h"
#include "store/wire.h"
#include "base/banned.h"

static const uint8_t MAGIC[8] = { 'A', 'M', 'I', 'D', 'V', 'O', 'L', 'M' };
enum { VERSION = 1 };

size_t manifest_encode(const struct manifest *manifest, uint8_t out[MANIFEST_SIZE_LIMIT])
{
	size_t size = MANIFEST_FIXED_SIZE + (size_t)manifest->layer_count * MANIFEST_LAYER_SIZE;
	memset(out, 0, size);
	memcpy(out, MAGIC, sizeof MAGIC);
	wire_put(out + 8, 4, VERSION);
	memcpy(out + 16, manifest->id, MAP_ID_SIZE);
	wire_put(out + 32, 8, manifest->size);
	wire_put(out + 40, 8, manifest->base_size);
	wire_put(out + 48, 8, manifest->base_layer);
	memcpy(out + 56, manifest->base.bytes, DIGEST_SIZE);
	wire_put(out + 88, 4, manifest->layer_count);
	for (uint32_t i = 0; i < manifest->layer_count; i++) {
		uint8_t *at = out + MANIFEST_FIXED_SIZE + (size_t)i * MANIFEST_LAYER_SIZE;
		wire_put(at, 8, manifest->layers[i].number);
		wire_put(at + 8, 8, manifest->layers[i].frozen_size);
		at[16] = manifest->layers[i].durable;
	}
	wire_put(out + 12, 4, checksum_crc32c(0, out + 16, size - 16));
	return size;
}

static bool makes_sense(const struct manifest *manifest)
{
	uint64_t last = manifest->base_layer;
	if (!manifest->size || manifest->size % 512 || manifest->size > MAP_VOLUME_LIMIT ||
		manifest->base_size > MAP_VOLUME_LIMIT)
		return false;
	for (uint32_t i = 0; i < manifest->layer_count; i++) {
		const struct manifest_layer *layer = &manifest->layers[i];
		bool top = i + 1 == manifest->layer_count;
		/* frozen layers have a size that a volume, which never shrinks, had; the top has none */
		if (layer->number <= last || layer->frozen_size > manifest->size ||
			!layer->frozen_size != top || (top && layer->durable))
			return false;
		last = layer->number;
	}
	return last < UINT64_MAX - 2 * MANIFEST_LAYER_LIMIT;
}

int manifest_decode(const uint8_t *bytes, size_t size, struct manifest *manifest)
{
	if (size < MANIFEST_FIXED_SIZE || memcmp(bytes, MAGIC, sizeof MAGIC) ||
		wire_get(bytes + 8, 4) != VERSION ||
		wire_get(bytes + 12, 4) != checksum_crc32c(0, bytes + 16, size - 16))
		return -1;
	uint64_t count = wire_get(bytes + 88, 4);
	if (count < 1 || count > MANIFEST_LAYER_LIMIT ||
		size != MANIFEST_FIXED_SIZE + count * MANIFEST_LAYER_SIZE)
		return -1;
	memcpy(manifest->id, bytes + 16, MAP_ID_SIZE);
	manifest->size = wire_get(bytes + 32, 8);
	manifest->base_size = wire_get(bytes + 40, 8);
	manifest->base_layer = wire_get(bytes + 48, 8);
	memcpy(manifest->base.bytes, bytes + 56, DIGEST_SIZE);
	manifest->layer_count = (uint32_t)count;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = bytes + MANIFEST_FIXED_SIZE + (size_t)i * MANIFEST_LAYER_SIZE;
		manifest->layers[i] = (struct manifest_layer){
			.number = wire_get(at, 8), .frozen_size = wire_get(at + 8, 8), .durable = at[16] == 1
		};
		if (at[16] > 1)
			return -1;
	}
	return makes_sense(manifest) ? 0 : -1;
}

int manifest_read(const char *folder, struct manifest *manifest, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	const char *path = arena_printf(scratch, "%s/manifest", folder);
	char *bytes;
	size_t size;
	if (file_read(path, MANIFEST_SIZE_LIMIT, scratch, &bytes, &size, err))
		return -1;
	if (manifest_decode((const uint8_t *)bytes, size, manifest))
		return error_set(err, ERROR_CORRUPT, "%s is damaged", path);
	return 0;
}

int manifest_write(const char *folder, const struct manifest *manifest, struct error *err)
{
	struct arena *scratch ARENA_SCOPED = arena_create();
	uint8_t *bytes = arena_alloc(scratch, MANIFEST_SIZE_LIMIT);
	size_t size = manifest_encode(manifest, bytes);
	return file_replace(arena_printf(scratch, "%s/manifest", folder), bytes, size, 0600, err);
}
