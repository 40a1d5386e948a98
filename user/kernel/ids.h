/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ids of one kind that are free to be given. The longest free one goes first, so that whoever still
 * holds a number of something gone is unlikely ever to meet its successor.
 */
#ifndef THRUWAY_IDS_H
#define THRUWAY_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct ids {
	uint32_t *ring; /* free ids, oldest at head */
	uint32_t size;
	uint32_t head;
	uint32_t n;
};

/*
 * Ids 1 .. @end - 1, less those for which (*is_used)(). Ids above the highest used one are given
 * first: those below may have been freed a moment ago. 0 or -ENOMEM.
 */
int ids_init(struct ids *ids, uint32_t end, bool (*is_used)(const void *arg, uint32_t id),
	     const void *arg);
void ids_fini(struct ids *ids);
/* The oldest free id for which (*is_idle)() (NULL = all are); 0 = there is none. */
uint32_t ids_take(struct ids *ids, bool (*is_idle)(const void *arg, uint32_t id), const void *arg);
void ids_give(struct ids *ids, uint32_t id);
/* Give back an id that was taken but never used. */
void ids_untake(struct ids *ids, uint32_t id);

#endif
