/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A set of keys and where in the configuration each was met first: finds what stands twice. */
#ifndef THRUWAY_SEEN_H
#define THRUWAY_SEEN_H

#include <stddef.h>

#include "model/config.h"

struct seen; /* NULL is the empty set */

/* Where @key was met; NULL if it was not. */
const struct config_pos *seen_find(const struct seen *seen, const void *key, size_t len);
/* Adds a key that is not in the set. 0 or -ENOMEM. */
int seen_add(struct seen **seen, const void *key, size_t len, const struct config_pos *pos);
size_t seen_count(const struct seen *seen);
/* The key (with a NUL behind it) most like @word, NULL if none is near: "did you mean". */
const char *seen_nearest(const struct seen *seen, const char *word);
void seen_free(struct seen **seen);

#endif
