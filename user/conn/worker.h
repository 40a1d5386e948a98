/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One worker thread: its epoll set, listeners, connections, timers, and the queue through which the
 * main thread asks it for something. Everything in struct worker belongs to its thread but what is
 * marked; the main thread touches the rest only inside a command, which runs on the worker's
 * thread.
 */
#ifndef THRUWAY_WORKER_H
#define THRUWAY_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/timer.h"
#include "conn/flow.h"
#include "conn/pool.h"
#include "conn/redirect.h"
#include "conn/workers.h"
#include "thruway/hello.h"

struct conn;
struct listener;
struct worker;

LIST_HEAD(conn_list, conn);
TAILQ_HEAD(conn_queue, conn);
LIST_HEAD(listener_list, listener);

/* What all workers share; numbers that change are atomic. */
struct shared {
	const struct datapath *dp;
	const struct sockmap *sockmap; /* NULL = the socket path is not used */
	const struct local *local;     /* atomic: NULL = local: direct is not used */
	void (*on_end)(void *arg, const struct conn_record *record);
	bool (*is_wanted)(void *arg);
	void *arg;
	uint32_t max_connections; /* atomic */
	uint32_t keepalive_s;	  /* atomic */
	uint32_t connections;	  /* atomic: now open, of all workers */
	uint32_t n_workers;
};

/* A question of the main thread. */
struct command {
	void (*run)(struct worker *worker, struct command *command);
	TAILQ_ENTRY(command) link;
	bool is_taken, is_done; /* under the worker's lock */
};

TAILQ_HEAD(command_queue, command);

struct worker {
	struct shared *shared;
	unsigned int index;
	pthread_t thread;
	int epoll_fd;
	int reserve_fd;	 /* -1 = none; see worker_give_reserve() */
	uint64_t now_ms; /* CLOCK_MONOTONIC at the last wake-up */
	uint64_t next_id;
	bool is_stopping;

	struct listener_list listeners;
	struct listener_list dead_listeners; /* as the dead connections */
	unsigned int accept_batch;
	struct timer accept_timer; /* armed: accepting is paused */
	uint64_t complained_ms;

	struct conn_list conns;
	struct conn_queue ready; /* stopped in the middle to let others move */
	struct conn_queue dead;	 /* ended, and freed when no event in hand can point to them */
	struct timer_wheel timers;
	struct flow_tools tools; /* its buffer serves for peeking, too */
	struct tw_hello hello;
	struct tw_decide query;
	struct redirect_tools redirect;
	struct pool_tools pool;
	struct source ring; /* of the socket path's events */

	/* Written by the worker, read by anybody (relaxed). */
	uint64_t n_conns;
	uint64_t heap_bytes;

	/* Any thread. */
	struct source queue; /* an eventfd */
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct command_queue commands; /* under lock */
};

/* 0 or -errno. @ret_worker lives until worker_join(). */
int worker_start(struct shared *shared, unsigned int index, struct worker **ret_worker);
/* Main thread: run @command on the worker's thread and wait for it. -ETIMEDOUT: it did not run. */
int worker_call(struct worker *worker, struct command *command);
/* Main thread: end the connections, wait for the thread and free. Accepts NULL, returns NULL. */
struct worker *worker_join(struct worker *worker);

/* The worker's thread: what happens to every connection is logged once a minute. */
bool worker_may_complain(struct worker *worker);

/*
 * The worker's thread: give up the descriptor that is kept for when there is no other, for what
 * needs one for a moment. Then take it back; false: somebody else has got it.
 */
void worker_give_reserve(struct worker *worker);
bool worker_take_reserve(struct worker *worker);

/* The worker's thread: its own number in counters that others read. */
static inline void worker_count(uint64_t *counter, int64_t n)
{
	__atomic_store_n(counter, *counter + (uint64_t)n, __ATOMIC_RELAXED);
}

/* Add to a counter that others add to as well. */
static inline void counter_add(__u64 *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

#endif
