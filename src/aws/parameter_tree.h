/*
 * Query parameters as a tree: "BlockDeviceMapping.1.Ebs.VolumeSize=8" is the leaf VolumeSize below Ebs below 1 below BlockDeviceMapping. Decoding walks the tree along the
 * shapes and marks what it took; what is left is unknown. In an arena; one thread.
 */
#pragma once

#include "aws/http_message.h"
#include "base/error.h"

struct parameter_node {
	const char *
		path; /* the parameter's whole name; this node is its first path_size bytes, its own name the last name_size of them */
	size_t path_size, name_size;
	const char *value;                      /* NULL: nothing but a parent */
	struct parameter_node *children, *next; /* sorted by name, byte by byte */
	bool taken;                             /* a member of a shape has this name */
	bool value_taken;                       /* and its value was read */
};

/* Sorts `parameters` and makes the tree. ERROR_MALFORMED_QUERY: a name given twice, an empty part of a name, or too many parts. */
int parameter_tree_build(struct arena *arena, struct http_parameters *parameters,
	struct parameter_node **root, struct error *err);
/* The child of that name, marked as taken; NULL: none. */
struct parameter_node *parameter_tree_child(struct parameter_node *node, const char *name);
/* A node that was not taken, or whose value was not though it is not empty; NULL: all were. */
const struct parameter_node *parameter_tree_left(const struct parameter_node *root);
/* The node's whole name, for messages. */
const char *parameter_tree_path(struct arena *arena, const struct parameter_node *node);

/*
 * The children of a list's node that are numbered 1, 2, ..., in order of their numbers; gaps are closed up. Other children are not taken. NULL-terminated.
 */
struct parameter_node **parameter_tree_items(struct arena *arena, struct parameter_node *node, size_t *count);
