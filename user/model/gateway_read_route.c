// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TLSRoute and ReferenceGrant out of YAML, as the API server takes them (see gateway_fields.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/gateway_fields.h"
#include "model/seen.h"

static void read_parent(struct gw_reading *r, const struct yaml_node *node, const char *path,
			struct gw_parent *p)
{
	p->group = gw_read_text(r, node, path, "group", 253, &gw_group, false, GATEWAY_GROUP);
	p->kind = gw_read_text(r, node, path, "kind", 63, &gw_kind_name, false, "Gateway");
	p->ns = gw_read_text(r, node, path, "namespace", 63, &gw_label, false, NULL);
	p->name = gw_read_text(r, node, path, "name", 253, &gw_not_empty, true, "");
	p->section = gw_read_text(r, node, path, "sectionName", 253, &gw_subdomain, false, NULL);
	p->port = gw_read_number(r, node, path, "port", 1, 65535, false, 0);
}

static bool is_same_parent(const struct gw_parent *p, const struct gw_parent *q)
{
	/* (One with its own namespace and one without are two to the API server, which compares
	 * what is written.) */
	return gw_same_text(p->group, q->group) && gw_same_text(p->kind, q->kind) &&
	       gw_same_text(p->name, q->name) && gw_same_text(p->ns, q->ns);
}

/* What is wrong with two references to one parent; FINE where they name two of its listeners. */
enum pair { FINE, NOT_SPECIFIED, NOT_UNIQUE };

/* The standard channel tells them apart by sectionName, the experimental one by port as well. */
static enum pair check_pair(const struct gw_parent *p, const struct gw_parent *q,
			    bool is_experimental)
{
	if (!is_experimental)
		return !p->section || !q->section	      ? NOT_SPECIFIED
		       : gw_same_text(p->section, q->section) ? NOT_UNIQUE
							      : FINE;
	if (!p->section != !q->section || !p->port != !q->port)
		return NOT_SPECIFIED;
	return gw_same_text(p->section, q->section) && p->port == q->port ? NOT_UNIQUE : FINE;
}

/* The first reference that the channel refuses, and why; n_parents = none. */
static size_t find_bad_parent(const struct gw_object *o, bool is_experimental, enum pair *ret_why)
{
	for (size_t i = 0; i < o->n_parents; i++)
		for (size_t k = 0; k < i; k++) {
			if (!is_same_parent(&o->parents[i], &o->parents[k]))
				continue;
			*ret_why = check_pair(&o->parents[i], &o->parents[k], is_experimental);
			if (*ret_why != FINE)
				return i;
		}
	return o->n_parents;
}

/* Of one parent that is named twice; what either channel takes is good. */
static void check_parents(struct gw_reading *r, const struct yaml_node *list,
			  const struct gw_object *o)
{
	char at[GW_PATH_SIZE];
	bool has_port = false;
	enum pair why = FINE;
	size_t bad;

	if (find_bad_parent(o, true, &why) == o->n_parents)
		return;
	bad = find_bad_parent(o, false, &why);
	if (bad == o->n_parents)
		return;
	for (size_t i = 0; i < o->n_parents; i++)
		has_port |= o->parents[i].port;
	gw_join_index(at, "spec.parentRefs", bad);
	gw_complain(r, list->items[bad], at,
		    "sectionName%s must be %s when parentRefs includes 2 or more references to the "
		    "same parent",
		    has_port ? " or port" : "", why == NOT_UNIQUE ? "unique" : "specified");
}

static void read_parents(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	const struct yaml_node *list = gw_read_maps(r, spec, "spec", "parentRefs", 0, 32);
	size_t n_errors = r->n_errors;
	char at[GW_PATH_SIZE];

	o->parents = list ? gw_many(r, list->n, sizeof(*o->parents)) : NULL;
	for (size_t i = 0; o->parents && i < list->n; i++) {
		gw_join_index(at, "spec.parentRefs", i);
		read_parent(r, list->items[i], at, &o->parents[o->n_parents++]);
	}
	if (r->n_errors == n_errors)
		check_parents(r, list, o);
}

static void read_hostnames(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	bool is_optional = strstr(o->api_version, "/v1alpha2");
	const struct yaml_node *list =
		gw_read_list(r, spec, "spec", "hostnames", is_optional ? 0 : 1, 1024);
	char at[GW_PATH_SIZE];

	o->hostnames = list ? gw_many(r, list->n, sizeof(char *)) : NULL;
	for (size_t i = 0; o->hostnames && i < list->n; i++) {
		const struct yaml_node *node = list->items[i];
		bool is_text = node->type == YAML_SCALAR && node->n && node->n <= 253 &&
			       strlen(node->text) == node->n;

		gw_join_index(at, "spec.hostnames", i);
		if (!gw_is_text(node))
			gw_complain_no_text(r, node, at);
		else if (is_text && !is_optional && gw_is_ip(node->text))
			gw_complain(r, node, at, "Hostnames cannot contain an IP");
		else if (is_text && strchr(node->text, '*') && !gw_hostname.fits(node->text))
			gw_complain(
				r, node, at,
				"Wildcards on hostnames must be the first label, and the rest of "
				"hostname must be valid based on RFC-1123");
		else if (!is_text || !gw_hostname.fits(node->text))
			gw_complain(r, node, at, "Hostnames must be valid based on RFC-1123");
		else
			o->hostnames[o->n_hostnames++] = gw_copy(r, node->text);
	}
}

