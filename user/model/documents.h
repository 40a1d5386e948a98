/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A YAML text cut into its documents without reading them, and a memory of what they were, so that
 * the few that have changed can be told from the many that have not. (Reading takes far longer than
 * comparing.)
 */
#ifndef THRUWAY_DOCUMENTS_H
#define THRUWAY_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/index.h"
#include "model/gateway.h"

/* A part of a text: one document, or several where they cannot be told apart. Lent. */
struct document {
	const char *text;
	size_t len;
	uint32_t first_line; /* its number in the text, from 1 */
};

/* Cut @text at the lines that begin with "---". 0 or -ENOMEM; *@ret is the caller's to free. */
int documents_split(const char *text, size_t len, struct document **ret, size_t *ret_n);

/* A document whose text is kept. Shared by the memories that hold it. */
struct kept_document {
	uint32_t refs;
	uint32_t hash; /* of the text */
	/* It holds Kubernetes objects alone; these are they. */
	bool is_plain;
	bool is_ordered;   /* what stands before what may count: Gateways, say */
	bool has_problems; /* with the objects: errors, for which some are left out, or warnings */
	uint32_t n_nodes;  /* of its tree, aliases written out */
	struct gateway_batch batch;
	size_t len;
	char text[];
};

/* With one reference. NULL: no memory. */
struct kept_document *kept_document_new(const struct document *document);
struct kept_document *kept_document_unref(struct kept_document *kept); /* accepts NULL */

struct document_place {
	struct kept_document *document;
	const char *file; /* lent */
	uint32_t first_line;
	uint32_t next; /* with the same text; INDEX_NONE = there is none */
	uint32_t last; /* of the first with its text: the last with it */
};

/* The documents of one configuration, in their order. All zero = none. */
struct document_memory {
	struct document_place *items;
	size_t n;
	struct index by_text; /* the first of each */
};

/* Room for @n texts without growing. 0 or -ENOMEM. */
int document_memory_reserve(struct document_memory *memory, size_t n);
/* Takes a reference to @kept. 0 or -ENOMEM. */
int document_memory_add(struct document_memory *memory, struct kept_document *kept,
			const char *file, uint32_t first_line);
/* The number of the first document with exactly this text; INDEX_NONE = there is none. */
uint32_t document_memory_find(const struct document_memory *memory,
			      const struct document *document);
void document_memory_fini(struct document_memory *memory);

#endif
