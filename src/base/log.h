/*
 * The log: one line an event on standard error, `time=... level=... event=NAME key=value ...`. The event's name is a literal that can be searched for.
 * Values with spaces or quotes are the caller's to quote with LOG_QUOTE. Never a secret. Safe from every thread (one write(2) a line).
 */
#pragma once

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped; LOG_INFO at first. */
void log_set_level(enum log_level level);
/* Adds a request, job or resource id to every later line of this thread ("request=..."), until set to NULL. The text is copied (at most 127 bytes). */
void log_set_context(const char *context);
void log_line(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* log_info("instance-started", "id=%s pid=%d", id, pid) */
#define log_error(event, ...) log_line(LOG_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_line(LOG_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) log_line(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_line(LOG_DEBUG, event, __VA_ARGS__)
