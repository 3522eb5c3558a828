/*
 * Requests of the ec2 and query protocols: a form of parameters in the query string or the body, "Action" among them. The parameters become a tree (parameter_tree.h), which
 * is walked along the input shape.
 *
 * The two differ in names (ec2: query_name, or the wire name with a capital), in lists (ec2: "ImageId.1"; query: "Names.member.1" unless flattened), and in parameters that
 * nobody knows (ec2 refuses them, query ignores them).
 *
 * An empty value counts as absent, except as an item of a list and where the member says keep_empty. A structure of which every member is absent is absent. No state; safe
 * from every thread.
 */
#include <string.h>

#include "aws/check.h"
#include "aws/codec_internal.h"
#include "aws/parameter_tree.h"
#include "aws/scalar.h"
#include "base/text.h"
#include "shape/value.h"
#include "base/banned.h"

int query_request_route(const struct service *service, const struct http_request *http, struct arena *arena,
	struct codec_request *request, struct error *err)
{
	*request = (struct codec_request){ .service = service, .http = http, .arena = arena };
	if (http_parse_parameters(arena, http->query, strlen(http->query), &request->parameters) < 0 ||
		http_parse_parameters(arena, http->body, http->body_size, &request->parameters) < 0)
		return error_set(err, ERROR_MALFORMED_QUERY, "The request's parameters are malformed");
	const char *action = http_parameter(&request->parameters, "Action");
	if (!action || !*action)
		return error_set(
			err, ERROR_MISSING_PARAMETER, "The request must contain the parameter Action");
	request->operation = codec_find_operation(service, action);
	if (request->operation)
		return 0;
	if (codec_is_unimplemented(service, action))
		return error_set(
			err, ERROR_UNSUPPORTED_OPERATION, "The operation %.100s is not implemented", action);
	return error_set(
		err, ERROR_INVALID_ACTION, "The action %.100s is not valid for this web service.", action);
}

struct decoder {
	enum protocol protocol;
	struct arena *arena;
	struct error *err;
};

static int decode_field(const struct decoder *decoder, const struct shape_member *member,
	const struct shape *shape, struct parameter_node *node, void *field);

/* `field` is of a scalar shape. `member` is the one it is in, or in whose list. */
static int decode_scalar(const struct decoder *decoder, const struct shape_member *member,
	const struct shape *shape, struct parameter_node *node, void *field)
{
	node->value_taken = true;
	const char *expected = scalar_parse(decoder->arena, shape, node->value, field);
	if (!expected)
		return 0;
	return check_malformed(decoder->protocol, parameter_tree_path(decoder->arena, node),
		member->sensitive ? NULL : node->value, expected, decoder->err);
}

static int decode_structure(const struct decoder *decoder, const struct shape *shape,
	struct parameter_node *node, void *value, bool *present)
{
	char name[CHECK_NAME_SIZE];
	*present = false;
	for (unsigned i = 0; i < shape->member_count; i++) {
		const struct shape_member *member = &shape->members[i];
		void *field = (char *)value + member->offset;
		struct parameter_node *child =
			parameter_tree_child(node, check_member_name(decoder->protocol, member, name));
		if (!child)
			continue;
		if (decode_field(decoder, member, member->shape, child, field) < 0)
			return -1;
		*present |= !shape_value_is_absent(member->shape, field);
	}
	return 0;
}

/* The node whose children are a list's numbers: query puts an element "member" between. */
static struct parameter_node *list_node(const struct decoder *decoder, const struct shape_member *member,
	const struct shape *shape, struct parameter_node *node)
{
	if (decoder->protocol == PROTOCOL_EC2 || member->flattened)
		return node;
	return parameter_tree_child(node, shape->element_name ? shape->element_name : "member");
}

static int decode_list(const struct decoder *decoder, const struct shape_member *member,
	const struct shape *shape, struct parameter_node *node, struct shape_list *list)
{
	const struct shape *element = shape->element;
	bool present;
	node = list_node(decoder, member, shape, node);
	if (!node)
		return 0;
	struct parameter_node **items = parameter_tree_items(decoder->arena, node, &list->count);
	list->items = arena_alloc_array(decoder->arena, list->count + 1, shape->size);
	list->set = list->count > 0;
	for (size_t i = 0; i < list->count; i++) {
		char *item = (char *)list->items + i * shape->size;
		int result;
		if (element->kind == SHAPE_STRUCTURE)
			result = decode_structure(decoder, element, items[i], item, &present);
		else if (element->kind == SHAPE_STRING && items[i]->value)
			result = decode_scalar(decoder, member, element, items[i], item);
		else
			result = decode_field(decoder, member, element, items[i], item);
		if (result < 0)
			return -1;
	}
	return 0;
}

