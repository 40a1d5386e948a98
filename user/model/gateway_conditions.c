// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Conditions of the objects: set, and taken over from the store before. */
#include <stdlib.h>
#include <string.h>

#include "model/gateway_parts.h"

void gw_set(struct gw_conditions *c, const char *type, bool is_true, const char *reason,
	    const char *fmt, ...)
{
	struct gw_condition *grown, *condition = NULL;
	char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->items[i].type, type))
			condition = &c->items[i];
	if (!condition) {
		grown = reallocarray(c->items, c->n + 1, sizeof(*grown));
		if (!grown) {
			free(message);
			return; /* one condition less to be seen */
		}
		c->items = grown;
		condition = &grown[c->n++];
		condition->message = NULL;
	}
	free(condition->message);
	*condition = (struct gw_condition){
		.type = type, .reason = reason, .message = message, .is_true = is_true};
}

void gw_clear(struct gw_conditions *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->items[i].message);
	free(c->items);
	*c = (struct gw_conditions){};
}
