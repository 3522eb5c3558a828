/* The walk of the chain. A file at a time is read whole. One thread. */
#include "audit/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/banned.h"

struct walk {
	struct audit_head head;
	bool has_head, any, met_head;
	struct digest last;
	struct audit_verdict *verdict;
};

static void fault(struct audit_verdict *verdict, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fault(struct audit_verdict *verdict, const char *format, ...)
{
	va_list arguments;
	if (!verdict->whole)
		return;
	verdict->whole = false;
	va_start(arguments, format);
	vsnprintf(verdict->fault, sizeof verdict->fault, format, arguments);
	va_end(arguments);
}

/* Whether the trail has come to where the head says it was synced; if so, with the line that it says. */
static void meet_head(struct walk *walk, const char *name, uint64_t at, uint64_t line)
{
	if (!walk->has_head || strcmp(name, walk->head.file) != 0 || at != walk->head.size)
		return;
	walk->met_head = true;
	if (!digest_equal(&walk->last, &walk->head.last))
		fault(walk->verdict, "%s: line %llu is not the one that the head has noted", name,
			(unsigned long long)line);
}

static void walk_line(struct walk *walk, const char *name, uint64_t number, const char *text, size_t size)
{
	struct audit_line line;
	bool first = !walk->any;
	if (audit_line_parse(text, size, &line)) {
		fault(walk->verdict, "%s: line %llu is none of amid's", name, (unsigned long long)number);
		return;
	}
	if (!first && !digest_equal(&line.previous, &walk->last))
		fault(walk->verdict,
			"%s: line %llu does not follow the line before it: one of the two was changed, or lines between them are missing",
			name, (unsigned long long)number);
	else if (first && walk->has_head && strcmp(name, walk->head.first) == 0 &&
		!digest_equal(&line.previous, &walk->head.base))
		fault(walk->verdict, "%s: line 1 is not the first one of the trail", name);
	if (!walk->verdict->whole)
		return;
	walk->any = true;
	audit_line_digest(text, size, &walk->last);
	walk->verdict->lines++;
	walk->verdict->last = walk->last;
}

static int walk_file(struct walk *walk, const char *folder, const char *name, bool newest, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *data;
	size_t size, at = 0;
	uint64_t number = 0;
	if (file_read(arena_printf(arena, "%s/%s", folder, name), AUDIT_FILE_MAX + (size_t)AUDIT_LINE_MAX,
		    arena, &data, &size, err))
		return -1;
	meet_head(walk, name, 0, 0);
	while (at < size && walk->verdict->whole) {
		const char *end = memchr(data + at, '\n', size - at);
		if (!end) {
			walk->verdict->torn = newest;
			if (!newest)
				fault(walk->verdict, "%s: line %llu has no end", name,
					(unsigned long long)number + 1);
			return 0;
		}
		walk_line(walk, name, ++number, data + at, (size_t)(end - data) - at);
		at = (size_t)(end - data) + 1;
		meet_head(walk, name, at, number);
	}
	return 0;
}

int audit_verify(const char *folder, struct audit_verdict *verdict, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	struct walk walk = { .verdict = verdict };
	struct error damaged = { 0 };
	char **names;
	size_t count;
	*verdict = (struct audit_verdict){ .whole = true };
	/* the head first: the trail may grow meanwhile, and is then longer than the head says, which is right */
	if (audit_head_read(folder, &walk.head, &walk.has_head, &damaged)) {
		if (damaged.code != ERROR_CORRUPT)
			return error_set(err, damaged.code, "%s", damaged.message);
		fault(verdict, "head: is damaged");
	}
	if (audit_name_list(folder, arena, &names, &count, err))
		return -1;
	if (count && !walk.has_head)
		fault(verdict, "head: is missing");
	if (walk.has_head && walk.head.first[0] && (!count || strcmp(names[0], walk.head.first) > 0))
		fault(verdict, "%s: is missing", walk.head.first);
	for (size_t i = 0; i < count && verdict->whole; i++, verdict->files++)
		if (walk_file(&walk, folder, names[i], i + 1 == count, err))
			return -1;
	if (walk.has_head && walk.head.file[0] && !walk.met_head)
		fault(verdict, "%s: ends before byte %llu, up to which it was written: its end was cut off",
			walk.head.file, (unsigned long long)walk.head.size);
	return 0;
}
