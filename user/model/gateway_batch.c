// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a document holds: an object, or a list of them (see gateway.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/gateway_fields.h"

static const char *text_of(const struct yaml_node *node)
{
	return node && node->type == YAML_SCALAR && strlen(node->text) == node->n ? node->text
										  : NULL;
}

/* The type that a node says it is of; NULL = it does not say. */
static struct gw_type type_of(const struct yaml_node *node)
{
	return (struct gw_type){
		.api_version = text_of(yaml_get(node, "apiVersion")),
		.kind = text_of(yaml_get(node, "kind")),
	};
}

/* Takes @o. */
static int append(struct gw_object ***list, size_t *n, struct gw_object *o)
{
	struct gw_object **grown = reallocarray(*list, *n + 1, sizeof(struct gw_object *));

	if (!grown) {
		gw_object_free(o);
		return -ENOMEM;
	}
	*list = grown;
	grown[(*n)++] = o;
	return 0;
}

/* --- what is not read ------------------------------------------------------------------------- */

/* @kind GW_KINDS: nobody knows what it is. */
static int note_bad(const struct yaml_node *node, enum gw_kind kind, struct gateway_batch *batch)
{
	struct gw_object *o = gw_read_name(node, kind);

	if (!o)
		return -ENOMEM;
	o->hash = yaml_hash(node);
	return append(&batch->bad, &batch->n_bad, o);
}

/* Of @node, at @at in it. */
static int complain_at(const struct yaml_node *at, const struct yaml_node *node, const char *file,
		       const char *what, struct config_problems *problems,
		       struct gateway_batch *batch)
{
	const struct config_pos pos = {.file = file, .line = at->line, .column = at->column};

	config_problem_add(problems, &pos, false, "%s", what);
	return note_bad(node, GW_KINDS, batch) ? -ENOMEM : -EINVAL;
}

static int complain(const struct yaml_node *node, const char *file, const char *what,
		    struct config_problems *problems, struct gateway_batch *batch)
{
	return complain_at(node, node, file, what, problems, batch);
}

/* 0: it stands once, or not at all. */
static int check_once(const struct yaml_node *node, const char *what_it_is, const char *key,
		      const char *file, struct config_problems *problems,
		      struct gateway_batch *batch)
{
	const struct yaml_node *second = yaml_second(node, key);
	char what[40];

	if (!second)
		return 0;
	snprintf(what, sizeof(what), "%s: %s: stands twice", what_it_is, key);
	return complain_at(second, node, file, what, problems, batch);
}

/* What is nearly one of ours may be one by which something is served, with a slip in its type. */
static int skip(const struct yaml_node *node, const struct gw_type *type, const char *file,
		struct config_problems *problems, struct gateway_batch *batch)
{
	enum gw_kind kind;

	batch->n_skipped++;
	if (gw_warn_of_near_list(node, type, file, problems, &kind) ||
	    gw_warn_of_near_type(node, type, file, problems, &kind))
		return note_bad(node, kind, batch);
	return 0;
}

/* --- one object ------------------------------------------------------------------------------ */

static int read_object(const struct yaml_node *node, const struct gw_type *type, const char *file,
		       struct config_problems *problems, struct gateway_batch *batch)
{
	struct gw_object *o = NULL;
	int err;

	if (!type->api_version || !*type->api_version)
		return complain(node, file, "Object 'apiVersion' is missing", problems, batch);
	if (!type->kind || !*type->kind)
		return complain(node, file, "Object 'Kind' is missing", problems, batch);
	err = check_once(node, "Object", "apiVersion", file, problems, batch);
	if (!err)
		err = check_once(node, "Object", "kind", file, problems, batch);
	if (err)
		return err;
	err = gw_read(node, type, file, problems, &o);
	if (err == -ENOENT)
		return skip(node, type, file, problems, batch);
	if (!err)
		return append(&batch->objects, &batch->n, o);
	if (err != -EINVAL)
		return err;
	o->hash = yaml_hash(node);
	return append(&batch->bad, &batch->n_bad, o) ? -ENOMEM : -EINVAL;
}

/* --- lists ----------------------------------------------------------------------------------- */

/*
 * A List is of any kinds. What the API server itself answers is a list of one, a TLSRouteList say,
 * whose items may leave their type out. @ret_item: the type that they then have, its kind in @word.
 */
static bool is_list(const struct gw_type *type, struct gw_type *ret_item, char word[64])
{
	size_t len = type->kind ? strlen(type->kind) : 0;

	*ret_item = (struct gw_type){};
	if (len < 4 || strcmp(type->kind + len - 4, "List") != 0)
		return false;
	if (len == 4)
		return true;
	if (len - 4 >= 64)
		return false;
	memcpy(word, type->kind, len - 4);
	word[len - 4] = '\0';
	*ret_item = (struct gw_type){type->api_version, word};
	return gw_is_read(ret_item);
}

/* A bad item leaves the others as they are. */
static int read_items(const struct yaml_node *items, const struct gw_type *item_type,
		      const char *file, struct config_problems *problems,
		      struct gateway_batch *batch)
{
	int err = 0, one;

	for (size_t i = 0; i < items->n; i++) {
		const struct yaml_node *item = items->items[i];
		struct gw_type type = type_of(item), inner;
		char word[64];

		type.api_version = type.api_version ? type.api_version : item_type->api_version;
		type.kind = type.kind ? type.kind : item_type->kind;
		if (is_list(&type, &inner, word))
			one = gateway_read(item, file, problems, batch);
		else
			one = read_object(item, &type, file, problems, batch);
		if (one && err != -ENOMEM)
			err = one;
	}
	return err;
}

/* Nothing of it may go by unseen. */
static int read_list(const struct yaml_node *list, const struct gw_type *item_type,
		     const char *file, struct config_problems *problems,
		     struct gateway_batch *batch)
{
	const struct yaml_node *items = yaml_get(list, "items");
	int err = check_once(list, "List", "kind", file, problems, batch);

	if (!err)
		err = check_once(list, "List", "items", file, problems, batch);
	if (err)
		return err;
	gw_warn_of_list_fields(list, file, problems);
	if (!items || yaml_is_null(items))
		return note_bad(list, GW_KINDS, batch);
	if (items->type != YAML_SEQUENCE)
		return complain(items, file, "List: items: is not a list", problems, batch);
	return read_items(items, item_type, file, problems, batch);
}

/* --------------------------------------------------------------------------------------------- */

int gateway_read(const struct yaml_node *node, const char *file, struct config_problems *problems,
		 struct gateway_batch *batch)
{
	struct gw_type type = type_of(node), item_type;
	char word[64];

	if (is_list(&type, &item_type, word))
		return read_list(node, &item_type, file, problems, batch);
	return read_object(node, &type, file, problems, batch);
}

bool gateway_has_order(const struct gateway_batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		switch (batch->objects[i]->kind) {
		case GW_ROUTE:
		case GW_SERVICE:
		case GW_SLICE:
			break;
		default:
			return true;
		}
	return false;
}

void gateway_batch_fini(struct gateway_batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		gw_object_free(batch->objects[i]);
	for (size_t i = 0; i < batch->n_bad; i++)
		gw_object_free(batch->bad[i]);
	free(batch->objects);
	free(batch->bad);
	*batch = (struct gateway_batch){};
}
