/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path of one connection: its two sockets joined in the kernel, and taken apart again.
 *
 * Each direction:
 *
 *   RELAY ----------------> KERNEL ----> DRAINING ----> RELAY
 *   PASSED ----> ARMED -----^       an end, or    all that the kernel redirected has been taken
 *                                   an ejection   by the other socket: an end is passed on now, or
 *                                                 recv and send go on
 *
 * RELAY    recv and send; the socket is no source
 * PASSED   recv and send of what is passed to us: a source, since a pool may serve its hello
 * ARMED    the same, until all that was passed has been read
 *
 * A connection is joined when nothing of it is in a pipe, or by the verdict program at its hello.
 * Where the client's socket is ARMED and the backend's was none of a pool, the latter stays in
 * RELAY until the former is in KERNEL. An ejection takes both directions out, and when both are in
 * RELAY the sockets leave the maps and the connection is the relay's for good.
 */
#ifndef THRUWAY_REDIRECT_H
#define THRUWAY_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <uthash.h>

#include "base/timer.h"
#include "thruway/decide.h"
#include "thruway/socket.h"

struct conn;
struct listener;
struct worker;

enum redirect_phase {
	REDIRECT_RELAY,
	REDIRECT_PASSED,
	REDIRECT_ARMED,
	REDIRECT_KERNEL,
	REDIRECT_DRAINING,
};

/* A source, found by its cookie when the ring speaks of it. */
struct redirect_source {
	uint64_t cookie; /* 0 = not in the hash */
	struct conn *conn;
	UT_hash_handle hh;
};

struct redirect {
	struct redirect_source source[2]; /* CLIENT, BACKEND */
	uint64_t base[2];	/* taken by that side's socket before the path was entered */
	uint64_t accepted[2];	/* ... since, when last looked at */
	uint64_t redirected[2]; /* from that side; final once its direction drains */
	uint64_t consumed[2];	/* from that side: read by us while it was passed to us */
	uint8_t phase[2];	/* enum redirect_phase, of the direction from that side */
	bool is_joined;
	bool is_half;		     /* the backend's socket is no source yet */
	bool is_leaving;	     /* ejected: when both directions are the relay's, so is all */
	uint16_t backoff_ms;	     /* DRAINING: between two looks */
	uint16_t looks;		     /* since a byte was last taken */
	bool has_ended[2];	     /* nothing more comes from that side */
	uint8_t failures;	     /* to be taken off the path, for want of something */
	uint64_t leave_ms;	     /* then not before */
	bool is_queued;		     /* in the worker's queue of those that leave */
	TAILQ_ENTRY(redirect) queue; /* ejected in this round */
};

TAILQ_HEAD(redirect_queue, redirect);

/* What one worker has of the path; all NULL where it is not used. */
struct redirect_tools {
	const struct sockmap *sockmap;
	struct sockmap_ring *ring;
	struct redirect_source *sources; /* by cookie */
	struct redirect_queue leaving;
	uint64_t leave_ms;	  /* the next may leave, but for those that cannot wait */
	struct timer leave_timer; /* wakes the worker for it */
};

/* 0 or -errno; @worker->shared->sockmap NULL = the path is not used. */
int redirect_tools_init(struct worker *worker);
void redirect_tools_fini(struct worker *worker);
/* The ring is readable. */
void redirect_ring_event(struct worker *worker);

/* Is what @listener accepts to be a source from its first byte on? See to it. */
void redirect_watch_listener(struct worker *worker, const struct listener *listener);
/* @conn was just accepted. */
void redirect_accepted(struct worker *worker, struct conn *conn);
/* @conn has taken a warm socket, a source with this cookie, as its backend's. */
void redirect_took_warm(struct worker *worker, struct conn *conn, uint64_t cookie);
/*
 * The number that the verdict program has drawn for @conn in a route's sequence, for @q.
 */
void redirect_tell_drawn(const struct worker *worker, const struct conn *conn, struct tw_decide *q);
/* The backend's socket is given up. */
void redirect_drop_backend(struct worker *worker, struct conn *conn);

/* Join @conn, which is OPEN, if it may be; else nothing changes. */
void redirect_try(struct worker *worker, struct conn *conn);
/* The verdict program has joined @conn with the backend's socket of this cookie. */
void redirect_adopt(struct worker *worker, struct conn *conn, uint64_t warm);
/*
 * Follow what happened to a joined connection: its ends, and how far the other sockets have come.
 * Sets eof of a side whose bytes have all been passed on. A later look is arranged for.
 */
void redirect_step(struct worker *worker, struct conn *conn);
/* The connection has ended and its sockets are closed. Accepts one that never was joined. */
void redirect_end(struct worker *worker, struct conn *conn);

/* We have read what @side sent: what comes now may be the kernel's. */
void redirect_note_read(struct worker *worker, struct conn *conn, size_t side);
/*
 * We have read the end of what @side sends: unless the kernel redirected bytes before it, or still
 * holds some that were passed to us.
 */
void redirect_confirm_end(struct worker *worker, struct conn *conn, size_t side);

/* Are the bytes from @side the relay's to move? Also where @conn was never joined. */
bool redirect_is_relayed(const struct conn *conn, size_t side);
/* Bytes that the kernel moved and flow.bytes does not hold yet; *@ret_last_ms when. */
void redirect_counts(const struct worker *worker, const struct conn *conn, uint64_t ret_bytes[2],
		     uint64_t *ret_last_ms);
/* When redirect_step() wants to look again; UINT64_MAX = only after an event. */
uint64_t redirect_due_ms(const struct worker *worker, const struct conn *conn);

/* --- leaving: redirect_leave.c --------------------------------------------------------------- */

/* Take @conn off the path. */
void redirect_eject(struct worker *worker, struct conn *conn, enum tw_ejection why);
/* Take those out that were ejected in this round. */
void redirect_leave_queued(struct worker *worker);
/* One that is leaving may have read, or may have by now, what kept it back: try once more. */
void redirect_leave_again(struct worker *worker, struct conn *conn);
/* redirect.c: the verdict program has seen the last byte from @side. */
void redirect_start_draining(struct worker *worker, struct conn *conn, size_t side);

#endif
