// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The store of objects (see gateway.h): which there are, and which took whose place. */
#include "model/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/gateway_parts.h"

struct gateway *gateway_new(void)
{
	return calloc(1, sizeof(struct gateway));
}

struct gateway *gateway_free(struct gateway *gw)
{
	if (!gw)
		return NULL;
	for (size_t i = 0; i < gw->n; i++)
		gw_object_free(gw->objects[i]);
	for (size_t i = 0; i < gw->n_hints; i++) {
		for (size_t k = 0; k < gw->hints[i].n_addresses; k++)
			free(gw->hints[i].addresses[k]);
		free(gw->hints[i].addresses);
		free(gw->hints[i].ns);
		free(gw->hints[i].service);
	}
	free(gw->hints);
	index_fini(&gw->by_name);
	index_fini(&gw->by_service);
	index_fini(&gw->grants);
	free(gw->objects);
	free(gw);
	return NULL;
}

bool gw_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* --- finding --------------------------------------------------------------------------------- */

static uint32_t hash_of(enum gw_kind kind, const char *ns, const char *name)
{
	return index_hash_text(index_hash_text((uint32_t)kind, ns), name);
}

static uint32_t find_number(const struct gateway *gw, enum gw_kind kind, const char *ns,
			    const char *name)
{
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&gw->by_name, hash_of(kind, ns, name), &at)) != INDEX_NONE)
		if (gw->objects[i]->kind == kind && !strcmp(gw->objects[i]->name, name) &&
		    !strcmp(gw->objects[i]->ns, ns))
			break;
	return i;
}

struct gw_object *gw_find(const struct gateway *gw, enum gw_kind kind, const char *ns,
			  const char *name)
{
	uint32_t i = find_number(gw, kind, ns, name);

	return i == INDEX_NONE ? NULL : gw->objects[i];
}

static const char *service_of(const struct gw_object *slice)
{
	for (size_t i = 0; i < slice->n_labels; i++)
		if (!strcmp(slice->labels[i].key, "kubernetes.io/service-name"))
			return slice->labels[i].value;
	return "";
}

struct gw_object *gw_next_slice(const struct gateway *gw, const char *ns, const char *service,
				uint32_t *at)
{
	uint32_t hash = hash_of(GW_SERVICE, ns, service), i;

	while ((i = index_next(&gw->by_service, hash, at)) != INDEX_NONE)
		if (!strcmp(gw->objects[i]->ns, ns) && !strcmp(service_of(gw->objects[i]), service))
			return gw->objects[i];
	return NULL;
}

struct gw_object *gw_next_grant(const struct gateway *gw, const char *ns, uint32_t *at)
{
	uint32_t i;

	while ((i = index_next(&gw->grants, hash_of(GW_GRANT, ns, ""), at)) != INDEX_NONE)
		if (!strcmp(gw->objects[i]->ns, ns))
			return gw->objects[i];
	return NULL;
}

/* --- keeping --------------------------------------------------------------------------------- */

/* What is looked for by something else than its name has an index of its own; NULL = it is not. */
static struct index *other_index(struct gateway *gw, const struct gw_object *o, uint32_t *ret_hash)
{
	switch (o->kind) {
	case GW_SLICE:
		*ret_hash = hash_of(GW_SERVICE, o->ns, service_of(o));
		return &gw->by_service;
	case GW_GRANT:
		*ret_hash = hash_of(GW_GRANT, o->ns, "");
		return &gw->grants;
	default:
		return NULL;
	}
}

static int index_other(struct gateway *gw, const struct gw_object *o, uint32_t number)
{
	uint32_t hash;
	struct index *index = other_index(gw, o, &hash);

	return index ? index_add(index, hash, number) : 0;
}

static int replace(struct gateway *gw, uint32_t number, struct gw_object *o,
		   struct config_problems *problems)
{
	struct gw_object *was = gw->objects[number];
	uint32_t hash;
	struct index *index = other_index(gw, was, &hash);

	config_problem_add(problems, &o->pos, true,
			   "%s %s%s%s: stands at %s:%u, too; this one counts",
			   gw_kind_word(o->kind), o->ns, *o->ns ? "/" : "", o->name, was->pos.file,
			   was->pos.line);
	if (index)
		index_remove(index, hash, number);
	gw->objects[number] = o;
	gw_object_free(was);
	return index_other(gw, o, number);
}

static int keep(struct gateway *gw, struct gw_object *o, struct config_problems *problems)
{
	uint32_t number = find_number(gw, o->kind, o->ns, o->name);
	struct gw_object **grown;

	if (number != INDEX_NONE)
		return replace(gw, number, o, problems);
	grown = reallocarray(gw->objects, gw->n + 1, sizeof(struct gw_object *));
	if (grown)
		gw->objects = grown;
	if (!grown || index_add(&gw->by_name, hash_of(o->kind, o->ns, o->name), (uint32_t)gw->n)) {
		gw_object_free(o);
		return -ENOMEM;
	}
	grown[gw->n] = o;
	return index_other(gw, o, (uint32_t)gw->n++);
}

/* The items of a List, one by one: a bad one leaves the others as they are. */
static int put_items(struct gateway *gw, const struct yaml_node *items, const char *file,
		     struct config_problems *problems)
{
	int err = 0, one;

	for (size_t i = 0; items && items->type == YAML_SEQUENCE && i < items->n; i++) {
		one = gateway_put(gw, items->items[i], file, problems);
		if (one && err != -ENOMEM)
			err = one;
	}
	return err;
}

int gateway_put(struct gateway *gw, const struct yaml_node *object, const char *file,
		struct config_problems *problems)
{
	const struct yaml_node *kind = yaml_get(object, "kind");
	struct gw_object *o = NULL;
	int err;

	if (kind && yaml_is(kind, "List"))
		return put_items(gw, yaml_get(object, "items"), file, problems);
	err = gw_read(object, file, problems, &o);
	if (err == -ENOENT) {
		gw->n_skipped++;
		return 0;
	}
	return err ? err : keep(gw, o, problems);
}

int gateway_put_endpoints(struct gateway *gw, const char *ns, const char *service,
			  const char *const *addresses, size_t n)
{
	struct gw_hint *grown = reallocarray(gw->hints, gw->n_hints + 1, sizeof(*grown)), *hint;

	if (!grown)
		return -ENOMEM;
	gw->hints = grown;
	hint = &grown[gw->n_hints++];
	*hint = (struct gw_hint){.ns = strdup(ns),
				 .service = strdup(service),
				 .addresses = calloc(n ? n : 1, sizeof(char *))};
	if (!hint->ns || !hint->service || !hint->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		hint->addresses[i] = strdup(addresses[i]);
		if (!hint->addresses[i])
			return -ENOMEM;
		hint->n_addresses++;
	}
	return 0;
}

size_t gateway_n_objects(const struct gateway *gw)
{
	return gw->n;
}

size_t gateway_n_skipped(const struct gateway *gw)
{
	return gw->n_skipped;
}
