// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Mappings and lists, and how problems are reported (see reader.h; single values: values.c). */
#include "model/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "model/nearest.h"
#include "model/seen.h"

#define PATH_TEXT_SIZE 256
#define SHOWN_BYTES    64

struct config_pos reader_pos(const struct reader *r, const struct yaml_node *node)
{
	return (struct config_pos){.file = r->file, .line = node->line, .column = node->column};
}

/* --- reporting ------------------------------------------------------------------------------- */

/* Writes @path to @dst and returns its length, which may be more than fits. */
static size_t format_path(char *dst, size_t size, const struct reader_path *path)
{
	size_t len;
	int n;

	if (!path)
		return 0;
	len = format_path(dst, size, path->up);
	if (len >= size)
		return len;
	if (path->key)
		n = snprintf(dst + len, size - len, "%s%s", len ? "." : "", path->key);
	else
		n = snprintf(dst + len, size - len, "[%zu]", path->index);
	return n < 0 ? len : len + (size_t)n;
}

static void report(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		   bool is_warning, const char *fmt, va_list ap)
{
	struct config_pos pos = reader_pos(r, node);
	_cleanup_free_ char *text = NULL;
	char where[PATH_TEXT_SIZE] = "";

	if (config_problems_is_full(r->problems, is_warning)) { /* only counts it */
		config_problem_add(r->problems, &pos, is_warning, "-");
		return;
	}
	format_path(where, sizeof(where), path);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	if (!text)
		reader_out_of_memory(r);
	config_problem_add(r->problems, &pos, is_warning, "%s%s%s", where, *where ? ": " : "",
			   text ? text : "out of memory");
}

void reader_error(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(r, path, node, false, fmt, ap);
	va_end(ap);
}

void reader_warning(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(r, path, node, true, fmt, ap);
	va_end(ap);
}

void reader_out_of_memory(struct reader *r)
{
	r->err = -ENOMEM;
}

void *reader_alloc(struct reader *r, size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		reader_out_of_memory(r);
	return p;
}

char *reader_show(char dst[READER_SHOW_SIZE], const struct yaml_node *node)
{
	char quoted[SHOWN_BYTES + 4];
	const char *mark;
	size_t n;

	if (node->type != YAML_SCALAR)
		return strcpy(dst, node->type == YAML_SEQUENCE ? "a list" : "a mapping");
	if (!node->n)
		return strcpy(dst, node->is_plain ? "an empty value" : "\"\"");
	n = node->n < SHOWN_BYTES ? node->n : SHOWN_BYTES;
	mark = node->is_plain && !memchr(node->text, ' ', n) ? "" : "\"";
	log_quote(quoted, sizeof(quoted), node->text, node->n);
	snprintf(dst, READER_SHOW_SIZE, "%s%s%s", mark, quoted, mark);
	return dst;
}

/* --- mappings -------------------------------------------------------------------------------- */

/* "name, port and address". */
static void list_keys(char *dst, size_t size, const struct reader_field *fields, size_t n)
{
	size_t len = 0;

	*dst = '\0';
	for (size_t i = 0; i < n && len < size; i++) {
		const char *glue = i == 0 ? "" : i + 1 == n ? " and " : ", ";

		len += (size_t)snprintf(dst + len, size - len, "%s%s", glue, fields[i].key);
	}
}

static void unknown_key(struct reader *r, const struct reader_path *path,
			const struct yaml_node *key, const struct reader_field *fields, size_t n)
{
	struct nearest nearest = nearest_to(key->text);
	char shown[READER_SHOW_SIZE], known[256];

	/* Millions of such keys are worth no thought each. */
	if (config_problems_is_full(r->problems, false)) {
		reader_error(r, path, key, "unknown key");
		return;
	}
	reader_show(shown, key);
	for (size_t i = 0; i < n; i++)
		nearest_try(&nearest, fields[i].key);
	list_keys(known, sizeof(known), fields, n);
	if (yaml_is(key, "<<"))
		reader_error(r, path, key, "merge keys (<<) are not read: write the keys out");
	else if (nearest.best)
		reader_error(r, path, key, "unknown key %s; did you mean %s?", shown, nearest.best);
	else
		reader_error(r, path, key, "unknown key %s; known here: %s", shown, known);
}

