// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A few documents' difference between two configurations (see config_change.h). */
#include "model/config_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/config_parts.h"
#include "model/documents.h"

/* A document that stands elsewhere in its file. */
struct moved {
	struct kept_document *document;
	int64_t lines; /* further down */
};

struct config_change {
	struct config *config;
	struct gateway_change objects;
	struct document_memory memory; /* the other one: to come, or, once it is made, before */
	struct moved *moved;
	size_t n_moved;
};

/* What is known while the texts are gone through. */
struct search {
	struct config_change *change;
	const struct document_memory *before;
	bool *is_there;	   /* for each of these: it stands in the texts, too */
	uint32_t *unused;  /* for the first of each text: the first that may be free */
	size_t file_start; /* those of former files are before it */
	size_t next;	   /* most likely */
	size_t last_other; /* 1 and the number of the last one whose order may count */
	bool is_different;
};

/* --- what is there again ---------------------------------------------------------------------- */

static bool is_same(const struct document_place *place, const struct document *document,
		    const char *file)
{
	return place->file == file && place->document->len == document->len &&
	       !memcmp(place->document->text, document->text, document->len);
}

/* The number of the same document before, if none has claimed it; INDEX_NONE = it is new. */
static uint32_t find_same(struct search *s, const struct document *document, const char *file)
{
	uint32_t first, i;

	if (s->next < s->before->n && !s->is_there[s->next] &&
	    is_same(&s->before->items[s->next], document, file))
		return (uint32_t)s->next;
	first = document_memory_find(s->before, document);
	if (first == INDEX_NONE)
		return INDEX_NONE;
	/* In the order of the files: what is passed over now is never wanted again. */
	for (i = s->unused[first]; i != INDEX_NONE; i = s->before->items[i].next)
		if (i >= s->file_start && !s->is_there[i])
			break;
	s->unused[first] = i;
	return i != INDEX_NONE && s->before->items[i].file == file ? i : INDEX_NONE;
}

static void begin_file(struct search *s, const char *file)
{
	size_t i = s->file_start;

	while (i < s->before->n && s->before->items[i].file != file)
		i++;
	if (i < s->before->n)
		s->file_start = i;
}

