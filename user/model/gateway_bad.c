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

/* Takes @o. */
static int add(struct gateway *gw, struct gw_object *o)
{
	struct gw_object **grown = config_room(gw->bad, gw->n_bad, sizeof(struct gw_object *));

	if (!grown) {
		gw_object_free(o);
		return -ENOMEM;
	}
	gw->bad = grown;
	grown[gw->n_bad] = o;
	return index_add(&gw->by_bad, hash_of(o->kind, o->ns, o->name), (uint32_t)gw->n_bad++);
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
	gw->n_unknown += batch->n_unknown;
	return err;
}

bool gw_has_bad(const struct gateway *gw, enum gw_kind kind)
{
	for (size_t i = 0; i < gw->n_bad; i++)
		if (gw->bad[i]->kind == kind)
			return true;
	return false;
}

/* One with just this; NULL = what cannot be read. */
static bool stands(const struct gateway *gw, enum gw_kind kind, const char *ns, const char *name)
{
	uint32_t hash = hash_of(kind, ns, name), at = INDEX_START, i;

	while ((i = index_next(&gw->by_bad, hash, &at)) != INDEX_NONE)
		if (gw->bad[i]->kind == kind && gw_same_text(gw->bad[i]->ns, ns) &&
		    gw_same_text(gw->bad[i]->name, name))
			return true;
	return false;
}

bool gw_may_be_bad(const struct gateway *gw, enum gw_kind kind, const char *ns, const char *name)
{
	return stands(gw, kind, ns, name) || stands(gw, kind, ns, NULL) ||
	       stands(gw, kind, NULL, name) || stands(gw, kind, NULL, NULL);
}

bool gw_may_be_lost(const struct gateway *gw, const struct gw_object *o)
{
	return gw->n_unknown || gw_may_be_bad(gw, o->kind, o->ns, o->name);
}

/* It is gone; or a bad namesake has come beside it, which may be what it was to be changed to. */
static bool is_lost(const struct gateway *before, const struct gateway *next,
		    const struct gw_object *o)
{
	if (!gw_find(next, o->kind, o->ns, o->name))
		return gw_may_be_lost(next, o);
	return stands(next, o->kind, o->ns, o->name) && !stands(before, o->kind, o->ns, o->name);
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
