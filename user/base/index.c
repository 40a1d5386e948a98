// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Hash index by open addressing with linear probing (see index.h). At most half full. */
#include "base/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_SIZE_MIN 16

static void put(struct index *ix, struct index_cell cell)
{
	uint32_t mask = ix->size - 1, at = cell.hash & mask;

	while (ix->cells[at].value != INDEX_NONE)
		at = (at + 1) & mask;
	ix->cells[at] = cell;
}

int index_reserve(struct index *ix, size_t n)
{
	struct index old = *ix;
	size_t size = old.size ? old.size : INDEX_SIZE_MIN;

	while (size < n * 2)
		size *= 2;
	if (size == old.size)
		return 0;
	if (size > UINT32_MAX / 2)
		return -ENOMEM;
	ix->cells = malloc(size * sizeof(*ix->cells));
	if (!ix->cells) {
		*ix = old;
		return -ENOMEM;
	}
	memset(ix->cells, 0xff, size * sizeof(*ix->cells)); /* every value INDEX_NONE */
	ix->size = size;
	for (uint32_t i = 0; i < old.size; i++)
		if (old.cells[i].value != INDEX_NONE)
			put(ix, old.cells[i]);
	free(old.cells);
	return 0;
}

int index_add(struct index *ix, uint32_t hash, uint32_t value)
{
	int r = index_reserve(ix, (size_t)ix->used + 1);

	if (r)
		return r;
	put(ix, (struct index_cell){.hash = hash, .value = value});
	ix->used++;
	return 0;
}

void index_remove(struct index *ix, uint32_t hash, uint32_t value)
{
	uint32_t mask = ix->size - 1, at = INDEX_START, hole, home;

	while (1) {
		uint32_t found = index_next(ix, hash, &at);

		if (found == INDEX_NONE)
			return;
		if (found == value)
			break;
	}
	/* Move back what linear probing pushed past the hole, so that no search stops at it. */
	for (hole = at; ix->cells[at = (at + 1) & mask].value != INDEX_NONE;) {
		home = ix->cells[at].hash & mask;
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		ix->cells[hole] = ix->cells[at];
		hole = at;
	}
	ix->cells[hole].value = INDEX_NONE;
	ix->used--;
}

void index_fini(struct index *ix)
{
	free(ix->cells);
	*ix = (struct index){};
}

uint32_t index_hash(uint32_t seed, const void *data, size_t len)
{
	const uint64_t prime = 0x9e3779b97f4a7c15ULL;
	const unsigned char *p = data;
	uint64_t h = (seed + len) * prime, word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = (h ^ word) * prime;
		h ^= h >> 29;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, len);
		h = (h ^ word) * prime;
	}
	h ^= h >> 32;
	h *= prime;
	return h >> 32;
}

uint32_t index_hash_text(uint32_t seed, const char *text)
{
	return index_hash(seed, text, strlen(text));
}
