// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Builds the tree of yaml.h out of libyaml's events. libyaml's own documents are not used: they
 * hold no place of an alias, take quadratic time for some inputs and cannot be told to stop.
 *
 * Nodes that are complete wait on one stack; the end of a sequence or mapping takes its children
 * from there. An alias puts the node that it names there once more, so that the tree is a graph in
 * which one node may stand below several; size says how many nodes a walk over it visits.
 */
#include "model/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <yaml.h>

#include "base/index.h"
#include "base/cleanup.h"
#include "base/log.h"

#define CHUNK_BYTES 65536

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};

struct yaml_tree {
	struct chunk *chunks;
	const struct yaml_node **documents;
	size_t n;
	uint32_t nodes; /* aliases written out */
};

struct anchor {
	UT_hash_handle hh;
	struct yaml_node *node; /* size 0: not complete yet */
	char name[];
};

struct open_node {
	struct yaml_node *node;
	size_t first;	/* of its children on the stack */
	uint32_t nodes; /* seen before it */
};

struct builder {
	struct yaml_tree *yaml;
	struct yaml_error *error;
	const char *text;
	size_t len;
	uint32_t first_line; /* of text */
	yaml_parser_t parser;
	struct anchor *anchors; /* of this document */
	const struct yaml_node **stack;
	size_t n, max;
	struct open_node open[YAML_DEPTH_MAX];
	unsigned int depth;
	uint32_t nodes; /* so far, aliases written out */
};

/* --- memory: all that lives as long as the tree comes from chunks ---------------------------- */

static void *yaml_alloc(struct yaml_tree *yaml, size_t size)
{
	struct chunk *chunk = yaml->chunks;
	void *at;

	size = (size + 15) & ~(size_t)15;
	if (!chunk || chunk->size - chunk->used < size) {
		size_t bytes = size > CHUNK_BYTES ? size : CHUNK_BYTES;

		chunk = malloc(sizeof(*chunk) + bytes);
		if (!chunk)
			return NULL;
		*chunk = (struct chunk){.next = yaml->chunks, .size = bytes};
		yaml->chunks = chunk;
	}
	at = chunk->bytes + chunk->used;
	chunk->used += size;
	return at;
}

static int builder_push(struct builder *b, const struct yaml_node *node)
{
	if (b->n == b->max) {
		size_t max = b->max ? b->max * 2 : 64;
		void *grown = reallocarray(b->stack, max, sizeof(*b->stack));

		if (!grown)
			return -ENOMEM;
		b->stack = grown;
		b->max = max;
	}
	b->stack[b->n++] = node;
	return 0;
}

/* --- errors ---------------------------------------------------------------------------------- */

