/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "did you mean": of some words, the one most like what the user wrote. */
#ifndef THRUWAY_NEAREST_H
#define THRUWAY_NEAREST_H

struct nearest {
	const char *word;
	const char *best; /* lent by nearest_try(); NULL = nothing is near */
	unsigned int distance;
};

struct nearest nearest_to(const char *word);
void nearest_try(struct nearest *nearest, const char *candidate);

#endif
