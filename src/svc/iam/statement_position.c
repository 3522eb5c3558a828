/* Where a statement lies in the text of its policy. The text compiles, so it is sound JSON: only strings and nesting are looked at. No state. */
#include <ctype.h>
#include <string.h>

#include "svc/iam/simulation.h"
#include "base/banned.h"

struct place {
	const char *at;
	unsigned line, column;
};

static void step(struct place *place)
{
	if (*place->at == '\n') {
		place->line++;
		place->column = 1;
	} else {
		place->column += ((unsigned char)*place->at & 0xc0) != 0x80;
	}
	place->at++;
}

static void skip_space(struct place *place)
{
	while (isspace((unsigned char)*place->at) || (*place->at && strchr(",:", *place->at)))
		step(place);
}

static void skip_string(struct place *place)
{
	step(place);
	while (*place->at && *place->at != '"') {
		if (*place->at == '\\')
			step(place);
		if (*place->at)
			step(place);
	}
	if (*place->at)
		step(place);
}

/* One value: a string, a bare word, or all between brackets. */
static void skip_value(struct place *place)
{
	unsigned depth = 0;
	skip_space(place);
	do {
		if (*place->at == '"') {
			skip_string(place);
			continue;
		}
		if (*place->at && strchr("{[", *place->at))
			depth++;
		if (*place->at && strchr("}]", *place->at))
			depth--;
		step(place);
	} while (*place->at && (depth || isalnum((unsigned char)*place->at)));
}

/* Behind the name "Statement" of the outermost object. */
static void find_statements(struct place *place)
{
	skip_space(place);
	if (*place->at == '{')
		step(place);
	for (;;) {
		skip_space(place);
		const char *name = place->at;
		if (*name != '"')
			return;
		skip_string(place);
		if (strncmp(name, "\"Statement\"", 11) == 0)
			return;
		skip_value(place);
	}
}

static struct iam_Position show(const struct place *place)
{
	return (struct iam_Position){ some_integer(place->line), some_integer(place->column) };
}

void statement_find(
	const char *document, unsigned index, struct iam_Position *start, struct iam_Position *end)
{
	struct place place = { document, 1, 1 };
	find_statements(&place);
	skip_space(&place);
	if (*place.at == '[') {
		step(&place);
		for (; index; index--)
			skip_value(&place);
		skip_space(&place);
	}
	*start = show(&place);
	skip_value(&place);
	*end = show(&place);
}
