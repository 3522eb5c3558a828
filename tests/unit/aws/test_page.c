/* Paging: pages cover a list exactly once, and tokens are taken only where they were given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "aws/page.h"
#include "base/clock.h"

static const uint8_t key[PAGE_KEY_SIZE] = "the key of this test, 32 bytes";
static const struct page_rules rules = { .min = 2, .max = 4 };
static const char *const ids[] = { "i-1", "i-2", "i-3", "i-4", "i-5" };
enum { ID_COUNT = 5 };

static const struct shape_operation list_things = { .name = "ListThings" },
				    list_others = { .name = "ListOthers" };
static const struct operation things = { .shape = &list_things }, others = { .shape = &list_others };

static struct call make_call(struct arena *arena)
{
	return (struct call){
		.arena = arena, .operation = &things, .account = "123456789012", .region = "us-east-1"
	};
}

/* One page of the ids; *count of them. */
static const char *read_page(const struct call *call, int64_t max_results, const char *token, size_t *count)
{
	struct page page;
	struct error err;
	*count = 0;
	assert_int_equal(page_open(call, key, &rules,
				 max_results ? some_integer(max_results) : (struct shape_integer){ 0 }, token,
				 &page, &err),
		0);
	for (size_t i = 0; i < ID_COUNT; i++) {
		if (!page_is_ahead(&page, ids[i]))
			continue;
		if (!page_take(&page, ids[i]))
			break;
		(*count)++;
	}
	return page_close(&page);
}

static void pages_cover_the_list_once(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	size_t count;
	const char *token = read_page(&call, 2, NULL, &count);
	assert_int_equal(count, 2);
	token = read_page(&call, 2, token, &count);
	assert_int_equal(count, 2);
	token = read_page(&call, 2, token, &count);
	assert_int_equal(count, 1);
	assert_null(token);
}

static void a_page_that_is_just_full_has_no_token(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	size_t count;
	const char *token = read_page(&call, 3, NULL, &count);
	assert_null(read_page(&call, 2, token, &count));
	assert_int_equal(count, 2);
}

static void limits_are_kept(void **state)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct page page;
	struct error err;
	size_t count;
	assert_null(read_page(&call, 0, NULL, &count));
	assert_int_equal(count, ID_COUNT);
	assert_non_null(read_page(&call, 1000, NULL, &count));
	assert_int_equal(count, 4);
	assert_int_equal(page_open(&call, key, &rules, some_integer(1), NULL, &page, &err), -1);
	assert_int_equal(err.code, ERROR_INVALID_PARAMETER_VALUE);
	assert_int_equal(
		page_open(&call, key, &(struct page_rules){ 0 }, some_integer(-1), NULL, &page, &err), -1);
}

static void other_tokens_are_refused(void **state)
{
	static const char *const bad[] = { "x", "AA==", "AQ==", "not base64!",
		"AQAAAAAAAAAAAAAAAAAAAABpLTE=" };
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct page page;
	struct error err;
	size_t count;
	char *token = arena_strdup(arena, read_page(&call, 2, NULL, &count));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(page_open(&call, key, &rules, some_integer(2), bad[i], &page, &err), -1);
		assert_int_equal(err.code, ERROR_INVALID_NEXT_TOKEN);
	}
	call.operation = &others;
	assert_int_equal(page_open(&call, key, &rules, some_integer(2), token, &page, &err), -1);
	call = make_call(arena);
	call.account = "210987654321";
	assert_int_equal(page_open(&call, key, &rules, some_integer(2), token, &page, &err), -1);
	call = make_call(arena);
	call.region = "us-west-2";
	assert_int_equal(page_open(&call, key, &rules, some_integer(2), token, &page, &err), -1);
	call = make_call(arena);
	assert_int_equal(page_open(&call, key, &rules, some_integer(2), token, &page, &err), 0);
	token[4] = token[4] == 'A' ? 'B' : 'A';
	assert_int_equal(page_open(&call, key, &rules, some_integer(2), token, &page, &err), -1);
}

static void tokens_expire_where_a_rule_says_so(void **state)
{
	static const struct page_rules short_lived = { .lifetime_ms = 1000,
		.bad_token = ERROR_VALIDATION_PAGE_TOKEN };
	struct arena *arena ARENA_SCOPED = arena_create();
	struct call call = make_call(arena);
	struct page page;
	struct error err;
	size_t count;
	const char *lasting = read_page(&call, 2, NULL, &count);
	assert_int_equal(page_open(&call, key, &short_lived, some_integer(1), NULL, &page, &err), 0);
	assert_true(page_take(&page, "i-1"));
	assert_false(page_take(&page, "i-2"));
	const char *token = page_close(&page);
	assert_int_equal(page_open(&call, key, &short_lived, some_integer(1), token, &page, &err), 0);
	assert_string_equal(page.after, "i-1");
	clock_advance(1000);
	assert_int_equal(page_open(&call, key, &short_lived, some_integer(1), token, &page, &err), -1);
	assert_int_equal(err.code, ERROR_VALIDATION_PAGE_TOKEN);
	read_page(&call, 2, lasting, &count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_cover_the_list_once),
		cmocka_unit_test(a_page_that_is_just_full_has_no_token),
		cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(other_tokens_are_refused),
		cmocka_unit_test(tokens_expire_where_a_rule_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
