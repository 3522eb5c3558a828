/* Commands and answers of the control socket. Pure functions. */
#include "volume/control.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

static const struct {
	const char *name;
	bool number, root;
} verbs[] = {
	[CONTROL_HOLD] = { "hold", true, false },
	[CONTROL_FREEZE] = { "freeze", false, false },
	[CONTROL_SYNC] = { "sync", true, false },
	[CONTROL_RELEASE] = { "release", false, false },
	[CONTROL_REBASE] = { "rebase", true, true },
	[CONTROL_GROW] = { "grow", true, false },
	[CONTROL_RECORD] = { "record", true, true },
	[CONTROL_PREFETCH] = { "prefetch", true, true },
	[CONTROL_LET_GO] = { "let-go", false, false },
	[CONTROL_STATUS] = { "status", false, false },
	[CONTROL_SHUTDOWN] = { "shutdown", false, false },
};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

/* Copies the next word and moves on; false if there is none or it is too long. One space stands between words. */
static bool take_word(const char **line, char *word, size_t size)
{
	size_t length = strcspn(*line, " ");
	if (!length || length >= size)
		return false;
	memcpy(word, *line, length);
	word[length] = '\0';
	*line += length;
	if (**line == ' ' && (*line)[1])
		++*line;
	return true;
}

static bool take_number(const char **line, uint64_t *number)
{
	char word[32];
	int64_t value;
	if (!take_word(line, word, sizeof word) || text_parse_int64(word, &value) || value < 0)
		return false;
	*number = (uint64_t)value;
	return true;
}

int control_parse(const char *line, struct control_command *command, struct error *err)
{
	char word[2 * DIGEST_SIZE + 2];
	int verb = 0;
	const char *rest = line;
	*command = (struct control_command){ 0 };
	if (!take_word(&rest, word, sizeof word))
		return error_set(err, ERROR_INVALID, "empty command");
	while (verb < VERB_COUNT && !text_equal(verbs[verb].name, word))
		verb++;
	if (verb == VERB_COUNT)
		return error_set(err, ERROR_INVALID, "no such command");
	command->verb = (enum control_verb)verb;
	if (verbs[verb].number && !take_number(&rest, &command->number))
		return error_set(err, ERROR_INVALID, "%s needs a number", verbs[verb].name);
	if (verbs[verb].root &&
		(!take_word(&rest, word, sizeof word) ||
			text_unhex(word, command->root.bytes, sizeof command->root.bytes)))
		return error_set(err, ERROR_INVALID, "%s needs a root digest", verbs[verb].name);
	if (*rest)
		return error_set(err, ERROR_INVALID, "%s takes no more words", verbs[verb].name);
	return 0;
}

char *control_format(const struct control_command *command, char out[CONTROL_LINE_LIMIT])
{
	char hex[2 * DIGEST_SIZE + 1];
	const char *name = verbs[command->verb].name;
	if (verbs[command->verb].root)
		snprintf(out, CONTROL_LINE_LIMIT, "%s %" PRIu64 " %s", name, command->number,
			text_hex(command->root.bytes, DIGEST_SIZE, hex));
	else if (verbs[command->verb].number)
		snprintf(out, CONTROL_LINE_LIMIT, "%s %" PRIu64, name, command->number);
	else
		snprintf(out, CONTROL_LINE_LIMIT, "%s", name);
	return out;
}

char *control_format_error(const struct error *err, char out[CONTROL_LINE_LIMIT])
{
	snprintf(out, CONTROL_LINE_LIMIT, "error %s %s", error_aws_code(err->code), err->message);
	for (char *c = out; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	return out;
}

int control_parse_answer(const char *line, const char **words, struct error *err)
{
	char word[64];
	if (text_equal(line, "ok") || text_starts_with(line, "ok ")) {
		*words = line[2] ? line + 3 : line + 2;
		return 0;
	}
	if (!text_starts_with(line, "error "))
		return error_set(err, ERROR_INTERNAL, "a volume server answered nonsense");
	const char *rest = line + 6;
	if (!take_word(&rest, word, sizeof word))
		return error_set(err, ERROR_INTERNAL, "a volume server answered nonsense");
	enum error_code code = ERROR_NONE + 1;
	while (code < ERROR_CODE_COUNT && !text_equal(error_aws_code(code), word))
		code++;
	return error_set(err, code < ERROR_CODE_COUNT ? code : ERROR_INTERNAL, "%s", rest);
}