static int note_moved(struct config_change *change, struct kept_document *document, int64_t lines)
{
	struct moved *grown = config_room(change->moved, change->n_moved, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	change->moved = grown;
	grown[change->n_moved++] = (struct moved){document, lines};
	return 0;
}

static int claim(struct search *s, uint32_t number, const struct document *document)
{
	const struct document_place *place = &s->before->items[number];
	int64_t lines = (int64_t)document->first_line - place->first_line;
	int err = 0;

	s->is_there[number] = true;
	s->next = number + 1;
	if (!place->document->is_plain || place->document->is_ordered) {
		if (number < s->last_other)
			return -EAGAIN;
		s->last_other = number + 1;
	}
	if (!place->document->is_plain) {
		/* Its positions are all over the configuration. */
		if (lines)
			return -EAGAIN;
	} else if (lines) {
		err = note_moved(s->change, place->document, lines);
	}
	return err ? err
		   : document_memory_add(&s->change->memory, place->document, place->file,
					 document->first_line);
}

/* --- what is new ------------------------------------------------------------------------------ */

static int append(struct gateway_batch *batch, const struct gateway_batch *more)
{
	struct gw_object **grown =
		reallocarray(batch->objects, batch->n + more->n + 1, sizeof(struct gw_object *));

	if (!grown)
		return -ENOMEM;
	if (more->n)
		memcpy(grown + batch->n, more->objects, more->n * sizeof(struct gw_object *));
	batch->objects = grown;
	batch->n += more->n;
	return 0;
}

/* Anything that there is to be said about it, the whole will say. */
static int read_objects(const struct yaml_tree *yaml, const char *file, struct gateway_batch *batch)
{
	struct config_problems problems;
	int err = 0;

	config_problems_init(&problems);
	for (size_t i = 0; i < yaml_tree_documents(yaml) && !err; i++) {
		const struct yaml_node *node = yaml_tree_document(yaml, i);

		err = config_is_kubernetes(node) ? gateway_read(node, file, &problems, batch)
						 : -EAGAIN;
	}
	if (err == -EINVAL || problems.n)
		err = -EAGAIN;
	config_problems_fini(&problems);
	return err;
}

static int read_new(struct search *s, const struct document *document, const char *file)
{
	struct kept_document *kept = kept_document_new(document);
	struct gateway_change *objects = &s->change->objects;
	struct yaml_tree *yaml = NULL;
	struct yaml_error error;
	int err;

	if (!kept)
		return -ENOMEM;
	s->is_different = true;
	kept->is_plain = true;
	err = yaml_tree_load(document->text, document->len, document->first_line, &yaml, &error);
	if (err == -EINVAL)
		err = -EAGAIN;
	if (!err)
		err = read_objects(yaml, file, &kept->batch);
	kept->n_nodes = yaml ? yaml_tree_nodes(yaml) : 0;
	if (!err)
		err = append(&objects->in, &kept->batch);
	if (err)
		gateway_batch_fini(&kept->batch);
	else
		err = document_memory_add(&s->change->memory, kept, file, document->first_line);
	objects->n_skipped += err ? 0 : kept->batch.n_skipped;
	kept_document_unref(kept);
	yaml_tree_free(yaml);
	return err;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int read_text(struct search *s, const struct config_text *text, const char *file)
{
	_cleanup_free_ struct document *documents = NULL;
	size_t n = 0;
	int err;

	if (strcmp(text->file, file) != 0 || text->len > CONFIG_BYTES_MAX)
		return -EAGAIN;
	begin_file(s, file);
	err = documents_split(text->text, text->len, &documents, &n);
	for (size_t i = 0; i < n && !err; i++) {
		uint32_t same = find_same(s, &documents[i], file);

		err = same == INDEX_NONE ? read_new(s, &documents[i], file)
					 : claim(s, same, &documents[i]);
	}
	return err;
}

static int list_gone(struct search *s)
{
	struct gateway_change *objects = &s->change->objects;
	int err = 0;

	for (size_t i = 0; i < s->before->n && !err; i++) {
		const struct kept_document *document = s->before->items[i].document;

		if (s->is_there[i])
			continue;
		s->is_different = true;
		if (!document->is_plain || document->has_problems)
			return -EAGAIN;
		objects->n_skipped -= document->batch.n_skipped;
		err = append(&objects->out, &document->batch);
	}
	return err;
}

/* What all documents may have is of all documents, most of which are not read again. */
static bool has_too_many_nodes(const struct document_memory *memory)
{
	uint64_t n = 0;

	for (size_t i = 0; i < memory->n; i++)
		n += memory->items[i].document->n_nodes;
	return n > YAML_NODES_MAX;
}

static int find(struct config_change *change, const struct config_text *texts, size_t n)
{
	struct config *config = change->config;
	struct gateway_change *objects = &change->objects;
	size_t n_before = config->documents->n;
	_cleanup_free_ bool *is_there = calloc(n_before + 1, sizeof(bool));
	_cleanup_free_ uint32_t *unused = calloc(n_before + 1, sizeof(uint32_t));
	struct search s = {.change = change,
			   .before = config->documents,
			   .is_there = is_there,
			   .unused = unused};
	int err = is_there && unused ? document_memory_reserve(&change->memory, n_before) : -ENOMEM;

	for (uint32_t i = 0; unused && i < n_before; i++)
		unused[i] = i;
	objects->gateway = config->gateway;
	objects->config = config;
	objects->n_skipped = gateway_n_skipped(config->gateway);
	for (size_t i = 0; i < n && !err; i++)
		err = read_text(&s, &texts[i], config->files[i]);
	if (!err)
		err = list_gone(&s);
	if (err)
		return err;
	if (has_too_many_nodes(&change->memory))
		return -EAGAIN;
	/* Nothing is different: who asks wants all of it to be looked at again. Nothing is left:
	 * there is more to be said about it. */
	if ((!s.is_different && !change->n_moved) ||
	    gateway_n_objects(config->gateway) + objects->in.n == objects->out.n)
		return -EAGAIN;
	return gateway_change_check(objects);
}

int config_change_find(struct config *config, const struct config_text *texts, size_t n,
		       struct config_change **ret_change)
{
	struct config_change *change;
	int err;

	/* An error somewhere: what stands here is not what the texts said. */
	if (!config->gateway || !config->documents || config->has_problems || n != config->n_files)
		return -EAGAIN;
	change = calloc(1, sizeof(*change));
	if (!change)
		return -ENOMEM;
	change->config = config;
	err = find(change, texts, n);
	if (err)
		config_change_free(change);
	else
		*ret_change = change;
	return err;
}

int config_change_make(struct config_change *change)
{
	struct config *config = change->config;
	struct document_memory memory = *config->documents;
	int err = gateway_change_make(&change->objects);

	*config->documents = change->memory;
	change->memory = memory;
	for (size_t i = 0; i < change->n_moved && !err; i++) {
		struct moved *moved = &change->moved[i];

		gateway_move(config->gateway, config, &moved->document->batch, moved->lines);
		moved->lines = -moved->lines;
	}
	return err;
}

size_t config_change_n_routes(const struct config_change *change)
{
	return change->objects.n_concerned;
}

const struct config_route *config_change_route(const struct config_change *change, size_t i)
{
	return gateway_change_route(&change->objects, i);
}

void config_change_date(const struct config_change *change, int64_t now_s)
{
	gateway_change_date(&change->objects, now_s);
}

struct config_change *config_change_free(struct config_change *change)
{
	if (!change)
		return NULL;
	gateway_change_fini(&change->objects);
	document_memory_fini(&change->memory);
	free(change->moved);
	free(change);
	return NULL;
}
