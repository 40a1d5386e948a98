// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Moving bytes (see flow.h). Two ways, chosen for each direction by what it carried last:
 *
 *   copy   recv(2) and send(2) through the worker's buffer: two system calls for a message that
 *          fits. What send(2) does not take goes into a pipe.
 *   bulk   splice(2) into a pipe and out of it: no copy, but more system calls.
 *
 * Where no pipe can be had, copying goes on by looking at the bytes in the socket's queue
 * (MSG_PEEK), sending, and then taking out what was sent: slower, but nothing breaks.
 *
 * A receive that returns less than was asked for has emptied the queue: an edge-triggered event
 * tells of the next byte, or, where FIN was there before (rdhup), there is none. That saves a call
 * that would only say EAGAIN or 0. It does not hold at an urgent mark, where receiving stops short,
 * nor on a UNIX socket, where it stops behind a message that carries file descriptors. splice(2)
 * cannot get across an urgent mark at all.
 */
#include "conn/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Receive so much at a time when copying. */
#define COPY_BYTES (64 << 10)
/* A receive of so much makes a direction bulk; a splice of less makes it copy again. */
#define BULK_FROM  (16 << 10)
#define BULK_UNTIL (4 << 10)
/* Move so much for one direction before others get their turn. */
#define PUMP_BYTES (1 << 20)

_Static_assert(COPY_BYTES <= FLOW_BUF_BYTES && COPY_BYTES <= PIPE_BYTES_MIN, "the rest must fit");

/* A receive returned @n. true = there are bytes. */
static bool received(struct side *src, ssize_t n)
{
	if (n > 0)
		return true;
	if (n < 0 && errno == EINTR)
		return false;
	src->readable = false;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 && !src->error)
		src->error = (uint16_t)errno;
	src->eof = true;
	return false;
}

/* A send returned @n. Returns how much was taken. */
static size_t sent(struct flow *flow, struct side *dst, ssize_t n)
{
	if (n > 0) {
		flow->bytes += (size_t)n;
		return (size_t)n;
	}
	if (n < 0 && errno == EAGAIN)
		dst->writable = false;
	else if (n == 0 || errno != EINTR)
		dst->error = n ? (uint16_t)errno : EPIPE;
	return 0;
}

/* Out of the pipe, as far as @dst takes it. */
static void drain(struct flow *flow, struct side *dst)
{
	while (flow->pending && dst->writable && !dst->error) {
		ssize_t n = splice(flow->pipe->rd, NULL, dst->source.fd, NULL, flow->pending,
				   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

		flow->pending -= (uint32_t)sent(flow, dst, n);
	}
}

static void splice_in(struct flow_tools *tools, struct flow *flow, struct side *src)
{
	ssize_t n;

	if (!flow->pipe)
		flow->pipe = pipe_get(&tools->pipes);
	if (!flow->pipe) {
		flow->is_bulk = false;
		return;
	}
	n = splice(src->source.fd, NULL, flow->pipe->wr, NULL, PIPE_BYTES,
		   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (!received(src, n))
		return;
	flow->pending = (uint32_t)n;
	flow->is_bulk = n >= BULK_UNTIL;
}

/* The rest of what was received and not sent. A pipe that is still held has been emptied. */
static void keep_rest(struct flow_tools *tools, struct flow *flow, struct side *src,
		      const uint8_t *bytes, size_t len)
{
	if (!flow->pipe)
		flow->pipe = pipe_get(&tools->pipes);
	if (flow->pipe && write(flow->pipe->wr, bytes, len) == (ssize_t)len) {
		flow->pending = (uint32_t)len;
		return;
	}
	/* No memory for its pages: bytes are lost, and both ends have to learn it. */
	pipe_put(&tools->pipes, flow->pipe, false);
	flow->pipe = NULL;
	src->error = ENOBUFS;
	src->eof = true;
}

/*
 * With MSG_MORE when it is known that nothing follows: the FIN that the caller sends then goes in
 * the same packet.
 */
static size_t send_copy(const struct flow_tools *tools, struct flow *flow, const struct side *src,
			struct side *dst, size_t len)
{
	int flags = MSG_NOSIGNAL | (src->eof && !src->error ? MSG_MORE : 0);
	size_t done = sent(flow, dst, send(dst->source.fd, tools->buf, len, flags));

	if (done < len)
		dst->writable = false;
	return done;
}

/* No pipe for the rest: take out of the queue only what was sent. */
static void copy_by_peeking(struct flow_tools *tools, struct flow *flow, struct side *src,
			    struct side *dst)
{
	ssize_t n = recv(src->source.fd, tools->buf, COPY_BYTES, MSG_PEEK);
	size_t done;

	if (!received(src, n))
		return;
	done = send_copy(tools, flow, src, dst, (size_t)n);
	/* Just looked at, so this takes out what it says. */
	if (done && recv(src->source.fd, tools->buf, done, 0) != (ssize_t)done) {
		src->error = EIO;
		src->eof = true;
	}
}

static void copy(struct flow_tools *tools, struct flow *flow, struct side *src, struct side *dst)
{
	size_t len, done;
	ssize_t n;

	if (!flow->pipe && !pipe_pool_fill(&tools->pipes)) {
		copy_by_peeking(tools, flow, src, dst);
		return;
	}
	n = recv(src->source.fd, tools->buf, COPY_BYTES, 0);
	if (!received(src, n))
		return;
	len = (size_t)n;
	if (len < COPY_BYTES && !src->urgent && !src->is_unix) {
		src->readable = false;
		src->eof = src->rdhup;
	}
	flow->is_bulk = len >= BULK_FROM && !src->urgent;
	done = send_copy(tools, flow, src, dst, len);
	if (done < len && !dst->error)
		keep_rest(tools, flow, src, tools->buf + done, len - done);
}

bool flow_pump(struct flow_tools *tools, struct flow *flow, struct side *src, struct side *dst)
{
	uint64_t start = flow->bytes;
	bool has_more = false;

	for (;;) {
		drain(flow, dst);
		if (flow->pending || dst->error || !dst->writable || src->eof || !src->readable)
			break;
		if (flow->bytes - start >= PUMP_BYTES) {
			has_more = true;
			break;
		}
		if (flow->is_bulk && !src->urgent && !src->in_map)
			splice_in(tools, flow, src);
		else
			copy(tools, flow, src, dst);
	}
	if (flow->pipe && !flow->pending) {
		pipe_put(&tools->pipes, flow->pipe, true);
		flow->pipe = NULL;
	}
	return has_more;
}

void flow_drop(struct flow_tools *tools, struct flow *flow)
{
	pipe_put(&tools->pipes, flow->pipe, !flow->pending);
	flow->pipe = NULL;
	flow->pending = 0;
}
