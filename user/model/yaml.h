/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * YAML (and JSON, which is YAML) text as a tree of nodes, each with its place in the text. Knows
 * nothing of what the tree means. Every input ends in a tree of bounded size or in one error:
 * nesting is bounded, and aliases are counted as if what they name were written out.
 */
#ifndef THRUWAY_YAML_H
#define THRUWAY_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YAML_DEPTH_MAX 64
#define YAML_NODES_MAX (4u << 20)

enum yaml_type { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
	enum yaml_type type;
	bool is_plain;	 /* a scalar without quotes: only then true, 1 and null are not text */
	uint32_t line;	 /* from 1 */
	uint32_t column; /* from 1, in characters */
	uint32_t n;	 /* bytes of a scalar, items of a sequence, pairs of a mapping */
	uint32_t size;	 /* nodes from here down, aliases written out */
	union {
		const char *text; /* with a NUL behind it; may hold others: see n */
		const struct yaml_node *const *items; /* of a mapping: key, value, key, value ... */
	};
};

struct yaml_tree; /* owns the nodes of all documents of one text */

struct yaml_error {
	uint32_t line, column; /* 0 = no position */
	char text[320];	       /* what is wrong and, where it can be guessed, the remedy */
};

/*
 * Read the documents of @text into a new *@ret_yaml, for yaml_tree_free(). @first_line is the
 * number of its first line, where it is a part of a larger one. 0, -ENOMEM, or -EINVAL with
 * *@ret_error: *@ret_yaml then holds the documents before the error. The nodes do not point into
 * @text. Empty documents are left out.
 */
int yaml_tree_load(const char *text, size_t len, uint32_t first_line, struct yaml_tree **ret_yaml,
		   struct yaml_error *ret_error);
struct yaml_tree *yaml_tree_free(struct yaml_tree *yaml); /* accepts NULL, returns NULL */

/* Nodes that a walk over all documents visits. */
uint32_t yaml_tree_nodes(const struct yaml_tree *yaml);
size_t yaml_tree_documents(const struct yaml_tree *yaml);
const struct yaml_node *yaml_tree_document(const struct yaml_tree *yaml, size_t i);

/* The value of @key in a mapping; NULL where there is none, or where @node is not a mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key);
/* In a mapping, the second such key, where yaml_get() finds the first; NULL = there is none. */
const struct yaml_node *yaml_second(const struct yaml_node *node, const char *key);
/* Of all that stands in it; what is equal has the same. */
uint32_t yaml_hash(const struct yaml_node *node);
/* Nothing stands here: an empty plain scalar, "~" or "null" (or "Null", "NULL"). */
bool yaml_is_null(const struct yaml_node *node);
/* A scalar (quoted or not) with exactly this text. */
bool yaml_is(const struct yaml_node *node, const char *text);

#endif
