/* Compiled policies as objects: counting, what they ask for, and the two kinds of patterns for other gates. Safe from every thread. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "policy/policy_internal.h"
#include "base/banned.h"

struct policy *policy_retain(struct policy *policy)
{
	assert(policy->magic == POLICY_MAGIC);
	atomic_fetch_add(&policy->references, 1);
	return policy;
}

void policy_release(struct policy *policy)
{
	if (!policy)
		return;
	assert(policy->magic == POLICY_MAGIC);
	if (atomic_fetch_sub(&policy->references, 1) > 1)
		return;
	policy->magic = 0;
	arena_destroy(policy->arena);
	free(policy);
}

const char *policy_language_version(const struct policy *policy)
{
	return policy->version;
}

void policy_list_context_keys(
	const struct policy *policy, struct arena *arena, const char ***keys, size_t *count)
{
	*keys = arena_alloc_array(arena, policy->key_count, sizeof **keys);
	*count = policy->key_count;
	for (size_t i = 0; i < policy->key_count; i++)
		(*keys)[i] = arena_strdup(arena, policy->keys[i].name);
}

/* The same algorithm as match_tokens for a pattern that is used once: behind the last star, one place further each time that it does not fit. */
static bool match_text(const char *pattern, const char *text, bool fold)
{
	const char *star = NULL, *resume = NULL;
	while (*text) {
		char c[2] = { *pattern, '\0' }, d[2] = { *text, '\0' };
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern &&
			(*pattern == '?' || *pattern == *text || (fold && strcasecmp(c, d) == 0))) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

bool policy_match_action(const char *pattern, const char *action)
{
	return match_text(pattern, action, true);
}

bool policy_match_arn(const char *pattern, const char *arn)
{
	return match_text(pattern, arn, false);
}