/* "Name.entry.1.key=...&Name.entry.1.value=..."; flattened: without "entry". */
static int decode_map(const struct decoder *decoder, const struct shape_member *member,
	const struct shape *shape, struct parameter_node *node, struct shape_list *map)
{
	if (decoder->protocol != PROTOCOL_EC2 && !member->flattened)
		node = parameter_tree_child(node, "entry");
	if (!node)
		return 0;
	struct parameter_node **items = parameter_tree_items(decoder->arena, node, &map->count);
	map->items = arena_alloc_array(decoder->arena, map->count + 1, shape->size);
	map->set = map->count > 0;
	for (size_t i = 0; i < map->count; i++) {
		char *entry = (char *)map->items + i * shape->size;
		struct parameter_node *key = parameter_tree_child(items[i], "key");
		struct parameter_node *value = parameter_tree_child(items[i], "value");
		*(const char **)entry = key && key->value ? key->value : "";
		if (key)
			key->value_taken = true;
		if (value &&
			decode_field(decoder, member, shape->element, value, entry + shape->value_offset) < 0)
			return -1;
	}
	return 0;
}

static int decode_field(const struct decoder *decoder, const struct shape_member *member,
	const struct shape *shape, struct parameter_node *node, void *field)
{
	bool present;
	switch (shape->kind) {
	case SHAPE_STRUCTURE: {
		void *value = arena_alloc(decoder->arena, shape->size);
		if (decode_structure(decoder, shape, node, value, &present) < 0)
			return -1;
		*(void **)field = present ? value : NULL;
		return 0;
	}
	case SHAPE_LIST:
		return decode_list(decoder, member, shape, node, field);
	case SHAPE_MAP:
		return decode_map(decoder, member, shape, node, field);
	default:
		if (!node->value || (!*node->value && !member->keep_empty))
			return 0;
		return decode_scalar(decoder, member, shape, node, field);
	}
}

/* Parameters of the protocol itself and of signatures, which no shape knows. */
static bool is_reserved(const char *name)
{
	static const char *const names[] = { "Action", "Version", "AWSAccessKeyId", "Expires",
		"SecurityToken", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return text_starts_with(name, "X-Amz-");
}

/* Marks what is reserved; then what is left is a parameter that the operation does not have. */
static int check_all_taken(const struct decoder *decoder, struct parameter_node *root)
{
	for (struct parameter_node *child = root->children; child; child = child->next) {
		if (!child->taken)
			child->taken = child->value_taken =
				!child->children && is_reserved(parameter_tree_path(decoder->arena, child));
	}
	const struct parameter_node *left = parameter_tree_left(root);
	if (!left)
		return 0;
	return error_set(decoder->err, ERROR_UNKNOWN_PARAMETER, "The parameter %.200s is not recognized",
		parameter_tree_path(decoder->arena, left));
}

int query_request_decode(const struct codec_request *request, void **input, struct error *err)
{
	const struct shape *shape = request->operation->shape->input;
	struct decoder decoder = {
		.protocol = request->service->protocol, .arena = request->arena, .err = err
	};
	const struct http_parameters *received = &request->parameters;
	struct http_parameters parameters = {
		.items = arena_memdup(
			request->arena, received->items, received->count * sizeof *received->items),
		.count = received->count,
	};
	struct parameter_node *root;
	bool present;
	*input = arena_alloc(request->arena, shape->size);
	if (parameter_tree_build(request->arena, &parameters, &root, err) < 0)
		return -1;
	if (decode_structure(&decoder, shape, root, *input, &present) < 0)
		return -1;
	if (decoder.protocol == PROTOCOL_EC2 && check_all_taken(&decoder, root) < 0)
		return -1;
	return check_input(decoder.protocol, shape, *input, err);
}
