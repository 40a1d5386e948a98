// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Taking connections off the socket path (see redirect.h): those that were ejected in one round of
 * the worker leave the sources together, since that goes over all TCP sockets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "conn/conn.h"
#include "conn/redirect.h"
#include "kernel/sockmap.h"

/* One that cannot be taken off the path for want of memory or descriptors: tried so often. */
#define LEAVE_TRIES    50
#define LEAVE_AGAIN_MS 20
/* How much longer than going over all sockets the rest is after it. */
#define LEAVE_REST     10

static void queue_leaving(struct worker *w, struct redirect *r)
{
	r->is_queued = true;
	TAILQ_INSERT_TAIL(&w->redirect.leaving, r, queue);
}

void redirect_eject(struct worker *w, struct conn *c, enum tw_ejection why)
{
	struct redirect *r = c->redirect;
	__u64 *counters = (__u64 *)&sockmap_state(w->redirect.sockmap)->ejected;

	if (r->is_leaving || !r->is_joined)
		return;
	r->is_leaving = true;
	c->ejection = why;
	if (why)
		counter_add(&counters[why - 1], 1);
	queue_leaving(w, r);
}

static bool is_source(const struct redirect *r, size_t side)
{
	return r->phase[side] == REDIRECT_KERNEL || r->phase[side] == REDIRECT_ARMED;
}

/* The sources of the queue are out, but for those that hold something that we have not read. */
static void leave_one(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;

	for (size_t i = 0; i < 2; i++) {
		if (!is_source(r, i))
			continue;
		/* It may have been ARMED to the last; then nothing was redirected. */
		if (!sockmap_is_source(w->redirect.sockmap, r->source[i].cookie))
			redirect_start_draining(w, c, i);
	}
	conn_make_ready(w, c);
}

void redirect_leave_again(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;

	if (!r || !r->is_leaving || r->is_queued || w->now_ms < r->leave_ms)
		return;
	for (size_t i = 0; i < 2 && !r->is_queued; i++)
		if (r->phase[i] == REDIRECT_KERNEL ||
		    (r->phase[i] == REDIRECT_ARMED && !c->flow[i].pending && !c->side[i].readable))
			queue_leaving(w, r);
}

static size_t list_leaving(const struct redirect_queue *queue, struct sockmap_leaving *ret_list)
{
	struct redirect *r;
	size_t n = 0;

	TAILQ_FOREACH (r, queue, queue)
		for (size_t i = 0; i < 2; i++) {
			struct conn *c = r->source[CLIENT].conn;

			if (!is_source(r, i))
				continue;
			if (r->phase[i] == REDIRECT_ARMED && !c->flow[i].pending)
				r->consumed[i] = c->flow[i].bytes;
			ret_list[n].cookie = r->source[i].cookie;
			ret_list[n++].consumed = r->consumed[i];
		}
	return n;
}

/* The iterator needs a descriptor for a moment, and there may be none. */
static int take_out(struct worker *w, const struct redirect_queue *queue)
{
	struct sockmap_leaving *list;
	struct redirect *r;
	size_t n = 0;
	int err;

	TAILQ_FOREACH (r, queue, queue)
		n += 2;
	list = malloc(n * sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = list_leaving(queue, list);
	err = !n ? 0 : sockmap_leave(w->redirect.sockmap, list, n);
	if (err == -EMFILE || err == -ENFILE) {
		worker_give_reserve(w);
		err = sockmap_leave(w->redirect.sockmap, list, n);
		/* Else with the next connection that is refused for want of one. */
		(void)worker_take_reserve(w);
	}
	free(list);
	return err;
}

/* It could not be taken out. As long as it is joined, nothing bounds the memory that it takes. */
static void leave_later(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;

	if (++r->failures == LEAVE_TRIES) {
		conn_kill(w, c, TW_END_io_error);
		return;
	}
	r->leave_ms = w->now_ms + LEAVE_AGAIN_MS;
	timer_set(&w->timers, &c->timer, r->leave_ms);
}

/*
 * Going over all sockets of the network namespace takes milliseconds, in which nobody is served,
 * and any client can ask for it. So there is a rest after it, unless memory is at stake.
 */
static bool is_to_wait(struct worker *w)
{
	struct redirect *r;

	if (w->now_ms >= w->redirect.leave_ms)
		return false;
	TAILQ_FOREACH (r, &w->redirect.leaving, queue)
		switch ((enum tw_ejection)r->source[CLIENT].conn->ejection) {
		case TW_EJECT_bulk:
		case TW_EJECT_urgent:
			break;
		default:
			return false;
		}
	timer_set(&w->timers, &w->redirect.leave_timer, w->redirect.leave_ms);
	return true;
}

void redirect_leave_queued(struct worker *w)
{
	struct redirect_queue queue = TAILQ_HEAD_INITIALIZER(queue);
	struct redirect *r;
	int64_t began_ms, took_ms;
	int err;

	if (TAILQ_EMPTY(&w->redirect.leaving) || is_to_wait(w))
		return;
	TAILQ_CONCAT(&queue, &w->redirect.leaving, queue);
	began_ms = clock_ms();
	err = take_out(w, &queue);
	took_ms = clock_ms() - began_ms;
	w->redirect.leave_ms = w->now_ms + (uint64_t)took_ms * LEAVE_REST;
	if (err && worker_may_complain(w))
		log_err("socket path: sockets cannot be taken out of the map: %s", strerror(-err));
	while ((r = TAILQ_FIRST(&queue))) {
		struct conn *c = r->source[CLIENT].conn;

		TAILQ_REMOVE(&queue, r, queue);
		r->is_queued = false;
		if (err)
			leave_later(w, c);
		else
			leave_one(w, c);
	}
}
