/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hash index over things that live in an array of the caller's: it holds their numbers, not the
 * things, and knows nothing of keys but their hash. Open addressing, 8 bytes a cell.
 *
 *	uint32_t at = INDEX_START, i;
 *	while ((i = index_next(ix, hash, &at)) != INDEX_NONE)
 *		if (is_wanted(&things[i]))
 *			...
 */
#ifndef THRUWAY_INDEX_H
#define THRUWAY_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define INDEX_NONE  UINT32_MAX
#define INDEX_START UINT32_MAX

struct index_cell {
	uint32_t hash;
	uint32_t value; /* INDEX_NONE = empty */
};

struct index {
	struct index_cell *cells;
	uint32_t size; /* a power of two, or 0 */
	uint32_t used;
};

/* Room for @n values without growing. 0 or -ENOMEM. */
int index_reserve(struct index *ix, size_t n);
int index_add(struct index *ix, uint32_t hash, uint32_t value);
/* Remove @value, which was added with @hash. */
void index_remove(struct index *ix, uint32_t hash, uint32_t value);
void index_fini(struct index *ix);

/* Hash of @len bytes; @seed chains several parts of a key. */
uint32_t index_hash(uint32_t seed, const void *data, size_t len);
uint32_t index_hash_text(uint32_t seed, const char *text);

static inline uint32_t index_next(const struct index *ix, uint32_t hash, uint32_t *at)
{
	uint32_t mask = ix->size - 1;

	if (!ix->size)
		return INDEX_NONE;
	*at = *at == INDEX_START ? hash & mask : (*at + 1) & mask;
	for (; ix->cells[*at].value != INDEX_NONE; *at = (*at + 1) & mask)
		if (ix->cells[*at].hash == hash)
			return ix->cells[*at].value;
	return INDEX_NONE;
}

#endif
