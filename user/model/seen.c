// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The set of seen.h, as a hash table. */
#include "model/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "model/nearest.h"

struct seen {
	UT_hash_handle hh;
	struct config_pos pos;
	char key[];
};

const struct config_pos *seen_find(const struct seen *seen, const void *key, size_t len)
{
	const struct seen *entry;

	HASH_FIND(hh, seen, key, len, entry);
	return entry ? &entry->pos : NULL;
}

int seen_add(struct seen **seen, const void *key, size_t len, const struct config_pos *pos)
{
	struct seen *entry = calloc(1, sizeof(*entry) + len + 1);

	if (!entry)
		return -ENOMEM;
	entry->pos = *pos;
	memcpy(entry->key, key, len);
	HASH_ADD_KEYPTR(hh, *seen, entry->key, len, entry);
	if (!entry->hh.tbl) {
		free(entry);
		return -ENOMEM;
	}
	return 0;
}

size_t seen_count(const struct seen *seen)
{
	return HASH_COUNT(seen);
}

const char *seen_nearest(const struct seen *seen, const char *word)
{
	struct nearest nearest = nearest_to(word);

	for (; seen; seen = seen->hh.next)
		nearest_try(&nearest, seen->key);
	return nearest.best;
}

void seen_free(struct seen **seen)
{
	struct seen *entry, *next;

	HASH_ITER (hh, *seen, entry, next) {
		HASH_DEL(*seen, entry);
		free(entry);
	}
}
