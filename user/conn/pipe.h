/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pipes of one worker. A direction of a connection holds one only while bytes are in it; between
 * uses they wait here. One spare is always kept if it can be had: it is where the rest goes of what
 * was received and finds no room at the other end.
 */
#ifndef THRUWAY_PIPE_H
#define THRUWAY_PIPE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a pipe holds, in bytes. Measured with 64 KiB to 1 MiB: each doubling saves CPU, to half of
 * it from the first to the last. An unprivileged user may get less (pipe(7), pipe-user-pages-soft);
 * one that holds less than PIPE_BYTES_MIN is not used.
 */
#define PIPE_BYTES     (1 << 20)
#define PIPE_BYTES_MIN (64 << 10)

struct pipe {
	int rd, wr; /* non-blocking */
	struct pipe *next;
};

struct pipe_pool {
	struct pipe *spare;
	unsigned int n_spare;
	size_t n_open; /* held or spare; read by other threads */
};

/* Make sure that a spare one is there. false: none can be had now (file limit, memory). */
bool pipe_pool_fill(struct pipe_pool *pool);
/* An empty pipe, or NULL. */
struct pipe *pipe_get(struct pipe_pool *pool);
/* Give back; closed if it is not empty or there are enough. Accepts NULL. */
void pipe_put(struct pipe_pool *pool, struct pipe *pipe, bool is_empty);
void pipe_pool_fini(struct pipe_pool *pool);

#endif
