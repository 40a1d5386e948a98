// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A queue of free ids (see ids.h). It never holds more than the ids there are. */
#include "kernel/ids.h"

#include <errno.h>
#include <stdlib.h>

int ids_init(struct ids *ids, uint32_t end, bool (*is_used)(const void *arg, uint32_t id),
	     const void *arg)
{
	uint32_t highest = 0;

	*ids = (struct ids){.ring = calloc(end, sizeof(*ids->ring)), .size = end};
	if (!ids->ring)
		return -ENOMEM;
	for (uint32_t id = 1; id < end; id++)
		if (is_used(arg, id))
			highest = id;
	for (uint32_t id = highest + 1; id < end; id++)
		ids_give(ids, id);
	for (uint32_t id = 1; id < highest; id++)
		if (!is_used(arg, id))
			ids_give(ids, id);
	return 0;
}

void ids_fini(struct ids *ids)
{
	free(ids->ring);
	*ids = (struct ids){};
}

uint32_t ids_take(struct ids *ids, bool (*is_idle)(const void *arg, uint32_t id), const void *arg)
{
	for (uint32_t i = 0, n = ids->n; i < n; i++) {
		uint32_t id = ids->ring[ids->head];

		ids->head = (ids->head + 1) % ids->size;
		ids->n--;
		if (!is_idle || is_idle(arg, id))
			return id;
		ids_give(ids, id);
	}
	return 0;
}

void ids_give(struct ids *ids, uint32_t id)
{
	ids->ring[(ids->head + ids->n++) % ids->size] = id;
}

void ids_untake(struct ids *ids, uint32_t id)
{
	ids->head = (ids->head + ids->size - 1) % ids->size;
	ids->ring[ids->head] = id;
	ids->n++;
}
