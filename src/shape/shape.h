/*
 * Shapes: the description of the C structs that tools/apigen generates from api/ *.api, so that one generic codec per protocol can walk any of them. Records in the metadata store are described by the same tables
 * (api/records.api), encoded as JSON.
 *
 * How a shape looks in C (absent is always told from empty or zero):
 *   string (and enum)      const char *                      NULL: absent
 *   integer, long          struct shape_integer              .set
 *   float, double          struct shape_double               .set
 *   boolean                struct shape_boolean              .set
 *   timestamp              struct shape_timestamp            .set; ms since the epoch
 *   blob                   struct shape_blob                 .data NULL: absent
 *   structure X            struct SERVICE_X *                NULL: absent
 *   list L of E            struct SERVICE_L { E *items; size_t count; bool set; }   structures lie in items by value; strings as const char *
 *   map M of K to V        struct SERVICE_M { struct SERVICE_M_entry { const char *key; V value; } *items; size_t count; bool set; }   a structure V is a pointer here, as in a member
 * A member `ImageIds` of a structure is the C field `image_ids` (snake_case: see tools/apigen for the rule; a C keyword gets a trailing _).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape_integer {
	bool set;
	int64_t value;
};
struct shape_double {
	bool set;
	double value;
};
struct shape_boolean {
	bool set;
	bool value;
};
struct shape_timestamp {
	bool set;
	int64_t ms;
};
struct shape_blob {
	const uint8_t *data;
	size_t size;
};
/* What every generated list and map begins with; the codecs see them as this. */
struct shape_list {
	void *items;
	size_t count;
	bool set;
};

static inline struct shape_integer some_integer(int64_t value)
{
	return (struct shape_integer){ true, value };
}
static inline struct shape_double some_double(double value)
{
	return (struct shape_double){ true, value };
}
static inline struct shape_boolean some_boolean(bool value)
{
	return (struct shape_boolean){ true, value };
}
static inline struct shape_timestamp some_timestamp(int64_t ms)
{
	return (struct shape_timestamp){ true, ms };
}
static inline int64_t integer_or(struct shape_integer integer, int64_t fallback)
{
	return integer.set ? integer.value : fallback;
}
static inline bool boolean_or(struct shape_boolean boolean, bool fallback)
{
	return boolean.set ? boolean.value : fallback;
}

enum shape_kind {
	SHAPE_STRING,
	SHAPE_INTEGER,
	SHAPE_LONG,
	SHAPE_FLOAT,
	SHAPE_DOUBLE,
	SHAPE_BOOLEAN,
	SHAPE_TIMESTAMP,
	SHAPE_BLOB,
	SHAPE_STRUCTURE,
	SHAPE_LIST,
	SHAPE_MAP,
};

enum shape_location {
	LOCATION_BODY,
	LOCATION_URI,
	LOCATION_QUERY,
	LOCATION_HEADER,
	LOCATION_PAYLOAD /* the raw body, a blob */
};

struct shape;

struct shape_member {
	const char *name;      /* the model's, "ImageIds": also the JSON name unless wire_name differs */
	const char *wire_name; /* in answers (XML element, JSON key), and in query requests */
	const char *
		query_name; /* in ec2-query requests: "ImageId"; NULL: as wire_name with its first letter capitalised */
	const struct shape *shape;
	uint32_t offset;  /* in the C struct */
	uint8_t location; /* enum shape_location; header, uri and query names are in wire_name */
	bool required;
	bool flattened; /* list without a wrapper element */
	bool idempotency_token;
	bool sensitive;  /* never logged */
	bool keep_empty; /* in query requests: an empty value is a value (all others count as absent) */
	const char *timestamp_format; /* "iso8601", "unixTimestamp", "rfc822"; NULL: the protocol's own */
};

struct shape {
	const char *name;
	enum shape_kind kind;
	uint32_t size; /* sizeof the C struct (structures), or of one element or entry (lists, maps) */
	const struct shape_member *members; /* structures */
	uint16_t member_count;
	const struct shape *element; /* of a list; the value of a map */
	const char *element_name; /* XML element of a list's items, NULL: "member" (query) or "item" (ec2) */
	uint32_t value_offset;    /* of a map's value in its entry */
	const char *const *enum_values; /* NULL-terminated; NULL: any string */
	bool has_min, has_max;
	int64_t min, max;    /* of a number's value, a string's length, a list's count */
	const char *pattern; /* what the model says; informative */
};

/* How one API operation is spoken. */
struct shape_operation {
	const char *name; /* "DescribeImages" */
	const struct shape
		*input; /* never NULL in generated tables: a structure without members stands for none */
	const struct shape *output; /* likewise */
	const char *http_method;    /* rest protocols */
	const char *http_uri;       /* "/snapshots/{snapshotId}/blocks/{blockIndex}" */
	int http_status;            /* of success; 0: 200 */
	const char *result_wrapper; /* query protocol: "GetCallerIdentityResult"; NULL: none */
};

/* The shapes of plain scalars that no model shape describes further. */
extern const struct shape shape_string, shape_integer, shape_long, shape_float, shape_double, shape_boolean,
	shape_timestamp, shape_blob;
