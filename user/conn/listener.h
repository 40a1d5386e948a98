/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Listening sockets: opened by the main thread, one for each worker and bind (SO_REUSEPORT spreads
 * the connections over them), accepted from by the workers.
 */
#ifndef THRUWAY_LISTENER_H
#define THRUWAY_LISTENER_H

#include <sys/queue.h>

#include "conn/flow.h"
#include "conn/workers.h"
#include "thruway/table.h"

struct worker;

/* A worker's share of a bind. */
struct listener {
	struct source source; /* first: what epoll points to */
	uint32_t bind;
	LIST_ENTRY(listener) link;

	/* What the bind's speaking listener says about connections without a name, not old. */
	uint64_t asked_ms;
	uint32_t id;
	uint32_t on_refuse;
	uint32_t hello_ms;
};

/*
 * Main thread: bind @n sockets to the address, not listening yet. 0 or -errno with one line in
 * *@ret_why. @is_ours: a socket of ours may have the port already, for another address.
 */
int listener_open(const struct workers_bind *bind, unsigned int n, bool is_ours,
		  uint32_t keepalive_s, int *ret_fds, char **ret_why);

/* The worker's thread from here on. */

/* Accept on exactly @n of @fds (given away) for @binds; others are emptied and closed. */
void listener_set(struct worker *worker, const int *fds, const uint32_t *binds, size_t n);
void listener_set_keepalive(struct worker *worker, uint32_t keepalive_s);
void listener_close_all(struct worker *worker);
/* Free those that were closed, once no event in hand can point to them. */
void listener_free_dead(struct worker *worker);
void listener_event(struct worker *worker, struct listener *listener);
/* The pause after running out of file descriptors is over. */
void listener_resume(struct worker *worker);

#endif
