/* CRC-32C (Castagnoli), for headers, manifests and pages: small things. Contents are covered by SHA-256. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* `seed` is 0, or the result for the bytes before these. */
uint32_t checksum_crc32c(uint32_t seed, const void *data, size_t size);
