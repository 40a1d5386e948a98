// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Objects that are not in the store: those with errors, and those whose type is nearly one of ours.
 * What can be read of their names says what they may be meant for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/config_parts.h"
#include "model/gateway.h"
#include "model/gateway_parts.h"

/* NULL, for what cannot be read, is a text of its own, which no name is. */
static uint32_t hash_of(enum gw_kind kind, const char *ns, const char *name)
{
	return index_hash_text(index_hash_text((uint32_t)kind, ns ? ns : "*"), name ? name : "*");
}

static uint32_t hash_of_text(const struct gw_object *o)
{
	return index_hash(hash_of(o->kind, o->ns, o->name), &o->hash, sizeof(o->hash));
}

/* The first with just this; NULL = what cannot be read. The others follow it (next_bad). */
static struct gw_object *find_first(const struct gateway *gw, enum gw_kind kind, const char *ns,
				    const char *name)
{
	uint32_t hash = hash_of(kind, ns, name), at = INDEX_START, i;

	while ((i = index_next(&gw->by_bad, hash, &at)) != INDEX_NONE)
		if (gw->bad[i]->kind == kind && gw_same_text(gw->bad[i]->ns, ns) &&
		    gw_same_text(gw->bad[i]->name, name))
			return gw->bad[i];
	return NULL;
}

/* The first with the same name that is the same; NULL = there is none. */
static struct gw_object *find_same(const struct gateway *gw, const struct gw_object *o)
{
	uint32_t hash = hash_of_text(o), at = INDEX_START, i;

	while ((i = index_next(&gw->by_bad_text, hash, &at)) != INDEX_NONE)
		if (gw->bad[i]->hash == o->hash && gw->bad[i]->kind == o->kind &&
		    gw_same_text(gw->bad[i]->ns, o->ns) && gw_same_text(gw->bad[i]->name, o->name))
			return gw->bad[i];
	return NULL;
}

/* Takes @o. Equal ones are found by the first alone: thousands would make the indexes slow. */
static int add(struct gateway *gw, struct gw_object *o)
{
	struct gw_object *first = find_first(gw, o->kind, o->ns, o->name);
	struct gw_object *same = find_same(gw, o);
	uint32_t number = (uint32_t)gw->n_bad;
	struct gw_object **grown = config_room(gw->bad, gw->n_bad, sizeof(struct gw_object *));
	int err = 0;

	if (!grown) {
		gw_object_free(o);
		return -ENOMEM;
	}
	gw->bad = grown;
	grown[gw->n_bad++] = o;
	o->n_same = 1;
	if (same) {
		same->n_same++;
		return 0;
	}
	if (!first) {
		err = index_add(&gw->by_bad, hash_of(o->kind, o->ns, o->name), number);
	} else {
		o->next_bad = first->next_bad;
		first->next_bad = o;
	}
	return err ? err : index_add(&gw->by_bad_text, hash_of_text(o), number);
}

int gw_keep_bad(struct gateway *gw, struct gateway_batch *batch)
{
	int err = 0;

	for (size_t i = 0; i < batch->n_bad; i++)
		if (!err)
			err = add(gw, batch->bad[i]);
		else
			gw_object_free(batch->bad[i]);
	free(batch->bad);
	batch->bad = NULL;
	batch->n_bad = 0;
	return err;
}

bool gw_has_bad(const struct gateway *gw, enum gw_kind kind)
{
	for (size_t i = 0; i < gw->n_bad; i++)
		if (gw->bad[i]->kind == kind)
			return true;
	return false;
}

/* Is it one of them, for all that can be read of their kinds and names? */
static bool may_be_bad(const struct gateway *gw, enum gw_kind kind, const char *ns,
		       const char *name)
{
	return find_first(gw, kind, ns, name) || find_first(gw, kind, ns, NULL) ||
	       find_first(gw, kind, NULL, name) || find_first(gw, kind, NULL, NULL) ||
	       find_first(gw, GW_KINDS, NULL, NULL);
}

