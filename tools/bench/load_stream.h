/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The two ends of a bulk stream over a non-blocking socket: one send or receive for each event, so
 * that the flows of a thread take turns. Both server and client use both.
 */
#ifndef LOAD_STREAM_H
#define LOAD_STREAM_H

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

#include "load_wire.h"

#define RECEIVE_BYTES                                                                              \
	(128 << 10) /* less than a pattern: at most one control byte in each piece                 \
		     */

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct sender {
	uint64_t offset, deadline_ns;
	bool is_last; /* in the last repetition of the pattern */
};

struct receiver {
	uint64_t offset, bad, first_ns, last_ns;
	uint64_t end; /* offset of the end; 0 = not known yet */
};

/* 1 = all sent, 0 = more to do, -errno. */
static inline int sender_step(struct sender *tx, const struct pattern *pattern, int fd)
{
	size_t at = tx->offset % PATTERN_BYTES;
	ssize_t n;

	if (at == 0) {
		if (tx->is_last)
			return 1;
		tx->is_last = now_ns() >= tx->deadline_ns;
	}
	n = send(fd, (tx->is_last ? pattern->last : pattern->more) + at, PATTERN_BYTES - at,
		 MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	tx->offset += (uint64_t)n;
	return tx->is_last && tx->offset % PATTERN_BYTES == 0;
}

/* Compares all of a piece or a sample at each of its ends, and looks for the control byte. */
static inline void receiver_check(struct receiver *rx, const struct pattern *pattern,
				  const uint8_t *data, size_t len, bool all)
{
	size_t control = (PATTERN_BYTES - rx->offset % PATTERN_BYTES) % PATTERN_BYTES;
	size_t sample = all || len < SAMPLE_BYTES ? len : SAMPLE_BYTES;

	if (!pattern_matches(pattern, rx->offset, data, sample) ||
	    !pattern_matches(pattern, rx->offset + len - sample, data + len - sample, sample))
		rx->bad++;
	if (control >= len)
		return;
	if (rx->end || data[control] > PATTERN_MORE)
		rx->bad++;
	else if (data[control] == PATTERN_LAST)
		rx->end = rx->offset + control + PATTERN_BYTES;
}

/* 1 = complete, 0 = more to come, -errno; the stream's end before its last byte is -EPIPE. */
static inline int receiver_step(struct receiver *rx, const struct pattern *pattern, int fd,
				uint8_t buffer[RECEIVE_BYTES], bool all)
{
	ssize_t n = recv(fd, buffer, RECEIVE_BYTES, 0);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -EPIPE;
	rx->last_ns = now_ns();
	if (!rx->first_ns)
		rx->first_ns = rx->last_ns;
	receiver_check(rx, pattern, buffer, (size_t)n, all);
	rx->offset += (uint64_t)n;
	if (!rx->end || rx->offset < rx->end)
		return 0;
	rx->bad += rx->offset > rx->end;
	return 1;
}

#endif
