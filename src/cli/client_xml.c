/* The few elements that amid's commands need of XML answers. Total: any text gives an answer, and nothing is read beyond its end. */
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "base/banned.h"

static const struct {
	const char *name;
	char character;
} entities[] = { { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' }, { "&amp;", '&' } };

/* In place: the decoded text is never longer. Other entities stay as they are. */
static void decode_entities(char *text)
{
	char *out = text;
	while (*text) {
		char character = *text;
		size_t size = 1;
		for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
			if (text_starts_with(text, entities[i].name)) {
				character = entities[i].character;
				size = strlen(entities[i].name);
				break;
			}
		}
		*out++ = character;
		text += size;
	}
	*out = '\0';
}

char *client_find_element(struct arena *arena, const char *xml, const char *name)
{
	const char *start = strstr(xml, arena_printf(arena, "<%s>", name));
	if (!start)
		return NULL;
	start += strlen(name) + 2;
	const char *end = strchr(start, '<');
	if (!end)
		return NULL;
	char *text = arena_strndup(arena, start, (size_t)(end - start));
	decode_entities(text);
	return text;
}
