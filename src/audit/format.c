/* Names, lines and the head of the audit trail, as text. No state; safe from every thread. */
#include "audit/format.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "base/banned.h"

#define LINE_BEGIN "{\"previous\":\""
#define LINE_MIDDLE "\",\"event\":"
enum {
	BEGIN_SIZE = sizeof LINE_BEGIN - 1,
	MIDDLE_SIZE = sizeof LINE_MIDDLE - 1,
	HEX_SIZE = 2 * DIGEST_SIZE,
	EVENT_AT = BEGIN_SIZE + HEX_SIZE + MIDDLE_SIZE,
	DAY_SIZE = 10,
};

void audit_name_make(int64_t day_ms, unsigned number, char name[AUDIT_NAME_SIZE])
{
	char day[32];
	clock_format_iso8601(day_ms, day);
	snprintf(name, AUDIT_NAME_SIZE, "%.10s.%04u.log", day, number % 10000);
}

int audit_name_parse(const char *name, unsigned *number)
{
	static const char pattern[] = "dddd-dd-dd.dddd.log";
	if (strlen(name) != sizeof pattern - 1)
		return -1;
	for (size_t i = 0; pattern[i]; i++)
		if (pattern[i] == 'd' ? name[i] < '0' || name[i] > '9' : name[i] != pattern[i])
			return -1;
	*number = (unsigned)strtoul(name + DAY_SIZE + 1, NULL, 10);
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int audit_name_list(const char *folder, struct arena *arena, char ***names, size_t *count, struct error *err)
{
	DIR *opened = opendir(folder);
	unsigned number;
	*names = NULL;
	*count = 0;
	if (!opened)
		return error_set_errno(err, errno, "cannot open %s", folder);
	for (struct dirent *entry; (entry = readdir(opened)) != NULL;)
		if (audit_name_parse(entry->d_name, &number) == 0)
			*ARENA_APPEND(arena, *names, *count) = arena_strdup(arena, entry->d_name);
	closedir(opened);
	if (*count)
		qsort(*names, *count, sizeof **names, compare_names);
	return 0;
}

void audit_line_digest(const char *line, size_t size, struct digest *digest)
{
	digest_sha256(line, size, digest);
}

void audit_line_make(struct buffer *out, const char *event, size_t size, struct digest *digest)
{
	char hex[HEX_SIZE + 1];
	size_t at = out->size;
	buffer_append(out, LINE_BEGIN, BEGIN_SIZE);
	buffer_append(out, text_hex(digest->bytes, DIGEST_SIZE, hex), HEX_SIZE);
	buffer_append(out, LINE_MIDDLE, MIDDLE_SIZE);
	buffer_append(out, event, size);
	buffer_append_char(out, '}');
	audit_line_digest(out->data + at, out->size - at, digest);
	buffer_append_char(out, '\n');
}

int audit_line_parse(const char *line, size_t size, struct audit_line *parsed)
{
	char hex[HEX_SIZE + 1] = { 0 };
	if (size < EVENT_AT + 3 || size > AUDIT_LINE_MAX || memcmp(line, LINE_BEGIN, BEGIN_SIZE) != 0 ||
		memcmp(line + BEGIN_SIZE + HEX_SIZE, LINE_MIDDLE, MIDDLE_SIZE) != 0 ||
		line[EVENT_AT] != '{' || line[size - 2] != '}' || line[size - 1] != '}')
		return -1;
	memcpy(hex, line + BEGIN_SIZE, HEX_SIZE);
	parsed->event = line + EVENT_AT;
	parsed->event_size = size - 1 - EVENT_AT;
	return text_unhex(hex, parsed->previous.bytes, DIGEST_SIZE);
}

/* A name is written in a field of fixed width, so that the head never changes its size; "-" stands for none. */
void audit_head_make(const struct audit_head *head, char text[AUDIT_HEAD_SIZE])
{
	char base[HEX_SIZE + 1], last[HEX_SIZE + 1];
	memset(text, ' ', AUDIT_HEAD_SIZE);
	int size = snprintf(text, AUDIT_HEAD_SIZE,
		"amid-audit-head 1\nfirst %s\nbase %s\nfile %s\nsize %" PRIu64 "\nlast %s\nend\n",
		head->first[0] ? head->first : "-", text_hex(head->base.bytes, DIGEST_SIZE, base),
		head->file[0] ? head->file : "-", head->size, text_hex(head->last.bytes, DIGEST_SIZE, last));
	text[size] = ' ';
	text[AUDIT_HEAD_SIZE - 1] = '\n';
}

static int read_name(const char *text, char name[AUDIT_NAME_SIZE])
{
	unsigned number;
	name[0] = 0;
	if (strcmp(text, "-") == 0)
		return 0;
	if (audit_name_parse(text, &number))
		return -1;
	memcpy(name, text, AUDIT_NAME_SIZE);
	return 0;
}

int audit_head_parse(const char *text, size_t size, struct audit_head *head)
{
	char copy[AUDIT_HEAD_SIZE + 1] = { 0 }, first[32], base[80], file[32], number[32], last[80], end[8];
	int64_t synced;
	if (size != AUDIT_HEAD_SIZE)
		return -1;
	memcpy(copy, text, size);
	if (sscanf(copy, "amid-audit-head 1\nfirst %31s\nbase %79s\nfile %31s\nsize %31s\nlast %79s\n%7s",
		    first, base, file, number, last, end) != 6 ||
		strcmp(end, "end") != 0 || read_name(first, head->first) || read_name(file, head->file) ||
		!head->first[0] != !head->file[0] || text_unhex(base, head->base.bytes, DIGEST_SIZE) ||
		text_unhex(last, head->last.bytes, DIGEST_SIZE) || text_parse_int64(number, &synced) ||
		synced < 0)
		return -1;
	head->size = (uint64_t)synced;
	return 0;
}

int audit_head_read(const char *folder, struct audit_head *head, bool *found, struct error *err)
{
	struct arena *arena ARENA_SCOPED = arena_create();
	char *path = arena_printf(arena, "%s/head", folder), *text;
	size_t size;
	struct error failed = { 0 };
	*found = false;
	if (file_read(path, 2 * AUDIT_HEAD_SIZE, arena, &text, &size, &failed)) {
		if (failed.code == ERROR_NOT_FOUND)
			return 0;
		return error_set(err, failed.code, "%s", failed.message);
	}
	if (audit_head_parse(text, size, head))
		return error_set(err, ERROR_CORRUPT, "%s is damaged", path);
	*found = true;
	return 0;
}
