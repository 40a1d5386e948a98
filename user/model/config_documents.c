// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The documents of all texts: Kubernetes objects into their store, settings and listeners into the
 * configuration, and all of them into its memory (config_change.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/config_parts.h"
#include "model/documents.h"
#include "model/gateway.h"

/* A native document has neither. */
bool config_is_kubernetes(const struct yaml_node *document)
{
	return yaml_get(document, "apiVersion") || yaml_get(document, "kind");
}

/* --- one document ---------------------------------------------------------------------------- */

/* Until its routes have been read. Takes @yaml. */
static int keep_native(struct loader *loader, const char *file, struct yaml_tree *yaml)
{
	struct loader_native *grown =
		reallocarray(loader->natives, loader->n_natives + 1, sizeof(*grown));

	if (!grown) {
		yaml_tree_free(yaml);
		return -ENOMEM;
	}
	loader->natives = grown;
	grown[loader->n_natives++] = (struct loader_native){file, yaml};
	return 0;
}

/* A bad object is left out alone, like a bad route. */
static int read_objects(struct loader *loader, const struct yaml_node *document,
			struct gateway_batch *batch)
{
	const struct reader *r = &loader->reader;
	size_t n_errors = r->problems->n_errors;
	int err = gateway_read(document, r->file, r->problems, batch);

	loader->config->n_object_errors += r->problems->n_errors - n_errors;
	return err == -EINVAL ? 0 : err;
}

/* The documents of @yaml, commonly one. */
static int read_tree(struct loader *loader, const struct yaml_tree *yaml,
		     struct gateway_batch *batch, bool *ret_is_native)
{
	int err = 0;

	*ret_is_native = false;
	for (size_t i = 0; i < yaml_tree_documents(yaml) && !err; i++) {
		const struct yaml_node *document = yaml_tree_document(yaml, i);

		loader->n_documents++;
		if (config_is_kubernetes(document)) {
			err = read_objects(loader, document, batch);
			continue;
		}
		*ret_is_native = true;
		config_read_settings(loader, document);
	}
	return err;
}

/* *@ret_yaml is NULL where nothing of it is to be read. */
static int load_tree(struct loader *loader, const char *file, const struct document *document,
		     struct yaml_tree **ret_yaml)
{
	struct config_problems *problems = loader->reader.problems;
	struct config_pos pos = {.file = file, .line = document->first_line};
	struct yaml_error error;
	int err = yaml_tree_load(document->text, document->len, document->first_line, ret_yaml,
				 &error);

	if (err == -EINVAL) {
		pos.line = error.line;
		pos.column = error.column;
		config_problem_add(problems, &pos, false, "%s", error.text);
	} else if (err) {
		return err;
	}
	/* Aliases, written out, could make many small documents very large. */
	if (yaml_tree_nodes(*ret_yaml) > YAML_NODES_MAX - loader->nodes) {
		config_problem_add(problems, &pos, false,
				   "more than %u values in all, aliases written out",
				   YAML_NODES_MAX);
		*ret_yaml = yaml_tree_free(*ret_yaml);
		return 0;
	}
	loader->nodes += yaml_tree_nodes(*ret_yaml);
	return 0;
}

/* The store takes the objects; @kept gets their list. */
static int keep_objects(struct loader *loader, struct gateway_batch *batch,
			struct kept_document *kept)
{
	struct config *config = loader->config;

	if (!batch->n && !batch->n_bad && !batch->n_skipped)
		return 0;
	if (!config->gateway)
		config->gateway = gateway_new();
	if (!config->gateway) {
		gateway_batch_fini(batch);
		return -ENOMEM;
	}
	kept->batch = *batch;
	return gateway_keep(config->gateway, &kept->batch, loader->reader.problems);
}

static int remember(struct loader *loader, struct kept_document *kept, const char *file,
		    const struct document *document)
{
	struct config *config = loader->config;

	if (!config->documents)
		config->documents = calloc(1, sizeof(*config->documents));
	return config->documents
		       ? document_memory_add(config->documents, kept, file, document->first_line)
		       : -ENOMEM;
}

static int read_document(struct loader *loader, const char *file, const struct document *document)
{
	const struct config_problems *problems = loader->reader.problems;
	size_t n_problems = problems->n;
	struct kept_document *kept = kept_document_new(document);
	struct gateway_batch batch = {};
	struct yaml_tree *yaml = NULL;
	bool is_native = false, is_whole;
	int err;

	if (!kept)
		return -ENOMEM;
	loader->reader.file = file;
	err = load_tree(loader, file, document, &yaml);
	is_whole = problems->n == n_problems;
	if (!err && yaml)
		err = read_tree(loader, yaml, &batch, &is_native);
	kept->n_nodes = yaml ? yaml_tree_nodes(yaml) : 0;
	kept->is_plain = !is_native && is_whole;
	/* A slip that another one has, too, is told once. */
	kept->has_problems = problems->n != n_problems || batch.n_bad;
	kept->is_ordered = gateway_has_order(&batch);
	if (kept->is_plain)
		loader->n_object_problems += problems->n - n_problems;
	if (err)
		gateway_batch_fini(&batch);
	else
		err = keep_objects(loader, &batch, kept);
	if (!err)
		err = remember(loader, kept, file, document);
	kept_document_unref(kept);
	if (!err && is_native)
		return keep_native(loader, file, yaml);
	yaml_tree_free(yaml);
	return err;
}

/* --- all of them ----------------------------------------------------------------------------- */

static const char *own_file(struct config *config, const char *file)
{
	char **grown = reallocarray(config->files, config->n_files + 1, sizeof(*grown));
	char *copy;

	if (!grown)
		return NULL;
	config->files = grown;
	copy = strdup(file);
	if (copy)
		config->files[config->n_files++] = copy;
	return copy;
}

static int read_text(struct loader *loader, const struct config_text *text)
{
	const char *file = own_file(loader->config, text->file);
	const struct config_pos pos = {.file = file};
	_cleanup_free_ struct document *documents = NULL;
	size_t n = 0;
	int err;

	if (!file)
		return -ENOMEM;
	if (text->len > CONFIG_BYTES_MAX) {
		config_problem_add(loader->reader.problems, &pos, false,
				   "%zu bytes; at most %u are read", text->len, CONFIG_BYTES_MAX);
		return 0;
	}
	err = documents_split(text->text, text->len, &documents, &n);
	for (size_t i = 0; i < n && !err; i++)
		err = read_document(loader, file, &documents[i]);
	return err;
}

int config_read_documents(struct loader *loader, const struct config_text *texts, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = read_text(loader, &texts[i]);
	return err;
}

void config_each_native(struct loader *loader,
			void (*read)(struct loader *loader, const struct yaml_node *document))
{
	for (size_t i = 0; i < loader->n_natives; i++) {
		const struct loader_native *native = &loader->natives[i];

		loader->reader.file = native->file;
		for (size_t k = 0; k < yaml_tree_documents(native->yaml); k++)
			read(loader, yaml_tree_document(native->yaml, k));
	}
}

void config_drop_natives(struct loader *loader)
{
	for (size_t i = 0; i < loader->n_natives; i++)
		yaml_tree_free(loader->natives[i].yaml);
	free(loader->natives);
}
