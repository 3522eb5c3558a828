/* Names of what net makes, derived from ids by hash, so that an amid that starts anew finds what an earlier one left. Pure. */
#pragma once

enum {
	NAME_NAMESPACE_SIZE = 48,
	NAME_TAP_SIZE = 16, /* IFNAMSIZ */
};

/* "amid-" and 8 digits for the amid of that name: what all its namespaces begin with, and the name of its table in the host's rules. */
void name_prefix(const char *name, char prefix[static NAME_NAMESPACE_SIZE]);
/* The prefix, "-" and 16 digits. */
void name_namespace(const char *name, const char *vpc_id, char out[static NAME_NAMESPACE_SIZE]);
/* "tap" and 12 digits. Only unique within a namespace, which is all that is needed. */
void name_tap(const char *interface_id, char out[static NAME_TAP_SIZE]);
