/* Signature Version 4: canonical request -> text to sign -> MAC under a key derived from the secret, the day, region and service. */
#include "cli/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "base/buffer.h"
#include "base/text.h"
#include "base/banned.h"

enum { DATE_SIZE = 8 };

char *sign_timestamp(struct arena *arena, int64_t now_ms)
{
	char text[32];
	time_t seconds = (time_t)(now_ms / 1000);
	struct tm parts;
	gmtime_r(&seconds, &parts);
	strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
	return arena_strdup(arena, text);
}

static int compare_headers(const void *a, const void *b)
{
	return strcmp(((const struct sign_header *)a)->name, ((const struct sign_header *)b)->name);
}

/* "host;x-amz-date" */
static char *list_names(struct arena *arena, const struct sign_header *headers, size_t count)
{
	struct buffer names BUFFER_SCOPED = { 0 };
	for (size_t i = 0; i < count; i++)
		buffer_printf(&names, "%s%s", i ? ";" : "", headers[i].name);
	return arena_strdup(arena, buffer_text(&names));
}

static void hash_canonical(const struct sign_request *request, const struct sign_header *headers,
	const char *names, struct digest *digest)
{
	struct buffer text BUFFER_SCOPED = { 0 };
	char hex[2 * DIGEST_SIZE + 1];
	buffer_printf(&text, "%s\n%s\n\n", request->method, request->path);
	for (size_t i = 0; i < request->header_count; i++)
		buffer_printf(&text, "%s:%s\n", headers[i].name, headers[i].value);
	buffer_printf(&text, "\n%s\n%s", names,
		request->body ? text_hex(request->body->bytes, DIGEST_SIZE, hex) : SIGN_UNSIGNED_BODY);
	digest_sha256(text.data, text.size, digest);
}

static void mac_text(const void *key, size_t key_size, const char *text, struct digest *mac)
{
	digest_hmac_sha256(key, key_size, text, strlen(text), mac);
}

static void derive_key(
	const struct sign_credentials *credentials, const char *date, const char *service, struct digest *key)
{
	struct buffer secret BUFFER_SCOPED = { 0 };
	struct digest step;
	buffer_printf(&secret, "AWS4%s", credentials->secret);
	mac_text(secret.data, secret.size, date, &step);
	mac_text(step.bytes, DIGEST_SIZE, credentials->region, key);
	mac_text(key->bytes, DIGEST_SIZE, service, &step);
	mac_text(step.bytes, DIGEST_SIZE, "aws4_request", key);
	OPENSSL_cleanse(secret.data, secret.size);
	OPENSSL_cleanse(&step, sizeof step);
}

char *sign_authorization(struct arena *arena, const struct sign_credentials *credentials,
	const struct sign_request *request, const char *timestamp)
{
	struct sign_header *headers =
		arena_memdup(arena, request->headers, request->header_count * sizeof *headers);
	const char *date = arena_strndup(arena, timestamp, DATE_SIZE);
	struct digest canonical, key, mac;
	char hex[2 * DIGEST_SIZE + 1];
	qsort(headers, request->header_count, sizeof *headers, compare_headers);
	const char *names = list_names(arena, headers, request->header_count);
	const char *scope =
		arena_printf(arena, "%s/%s/%s/aws4_request", date, credentials->region, request->service);
	hash_canonical(request, headers, names, &canonical);
	const char *text = arena_printf(arena, "AWS4-HMAC-SHA256\n%s\n%s\n%s", timestamp, scope,
		text_hex(canonical.bytes, DIGEST_SIZE, hex));
	derive_key(credentials, date, request->service, &key);
	mac_text(key.bytes, DIGEST_SIZE, text, &mac);
	OPENSSL_cleanse(&key, sizeof key);
	return arena_printf(arena, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		credentials->access_key_id, scope, names, text_hex(mac.bytes, DIGEST_SIZE, hex));
}
