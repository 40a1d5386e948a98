// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The timer wheel: when timers fire, against a plain list of due times. */
#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS 1234567

struct probe {
	struct timer timer; /* first: the callback casts back */
	uint64_t fired_ms;
	unsigned int n_fired;
	uint64_t again_ms;     /* arm again for this time from the callback */
	struct probe *cancels; /* cancel this one from the callback */
};

struct fixture {
	struct timer_wheel wheel;
	uint64_t now_ms;
};

static void on_fire(void *arg, struct timer *timer)
{
	struct fixture *f = arg;
	struct probe *p = (struct probe *)timer;

	assert_false(timer_is_set(timer));
	p->fired_ms = f->now_ms;
	p->n_fired++;
	if (p->again_ms) {
		timer_set(&f->wheel, timer, p->again_ms);
		p->again_ms = 0;
	}
	if (p->cancels)
		timer_cancel(&f->wheel, &p->cancels->timer);
}

static void advance(struct fixture *f, uint64_t now_ms)
{
	f->now_ms = now_ms;
	timer_advance(&f->wheel, now_ms, on_fire, f);
}

/* Step the way an epoll loop does: sleep as long as the wheel says. */
static void run_until(struct fixture *f, uint64_t end_ms)
{
	while (f->now_ms < end_ms) {
		int wait = timer_wait_ms(&f->wheel, f->now_ms);
		uint64_t next = wait < 0 ? end_ms : f->now_ms + (wait ? (uint64_t)wait : 1);

		advance(f, next < end_ms ? next : end_ms);
	}
}

static void init(struct fixture *f)
{
	timer_wheel_init(&f->wheel, START_MS);
	f->now_ms = START_MS;
}

static void each_timer_fires_once_within_a_tick_of_its_time(void **state)
{
	/* Around every boundary between two levels of the wheel, and the bounds of the last. */
	static const uint64_t delays_ms[] = {
		0,	   1,	      7,	  8,	      9,	  500,
		503,	   504,	      511,	  512,	      513,	  520,
		10000,	   32767,     32768,	  32769,      60000,	  300000,
		2097151,   2097152,   2097160,	  3600000,    86400000,	  134217728,
		134217800, 604800000, 8589934592, 8589934600, 20000000000};
	static struct probe probes[sizeof(delays_ms) / sizeof(delays_ms[0])];
	const size_t n = sizeof(delays_ms) / sizeof(delays_ms[0]);
	struct fixture f;

	(void)state;
	init(&f);
	for (size_t i = 0; i < n; i++)
		timer_set(&f.wheel, &probes[i].timer, START_MS + delays_ms[i]);
	run_until(&f, START_MS + 30000000000ull);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(probes[i].n_fired, 1);
		assert_true(probes[i].fired_ms >= START_MS + delays_ms[i]);
		assert_true(probes[i].fired_ms <= START_MS + delays_ms[i] + 2 * TIMER_TICK_MS);
	}
	assert_int_equal(f.wheel.armed, 0);
	assert_int_equal(timer_wait_ms(&f.wheel, f.now_ms), -1);
}

