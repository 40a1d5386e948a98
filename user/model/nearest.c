// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Distance of two words: letters to insert, delete, replace or swap with their neighbour. Near is a
 * third of the word, at least one: "hostname" is near "hostnames", "a" is near nothing.
 */
#include "model/nearest.h"

#include <string.h>

#define WORD_MAX 40

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment; both words have at most WORD_MAX bytes. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int rows[3][WORD_MAX + 1] = {};
	size_t n = strlen(a), m = strlen(b);
	unsigned int *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= m; j++)
		last[j] = (unsigned int)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned int *free_row = before;

		now[0] = (unsigned int)i;
		for (size_t j = 1; j <= m; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		before = last;
		last = now;
		now = free_row;
	}
	return last[m];
}

struct nearest nearest_to(const char *word)
{
	size_t len = strnlen(word, WORD_MAX + 1);

	return (struct nearest){.word = word,
				.distance =
					len < 2 || len > WORD_MAX ? 0 : (unsigned int)len / 3 + 2};
}

void nearest_try(struct nearest *nearest, const char *candidate)
{
	unsigned int found;

	if (!nearest->distance || strlen(candidate) > WORD_MAX)
		return;
	found = distance(nearest->word, candidate);
	if (found < nearest->distance) {
		nearest->distance = found;
		nearest->best = candidate;
	}
}