static size_t find_field(const struct yaml_node *key, const struct reader_field *fields, size_t n)
{
	size_t i = 0;

	while (i < n && !yaml_is(key, fields[i].key))
		i++;
	return i;
}

static void given_twice(struct reader *r, const struct reader_path *path,
			const struct yaml_node *key, const struct config_pos *first)
{
	if (first->file == r->file)
		reader_error(r, path, key, "stands twice; the first is at line %u", first->line);
	else
		reader_error(r, path, key, "stands twice; the first is at %s:%u", first->file,
			     first->line);
}

void reader_mapping(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		    const struct reader_field *fields, size_t n, void *object,
		    struct config_pos *given)
{
	struct config_pos here[READER_FIELDS_MAX] = {};
	char text[READER_SHOW_SIZE], known[256];

	if (!given)
		given = here;
	if (node->type != YAML_MAPPING) {
		list_keys(known, sizeof(known), fields, n);
		reader_error(r, path, node, "%s is not a mapping; expected keys: %s",
			     reader_show(text, node), known);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct yaml_node *key = node->items[2 * i];
		struct reader_path below = {.up = path};
		size_t at;

		if (key->type != YAML_SCALAR) {
			reader_error(r, path, key, "%s cannot be a key", reader_show(text, key));
			continue;
		}
		at = find_field(key, fields, n);
		if (at == n) {
			unknown_key(r, path, key, fields, n);
			continue;
		}
		below.key = fields[at].key;
		if (given[at].line) {
			given_twice(r, &below, key, &given[at]);
			continue;
		}
		given[at] = reader_pos(r, key);
		fields[at].read(r, &below, node->items[2 * i + 1],
				(char *)object + fields[at].offset);
	}
}

/* --- lists ----------------------------------------------------------------------------------- */

size_t reader_count(const struct yaml_node *node)
{
	return node->type == YAML_SEQUENCE ? node->n : 1;
}

void reader_each(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		 reader_fn read, void *target)
{
	struct reader_path below = {.up = path};

	if (node->type != YAML_SEQUENCE) {
		read(r, path, node, target);
		return;
	}
	if (!node->n)
		reader_error(r, path, node,
			     "an empty list; expected at least one item (or leave %s out)",
			     path->key ? path->key : "the list");
	for (; below.index < node->n; below.index++)
		read(r, &below, node->items[below.index], target);
}

struct text_list {
	const char *what;
	reader_check check;
	char **texts;
	size_t n;
	struct seen *seen;
};

static void read_text_item(struct reader *r, const struct reader_path *path,
			   const struct yaml_node *node, void *target)
{
	struct text_list *list = target;
	struct config_pos pos = reader_pos(r, node);
	_cleanup_free_ char *why = NULL;
	char text[TW_NAME_SIZE] = "";
	const char *raw = reader_text(r, path, node, list->what);
	char *copy;
	int err;

	if (!raw)
		return;
	err = list->check(raw, text, &why);
	if (err == -ENOMEM) {
		reader_out_of_memory(r);
	} else if (err) {
		reader_error(r, path, node, "%s", why);
	} else if (seen_find(list->seen, text, strlen(text))) {
		reader_warning(r, path, node, "%s is listed twice, ignored", text);
	} else {
		copy = strdup(text);
		if (!copy || seen_add(&list->seen, text, strlen(text), &pos))
			reader_out_of_memory(r);
		if (copy)
			list->texts[list->n++] = copy;
	}
}

void reader_texts(struct reader *r, const struct reader_path *path, const struct yaml_node *node,
		  const char *what, reader_check check, char ***ret_texts, size_t *ret_n)
{
	struct text_list list = {.what = what, .check = check};

	if (reader_count(node) > TW_NAMES_MAX) {
		reader_error(r, path, node, "%zu items; at most %u are possible",
			     reader_count(node), TW_NAMES_MAX);
		return;
	}

	list.texts = reader_alloc(r, reader_count(node), sizeof(*list.texts));
	if (!list.texts)
		return;
	reader_each(r, path, node, read_text_item, &list);
	seen_free(&list.seen);
	*ret_texts = list.texts;
	*ret_n = list.n;
}
