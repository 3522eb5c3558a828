/* SHA-256 and HMAC-SHA-256, through OpenSSL (which uses the processor's SHA instructions). Safe from every thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SIZE = 32 };

struct digest {
	uint8_t bytes[DIGEST_SIZE];
};

/* A digest made from pieces: begin, add as often as wanted, end. */
struct digest_stream {
	uint64_t state[14]; /* the library's */
};
void digest_stream_begin(struct digest_stream *stream);
void digest_stream_add(struct digest_stream *stream, const void *data, size_t size);
void digest_stream_end(struct digest_stream *stream, struct digest *digest);

void digest_sha256(const void *data, size_t size, struct digest *digest);
void digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t size, struct digest *mac);
/* Constant time. */
bool digest_equal(const struct digest *a, const struct digest *b);
/* Whether all bytes are zero: the id that stands for "no block" in a tree. */
bool digest_is_zero(const struct digest *digest);
