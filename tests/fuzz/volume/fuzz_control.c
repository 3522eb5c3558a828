/* Fuzz target (libFuzzer): lines of the control socket, both ways. A command that parses formats to a line that parses to the same. */
#include <stdlib.h>
#include <string.h>

#include "volume/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char line[CONTROL_LINE_LIMIT], again[CONTROL_LINE_LIMIT];
	struct control_command command, second;
	struct error err;
	const char *words;
	size = size < sizeof line ? size : sizeof line - 1;
	memcpy(line, data, size);
	line[size] = '\0';
	if (!control_parse(line, &command, &err) &&
		(control_parse(control_format(&command, again), &second, &err) ||
			second.verb != command.verb || second.number != command.number ||
			memcmp(&second.root, &command.root, sizeof command.root)))
		abort();
	control_parse_answer(line, &words, &err);
	return 0;
}
