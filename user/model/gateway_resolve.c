// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From objects to listeners and routes, with every object's conditions: classes, then Gateways,
 * then routes. The rules and their order are the Gateway API's; how names are intersected, which
 * listener a name belongs to and which of two routes has it is the table's (model/table.h), which
 * follows it as well: routes are handed over from the oldest on.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/index.h"
#include "model/config_parts.h"
#include "model/gateway_resolving.h"
#include "thruway/name.h"

/* The newest v1.x of the Gateway API whose rules these are. */
#define GATEWAY_API_MINOR_MAX 6u

/* --- what goes into the configuration --------------------------------------------------------- */

/* The API takes labels of more than 63 bytes, which no client can ask for (RFC 1035 2.3.4). */
bool gw_can_be_asked_for(const char *hostname)
{
	char pattern[TW_NAME_SIZE];

	return tw_name_pattern(pattern, hostname, (__u32)strlen(hostname)) > 0;
}

int gw_add_text(char ***texts, size_t *n, const char *text)
{
	char **grown = reallocarray(*texts, *n + 1, sizeof(*grown));
	char *copied = strdup(text);

	if (!grown || !copied) {
		free(copied);
		*texts = grown ? grown : *texts;
		return -ENOMEM;
	}
	*texts = grown;
	grown[(*n)++] = copied;
	return 0;
}

/* --- classes --------------------------------------------------------------------------------- */

/* v1.0 to v1.6, also before and after a release of these ("v1.6.1-dev"). */
static bool is_known_version(const char *version)
{
	unsigned int minor;

	return sscanf(version, "v1.%u.", &minor) == 1 && minor <= GATEWAY_API_MINOR_MAX;
}

/* Where the objects came with the API's definitions; without them nobody knows. */
static void settle_version(const struct gateway *gw, struct gw_object *class)
{
	const struct gw_object *bad = NULL;
	bool has_crds = false;

	for (size_t i = 0; i < gw->n && !bad; i++) {
		const struct gw_object *o = gw->objects[i];

		if (o->kind != GW_CRD)
			continue;
		has_crds = true;
		if (!o->bundle_version || !is_known_version(o->bundle_version))
			bad = o;
	}
	if (bad)
		gw_set(&class->conditions, "SupportedVersion", false, "UnsupportedVersion",
		       "%s is of version %s; v1.0 to v1.%u are known, others may work", bad->name,
		       bad->bundle_version ? bad->bundle_version : "(not said)",
		       GATEWAY_API_MINOR_MAX);
	else if (has_crds)
		gw_set(&class->conditions, "SupportedVersion", true, "SupportedVersion",
		       "all definitions are of a version that is known");
}

static void claim_classes(struct gateway *gw)
{
	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		if (o->kind != GW_CLASS || strcmp(o->controller, GATEWAY_CONTROLLER) != 0)
			continue;
		o->is_ours = true;
		o->is_accepted = !o->parameters;
		if (o->is_accepted)
			gw_set(&o->conditions, "Accepted", true, "Accepted",
			       "the class is served by " GATEWAY_CONTROLLER);
		else
			gw_set(&o->conditions, "Accepted", false, "InvalidParameters",
			       "parametersRef: %s: there are no parameters of a class here",
			       o->parameters);
		settle_version(gw, o);
	}
}

/* --- all ------------------------------------------------------------------------------------- */

void gw_forget(struct gw_object *o)
{
	o->is_ours = o->is_accepted = o->is_programmed = false;
	o->config_number = 0;
	gw_unset(&o->conditions);
	for (size_t i = 0; i < o->n_listeners; i++) {
		struct gw_listener *l = &o->listeners[i];

		gw_unset(&l->conditions);
		gw_forget_places(l);
		l->conflict = l->rival = NULL;
		l->has_no_room = false;
		l->attached = 0;
	}
	for (size_t i = 0; i < o->n_parents; i++) {
		o->parents[i].is_ours = o->parents[i].is_accepted = false;
		o->parents[i].attached = 0;
		gw_unset(&o->parents[i].conditions);
	}
}

int gateway_resolve(struct gateway *gw, struct config *config)
{
	struct gw_resolving r = {.gw = gw, .config = config, .n_native = config->n_listeners};

	for (size_t i = 0; i < gw->n; i++)
		if (gw->objects[i]->kind == GW_ROUTE)
			gw->objects[i]->config_number = 0; /* the rest is forgotten in its turn */
		else
			gw_forget(gw->objects[i]);
	claim_classes(gw);
	gw_resolve_gateways(&r);
	return r.err ? r.err : gw_resolve_routes(gw, config);
}
