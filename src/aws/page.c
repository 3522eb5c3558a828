/* Paging. A token is the Base64 of: a version byte, the first MAC_SIZE bytes of the MAC, when it expires (decimal ms, 0: never) ended by NUL, the last id of the page. */
#include "aws/page.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "base/banned.h"

enum { TOKEN_VERSION = 2, MAC_SIZE = 16, HEAD_SIZE = 1 + MAC_SIZE };

/* Fields are ended by NUL, which none of them can hold, so that no two tuples read the same. */
static void mac_of(
	const struct call *call, const uint8_t *key, const char *expires, const char *id, struct digest *mac)
{
	const char *const fields[] = { "page", call->account, call->region, call->operation->shape->name,
		expires, id };
	struct buffer text BUFFER_SCOPED = { 0 };
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const char *field = fields[i] ? fields[i] : "";
		buffer_append(&text, field, strlen(field) + 1);
	}
	digest_hmac_sha256(key, PAGE_KEY_SIZE, text.data, text.size, mac);
}

/* The id in a token; NULL: it is none of ours, or has expired. */
static const char *read_token(const struct call *call, const uint8_t *key, const char *token)
{
	size_t size;
	struct digest mac;
	int64_t expires_ms;
	uint8_t *bytes = text_unbase64(call->arena, token, &size);
	if (!bytes || size <= HEAD_SIZE || bytes[0] != TOKEN_VERSION)
		return NULL;
	const char *expires = (const char *)bytes + HEAD_SIZE; /* NUL-terminated behind size */
	size_t expires_size = strlen(expires) + 1;
	if (expires_size > size - HEAD_SIZE)
		return NULL;
	const char *id = expires + expires_size;
	if (strlen(id) != size - HEAD_SIZE - expires_size)
		return NULL;
	mac_of(call, key, expires, id, &mac);
	if (CRYPTO_memcmp(bytes + 1, mac.bytes, MAC_SIZE) != 0 || text_parse_int64(expires, &expires_ms))
		return NULL;
	return expires_ms && expires_ms <= clock_now_ms() ? NULL : id;
}

static int read_max_results(
	const struct page_rules *rules, struct shape_integer max_results, size_t *limit, struct error *err)
{
	int64_t value = integer_or(max_results, rules->fallback);
	if (max_results.set && (value < 0 || value < rules->min))
		return error_set(err, ERROR_INVALID_PARAMETER_VALUE,
			"Value (%" PRId64
			") for parameter MaxResults is invalid. Expecting a value of at least %" PRId64,
			value, rules->min);
	if (rules->max && value > rules->max)
		value = rules->max;
	*limit = (size_t)value;
	return 0;
}

int page_open(const struct call *call, const uint8_t key[PAGE_KEY_SIZE], const struct page_rules *rules,
	struct shape_integer max_results, const char *next_token, struct page *page, struct error *err)
{
	*page = (struct page){ .call = call, .key = key };
	if (rules->lifetime_ms)
		page->expires_ms = clock_now_ms() + rules->lifetime_ms;
	if (read_max_results(rules, max_results, &page->limit, err) < 0)
		return -1;
	if (!next_token || !*next_token)
		return 0;
	page->after = read_token(call, key, next_token);
	if (page->after)
		return 0;
	return error_set(err, rules->bad_token ? rules->bad_token : ERROR_INVALID_NEXT_TOKEN,
		"The token is not valid, or has expired");
}

bool page_is_ahead(const struct page *page, const char *id)
{
	return !page->after || strcmp(id, page->after) > 0;
}

bool page_take(struct page *page, const char *id)
{
	if (page->limit && page->count == page->limit) {
		page->more = true;
		return false;
	}
	page->count++;
	page->last = id;
	return true;
}

const char *page_close(const struct page *page)
{
	struct digest mac;
	struct buffer token BUFFER_SCOPED = { 0 };
	if (!page->more || !page->last)
		return NULL;
	const char *expires = arena_printf(page->call->arena, "%" PRId64, page->expires_ms);
	mac_of(page->call, page->key, expires, page->last, &mac);
	buffer_append_char(&token, TOKEN_VERSION);
	buffer_append(&token, mac.bytes, MAC_SIZE);
	buffer_append(&token, expires, strlen(expires) + 1);
	buffer_append_text(&token, page->last);
	return text_base64(page->call->arena, token.data, token.size);
}
