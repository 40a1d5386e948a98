/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Timers of one thread: a hierarchical wheel, so that arming and cancelling cost the same however
 * many there are. A timer fires at the first advance at or after its due time, rounded up to a
 * tick of TIMER_TICK_MS; never early. Times are milliseconds of any clock that does not go back.
 *
 * Something that is pushed back often (an idle timeout) is cheaper left alone: note the time of the
 * last activity elsewhere, and arm again from the callback if it came too soon.
 */
#ifndef THRUWAY_TIMER_H
#define THRUWAY_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_TICK_MS 8

#define TIMER_SLOT_BITS 6
#define TIMER_SLOTS	(1 << TIMER_SLOT_BITS)
#define TIMER_LEVELS	5 /* 64^5 ticks: 99 days; what is due later waits in the last level */

/* Lives in its owner; all zero = not armed. */
struct timer {
	struct timer *next;
	struct timer **link; /* what points to this one; NULL = not armed */
	uint64_t due_ms;
};

struct timer_wheel {
	uint64_t tick; /* last tick that was advanced to */
	size_t armed;
	uint64_t used[TIMER_LEVELS]; /* bit n: slot n of the level is not empty */
	struct timer *slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/* Arm @timer, or move it if it is armed. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms);
/* No-op on a timer that is not armed. */
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
	return timer->link != NULL;
}

/*
 * Take out every timer that is due by @now_ms and call (*fire) with it. The callback may arm and
 * cancel any timer, and free the one it was called with.
 */
void timer_advance(struct timer_wheel *wheel, uint64_t now_ms,
		   void (*fire)(void *arg, struct timer *timer), void *arg);

/* Milliseconds from @now_ms until timer_advance() has something to do (0 = now); -1 = no timer. */
int timer_wait_ms(const struct timer_wheel *wheel, uint64_t now_ms);

#endif
