/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Warm sockets of one worker: connected to a backend and waiting for a client, so that a hello need
 * not wait for a handshake. Kept at the number that the configuration asks for; one that its
 * backend ends is closed, one that waited long is replaced. Where the socket path is used they
 * stand in its maps, and the verdict program hands them out as well.
 */
#ifndef THRUWAY_POOL_H
#define THRUWAY_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <uthash.h>

#include "base/timer.h"
#include "conn/flow.h"
#include "conn/workers.h"

struct worker;

struct pool;

struct warm {
	struct source source; /* first: what epoll points to */
	uint64_t cookie;
	uint64_t made_ms;
	struct pool *pool;
	bool is_ready; /* connected */
	TAILQ_ENTRY(warm) link;
	UT_hash_handle hh; /* by cookie, once it is ready */
};

TAILQ_HEAD(warm_queue, warm);

struct pool {
	struct tw_backend backend;
	uint32_t want;
	uint32_t n;		 /* ready or being connected */
	uint64_t resume_ms;	 /* after a failure: no attempt before */
	int queue_fd;		 /* the verdict program's; -1 = none */
	struct warm_queue ready; /* the oldest first */
	struct warm_queue connecting;
	LIST_ENTRY(pool) link;
};

/* What one worker has. */
struct pool_tools {
	LIST_HEAD(, pool) pools;
	struct warm *by_cookie;
	struct warm_queue dead; /* closed, and freed when no event in hand can point to them */
	struct timer timer;
	bool was_used; /* sockets may be accepted that are sources, also when no pool is left */
	bool is_short; /* one was handed out: see pool_refill() */
};

void pool_tools_init(struct worker *worker);
void pool_tools_fini(struct worker *worker);
/* Keep exactly these. */
void pool_set(struct worker *worker, const struct workers_pool *pools, size_t n);
bool pool_is_used(const struct worker *worker);

void pool_event(struct worker *worker, struct warm *warm, uint32_t events);
void pool_timer(struct worker *worker);
void pool_free_dead(struct worker *worker);
/* Replace what was handed out, when everything else of this round has been done. */
void pool_refill(struct worker *worker);

/*
 * A connected socket to @backend, given away; -1 = there is none. *@ret_cookie is 0 unless it is
 * a source of the socket path, which then passes to us what it receives.
 */
int pool_take(struct worker *worker, uint32_t backend, uint64_t *ret_cookie);
/* The backend of this one spoke, or ended it. */
void pool_lost(struct worker *worker, uint64_t cookie);
/* The one that the verdict program has handed out, given away; -1 = unknown. */
int pool_claim(struct worker *worker, uint64_t cookie);

#endif