static int builder_fail(struct builder *b, yaml_mark_t mark, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int builder_fail(struct builder *b, yaml_mark_t mark, const char *fmt, ...)
{
	va_list ap;

	b->error->line = (uint32_t)mark.line + b->first_line;
	b->error->column = (uint32_t)mark.column + 1;
	va_start(ap, fmt);
	vsnprintf(b->error->text, sizeof(b->error->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* The line (without its end) in which the byte at @index stands. */
static const char *line_at(const struct builder *b, size_t index, size_t *ret_len)
{
	size_t first = index < b->len ? index : b->len, end = first;

	while (first && b->text[first - 1] != '\n')
		first--;
	while (end < b->len && b->text[end] != '\n')
		end++;
	*ret_len = end - first;
	return b->text + first;
}

/* "[" ... "]:" as in an IPv6 address with a port, outside of quotes. */
static bool has_bare_ipv6(const char *line, size_t len)
{
	const char *open = memchr(line, '[', len);
	const char *close = open ? memmem(open, len - (size_t)(open - line), "]:", 2) : NULL;

	return close && memchr(open, ':', (size_t)(close - open)) && !memchr(line, '"', len) &&
	       !memchr(line, '\'', len);
}

/* What people mean where YAML reads something else; "" if nothing comes to mind. */
static const char *remedy(const struct builder *b, size_t index)
{
	size_t len;
	const char *line = line_at(b, index, &len);
	size_t indent = 0;

	if (index < b->len && b->text[index] == '\t')
		return "; indent with spaces, not with tabs";
	while (indent < len && (line[indent] == ' ' || line[indent] == '\t'))
		if (line[indent++] == '\t')
			return "; indent with spaces, not with tabs";
	if (b->parser.context && strstr(b->parser.context, "alias"))
		return "; a name that begins with * needs quotes: \"*.example.com\"";
	if (b->parser.problem && strstr(b->parser.problem, "mapping values"))
		return "; is this line indented like the one above it? A text with a colon and a "
		       "space needs quotes";
	if (has_bare_ipv6(line, len))
		return "; an address in brackets needs quotes: \"[2001:db8::5]:8443\"";
	return "";
}

/* The reader's errors (encoding, control characters) come with an offset in bytes only. */
static int fail_reader(struct builder *b)
{
	const yaml_parser_t *parser = &b->parser;
	size_t index = parser->problem_offset < b->len ? parser->problem_offset : b->len;
	yaml_mark_t mark = {};

	for (size_t i = 0; i < index; i++) {
		if (b->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if ((b->text[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	if (parser->problem_value >= 0)
		return builder_fail(b, mark, "not a text in UTF-8: %s (0x%02x)", parser->problem,
				    (unsigned int)parser->problem_value);
	return builder_fail(b, mark, "not a text in UTF-8: %s", parser->problem);
}

static int fail_syntax(struct builder *b)
{
	const yaml_parser_t *parser = &b->parser;
	const char *problem = parser->problem ? parser->problem : "unknown error";

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		return fail_reader(b);
	if (parser->context)
		return builder_fail(
			b, parser->problem_mark,
			"not valid YAML: %s %s that began at line %zu, column %zu%s", problem,
			parser->context, parser->context_mark.line + b->first_line,
			parser->context_mark.column + 1, remedy(b, parser->problem_mark.index));
	return builder_fail(b, parser->problem_mark, "not valid YAML: %s%s", problem,
			    remedy(b, parser->problem_mark.index));
}

/* --- nodes ----------------------------------------------------------------------------------- */

static int count_nodes(struct builder *b, uint32_t n, yaml_mark_t mark)
{
	if (n > YAML_NODES_MAX - b->nodes)
		return builder_fail(b, mark, "more than %u values, aliases written out",
				    YAML_NODES_MAX);
	b->nodes += n;
	return 0;
}

static struct anchor *find_anchor(const struct builder *b, const yaml_char_t *name)
{
	struct anchor *anchor;

	HASH_FIND_STR(b->anchors, (const char *)name, anchor);
	return anchor;
}

static int set_anchor(struct builder *b, const yaml_char_t *name, struct yaml_node *node)
{
	struct anchor *anchor;
	size_t len;

	if (!name)
		return 0;
	anchor = find_anchor(b, name);
	if (anchor) {
		anchor->node = node; /* YAML lets a later anchor take the name over */
		return 0;
	}
	len = strlen((const char *)name);
	anchor = calloc(1, sizeof(*anchor) + len + 1);
	if (!anchor)
		return -ENOMEM;
	memcpy(anchor->name, name, len);
	anchor->node = node;
	HASH_ADD_KEYPTR(hh, b->anchors, anchor->name, len, anchor);
	if (!anchor->hh.tbl) {
		free(anchor);
		return -ENOMEM;
	}
	return 0;
}

static void drop_anchors(struct builder *b)
{
	struct anchor *anchor, *next;

	HASH_ITER (hh, b->anchors, anchor, next) {
		HASH_DEL(b->anchors, anchor);
		free(anchor);
	}
}

/* Tags of YAML's own types say nothing that we ask; others would ask something of us. */
static int check_tag(struct builder *b, const yaml_event_t *event, const yaml_char_t *tag)
{
	char shown[80];
	const char *text = (const char *)tag;

	if (!text || !strcmp(text, "!") || !strncmp(text, "tag:yaml.org,2002:", 18))
		return 0;
	return builder_fail(b, event->start_mark, "the tag %s is not understood: remove it",
			    log_quote(shown, sizeof(shown), text, strlen(text)));
}

static struct yaml_node *new_node(struct builder *b, enum yaml_type type, const yaml_event_t *event)
{
	struct yaml_node *node = yaml_alloc(b->yaml, sizeof(*node));

	if (node)
		*node = (struct yaml_node){.type = type,
					   .line = (uint32_t)event->start_mark.line + b->first_line,
					   .column = (uint32_t)event->start_mark.column + 1};
	return node;
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
	const __typeof__(event->data.scalar) *scalar = &event->data.scalar;
	struct yaml_node *node = new_node(b, YAML_SCALAR, event);
	char *text = yaml_alloc(b->yaml, scalar->length + 1);
	int err;

	if (!node || !text)
		return -ENOMEM;
	err = check_tag(b, event, scalar->tag);
	if (!err)
		err = count_nodes(b, 1, event->start_mark);
	if (err)
		return err;
	memcpy(text, scalar->value, scalar->length);
	text[scalar->length] = '\0';
	node->text = text;
	node->n = (uint32_t)scalar->length;
	node->size = 1;
	node->is_plain = scalar->style == YAML_PLAIN_SCALAR_STYLE && scalar->plain_implicit;
	err = set_anchor(b, scalar->anchor, node);
	return err ? err : builder_push(b, node);
}

static int on_start(struct builder *b, const yaml_event_t *event, enum yaml_type type,
		    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct yaml_node *node;
	int err = check_tag(b, event, tag);

	if (err)
		return err;
	if (b->depth == YAML_DEPTH_MAX)
		return builder_fail(b, event->start_mark,
				    "lists and mappings are nested more than %u deep",
				    YAML_DEPTH_MAX);
	node = new_node(b, type, event);
	if (!node)
		return -ENOMEM;
	b->open[b->depth++] = (struct open_node){.node = node, .first = b->n, .nodes = b->nodes};
	err = count_nodes(b, 1, event->start_mark);
	return err ? err : set_anchor(b, anchor, node);
}

static int on_end(struct builder *b)
{
	const struct open_node *open = &b->open[--b->depth];
	struct yaml_node *node = open->node;
	size_t n = b->n - open->first;
	const struct yaml_node **items = NULL;

	if (n) {
		items = yaml_alloc(b->yaml, n * sizeof(*items));
		if (!items)
			return -ENOMEM;
		memcpy(items, b->stack + open->first, n * sizeof(*items));
	}
	node->items = items;
	node->n = (uint32_t)(node->type == YAML_MAPPING ? n / 2 : n);
	node->size = b->nodes - open->nodes;
	b->n = open->first;
	return builder_push(b, node);
}

static int on_alias(struct builder *b, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = find_anchor(b, event->data.alias.anchor);
	char shown[80];
	int err;

	log_quote(shown, sizeof(shown), name, strlen(name));
	if (!anchor)
		return builder_fail(b, event->start_mark,
				    "the alias *%s names no anchor (&%s) before it; a text that "
				    "begins with * needs quotes",
				    shown, shown);
	if (!anchor->node->size)
		return builder_fail(b, event->start_mark,
				    "the alias *%s stands inside of what it "
				    "names",
				    shown);
	err = count_nodes(b, anchor->node->size, event->start_mark);
	return err ? err : builder_push(b, anchor->node);
}

static int on_document_end(struct builder *b)
{
	struct yaml_tree *yaml = b->yaml;
	const struct yaml_node *root = b->stack[--b->n];
	const struct yaml_node **grown;

	drop_anchors(b);
	if (yaml_is_null(root))
		return 0;
	grown = reallocarray(yaml->documents, yaml->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	yaml->documents = grown;
	yaml->documents[yaml->n++] = root;
	return 0;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event);
	case YAML_ALIAS_EVENT:
		return on_alias(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(b, event, YAML_SEQUENCE, event->data.sequence_start.anchor,
				event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return on_start(b, event, YAML_MAPPING, event->data.mapping_start.anchor,
				event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(b);
	case YAML_DOCUMENT_END_EVENT:
		return on_document_end(b);
	default:
		return 0;
	}
}

static int build(struct builder *b)
{
	bool is_end = false;
	int err = 0;

	while (!err && !is_end) {
		yaml_event_t event;

		if (!yaml_parser_parse(&b->parser, &event))
			return fail_syntax(b);
		is_end = event.type == YAML_STREAM_END_EVENT;
		err = on_event(b, &event);
		yaml_event_delete(&event);
	}
	return err;
}

/* --- public ---------------------------------------------------------------------------------- */

int yaml_tree_load(const char *text, size_t len, uint32_t first_line, struct yaml_tree **ret_yaml,
		   struct yaml_error *ret_error)
{
	struct builder b = {.error = ret_error, .text = text, .len = len, .first_line = first_line};
	int err;

	/* A byte order mark is no character of the first line. */
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		b.text += 3;
		b.len -= 3;
	}
	*ret_error = (struct yaml_error){};
	b.yaml = calloc(1, sizeof(*b.yaml));
	if (!b.yaml)
		return -ENOMEM;
	if (!yaml_parser_initialize(&b.parser)) {
		yaml_tree_free(b.yaml);
		return -ENOMEM;
	}
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.text, b.len);
	err = build(&b);
	yaml_parser_delete(&b.parser);
	drop_anchors(&b);
	free(b.stack);
	b.yaml->nodes = b.nodes;
	if (err && err != -EINVAL)
		b.yaml = yaml_tree_free(b.yaml);
	else
		*ret_yaml = b.yaml;
	return err;
}

struct yaml_tree *yaml_tree_free(struct yaml_tree *yaml)
{
	struct chunk *chunk;

	if (!yaml)
		return NULL;
	while ((chunk = yaml->chunks)) {
		yaml->chunks = chunk->next;
		free(chunk);
	}
	free(yaml->documents);
	free(yaml);
	return NULL;
}

uint32_t yaml_tree_nodes(const struct yaml_tree *yaml)
{
	return yaml->nodes;
}

size_t yaml_tree_documents(const struct yaml_tree *yaml)
{
	return yaml->n;
}

const struct yaml_node *yaml_tree_document(const struct yaml_tree *yaml, size_t i)
{
	return yaml->documents[i];
}

const struct yaml_node *yaml_get(const struct yaml_node *node, const char *key)
{
	if (node->type != YAML_MAPPING)
		return NULL;
	for (size_t i = 0; i < node->n; i++)
		if (yaml_is(node->items[2 * i], key))
			return node->items[2 * i + 1];
	return NULL;
}

static uint32_t hash(const struct yaml_node *node, uint32_t seed)
{
	size_t n = node->type == YAML_MAPPING ? 2 * node->n : node->n;

	seed = index_hash(seed + (uint32_t)node->type, &node->n, sizeof(node->n));
	if (node->type == YAML_SCALAR)
		return index_hash(seed, node->text, node->n);
	for (size_t i = 0; i < n; i++)
		seed = hash(node->items[i], seed);
	return seed;
}

uint32_t yaml_hash(const struct yaml_node *node)
{
	return hash(node, 0);
}

const struct yaml_node *yaml_second(const struct yaml_node *node, const char *key)
{
	bool has_first = false;

	for (size_t i = 0; node->type == YAML_MAPPING && i < node->n; i++) {
		if (!yaml_is(node->items[2 * i], key))
			continue;
		if (has_first)
			return node->items[2 * i];
		has_first = true;
	}
	return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
	return node->type == YAML_SCALAR && node->is_plain &&
	       (!node->n || yaml_is(node, "~") || yaml_is(node, "null") || yaml_is(node, "Null") ||
		yaml_is(node, "NULL"));
}

bool yaml_is(const struct yaml_node *node, const char *text)
{
	size_t len = strlen(text);

	return node->type == YAML_SCALAR && node->n == len && !memcmp(node->text, text, len);
}
