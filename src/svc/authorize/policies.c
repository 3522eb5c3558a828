/*
 * What governs a principal: its own policies, boundary and session, and those of its organization at each level; with them, the condition keys that they ask for. Runs on any thread.
 */
#include <string.h>
#include <strings.h>

#include "svc/authorize/internal.h"
#include "svc/organization.h"
#include "base/banned.h"

static void add_key(struct texts *keys, const char *name, struct arena *arena)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcasecmp(keys->items[i], name) == 0)
			return;
	*ARENA_APPEND(arena, keys->items, keys->count) = name;
}

void governing_add_keys(struct governing *governing, const struct policy_list *list, struct arena *arena)
{
	for (size_t i = 0; i < list->count; i++) {
		const char **names;
		size_t count;
		policy_list_context_keys(list->items[i].policy, arena, &names, &count);
		for (size_t j = 0; j < count; j++)
			add_key(&governing->keys, names[j], arena);
	}
}
