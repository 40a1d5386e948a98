/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path's maps (bpf/maps.bpf.h) as user space uses them: sockets put in and taken out,
 * what the verdict program counts, and the rings through which it speaks. Any thread; each ring
 * belongs to one.
 */
#ifndef THRUWAY_SOCKMAP_H
#define THRUWAY_SOCKMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/datapath.h"

struct sockmap;
struct sockmap_ring;

/* 0; -EOPNOTSUPP where the kernel does not take the programs; -ENOMEM. */
int sockmap_open(const struct datapath *dp, struct sockmap **ret_sockmap);
struct sockmap *sockmap_close(struct sockmap *sockmap); /* accepts NULL, returns NULL */

/* 0 or -errno. */
int sockmap_cookie(int fd, uint64_t *ret_cookie);
int sockmap_set_pair(const struct sockmap *sockmap, uint64_t cookie, const struct tw_pair *pair);
int sockmap_get_pair(const struct sockmap *sockmap, uint64_t cookie, struct tw_pair *ret_pair);
/* Forget a pair whose socket is no source any more. */
void sockmap_drop_pair(const struct sockmap *sockmap, uint64_t cookie);

/* A TCP socket that is established; it leaves both maps when it is closed. 0 or -errno. */
int sockmap_add_sink(const struct sockmap *sockmap, uint64_t cookie, int fd);
/* From here on what @fd receives, and what waits in it, is the verdict program's. */
int sockmap_add_source(const struct sockmap *sockmap, uint64_t cookie, int fd);
/* Nothing is in its queue. What was not sent yet would be thrown away. */
void sockmap_drop_sink(const struct sockmap *sockmap, uint64_t cookie);

/*
 * Make the verdict program look at what came before @fd was a source: it runs when a segment
 * comes, and these have come. As recv(2) with MSG_PEEK of one byte, which is what does it (of none
 * does not).
 */
int sockmap_kick(int fd);

struct sockmap_leaving {
	uint64_t cookie;
	uint64_t consumed; /* bytes that were passed and that we have read */
};

/*
 * Take @n sources out, each under its lock: no segment is lost. Reads all TCP sockets of the
 * network namespace, so several at once. When it returns, the pairs of those that have left hold
 * their last counts; one that holds bytes that were passed and not read has not left.
 */
int sockmap_leave(const struct sockmap *sockmap, const struct sockmap_leaving *leaving, size_t n);
bool sockmap_is_source(const struct sockmap *sockmap, uint64_t cookie);

/* Run tw_arm: see struct tw_arm. 0; -ENOENT if there is no such source; -errno. */
int sockmap_arm(const struct sockmap *sockmap, struct tw_arm *arm);

/*
 * What listening socket @fd accepts is a source before it is accepted; its hellos are read for
 * @worker and @bind. 0 or -errno, -EOPNOTSUPP where our sockets' events cannot be seen.
 */
int sockmap_listen(const struct sockmap *sockmap, int fd, uint32_t worker, uint32_t bind);
void sockmap_unlisten(const struct sockmap *sockmap, int fd);

/* A queue of warm sockets for (@backend, @worker): its file descriptor or -errno. */
int sockmap_pool_open(const struct sockmap *sockmap, uint32_t backend, uint32_t worker);
/* The verdict program finds it no more. Closes @fd. */
void sockmap_pool_close(const struct sockmap *sockmap, uint32_t backend, uint32_t worker, int fd);
/* 0; -E2BIG: full. */
int sockmap_pool_push(int fd, uint64_t cookie);
/* 0; -ENOENT: empty. */
int sockmap_pool_pop(int fd, uint64_t *ret_cookie);

/* Ring number @worker; (*cb) for each event, on the thread that consumes. */
int sockmap_ring_open(const struct sockmap *sockmap, uint32_t worker,
		      void (*cb)(void *arg, const struct tw_event *event), void *arg,
		      struct sockmap_ring **ret_ring);
struct sockmap_ring *sockmap_ring_close(struct sockmap_ring *ring); /* accepts NULL */
int sockmap_ring_fd(const struct sockmap_ring *ring);		    /* lent; readable: consume */
void sockmap_ring_consume(struct sockmap_ring *ring);

struct tw_socket *sockmap_state(const struct sockmap *sockmap);

#endif