static void random_timers_fire_at_their_times_whatever_the_steps(void **state)
{
	enum { N = 20000 };
	struct probe *probes = calloc(N, sizeof(*probes));
	struct fixture f;
	unsigned int seed = 7;

	(void)state;
	assert_non_null(probes);
	init(&f);
	for (int i = 0; i < N; i++)
		timer_set(&f.wheel, &probes[i].timer,
			  START_MS + (uint64_t)rand_r(&seed) % (1u << (rand_r(&seed) % 28)));
	while (f.wheel.armed) {
		uint64_t before = f.now_ms;

		advance(&f, f.now_ms + 1 + (unsigned int)rand_r(&seed) % 5000);
		for (int i = 0; i < N; i++) {
			if (probes[i].n_fired && probes[i].fired_ms == f.now_ms) {
				assert_true(probes[i].timer.due_ms <= f.now_ms);
				assert_true(probes[i].timer.due_ms + 2 * TIMER_TICK_MS > before);
			} else if (!probes[i].n_fired) {
				assert_true(probes[i].timer.due_ms + TIMER_TICK_MS > f.now_ms);
			}
		}
		if (f.now_ms > START_MS + 300000) {
			run_until(&f, START_MS + (1ull << 28));
			break;
		}
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(probes[i].n_fired, 1);
	assert_int_equal(f.wheel.armed, 0);
	free(probes);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	struct probe a = {}, b = {};
	struct fixture f;

	(void)state;
	init(&f);
	timer_set(&f.wheel, &a.timer, START_MS + 100);
	timer_set(&f.wheel, &b.timer, START_MS + 100);
	timer_cancel(&f.wheel, &a.timer);
	timer_cancel(&f.wheel, &a.timer);
	assert_false(timer_is_set(&a.timer));
	run_until(&f, START_MS + 1000);
	assert_int_equal(a.n_fired, 0);
	assert_int_equal(b.n_fired, 1);
}

static void a_timer_moved_later_fires_at_the_later_time_only(void **state)
{
	struct probe a = {};
	struct fixture f;

	(void)state;
	init(&f);
	timer_set(&f.wheel, &a.timer, START_MS + 100);
	timer_set(&f.wheel, &a.timer, START_MS + 90000);
	assert_int_equal(f.wheel.armed, 1);
	run_until(&f, START_MS + 89999);
	assert_int_equal(a.n_fired, 0);
	run_until(&f, START_MS + 90100);
	assert_int_equal(a.n_fired, 1);
}

static void a_callback_may_arm_its_own_timer_again(void **state)
{
	struct probe a = {.again_ms = START_MS + 70000};
	struct fixture f;

	(void)state;
	init(&f);
	timer_set(&f.wheel, &a.timer, START_MS + 50);
	run_until(&f, START_MS + 200);
	assert_int_equal(a.n_fired, 1);
	assert_true(timer_is_set(&a.timer));
	run_until(&f, START_MS + 71000);
	assert_int_equal(a.n_fired, 2);
}

static void a_callback_that_arms_for_the_past_does_not_spin(void **state)
{
	struct probe a = {.again_ms = 1};
	struct fixture f;

	(void)state;
	init(&f);
	timer_set(&f.wheel, &a.timer, START_MS + 10);
	advance(&f, START_MS + 20);
	assert_int_equal(a.n_fired, 1);
	advance(&f, START_MS + 20 + 2 * TIMER_TICK_MS);
	assert_int_equal(a.n_fired, 2);
}

static void a_callback_may_cancel_another_timer_of_the_same_tick(void **state)
{
	struct probe a = {}, b = {};
	struct fixture f;

	(void)state;
	init(&f);
	a.cancels = &b;
	b.cancels = &a;
	timer_set(&f.wheel, &a.timer, START_MS + 40);
	timer_set(&f.wheel, &b.timer, START_MS + 40);
	run_until(&f, START_MS + 1000);
	assert_int_equal(a.n_fired + b.n_fired, 1);
	assert_int_equal(f.wheel.armed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_timer_fires_once_within_a_tick_of_its_time),
		cmocka_unit_test(random_timers_fire_at_their_times_whatever_the_steps),
		cmocka_unit_test(a_cancelled_timer_does_not_fire),
		cmocka_unit_test(a_timer_moved_later_fires_at_the_later_time_only),
		cmocka_unit_test(a_callback_may_arm_its_own_timer_again),
		cmocka_unit_test(a_callback_that_arms_for_the_past_does_not_spin),
		cmocka_unit_test(a_callback_may_cancel_another_timer_of_the_same_tick),
	};

	return cmocka_run_group_tests_name("timer", tests, NULL, NULL);
}
