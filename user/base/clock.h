/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Time in milliseconds. */
#ifndef THRUWAY_CLOCK_H
#define THRUWAY_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Monotonic. */
static inline int64_t clock_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}

/* Since 1970, UTC. */
static inline int64_t clock_unix_ms(void)
{
	return clock_read_ms(CLOCK_REALTIME);
}

#endif
