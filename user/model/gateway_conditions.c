// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Conditions of the objects: set, and taken over from the store before. */
#include <stdlib.h>
#include <string.h>

#include "model/gateway_parts.h"

static struct gw_condition *find(const struct gw_conditions *c, const char *type)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->items[i].type, type))
			return &c->items[i];
	return NULL;
}

void gw_set(struct gw_conditions *c, const char *type, bool is_true, const char *reason,
	    const char *fmt, ...)
{
	struct gw_condition *grown, *condition = find(c, type);
	char *message = NULL;
	int64_t since_s;
	bool was_true;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	if (!condition) {
		grown = reallocarray(c->items, c->n + 1, sizeof(*grown));
		if (!grown) {
			free(message);
			return; /* one condition less to be seen */
		}
		c->items = grown;
		condition = &grown[c->n++];
		*condition = (struct gw_condition){};
	}
	was_true = condition->is_true;
	since_s = condition->since_s;
	free(condition->message);
	*condition = (struct gw_condition){
		.type = type,
		.reason = reason,
		.message = message,
		.is_true = is_true,
		.is_set = true,
		.since_s = condition->since_s,
		.before_s = condition->before_s,
	};
	/* Turned round twice before anybody dated it, it has not changed: a change taken back. */
	if (was_true != is_true) {
		condition->since_s = condition->since_s ? 0 : condition->before_s;
		condition->before_s = since_s;
	}
}

bool gw_is_set(const struct gw_conditions *c, const char *type)
{
	const struct gw_condition *condition = find(c, type);

	return condition && condition->is_set;
}

void gw_unset(struct gw_conditions *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (!c->items[i].is_set)
			c->items[i].since_s = 0;
		c->items[i].is_set = false;
	}
}

void gw_conditions_fini(struct gw_conditions *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->items[i].message);
	free(c->items);
	*c = (struct gw_conditions){};
}

/* --- times ----------------------------------------------------------------------------------- */

static void date(struct gw_conditions *c, const struct gw_conditions *before, int64_t now_s)
{
	for (size_t i = 0; i < c->n; i++) {
		struct gw_condition *condition = &c->items[i];
		const struct gw_condition *was = before ? find(before, condition->type) : NULL;

		if (!condition->is_set || condition->since_s)
			continue;
		condition->since_s = was && was->is_set && was->is_true == condition->is_true
					     ? was->since_s
					     : now_s;
	}
}

static const struct gw_conditions *same_listener(const struct gw_object *before, const char *name)
{
	for (size_t i = 0; before && i < before->n_listeners; i++)
		if (!strcmp(before->listeners[i].name, name))
			return &before->listeners[i].conditions;
	return NULL;
}

static const struct gw_conditions *same_parent(const struct gw_object *before,
					       const struct gw_parent *p)
{
	for (size_t i = 0; before && i < before->n_parents; i++) {
		const struct gw_parent *was = &before->parents[i];

		if (was->port == p->port && !strcmp(was->group, p->group) &&
		    !strcmp(was->kind, p->kind) && !strcmp(was->name, p->name) &&
		    gw_same_text(was->ns, p->ns) && gw_same_text(was->section, p->section))
			return &was->conditions;
	}
	return NULL;
}

void gw_date(struct gw_object *o, const struct gw_object *was, int64_t now_s)
{
	date(&o->conditions, was ? &was->conditions : NULL, now_s);
	for (size_t k = 0; k < o->n_listeners; k++)
		date(&o->listeners[k].conditions, same_listener(was, o->listeners[k].name), now_s);
	for (size_t k = 0; k < o->n_parents; k++)
		date(&o->parents[k].conditions, same_parent(was, &o->parents[k]), now_s);
}

void gateway_date(struct gateway *gw, const struct gateway *before, int64_t now_s)
{
	for (size_t i = 0; i < gw->n; i++) {
		struct gw_object *o = gw->objects[i];

		gw_date(o, before && o->is_ours ? gw_find(before, o->kind, o->ns, o->name) : NULL,
			now_s);
	}
}