bool gw_knows_namespace(const struct gateway *gw, const char *ns)
{
	return gw_find(gw, GW_NAMESPACE, "", ns) || !may_be_bad(gw, GW_NAMESPACE, "", ns);
}

/* --- what is lost by them --------------------------------------------------------------------- */

/* Those that were there already, as they are, are not what something else has become. */
static bool has_come(const struct gateway *before, const struct gateway *next, enum gw_kind kind,
		     const char *ns, const char *name)
{
	const struct gw_object *bad = find_first(next, kind, ns, name), *old;

	for (; bad; bad = bad->next_bad) {
		old = find_same(before, bad);
		if (!old || old->n_same < bad->n_same)
			return true;
	}
	return false;
}

/* Has one come that it may be now? */
static bool may_have_become_bad(const struct gateway *before, const struct gateway *next,
				const struct gw_object *o)
{
	return has_come(before, next, o->kind, o->ns, o->name) ||
	       has_come(before, next, o->kind, o->ns, NULL) ||
	       has_come(before, next, o->kind, NULL, o->name) ||
	       has_come(before, next, o->kind, NULL, NULL) ||
	       has_come(before, next, GW_KINDS, NULL, NULL);
}

static bool is_namespace_in_doubt(const struct gateway *before, const struct gateway *next,
				  char *ns)
{
	const struct gw_object space = {.kind = GW_NAMESPACE, .ns = (char *)"", .name = ns};

	return !gw_knows_namespace(next, ns) && may_have_become_bad(before, next, &space);
}

static size_t n_attached(const struct gw_object *route)
{
	size_t n = 0;

	for (size_t i = 0; i < route->n_parents; i++)
		n += (size_t)__builtin_popcountll(route->parents[i].attached);
	return n;
}

static bool has_places(const struct gw_object *gateway, const char *listener)
{
	for (size_t i = 0; i < gateway->n_listeners; i++)
		if (!strcmp(gateway->listeners[i].name, listener))
			return gateway->listeners[i].n_places;
	return false;
}

/* Others have come, for which there was room. */
static bool has_lost_room(const struct gw_object *o, const struct gw_object *after)
{
	for (size_t i = 0; i < after->n_listeners; i++)
		if (after->listeners[i].has_no_room && has_places(o, after->listeners[i].name))
			return true;
	return false;
}

/* A bad class makes Gateways somebody else's, a bad Namespace its routes unwelcome. */
static bool is_lost_by_others(const struct gateway *before, const struct gateway *next,
			      const struct gw_object *o, const struct gw_object *after)
{
	if (o->kind == GW_GATEWAY)
		return has_lost_room(o, after) ||
		       (o->is_ours && !after->is_ours && gw_has_bad(next, GW_CLASS) &&
			!gw_has_bad(before, GW_CLASS));
	return o->kind == GW_ROUTE && n_attached(after) < n_attached(o) &&
	       is_namespace_in_doubt(before, next, o->ns);
}

/* It is gone; or a bad namesake has come beside it, which may be what it was to be changed to. */
static bool is_lost(const struct gateway *before, const struct gateway *next,
		    const struct gw_object *o)
{
	const struct gw_object *after = gw_find(next, o->kind, o->ns, o->name);

	if (!after)
		return may_have_become_bad(before, next, o);
	return has_come(before, next, o->kind, o->ns, o->name) ||
	       is_lost_by_others(before, next, o, after);
}

char *gateway_lost(const struct gateway *before, const struct gateway *next)
{
	char *text = NULL;

	for (size_t i = 0; before && i < before->n; i++) {
		const struct gw_object *o = before->objects[i];

		if (!is_lost(before, next, o))
			continue;
		if (asprintf(&text, "%s %s%s%s", gw_kind_word(o->kind), o->ns, *o->ns ? "/" : "",
			     o->name) < 0)
			text = NULL;
		break;
	}
	return text;
}
