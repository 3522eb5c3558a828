/* What a record of the audit trail can be found by: the attributes of LookupEvents. From a call that is being recorded, or from a record's JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/log.h"
#include "base/arena.h"

enum { AUDIT_RESOURCES_MAX = 32 };

struct audit_resource {
	const char *type; /* "AWS::EC2::Instance" */
	const char *name; /* "i-..." */
	const char *arn;  /* NULL: cannot be told from the call */
};

struct audit_event {
	const char *account; /* whose trail it is in; NULL: nobody's */
	const char *region;
	int64_t time_ms;
	const char *id, *name, *source; /* "RunInstances", "ec2.amazonaws.com" */
	const char *username;           /* of a role's session its name; NULL: unknown */
	const char *access_key;         /* NULL: none */
	bool read_only;
	bool management; /* else it is about data, and LookupEvents does not show it */
	struct audit_resource resources[AUDIT_RESOURCES_MAX];
	size_t resource_count;
};

/* The word that stands for "in this account and region, this attribute (as LookupEvents names it) has that value"; attribute NULL: any record of them. */
uint64_t audit_event_word(const char *account, const char *region, const char *attribute, const char *value);
/* None if it is not to be found. */
size_t audit_event_words(const struct audit_event *event, uint64_t words[AUDIT_WORDS_MAX]);
/* Whether an attribute has that value. */
bool audit_event_has(const struct audit_event *event, const char *attribute, const char *value);
/* From the JSON of a record; texts lie in the arena. -1: it is none. */
int audit_event_parse(struct arena *arena, const char *json, size_t size, struct audit_event *event);
/* For audit_log_open. */
int audit_event_describe(
	const char *json, size_t size, int64_t *time_ms, uint64_t words[AUDIT_WORDS_MAX], size_t *count);
