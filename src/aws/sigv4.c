/*
 * Computes what a signature should be and compares. The canonical request is
 *
 *	METHOD \n PATH \n QUERY \n (header:value \n)... \n SIGNED;HEADERS \n HEX(SHA256(body))
 *
 * in which the path has its dot segments and double slashes removed and is percent-encoded once more (AWS encodes twice everywhere but in S3), and the query's
 * parameters are decoded, encoded in the one canonical way, and sorted. What is signed is its digest with the time and the scope, under a key derived from
 * the secret by a chain of four HMACs. Deriving it costs a few microseconds, so it is not cached: secrets stay nowhere. No state; any thread.
 */
#include "aws/sigv4.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/text.h"
#include "base/banned.h"

int sigv4_check_time(const struct sigv4_signature *signature, int64_t now_ms, struct error *err)
{
	int64_t valid_s = signature->presigned ? signature->expires_s : SIGV4_SKEW_SECONDS;
	int64_t age_ms = now_ms - signature->signed_ms;
	if (age_ms > valid_s * 1000)
		return error_set(err, ERROR_REQUEST_EXPIRED,
			"Signature expired: %s is more than %" PRId64 " s ago.", signature->timestamp,
			valid_s);
	if (age_ms < -SIGV4_SKEW_SECONDS * 1000)
		return error_set(err, ERROR_REQUEST_EXPIRED,
			"Signature not yet current: %s is more than %d s from now.", signature->timestamp,
			SIGV4_SKEW_SECONDS);
	return 0;
}

/* Percent-encodes all but unreserved characters, and '/' if `keep_slash`. */
static void append_encoded(struct buffer *out, const char *text, size_t size, bool keep_slash)
{
	static const char digits[] = "0123456789ABCDEF";
	for (const unsigned char *p = (const unsigned char *)text, *end = p + size; p < end; p++) {
		if ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
			*p == '-' || *p == '_' || *p == '.' || *p == '~' || (*p == '/' && keep_slash)) {
			buffer_append_char(out, (char)*p);
		} else {
			const char escape[3] = { '%', digits[*p >> 4], digits[*p & 15] };
			buffer_append(out, escape, sizeof escape);
		}
	}
}

/* RFC 3986 5.2.4, and no empty segments. */
static void append_canonical_path(struct buffer *out, const char *path, struct arena *arena)
{
	size_t count, kept = 0;
	char **segments = text_split(arena, path, '/', &count);
	bool ends_with_slash = count > 1 && !segments[count - 1][0];
	for (size_t i = 0; i < count; i++) {
		if (strcmp(segments[i], "..") == 0)
			kept -= kept > 0;
		else if (segments[i][0] && strcmp(segments[i], ".") != 0)
			segments[kept++] = segments[i];
	}
	for (size_t i = 0; i < kept; i++) {
		buffer_append_char(out, '/');
		append_encoded(out, segments[i], strlen(segments[i]), false);
	}
	if (kept == 0 || ends_with_slash)
		buffer_append_char(out, '/');
}

static int compare_parameters(const void *left, const void *right)
{
	const struct http_parameter *a = left, *b = right;
	int order = strcmp(a->name, b->name);
	return order ? order : strcmp(a->value, b->value);
}

static const char *encode(const char *text, struct arena *arena)
{
	struct buffer out BUFFER_SCOPED = { 0 };
	append_encoded(&out, text, strlen(text), false);
	return arena_strdup(arena, buffer_text(&out));
}

/* Decoding first means that a parameter is signed by what the codecs will read in it, however it was spelled. */
static int append_canonical_query(struct buffer *out, const struct http_request *http, bool presigned,
	struct arena *arena, struct error *err)
{
	struct http_parameters parameters = { 0 };
	if (http_parse_parameters(arena, http->query, strlen(http->query), &parameters) < 0)
		return error_set(err, ERROR_SIGNATURE_MISMATCH, "The query string is malformed.");
	size_t count = 0;
	for (size_t i = 0; i < parameters.count; i++) {
		struct http_parameter parameter = parameters.items[i];
		if (presigned && strcmp(parameter.name, "X-Amz-Signature") == 0)
			continue;
		parameters.items[count++] = (struct http_parameter){ encode(parameter.name, arena),
			encode(parameter.value, arena) };
	}
	if (count > 1)
		qsort(parameters.items, count, sizeof *parameters.items, compare_parameters);
	for (size_t i = 0; i < count; i++)
		buffer_printf(
			out, "%s%s=%s", i ? "&" : "", parameters.items[i].name, parameters.items[i].value);
	return 0;
}

/* Trimmed, runs of white space made one space. */
static void append_header_value(struct buffer *out, const char *value)
{
	const char *separator = "";
	while (*(value += strspn(value, " \t"))) {
		size_t size = strcspn(value, " \t");
		buffer_append_text(out, separator);
		buffer_append(out, value, size);
		value += size;
		separator = " ";
	}
}

