// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The timer wheel (see timer.h). Level l has 64 slots of 64^l ticks each. A timer lies in the
 * lowest level whose slots tell its due tick apart from the current one; when the level below comes
 * round, the timers of the next slot are dealt out again ("cascade"). Bitmaps of used slots let
 * timer_advance() jump over time in which nothing is due.
 */
#include "base/timer.h"

#include <limits.h>
#include <string.h>

#define SLOT_MASK  (TIMER_SLOTS - 1)
#define SPAN_TICKS (1ull << (TIMER_SLOT_BITS * TIMER_LEVELS))

static unsigned int slot_of(uint64_t tick, unsigned int level)
{
	return (tick >> (TIMER_SLOT_BITS * level)) & SLOT_MASK;
}

static uint64_t due_tick(const struct timer *timer)
{
	return timer->due_ms / TIMER_TICK_MS + (timer->due_ms % TIMER_TICK_MS != 0);
}

/* @due: the tick to fire at, not before the current one. */
static void wheel_insert(struct timer_wheel *wheel, struct timer *timer, uint64_t due)
{
	unsigned int level, slot;
	struct timer **head;

	if (due - wheel->tick >= SPAN_TICKS)
		due = wheel->tick + SPAN_TICKS - 1;
	/* The highest group of slot bits in which the two ticks differ. */
	level = (63 - __builtin_clzll((due ^ wheel->tick) | 1)) / TIMER_SLOT_BITS;
	if (level >= TIMER_LEVELS)
		level = TIMER_LEVELS - 1;
	slot = slot_of(due, level);
	head = &wheel->slots[level][slot];
	timer->next = *head;
	timer->link = head;
	if (timer->next)
		timer->next->link = &timer->next;
	*head = timer;
	wheel->used[level] |= 1ull << slot;
}

static void wheel_unlink(struct timer *timer)
{
	*timer->link = timer->next;
	if (timer->next)
		timer->next->link = timer->link;
	timer->next = NULL;
	timer->link = NULL;
}

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->tick = now_ms / TIMER_TICK_MS;
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms)
{
	uint64_t due;

	if (timer->link)
		wheel_unlink(timer);
	else
		wheel->armed++;
	timer->due_ms = due_ms;
	due = due_tick(timer);
	/* What is due already goes to the next tick: the slot of the current one is done. */
	wheel_insert(wheel, timer, due > wheel->tick ? due : wheel->tick + 1);
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
	if (!timer->link)
		return;
	wheel_unlink(timer);
	wheel->armed--;
}

/*
 * First tick after the current one at which a used slot begins. The bit of a slot that was emptied
 * by timer_cancel() may still stand: that costs one idle visit, which clears it.
 */
static uint64_t next_tick(const struct timer_wheel *wheel)
{
	uint64_t first = UINT64_MAX;

	for (unsigned int level = 0; level < TIMER_LEVELS; level++) {
		unsigned int shift = TIMER_SLOT_BITS * level;
		uint64_t base = wheel->tick >> shift; /* in slots of this level */
		unsigned int from = (base + 1) & SLOT_MASK;
		uint64_t used = wheel->used[level];
		uint64_t at;

		if (!used)
			continue;
		/* Turned so that bit 0 is the slot after the current one. */
		used = from ? used >> from | used << (TIMER_SLOTS - from) : used;
		at = (base + 1 + (unsigned int)__builtin_ctzll(used)) << shift;
		if (at < first)
			first = at;
	}
	return first;
}

static struct timer *take_slot(struct timer_wheel *wheel, unsigned int level)
{
	unsigned int slot = slot_of(wheel->tick, level);
	struct timer *list = wheel->slots[level][slot];

	wheel->slots[level][slot] = NULL;
	wheel->used[level] &= ~(1ull << slot);
	return list;
}

/* The levels whose slot begins at the current tick, from the highest: down to where it is due. */
static void cascade(struct timer_wheel *wheel)
{
	for (unsigned int level = TIMER_LEVELS - 1; level > 0; level--) {
		struct timer *timer, *next;

		if (wheel->tick & ((1ull << (TIMER_SLOT_BITS * level)) - 1))
			continue;
		for (timer = take_slot(wheel, level); timer; timer = next) {
			uint64_t due = due_tick(timer);

			next = timer->next;
			wheel_insert(wheel, timer, due > wheel->tick ? due : wheel->tick);
		}
	}
}

static void fire_slot(struct timer_wheel *wheel, void (*fire)(void *arg, struct timer *timer),
		      void *arg)
{
	struct timer *list = take_slot(wheel, 0);

	/* Fired one by one off a list that they stay linked to: a callback may cancel the next. */
	if (list)
		list->link = &list;
	while (list) {
		struct timer *timer = list;

		wheel_unlink(timer);
		wheel->armed--;
		fire(arg, timer);
	}
}

void timer_advance(struct timer_wheel *wheel, uint64_t now_ms,
		   void (*fire)(void *arg, struct timer *timer), void *arg)
{
	uint64_t now = now_ms / TIMER_TICK_MS;

	while (wheel->tick < now) {
		uint64_t next = next_tick(wheel);

		if (next > now) {
			wheel->tick = now;
			break;
		}
		wheel->tick = next;
		cascade(wheel);
		fire_slot(wheel, fire, arg);
	}
}

int timer_wait_ms(const struct timer_wheel *wheel, uint64_t now_ms)
{
	uint64_t at_ms;

	if (!wheel->armed)
		return -1;
	at_ms = next_tick(wheel) * TIMER_TICK_MS;
	if (at_ms <= now_ms)
		return 0;
	return at_ms - now_ms > INT_MAX ? INT_MAX : (int)(at_ms - now_ms);
}
