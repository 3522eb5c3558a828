/*
 * The walk over a request or an answer. Hidden is what its table calls sensitive, and whatever has the name of a secret, in case the table does not. Names begin with a small letter, as in CloudTrail's records; lists in
 * answers of EC2 lie in "items".
 */
#include "svc/audit_shape.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/text.h"
#include "shape/json.h"
#include "shape/value.h"
#include "base/banned.h"

enum {
	TOTAL_MAX = 32 * 1024, /* behind it values are left out */
	TEXT_MAX = 10240,      /* a policy document still fits */
	DEPTH_MAX = 32,
};

struct walk {
	struct buffer *out;
	const struct audit_shape *how;
	size_t limit; /* of out->size */
	unsigned depth;
};

static bool is_secret(const struct shape_member *member)
{
	static const char *const words[] = { "password", "secret", "plaintext", "privatekey", "userdata",
		"keymaterial", "tokencode", "sessiontoken", "webidentitytoken", "samlassertion", "blocktoken",
		"passphrase", "decodedmessage" };
	if (member->sensitive)
		return true;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasestr(member->name, words[i]))
			return true;
	return false;
}

/* ---- resources ---- */

static const struct id_kind {
	const char *prefix, *type, *arn;
	bool public_arn; /* without an account */
} id_kinds[] = {
	{ "i-", "AWS::EC2::Instance", "instance", false },
	{ "ami-", "AWS::EC2::Ami", "image", true },
	{ "snap-", "AWS::EC2::Snapshot", "snapshot", true },
	{ "vol-", "AWS::EC2::Volume", "volume", false },
	{ "sg-", "AWS::EC2::SecurityGroup", "security-group", false },
	{ "subnet-", "AWS::EC2::Subnet", "subnet", false },
	{ "vpc-", "AWS::EC2::VPC", "vpc", false },
	{ "eni-", "AWS::EC2::NetworkInterface", "network-interface", false },
	{ "key-", "AWS::EC2::KeyPair", "key-pair", false },
};

static const struct member_kind {
	const char *service, *member, *type; /* service NULL: any */
} member_kinds[] = {
	{ "iam", "UserName", "AWS::IAM::User" },
	{ "iam", "GroupName", "AWS::IAM::Group" },
	{ "iam", "RoleName", "AWS::IAM::Role" },
	{ "iam", "InstanceProfileName", "AWS::IAM::InstanceProfile" },
	{ "iam", "PolicyArn", "AWS::IAM::Policy" },
	{ "iam", "AccessKeyId", "AWS::IAM::AccessKey" },
	{ "sts", "RoleArn", "AWS::IAM::Role" },
	{ "kms", "KeyId", "AWS::KMS::Key" },
	{ "kms", "SourceKeyId", "AWS::KMS::Key" },
	{ "kms", "DestinationKeyId", "AWS::KMS::Key" },
	{ "kms", "TargetKeyId", "AWS::KMS::Key" },
	{ "kms", "AliasName", "AWS::KMS::Alias" },
	{ "ec2", "KeyName", "AWS::EC2::KeyPair" },
	{ "rbin", "Identifier", "AWS::RBin::Rule" },
	{ NULL, "KmsKeyId", "AWS::KMS::Key" },
};

static void add_resource(const struct audit_shape *how, const char *type, const char *name, const char *arn)
{
	struct audit_event *event = how->event;
	for (size_t i = 0; i < event->resource_count; i++)
		if (strcmp(event->resources[i].name, name) == 0 &&
			strcmp(event->resources[i].type, type) == 0)
			return;
	if (event->resource_count < AUDIT_RESOURCES_MAX)
		event->resources[event->resource_count++] = (struct audit_resource){ type, name, arn };
}

static bool is_id(const char *text, const char *prefix)
{
	if (!text_starts_with(text, prefix))
		return false;
	const char *rest = text + strlen(prefix);
	size_t size = strlen(rest);
	return size >= 8 && size <= 32 && strspn(rest, "0123456789abcdef") == size;
}

static void note_resource(const struct audit_shape *how, const char *name, const char *text)
{
	const struct call *call = how->call;
	bool arn = text_starts_with(text, "arn:");
	for (size_t i = 0; i < sizeof id_kinds / sizeof *id_kinds; i++)
		if (is_id(text, id_kinds[i].prefix)) {
			const char *account = id_kinds[i].public_arn ? ""
				: call->account                      ? call->account
								     : "";
			add_resource(how, id_kinds[i].type, text,
				arena_printf(call->arena, "arn:aws:ec2:%s:%s:%s/%s", call->region, account,
					id_kinds[i].arn, text));
			return;
		}
	for (size_t i = 0; name && *text && i < sizeof member_kinds / sizeof *member_kinds; i++)
		if (strcmp(member_kinds[i].member, name) == 0 &&
			(!member_kinds[i].service ||
				strcmp(member_kinds[i].service, call->service->name) == 0)) {
			add_resource(how, member_kinds[i].type, text, arn ? text : NULL);
			return;
		}
}

/* ---- values ---- */

static void write_structure(struct walk *walk, const struct shape *shape, const void *value);
static void write_list(
	struct walk *walk, const char *name, const struct shape *shape, const struct shape_list *list);
static void write_map(struct walk *walk, const struct shape *shape, const struct shape_list *map);

