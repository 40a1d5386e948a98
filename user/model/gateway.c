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
	for (size_t i = 0; i < gw->n_bad; i++)
		gw_object_free(gw->bad[i]);
	free(gw->bad);
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
	index_fini(&gw->by_hint);
	index_fini(&gw->users);
	index_fini(&gw->by_bad);
	index_fini(&gw->by_bad_text);
	free(gw->by_age);
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

const char *gw_service_of(const struct gw_object *slice)
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
		if (!strcmp(gw->objects[i]->ns, ns) &&
		    !strcmp(gw_service_of(gw->objects[i]), service))
			return gw->objects[i];
	return NULL;
}

static bool leads_to(const struct gw_object *route, const char *ns, const char *service)
{
	for (size_t i = 0; i < route->n_backends; i++) {
		const struct gw_backend *b = &route->backends[i];

		if (!strcmp(b->name, service) && !strcmp(b->ns ? b->ns : route->ns, ns))
			return true;
	}
	return false;
}

struct gw_object *gw_next_user(const struct gateway *gw, const char *ns, const char *service,
			       uint32_t *at)
{
	uint32_t hash = hash_of(GW_SERVICE, ns, service), i;

	while ((i = index_next(&gw->users, hash, at)) != INDEX_NONE)
		if (leads_to(gw->objects[i], ns, service))
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

int gw_compare(const struct gw_object *a, const struct gw_object *b)
{
	int by = (a->kind > b->kind) - (a->kind < b->kind);

	if (!by)
		by = strcmp(a->ns, b->ns);
	return by ? by : strcmp(a->name, b->name);
}

static int compare_items(const void *left, const void *right)
{
	return gw_compare(*(struct gw_object *const *)left, *(struct gw_object *const *)right);
}

const struct gw_object **gw_sorted(const struct gateway *gw, size_t *ret_n)
{
	const struct gw_object **sorted = calloc(gw->n + 1, sizeof(*sorted));
	size_t n = 0;

	for (size_t i = 0; sorted && i < gw->n; i++)
		if (gw->objects[i]->kind <= GW_ROUTE)
			sorted[n++] = gw->objects[i];
	if (n)
		qsort(sorted, n, sizeof(*sorted), compare_items);
	*ret_n = n;
	return sorted;
}

const struct gw_hint *gw_next_hint(const struct gateway *gw, const char *ns, const char *service,
				   uint32_t *at)
{
	uint32_t hash = hash_of(GW_SERVICE, ns, service), i;

	while ((i = index_next(&gw->by_hint, hash, at)) != INDEX_NONE)
		if (!strcmp(gw->hints[i].ns, ns) && !strcmp(gw->hints[i].service, service))
			return &gw->hints[i];
	return NULL;
}

/* --- keeping --------------------------------------------------------------------------------- */

struct key {
	struct index *index;
	uint32_t hash;
};

static size_t n_keys(const struct gw_object *o)
{
	return 1 + (o->kind == GW_SLICE || o->kind == GW_GRANT) + o->n_backends;
}

/* All that an object is looked for by: its name, and @i - 1 of what its kind has beside it. */
static struct key key_of(struct gateway *gw, const struct gw_object *o, size_t i)
{
	const struct gw_backend *b;

	if (!i)
		return (struct key){&gw->by_name, hash_of(o->kind, o->ns, o->name)};
	if (o->kind == GW_SLICE)
		return (struct key){&gw->by_service, hash_of(GW_SERVICE, o->ns, gw_service_of(o))};
	if (o->kind == GW_GRANT)
		return (struct key){&gw->grants, hash_of(GW_GRANT, o->ns, "")};
	b = &o->backends[i - 1];
	return (struct key){&gw->users, hash_of(GW_SERVICE, b->ns ? b->ns : o->ns, b->name)};
}

static int index_object(struct gateway *gw, const struct gw_object *o, uint32_t number)
{
	int err = 0;

	for (size_t i = 0; i < n_keys(o) && !err; i++) {
		struct key key = key_of(gw, o, i);

		err = index_add(key.index, key.hash, number);
	}
	return err;
}

static void unindex_object(struct gateway *gw, const struct gw_object *o, uint32_t number)
{
	for (size_t i = 0; i < n_keys(o); i++) {
		struct key key = key_of(gw, o, i);

		index_remove(key.index, key.hash, number);
	}
}

int gw_store_add(struct gateway *gw, struct gw_object *o)
{
	struct gw_object **grown = reallocarray(gw->objects, gw->n + 1, sizeof(struct gw_object *));

	if (!grown)
		return -ENOMEM;
	gw->objects = grown;
	grown[gw->n] = o;
	return index_object(gw, o, (uint32_t)gw->n++);
}

int gw_store_replace(struct gateway *gw, const struct gw_object *was, struct gw_object *o)
{
	uint32_t number = find_number(gw, was->kind, was->ns, was->name);

	unindex_object(gw, was, number);
	gw->objects[number] = o;
	return index_object(gw, o, number);
}

int gw_store_remove(struct gateway *gw, const struct gw_object *o)
{
	uint32_t number = find_number(gw, o->kind, o->ns, o->name), last = (uint32_t)gw->n - 1;
	struct gw_object *moved = gw->objects[last];

	unindex_object(gw, o, number);
	gw->n--;
	if (number == last)
		return 0;
	unindex_object(gw, moved, last);
	gw->objects[number] = moved;
	return index_object(gw, moved, number);
}

static int keep(struct gateway *gw, struct gw_object *o, struct config_problems *problems)
{
	struct gw_object *was = gw_find(gw, o->kind, o->ns, o->name);
	size_t n = gw->n;
	int err;

	if (!was) {
		err = gw_store_add(gw, o);
		if (err && gw->n == n)
			gw_object_free(o);
		return err;
	}
	config_problem_add(problems, &o->pos, true,
			   "%s %s%s%s: stands at %s:%u, too; this one counts",
			   gw_kind_word(o->kind), o->ns, *o->ns ? "/" : "", o->name, was->pos.file,
			   was->pos.line);
	gw->has_replaced = true;
	err = gw_store_replace(gw, was, o);
	gw_object_free(was);
	return err;
}

int gateway_keep(struct gateway *gw, struct gateway_batch *batch, struct config_problems *problems)
{
	int err = gw_keep_bad(gw, batch);

	gw->n_skipped += batch->n_skipped;
	for (size_t i = 0; i < batch->n; i++)
		if (!err)
			err = keep(gw, batch->objects[i], problems);
		else
			gw_object_free(batch->objects[i]);
	return err;
}

/* --- endpoints and counts -------------------------------------------------------------------- */

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
	return index_add(&gw->by_hint, hash_of(GW_SERVICE, ns, service), (uint32_t)gw->n_hints - 1);
}

size_t gateway_n_objects(const struct gateway *gw)
{
	return gw->n;
}

size_t gateway_n_skipped(const struct gateway *gw)
{
	return gw->n_skipped;
}
