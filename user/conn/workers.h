/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The worker threads. Each has its own SO_REUSEPORT listeners, epoll, timers and pipes, and shares
 * nothing with the others but what is in the maps: counters and the socket path's. The functions
 * here are the main thread's; they talk to the workers through a queue and an eventfd each.
 */
#ifndef THRUWAY_WORKERS_H
#define THRUWAY_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "kernel/datapath.h"

struct workers;

/* One connection, as conn show and the access log see it. Pointers are lent for the call. */
struct conn_record {
	uint64_t id; /* unique while the daemon runs; worker number in the top 16 bits */
	struct addr client;
	struct addr local;	  /* the address that the client dialled */
	struct addr backend_from; /* our own address towards the backend; port 0 = not connected */
	uint32_t listener, route, backend; /* ids; 0 = none */
	const char *sni;		   /* normalised; "" = none */
	const uint8_t *alpn;		   /* as on the wire */
	size_t alpn_len;
	enum tw_path path;
	bool is_direct; /* local: direct: the programs at both ends send past the router */
	bool is_pooled; /* the backend's socket came out of a pool */
	enum tw_ejection ejection; /* why it left the socket path; NONE = it did not */
	const char *state; /* "hello", "connecting", "open", "half-closed", "closing", "ended" */
	enum tw_reason reason; /* ended: why; TW_OK before */
	uint64_t bytes_to_backend, bytes_to_client;
	uint64_t age_ms;  /* since accept; ended: how long it lived */
	uint64_t idle_ms; /* since the last byte */
	uint32_t tries;	  /* backends tried */
	int64_t start_unix_ms;
};

struct workers_config {
	const struct datapath *dp;
	/* NULL = nothing is joined in the kernel; outlives the workers. */
	const struct sockmap *sockmap;
	uint32_t n;		  /* threads; 0 = one per core */
	uint32_t max_connections; /* in all; 0 = as many as RLIMIT_NOFILE allows */
	uint32_t keepalive_s;
	/* Called on the worker's thread when a connection ended or was refused; may be NULL. */
	void (*on_end)(void *arg, const struct conn_record *record);
	/* Asked first, on the same thread: false spares making the record. NULL = always wanted. */
	bool (*is_wanted)(void *arg);
	void *arg;
};

/* Warm sockets to keep, over all workers. */
struct workers_pool {
	struct tw_backend backend;
	uint32_t n;
};

/* What to listen on. listener: name for messages. */
struct workers_bind {
	uint32_t bind;	  /* id in the maps */
	uint8_t addr[16]; /* :: = all, IPv4 and IPv6 */
	__be16 port;
	const char *listener;
	bool may_wait; /* for the address, which the host need not have yet */
};

int workers_start(const struct workers_config *config, struct workers **ret_workers);
/* End every connection (RST, reason shutdown), stop the threads, free. Accepts NULL. */
struct workers *workers_stop(struct workers *workers);

/*
 * Open what of @binds is not open yet. Nothing is accepted before workers_set_binds(). 0 or -errno
 * with one line in *@ret_why (which address, what is wrong, what helps); on error nothing changed.
 * Sockets opened here and not in the next workers_set_binds() are closed by it, or by
 * workers_drop_unset() if there is none.
 */
int workers_prepare_binds(struct workers *workers, const struct workers_bind *binds, size_t n,
			  char **ret_why);
/* Accept on exactly @binds (all prepared before); listeners that are no more are closed, the
 * connections waiting in their queues first accepted. Open connections stay. */
int workers_set_binds(struct workers *workers, const struct workers_bind *binds, size_t n);

/* The change that workers_prepare_binds() was for is not made: close what nobody accepts on. */
void workers_drop_unset(struct workers *workers);

/* Change what may change while running. */
void workers_set_limits(struct workers *workers, uint32_t max_connections, uint32_t keepalive_s);

struct local;
/* local: direct is in use from now on; lent, and outlives the workers. */
void workers_set_local(struct workers *workers, const struct local *local);

/* Keep exactly these warm; fewer (@pools says how many) where files do not suffice. */
void workers_set_pools(struct workers *workers, struct workers_pool *pools, size_t n);

/* Which connections: those that all set fields fit; 0 = any. */
struct workers_filter {
	uint64_t id;
	const uint32_t *routes; /* one of these */
	size_t n_routes;
	uint32_t backend, listener;
	uint8_t client[16];
};

/*
 * (*cb) for each connection now open that fits @filter, on the caller's thread, from a copy made by
 * each worker between two events. 0, or -errno: then some are missing.
 */
int workers_list(struct workers *workers, const struct workers_filter *filter,
		 void (*cb)(void *arg, const struct conn_record *record), void *arg);
/* End those that fit with RST; returns how many. */
size_t workers_kill(struct workers *workers, const struct workers_filter *filter);

struct workers_usage {
	uint32_t threads;
	uint64_t connections; /* now */
	uint64_t max_connections;
	uint64_t pipes; /* open now, held or spare */
	uint64_t bytes; /* heap held for connections */
};
void workers_usage(struct workers *workers, struct workers_usage *ret_usage);

#endif
