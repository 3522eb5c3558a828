/*
 * Paging: MaxResults and NextToken of list operations, over resources in order of their ids.
 *
 *	struct page page;
 *	if (page_open(call, key, &rules, request->max_results, request->next_token, &page, err) < 0)
 *		return -1;
 *	... for each resource behind page.after (meta_query.after_id) that the caller wants:
 *		if (!page_take(&page, id))
 *			break;
 *		... add it to the answer
 *	result->next_token = page_close(&page);
 *
 * A token holds the last id of its page and a MAC over it, the account, region and operation: nobody else's, made up or altered tokens are taken, nor are those that have expired. One thread, one arena.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aws/call.h"
#include "base/error.h"

enum { PAGE_KEY_SIZE = 32 };

/* How an operation pages, beyond what the tables say of MaxResults. */
struct page_rules {
	int64_t min;               /* less is refused (InvalidParameterValue); 0: any but negative ones */
	int64_t max;               /* more is served as this; 0: any */
	int64_t fallback;          /* without MaxResults; 0: all at once */
	enum error_code bad_token; /* 0: ERROR_INVALID_NEXT_TOKEN */
	int64_t lifetime_ms;       /* of tokens; 0: for ever */
};

struct page {
	const char *after; /* the page begins behind this id; NULL: at the first */
	/* private */
	const struct call *call;
	const uint8_t *key;
	size_t limit, count; /* limit 0: none */
	int64_t expires_ms;  /* of the token for the next page; 0: never */
	const char *last;
	bool more;
};

int page_open(const struct call *call, const uint8_t key[PAGE_KEY_SIZE], const struct page_rules *rules,
	struct shape_integer max_results, const char *next_token, struct page *page, struct error *err);
/* Whether an id belongs to this page or a later one (for lists that do not come from meta). */
bool page_is_ahead(const struct page *page, const char *id);
/* Takes the next resource into the page; false if it is full: then this resource is the first of the next one. The id must outlive the page. */
bool page_take(struct page *page, const char *id);
/* The NextToken of the answer; NULL if this was the last page. */
const char *page_close(const struct page *page);
