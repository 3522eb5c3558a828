/* What names, paths and tags may look like, and pages of lists. No state; runs on the thread of the call. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "shape/utf8.h"
#include "svc/iam/common.h"
#include "base/banned.h"

enum { PAGE_FALLBACK = 100, PAGE_MAX = 1000 };

static bool is_name_letter(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_+=,.@-", c));
}

int iam_check_name(const char *parameter, const char *name, struct error *err)
{
	for (const char *c = name; *c; c++)
		if (!is_name_letter(*c))
			return error_set(err, ERROR_VALIDATION_QUERY,
				"The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-",
				parameter);
	return 0;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text < '!' || *text > '~')
			return false;
	return true;
}

int iam_check_path(const char *path, struct error *err)
{
	size_t size = strlen(path);
	if (path[0] == '/' && path[size - 1] == '/' && size <= 512 && is_printable(path))
		return 0;
	return error_set(err, ERROR_VALIDATION_QUERY,
		"The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.");
}

int iam_check_path_prefix(const char *prefix, struct error *err)
{
	if (!prefix || (prefix[0] == '/' && is_printable(prefix)))
		return 0;
	return error_set(err, ERROR_VALIDATION_QUERY,
		"The specified value for pathPrefix is invalid. It must begin with the / character and contain only alphanumeric characters and/or / characters.");
}

int iam_page_open(struct call *call, struct shape_integer max_items, const char *marker, struct page *page,
	struct error *err)
{
	static const struct page_rules rules = {
		.min = 1, .max = PAGE_MAX, .fallback = PAGE_FALLBACK, .bad_token = ERROR_VALIDATION_QUERY
	};
	return page_open(call, call->amid->token_key, &rules, max_items, marker, page, err);
}

bool iam_page_take(struct page *page, const char *sort, bool *full)
{
	*full = false;
	if (!page_is_ahead(page, sort))
		return false;
	*full = !page_take(page, sort);
	return !*full;
}

/* Letters, white space and digits of any script (whatever is not ASCII passes), and some signs. */
static bool is_tag_text(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!(*c & 0x80) && !isalnum((unsigned char)*c) && !strchr(" _.:/=+-@", *c))
			return false;
	return true;
}

static int check_tag(const struct iam_Tag *tag, struct error *err)
{
	if (!is_tag_text(tag->key))
		return error_set(err, ERROR_VALIDATION_QUERY,
			"The tag key '%.128s' is invalid. It must contain only letters, digits, white space and _.:/=+-@",
			tag->key);
	if (!is_tag_text(tag->value))
		return error_set(err, ERROR_VALIDATION_QUERY,
			"The value of the tag '%.128s' is invalid. It must contain only letters, digits, white space and _.:/=+-@",
			tag->key);
	if (strncasecmp(tag->key, "aws:", 4) == 0)
		return error_set(err, ERROR_INVALID,
			"The tag key '%.128s' begins with aws:, which is reserved.", tag->key);
	return 0;
}

static struct record_tag *find_tag(struct record_tag_list *list, const char *key)
{
	for (size_t i = 0; i < list->count; i++)
		if (strcasecmp(list->items[i].key, key) == 0)
			return &list->items[i];
	return NULL;
}

int iam_add_tags(struct call *call, const struct iam_tagListType *tags, struct record_tag_list *list,
	struct error *err)
{
	for (size_t i = 0; i < tags->count; i++) {
		const struct iam_Tag *tag = &tags->items[i];
		if (check_tag(tag, err))
			return -1;
		for (size_t j = 0; j < i; j++)
			if (strcasecmp(tags->items[j].key, tag->key) == 0)
				return error_set(err, ERROR_INVALID,
					"Duplicate tag keys found. Please note that Tag keys are case insensitive.");
		struct record_tag *slot = find_tag(list, tag->key);
		if (!slot)
			slot = ARENA_APPEND(call->arena, list->items, list->count);
		*slot = (struct record_tag){ .key = tag->key, .value = tag->value };
	}
	list->set = list->count > 0;
	if (list->count > IAM_TAGS_MAX)
		return error_set(err, ERROR_LIMIT_EXCEEDED,
			"The number of tags has reached the maximum limit: %d", IAM_TAGS_MAX);
	return 0;
}
