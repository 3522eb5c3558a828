/* The log lines. Each is put together in a buffer on the stack and written at once, so that lines of several threads never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

static _Atomic int max_level = LOG_INFO;
static _Thread_local char context[128];

static const char *const level_names[] = { "error", "warning", "info", "debug" };

void log_set_level(enum log_level level)
{
	atomic_store(&max_level, (int)level);
}

void log_set_context(const char *text)
{
	snprintf(context, sizeof context, "%s", text ? text : "");
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	if ((int)level > atomic_load(&max_level))
		return;
	char line[2048];
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t room = sizeof line - 1; /* for the newline */
	size_t used = strftime(line, room, "time=%Y-%m-%dT%H:%M:%S", &tm);
	used += (size_t)snprintf(line + used, room - used, ".%03ldZ level=%s event=%s%s%s ",
		now.tv_nsec / 1000000, level_names[level], event, context[0] ? " " : "", context);
	va_list args;
	va_start(args, format);
	int size = used < room ? vsnprintf(line + used, room - used, format, args) : 0;
	va_end(args);
	if (size > 0)
		used += (size_t)size;
	if (used > room - 1)
		used = room - 1;
	for (char *p = line; p < line + used; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere to tell it */
}