static void write_text(struct walk *walk, const char *name, const char *text)
{
	size_t size = strlen(text);
	if (size <= TEXT_MAX) {
		note_resource(walk->how, name, text);
		json_encode_text(walk->out, text);
		return;
	}
	struct buffer cut BUFFER_SCOPED = { 0 };
	buffer_printf(&cut, "%.1000s... (cut: %zu bytes)", text, size);
	json_encode_text(walk->out, cut.data);
}

static void write_time(struct buffer *out, int64_t ms)
{
	char text[32];
	buffer_printf(out, "\"%s\"", clock_format_iso8601(ms, text));
}

static void write_double(struct buffer *out, double value)
{
	if (isfinite(value))
		buffer_printf(out, "%.17g", value);
	else
		buffer_append_text(out, "null");
}

/* A field that is not absent. */
static void write_value(struct walk *walk, const char *name, const struct shape *shape, const void *value)
{
	struct buffer *out = walk->out;
	switch (shape->kind) {
	case SHAPE_STRING:
		write_text(walk, name, *(const char *const *)value);
		break;
	case SHAPE_INTEGER:
	case SHAPE_LONG:
		buffer_printf(out, "%" PRId64, ((const struct shape_integer *)value)->value);
		break;
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		write_double(out, ((const struct shape_double *)value)->value);
		break;
	case SHAPE_BOOLEAN:
		buffer_append_text(out, ((const struct shape_boolean *)value)->value ? "true" : "false");
		break;
	case SHAPE_TIMESTAMP:
		write_time(out, ((const struct shape_timestamp *)value)->ms);
		break;
	case SHAPE_BLOB: /* what is in it nobody here can judge */
		buffer_printf(out, "\"(%zu bytes)\"", ((const struct shape_blob *)value)->size);
		break;
	case SHAPE_STRUCTURE:
		write_structure(walk, shape, *(const void *const *)value);
		break;
	case SHAPE_LIST:
		write_list(walk, name, shape, value);
		break;
	case SHAPE_MAP:
		write_map(walk, shape, value);
		break;
	}
}

static bool is_full(const struct walk *walk)
{
	return walk->out->size >= walk->limit;
}

static void write_list(
	struct walk *walk, const char *name, const struct shape *shape, const struct shape_list *list)
{
	bool items = walk->how->response && walk->how->call->service->protocol == PROTOCOL_EC2;
	buffer_append_text(walk->out, items ? "{\"items\":[" : "[");
	for (size_t i = 0; i < list->count; i++) {
		const char *item = (const char *)list->items + i * shape->size;
		if (i)
			buffer_append_char(walk->out, ',');
		if (is_full(walk)) {
			buffer_printf(walk->out, "\"(cut: %zu more)\"", list->count - i);
			break;
		}
		if (shape->element->kind == SHAPE_STRUCTURE) /* lies in the list by value */
			write_structure(walk, shape->element, item);
		else if (shape_value_is_absent(shape->element, item))
			buffer_append_text(walk->out, "null");
		else
			write_value(walk, name, shape->element, item);
	}
	buffer_append_text(walk->out, items ? "]}" : "]");
}

static void write_map(struct walk *walk, const struct shape *shape, const struct shape_list *map)
{
	bool first = true;
	buffer_append_char(walk->out, '{');
	for (size_t i = 0; i < map->count && !is_full(walk); i++) {
		const char *entry = (const char *)map->items + i * shape->size;
		const char *key = *(const char *const *)entry;
		if (!key || shape_value_is_absent(shape->element, entry + shape->value_offset))
			continue;
		if (!first)
			buffer_append_char(walk->out, ',');
		first = false;
		json_encode_text(walk->out, key);
		buffer_append_char(walk->out, ':');
		write_value(walk, NULL, shape->element, entry + shape->value_offset);
	}
	buffer_append_char(walk->out, '}');
}

static void write_name(struct walk *walk, const struct shape_member *member, bool first)
{
	const char *name = walk->how->response ? member->wire_name : member->name;
	buffer_append_text(walk->out, first ? "\"" : ",\"");
	buffer_append_char(walk->out, (char)tolower((unsigned char)*name));
	buffer_append_text(walk->out, name + 1);
	buffer_append_text(walk->out, "\":");
}

static void write_structure(struct walk *walk, const struct shape *shape, const void *value)
{
	bool first = true;
	buffer_append_char(walk->out, '{');
	walk->depth++;
	for (unsigned i = 0; i < shape->member_count && walk->depth <= DEPTH_MAX; i++) {
		const struct shape_member *member = &shape->members[i];
		const void *field = (const char *)value + member->offset;
		if (shape_value_is_absent(member->shape, field))
			continue;
		write_name(walk, member, first);
		first = false;
		if (is_secret(member))
			buffer_append_text(walk->out, "\"" AUDIT_HIDDEN "\"");
		else if (is_full(walk))
			buffer_append_text(walk->out, "\"(cut)\"");
		else
			write_value(walk, member->name, member->shape, field);
	}
	walk->depth--;
	buffer_append_char(walk->out, '}');
}

void audit_shape_write(
	struct buffer *out, const struct audit_shape *how, const struct shape *shape, const void *value)
{
	struct walk walk = { .out = out, .how = how, .limit = out->size + TOTAL_MAX };
	write_structure(&walk, shape, value);
}