/* "name:value,value\n": all headers of that name, in the order received */
static int append_canonical_header(
	struct buffer *out, const struct http_request *http, const char *name, struct error *err)
{
	bool found = false;
	buffer_append_text(out, name);
	for (size_t i = 0; i < http->header_count; i++) {
		if (strcasecmp(http->headers[i].name, name) != 0)
			continue;
		buffer_append_char(out, found ? ',' : ':');
		append_header_value(out, http->headers[i].value);
		found = true;
	}
	buffer_append_char(out, '\n');
	if (!found)
		return error_set(
			err, ERROR_SIGNATURE_MISMATCH, "The signed header '%s' is not in the request.", name);
	return 0;
}

/* A header that changes what a request means must not be added on the way. */
static int check_all_signed(
	const struct sigv4_signature *signature, const struct http_request *http, struct error *err)
{
	for (size_t i = 0; i < http->header_count; i++) {
		bool is_signed = strncasecmp(http->headers[i].name, "x-amz-", 6) != 0;
		for (size_t k = 0; !is_signed && k < signature->signed_header_count; k++)
			is_signed = strcasecmp(http->headers[i].name, signature->signed_headers[k]) == 0;
		if (!is_signed)
			return error_set(err, ERROR_SIGNATURE_MISMATCH, "The header '%s' is not signed.",
				http->headers[i].name);
	}
	return 0;
}

static int append_canonical_request(struct buffer *out, const struct sigv4_signature *signature,
	const struct http_request *http, const char *payload, struct arena *arena, struct error *err)
{
	buffer_printf(out, "%s\n", http->method);
	append_canonical_path(out, http->path, arena);
	buffer_append_char(out, '\n');
	if (append_canonical_query(out, http, signature->presigned, arena, err) < 0)
		return -1;
	buffer_append_char(out, '\n');
	for (size_t i = 0; i < signature->signed_header_count; i++)
		if (append_canonical_header(out, http, signature->signed_headers[i], err) < 0)
			return -1;
	for (size_t i = 0; i < signature->signed_header_count; i++)
		buffer_printf(out, "%c%s", i ? ';' : '\n', signature->signed_headers[i]);
	buffer_printf(out, "\n%s", payload);
	return 0;
}

static void derive_key(const struct sigv4_signature *signature, const char *secret, struct digest *key)
{
	struct buffer start BUFFER_SCOPED = { 0 };
	buffer_printf(&start, "AWS4%s", secret);
	digest_hmac_sha256(start.data, start.size, signature->date, strlen(signature->date), key);
	const char *const steps[] = { signature->region, signature->service, "aws4_request" };
	for (size_t i = 0; i < 3; i++) {
		struct digest before = *key;
		digest_hmac_sha256(before.bytes, DIGEST_SIZE, steps[i], strlen(steps[i]), key);
	}
	OPENSSL_cleanse(start.data, start.size);
}

/* 1 if the signature is right for that payload digest, 0 if not, -1 with an error if the request cannot have been signed at all. */
static int matches(const struct sigv4_signature *signature, const struct http_request *http,
	const struct digest *key, const char *payload, struct arena *arena, struct error *err)
{
	struct buffer canonical BUFFER_SCOPED = { 0 }, text BUFFER_SCOPED = { 0 };
	struct digest digest, mac;
	char hex[2 * DIGEST_SIZE + 1];
	if (append_canonical_request(&canonical, signature, http, payload, arena, err) < 0)
		return -1;
	digest_sha256(canonical.data, canonical.size, &digest);
	buffer_printf(&text, SIGV4_ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", signature->timestamp,
		signature->date, signature->region, signature->service,
		text_hex(digest.bytes, DIGEST_SIZE, hex));
	digest_hmac_sha256(key->bytes, DIGEST_SIZE, text.data, text.size, &mac);
	return digest_equal(&mac, &signature->mac);
}

int sigv4_verify(const struct sigv4_signature *signature, const struct http_request *http, const char *secret,
	enum sigv4_payload payload, struct arena *arena, struct error *err)
{
	static const char unsigned_payload[] = "UNSIGNED-PAYLOAD";
	if (check_all_signed(signature, http, err) < 0)
		return -1;
	struct digest digest, key;
	char hex[2 * DIGEST_SIZE + 1] = "";
	const char *claimed = http_request_header(http, "x-amz-content-sha256");
	bool unsigned_may_be = payload == SIGV4_PAYLOAD_MAY_BE_UNSIGNED &&
		(!claimed || strcmp(claimed, unsigned_payload) == 0);
	/* The client's own word for the digest of its body is taken only if it is true: what counts is what arrived. */
	if (!claimed || !unsigned_may_be) {
		digest_sha256(http->body, http->body_size, &digest);
		text_hex(digest.bytes, DIGEST_SIZE, hex);
	}
	derive_key(signature, secret, &key);
	int match = 0;
	if (*hex && (!claimed || strcasecmp(claimed, hex) == 0))
		match = matches(signature, http, &key, claimed ? claimed : hex, arena, err);
	if (match == 0 && unsigned_may_be)
		match = matches(signature, http, &key, unsigned_payload, arena, err);
	OPENSSL_cleanse(&key, sizeof key);
	if (match == 0)
		return error_set(err, ERROR_SIGNATURE_MISMATCH,
			"The request signature we calculated does not match the "
			"signature you provided. Check your AWS Secret Access Key and signing method.");
	return match > 0 ? 0 : -1;
}
