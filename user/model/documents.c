// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Documents of a text, and what was read from them (see documents.h). */
#include "model/documents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- cutting --------------------------------------------------------------------------------- */

/* Three of these, a blank or the end of the line behind them (YAML 1.2, 9.1.2). */
static bool is_marker(const char *line, const char *end)
{
	return end - line >= 3 && !memcmp(line, "---", 3) &&
	       (end - line == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r' ||
		line[3] == '\n');
}

/* It belongs to the document behind the next marker: no cut is safe. */
static bool is_directive(const char *line, const char *end)
{
	if (end - line > 3 && !memcmp(line, "\xef\xbb\xbf", 3)) /* a byte order mark */
		line += 3;
	return *line == '%';
}

static int add_document(struct document **documents, size_t *n, size_t *max, const char *text,
			uint32_t line)
{
	if (*n == *max) {
		size_t more = *max ? *max * 2 : 16;
		struct document *grown = reallocarray(*documents, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		*documents = grown;
		*max = more;
	}
	(*documents)[(*n)++] = (struct document){.text = text, .first_line = line};
	return 0;
}

int documents_split(const char *text, size_t len, struct document **ret, size_t *ret_n)
{
	const char *end = text + len, *line = text, *next;
	struct document *documents = NULL;
	size_t n = 0, max = 0;
	uint32_t number = 1;
	int err = add_document(&documents, &n, &max, text, 1);

	for (; line < end && !err; line = next, number++) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next ? next + 1 : end;
		if (is_directive(line, end)) {
			n = 1;
			break;
		}
		if (line > text && is_marker(line, end))
			err = add_document(&documents, &n, &max, line, number);
	}
	if (err) {
		free(documents);
		return err;
	}
	for (size_t i = 0; i < n; i++)
		documents[i].len =
			(size_t)((i + 1 < n ? documents[i + 1].text : end) - documents[i].text);
	*ret = documents;
	*ret_n = n;
	return 0;
}

/* --- what they were -------------------------------------------------------------------------- */

static uint32_t hash_of(const struct document *document)
{
	return index_hash(0, document->text, document->len);
}

struct kept_document *kept_document_new(const struct document *document)
{
	struct kept_document *kept = calloc(1, sizeof(*kept) + document->len);

	if (!kept)
		return NULL;
	kept->refs = 1;
	kept->hash = hash_of(document);
	kept->len = document->len;
	memcpy(kept->text, document->text, document->len);
	return kept;
}

struct kept_document *kept_document_unref(struct kept_document *kept)
{
	if (kept && !--kept->refs) {
		free(kept->batch.objects);
		free(kept);
	}
	return NULL;
}

static bool is_same(const struct kept_document *kept, const struct document *document)
{
	return kept->len == document->len && !memcmp(kept->text, document->text, kept->len);
}

static uint32_t find(const struct document_memory *memory, const struct document *document,
		     uint32_t hash)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&memory->by_text, hash, &at)) != INDEX_NONE)
		if (is_same(memory->items[i].document, document))
			break;
	return i;
}

uint32_t document_memory_find(const struct document_memory *memory, const struct document *document)
{
	return find(memory, document, hash_of(document));
}

int document_memory_reserve(struct document_memory *memory, size_t n)
{
	return index_reserve(&memory->by_text, n);
}

int document_memory_add(struct document_memory *memory, struct kept_document *kept,
			const char *file, uint32_t first_line)
{
	const struct document document = {.text = kept->text, .len = kept->len};
	struct document_place *grown = memory->items;
	uint32_t first;

	/* Room for twice as many each time. */
	if (!(memory->n & (memory->n - 1)))
		grown = reallocarray(memory->items, memory->n ? memory->n * 2 : 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memory->items = grown;
	/* Only the first of a text is in the index: thousands of empty ones would make it slow. */
	first = find(memory, &document, kept->hash);
	if (first == INDEX_NONE) {
		if (index_add(&memory->by_text, kept->hash, (uint32_t)memory->n))
			return -ENOMEM;
	} else {
		grown[grown[first].last].next = (uint32_t)memory->n;
		grown[first].last = (uint32_t)memory->n;
	}
	kept->refs++;
	grown[memory->n] = (struct document_place){.document = kept,
						   .file = file,
						   .first_line = first_line,
						   .next = INDEX_NONE,
						   .last = (uint32_t)memory->n};
	memory->n++;
	return 0;
}

void document_memory_fini(struct document_memory *memory)
{
	for (size_t i = 0; i < memory->n; i++)
		kept_document_unref(memory->items[i].document);
	free(memory->items);
	index_fini(&memory->by_text);
	*memory = (struct document_memory){};
}
