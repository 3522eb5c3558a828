/*
 * Query parameters as a tree. The names are sorted with '.' before every other character, so that all that is below one parent stands together: then a new part of a name is
 * either the newest child of its parent or a new one, and building is linear after the sort.
 */
#include "aws/parameter_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/banned.h"

enum { PARTS_MAX = 32 };

static int rank(unsigned char c)
{
	return c == '.' ? 1 : c ? c + 1 : 0;
}

static int compare_names(const void *a, const void *b)
{
	const char *x = ((const struct http_parameter *)a)->name,
		   *y = ((const struct http_parameter *)b)->name;
	while (*x && *x == *y) {
		x++;
		y++;
	}
	return rank((unsigned char)*x) - rank((unsigned char)*y);
}

/* The last child of each open parent while names are added: the end of its list. */
struct builder {
	struct arena *arena;
	struct parameter_node *open[PARTS_MAX + 1]; /* [0] is the root */
	size_t depth;                               /* of the newest leaf */
};

static bool is_same(const struct parameter_node *node, const char *name, size_t path_size)
{
	return node->path_size == path_size && memcmp(node->path, name, path_size) == 0;
}

static struct parameter_node *add_child(
	struct builder *builder, size_t depth, const char *name, size_t path_size, size_t name_size)
{
	struct parameter_node *node = arena_alloc(builder->arena, sizeof *node);
	*node = (struct parameter_node){ .path = name, .path_size = path_size, .name_size = name_size };
	/* the newest sibling is the open node of this depth, if it is still open: it has the same parent */
	if (builder->open[depth])
		builder->open[depth]->next = node;
	else
		builder->open[depth - 1]->children = node;
	builder->open[depth] = node;
	for (size_t deeper = depth + 1; deeper <= PARTS_MAX && builder->open[deeper]; deeper++)
		builder->open[deeper] = NULL;
	return node;
}

static int add_parameter(struct builder *builder, const struct http_parameter *parameter, struct error *err)
{
	const char *name = parameter->name;
	struct parameter_node *node = NULL;
	size_t start = 0;
	for (size_t depth = 1;; depth++) {
		size_t end = start + strcspn(name + start, ".");
		if (depth > PARTS_MAX || end == start)
			return error_set(
				err, ERROR_MALFORMED_QUERY, "The parameter name '%.100s' is malformed", name);
		node = builder->open[depth];
		if (!node || !is_same(node, name, end))
			node = add_child(builder, depth, name, end, end - start);
		if (!name[end])
			break;
		start = end + 1;
	}
	if (node->value)
		return error_set(
			err, ERROR_MALFORMED_QUERY, "The parameter %.100s is given more than once", name);
	node->value = parameter->value;
	return 0;
}

int parameter_tree_build(struct arena *arena, struct http_parameters *parameters,
	struct parameter_node **root, struct error *err)
{
	struct builder builder = { .arena = arena };
	*root = arena_alloc(arena, sizeof **root);
	(*root)->path = "";
	(*root)->taken = true;
	builder.open[0] = *root;
	if (parameters->count)
		qsort(parameters->items, parameters->count, sizeof *parameters->items, compare_names);
	for (size_t i = 0; i < parameters->count; i++) {
		if (add_parameter(&builder, &parameters->items[i], err) < 0)
			return -1;
	}
	return 0;
}

static const char *own_name(const struct parameter_node *node)
{
	return node->path + node->path_size - node->name_size;
}

struct parameter_node *parameter_tree_child(struct parameter_node *node, const char *name)
{
	size_t size = strlen(name);
	for (struct parameter_node *child = node->children; child; child = child->next) {
		if (child->name_size == size && memcmp(own_name(child), name, size) == 0) {
			child->taken = true;
			return child;
		}
	}
	return NULL;
}

const struct parameter_node *parameter_tree_left(const struct parameter_node *root)
{
	for (const struct parameter_node *child = root->children; child; child = child->next) {
		if (!child->taken || (child->value && *child->value && !child->value_taken))
			return child;
		const struct parameter_node *left = parameter_tree_left(child);
		if (left)
			return left;
	}
	return NULL;
}

const char *parameter_tree_path(struct arena *arena, const struct parameter_node *node)
{
	return arena_strndup(arena, node->path, node->path_size);
}

struct numbered {
	int64_t number;
	struct parameter_node *node;
};

static int compare_numbers(const void *a, const void *b)
{
	int64_t x = ((const struct numbered *)a)->number, y = ((const struct numbered *)b)->number;
	return x < y ? -1 : x > y;
}

/* The number that is the node's name: digits only, without leading zeros; 0 if it is none. */
static int64_t item_number(const struct parameter_node *node)
{
	const char *name = own_name(node);
	int64_t number = 0;
	if (name[0] == '0' || node->name_size > 9)
		return 0;
	for (size_t i = 0; i < node->name_size; i++) {
		if (name[i] < '0' || name[i] > '9')
			return 0;
		number = number * 10 + (name[i] - '0');
	}
	return number;
}

struct parameter_node **parameter_tree_items(struct arena *arena, struct parameter_node *node, size_t *count)
{
	struct numbered *found = NULL;
	*count = 0;
	for (struct parameter_node *child = node->children; child; child = child->next) {
		int64_t number = item_number(child);
		if (number)
			*ARENA_APPEND(arena, found, *count) = (struct numbered){ number, child };
	}
	if (*count)
		qsort(found, *count, sizeof *found, compare_numbers);
	struct parameter_node **items = arena_alloc_array(arena, *count + 1, sizeof *items);
	for (size_t i = 0; i < *count; i++) {
		items[i] = found[i].node;
		items[i]->taken = true;
	}
	return items;
}