static void read_backend(struct gw_reading *r, const struct yaml_node *node, const char *path,
			 struct gw_backend *b)
{
	const struct yaml_node *port = yaml_get(node, "port");
	bool has_port = port && !yaml_is_null(port); /* a wrong one is told by itself */

	b->group = gw_read_text(r, node, path, "group", 253, &gw_group, false, "");
	b->kind = gw_read_text(r, node, path, "kind", 63, &gw_kind_name, false, "Service");
	b->ns = gw_read_text(r, node, path, "namespace", 63, &gw_label, false, NULL);
	b->name = gw_read_text(r, node, path, "name", 253, &gw_not_empty, true, "");
	b->port = gw_read_number(r, node, path, "port", 1, 65535, false, 0);
	b->weight = gw_read_number(r, node, path, "weight", 0, TW_WEIGHT_MAX, false, 1);
	if (b->group && b->kind && !*b->group && !strcmp(b->kind, "Service") && !has_port)
		gw_complain(r, node, path, "Must have port for Service reference");
}

static void read_rule(struct gw_reading *r, const struct yaml_node *rule, size_t number,
		      bool is_old, struct seen **names, struct gw_object *o)
{
	_cleanup_free_ char *name = NULL;
	bool is_needed;
	struct gw_backend *backends;
	const struct yaml_node *list;
	char path[GW_PATH_SIZE], list_at[GW_PATH_SIZE], at[GW_PATH_SIZE];
	size_t n = 0;

	gw_join_index(path, "spec.rules", number);
	gw_join(list_at, path, "backendRefs");
	name = gw_read_text(r, rule, path, "name", 253, &gw_subdomain, false, NULL);
	if (name && seen_find(*names, name, strlen(name)))
		gw_complain(r, rule, path, "Rule name must be unique within the route");
	else if (name && seen_add(names, name, strlen(name), &o->pos))
		r->err = -ENOMEM;
	/* Up to v1.3 of the API it may be left out, but not empty. */
	is_needed = !is_old ||
		    (yaml_get(rule, "backendRefs") && !yaml_is_null(yaml_get(rule, "backendRefs")));
	list = gw_read_maps(r, rule, path, "backendRefs", is_needed, 16);
	backends = list ? gw_many(r, list->n, sizeof(*backends)) : NULL;
	for (size_t i = 0; backends && i < list->n; i++) {
		gw_join_index(at, list_at, i);
		read_backend(r, list->items[i], at, &backends[n++]);
	}
	if (number) {
		gw_backends_free(backends, n);
	} else {
		o->backends = backends;
		o->n_backends = n;
	}
}

void gw_read_route(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	bool is_old = strstr(o->api_version, "/v1alpha2");
	const struct yaml_node *rules = gw_read_maps(r, spec, "spec", "rules", 1, is_old ? 16 : 1);
	struct seen *names = NULL;

	read_parents(r, spec, o);
	read_hostnames(r, spec, o);
	/* Rules have nothing to tell them apart by: of several, the first counts. */
	for (size_t i = 0; rules && i < rules->n; i++)
		read_rule(r, rules->items[i], i, is_old, &names, o);
	seen_free(&names);
}

void gw_read_grant(struct gw_reading *r, const struct yaml_node *spec, struct gw_object *o)
{
	const struct yaml_node *from = gw_read_maps(r, spec, "spec", "from", 1, 16);
	const struct yaml_node *to = gw_read_maps(r, spec, "spec", "to", 1, 16);
	char at[GW_PATH_SIZE];

	o->sources = from ? gw_many(r, from->n, sizeof(*o->sources)) : NULL;
	for (size_t i = 0; o->sources && i < from->n; i++) {
		struct gw_grant_from *f = &o->sources[o->n_sources++];

		gw_join_index(at, "spec.from", i);
		f->group = gw_read_text(r, from->items[i], at, "group", 253, &gw_group, true, "");
		f->kind = gw_read_text(r, from->items[i], at, "kind", 63, &gw_kind_name, true, "");
		f->ns = gw_read_text(r, from->items[i], at, "namespace", 63, &gw_label, true, "");
	}
	o->targets = to ? gw_many(r, to->n, sizeof(*o->targets)) : NULL;
	for (size_t i = 0; o->targets && i < to->n; i++) {
		struct gw_grant_to *t = &o->targets[o->n_targets++];

		gw_join_index(at, "spec.to", i);
		t->group = gw_read_text(r, to->items[i], at, "group", 253, &gw_group, true, "");
		t->kind = gw_read_text(r, to->items[i], at, "kind", 63, &gw_kind_name, true, "");
		t->name =
			gw_read_text(r, to->items[i], at, "name", 253, &gw_not_empty, false, NULL);
	}
}
