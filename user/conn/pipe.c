// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The pool of pipes (see pipe.h). */
#include "conn/pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SPARE_MAX 16

static void count(struct pipe_pool *pool, size_t n)
{
	__atomic_store_n(&pool->n_open, pool->n_open + n, __ATOMIC_RELAXED);
}

static void pipe_free(struct pipe_pool *pool, struct pipe *pipe)
{
	close(pipe->rd);
	close(pipe->wr);
	free(pipe);
	count(pool, -1);
}

static struct pipe *pipe_new(struct pipe_pool *pool)
{
	struct pipe *pipe = malloc(sizeof(*pipe));
	int fds[2];

	if (!pipe)
		return NULL;
	if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(pipe);
		return NULL;
	}
	pipe->rd = fds[0];
	pipe->wr = fds[1];
	pipe->next = NULL;
	count(pool, 1);
	if (fcntl(pipe->wr, F_SETPIPE_SZ, PIPE_BYTES) < PIPE_BYTES &&
	    fcntl(pipe->wr, F_GETPIPE_SZ) < PIPE_BYTES_MIN) {
		pipe_free(pool, pipe);
		return NULL;
	}
	return pipe;
}

static void push(struct pipe_pool *pool, struct pipe *pipe)
{
	pipe->next = pool->spare;
	pool->spare = pipe;
	pool->n_spare++;
}

bool pipe_pool_fill(struct pipe_pool *pool)
{
	struct pipe *pipe;

	if (pool->spare)
		return true;
	pipe = pipe_new(pool);
	if (!pipe)
		return false;
	push(pool, pipe);
	return true;
}

struct pipe *pipe_get(struct pipe_pool *pool)
{
	struct pipe *pipe = pool->spare;

	if (!pipe)
		return pipe_new(pool);
	pool->spare = pipe->next;
	pool->n_spare--;
	return pipe;
}

void pipe_put(struct pipe_pool *pool, struct pipe *pipe, bool is_empty)
{
	if (!pipe)
		return;
	if (is_empty && pool->n_spare < SPARE_MAX)
		push(pool, pipe);
	else
		pipe_free(pool, pipe);
}

void pipe_pool_fini(struct pipe_pool *pool)
{
	while (pool->spare)
		pipe_free(pool, pipe_get(pool));
}
