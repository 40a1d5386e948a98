/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One connection, from accept to its end. Its bytes are moved by the relay (flow.h), or for a time
 * by the kernel (redirect.h, direct.h).
 *
 *   HELLO ----> CONNECTING ----> OPEN ----> (end)      both FINs passed, a timeout, kill
 *     |           |   ^ next       |
 *     |           v   | backend    +------> CLOSING    one side has gone: what it had sent is
 *     |           +---+                       |        delivered, then the other side gets RST
 *     v           v                           v
 *   REFUSING <----+                         (end)
 *     an alert is on its way; then (end)
 *
 * A hello that the verdict program has joined with a warm socket leads from HELLO to OPEN at once.
 *
 * What ends before OPEN is refused, whoever ended it: each connection that was accepted is waiting,
 * or was joined to a backend, or was refused.
 *
 * A connection belongs to one worker and is only touched on its thread. One that ended stays
 * allocated until the events in hand are done (conn_free_dead).
 */
#ifndef THRUWAY_CONN_H
#define THRUWAY_CONN_H

#include <sys/queue.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/timer.h"
#include "conn/flow.h"
#include "conn/redirect.h"
#include "conn/worker.h"

enum conn_state {
	CONN_HELLO,
	CONN_CONNECTING,
	CONN_OPEN,
	CONN_CLOSING,
	CONN_REFUSING,
	CONN_ENDED,
};

enum { CLIENT, BACKEND };

/* What the ClientHello said, for decisions and logs: one allocation of the exact size. */
struct conn_hello {
	uint16_t name_len; /* without the NUL */
	uint16_t alpn_len;
	uint8_t bytes[]; /* name, NUL, ALPN as on the wire */
};

struct conn {
	struct side side[2]; /* CLIENT, BACKEND */
	struct flow flow[2]; /* from that side to the other */
	struct timer timer;
	LIST_ENTRY(conn) link;
	TAILQ_ENTRY(conn) queue;     /* ready or dead */
	struct tw_pair_ends *direct; /* NULL = no short way between the programs */
	struct redirect *redirect;   /* NULL = no source of the socket path */
	struct conn_hello *hello;    /* NULL = not read yet, or without name and ALPN */
	uint64_t id;
	uint64_t accepted_ms;
	uint64_t active_ms; /* last byte that moved, or was seen to have been acknowledged */
	uint32_t unsent[2]; /* in the send queue of each side when a timer last looked */
	struct addr client;
	uint32_t bind;
	uint32_t speaker;  /* listener that is counted as having accepted it */
	uint32_t listener; /* ids; 0 = none */
	uint32_t route;
	uint32_t backend;
	uint32_t connect_ms;
	uint32_t idle_ms;
	uint32_t half_closed_ms;
	uint32_t tried[TW_TRIES_MAX];
	uint8_t n_tried; /* backends that failed */
	uint8_t max_tries;
	uint8_t state;		/* enum conn_state */
	uint8_t reason;		/* enum tw_reason, once it is known */
	uint8_t ask;		/* enum tw_ask */
	uint8_t on_refuse;	/* enum tw_on_refuse */
	uint8_t path;		/* enum tw_path: where it is counted */
	uint8_t paths;		/* bit n: enum tw_path n may be used */
	uint8_t ejection;	/* enum tw_ejection: why it left the socket path */
	uint16_t backoff_ms;	/* CLOSING: between two looks at the send queue */
	bool is_ready : 1;	/* in the worker's ready queue */
	bool is_waiting : 1;	/* counted as waiting of its speaker */
	bool is_active : 1;	/* counted as active of its route and backend */
	uint8_t direct_tries;	/* to find the programs' sockets */
	bool wants_direct : 1;	/* local: direct, and its sockets were not found yet */
	bool is_direct : 1;	/* the programs' sockets were paired */
	bool is_pooled : 1;	/* its backend's socket came out of a pool */
	bool has_left : 1;	/* the socket path: never again */
	bool has_lowat : 1;	/* SO_RCVLOWAT is set */
	bool has_keepalive : 1; /* set at the backend's socket, too */
};

_Static_assert(sizeof(struct conn) <= 416, "an idle pair is cheap");

/*
 * Take over @fd, which @worker has just accepted from @peer by @listener. @refuse: it cannot be
 * served, for this reason (TW_OK = it can).
 */
void conn_accept(struct worker *worker, const struct listener *listener, int fd,
		 const struct sockaddr *peer, enum tw_reason refuse);
void conn_event(struct worker *worker, struct side *side, uint32_t events);
void conn_timer(struct worker *worker, struct timer *timer);
void conn_run_ready(struct worker *worker, struct conn_queue *queue);
/* End with RST to both sides; one that is not served yet is refused. */
void conn_kill(struct worker *worker, struct conn *conn, enum tw_reason reason);
void conn_end_all(struct worker *worker, enum tw_reason reason);
void conn_free_dead(struct worker *worker);
/* Describe @conn; pointers lead into it. */
void conn_describe(const struct worker *worker, const struct conn *conn,
		   struct conn_record *ret_record);

/* --- between the files that make up a connection --------------------------------------------- */

/* Keep what a ClientHello said. NULL: no memory. */
struct conn_hello *conn_hello_new(struct worker *worker, const char *name, uint16_t name_len,
				  const uint8_t *alpn, uint16_t alpn_len);
/* Put @side into the epoll set. false: the kernel has no memory for it. */
bool conn_watch(struct worker *worker, struct side *side, bool wants_out);
/* Put it in again, after is_quiet changed; where that fails, @side has failed. */
void conn_rewatch(struct worker *worker, struct side *side);
/*
 * Closing @side sends RST (@with_rst), or not. While the kernel holds bytes that nobody would miss
 * if we died, RST is what tells the other end that they are.
 */
void conn_set_linger(struct side *side, bool with_rst);
/* Look at it again before sleeping. */
void conn_make_ready(struct worker *worker, struct conn *conn);
/* It goes on by another path, and is counted there. */
void conn_set_path(struct worker *worker, struct conn *conn, enum tw_path path);
/* The bytes so far have been counted; close what is open and let go of the connection. */
void conn_end(struct worker *worker, struct conn *conn, enum tw_reason reason, bool with_rst);
/*
 * A backend that is being connected to is already taken: a burst shows in the balance, and its id
 * is given to no other backend.
 */
void conn_take_backend(struct worker *worker, struct conn *conn);
/* Close its socket and take it no more. Also where there is none. */
void conn_drop_backend(struct worker *worker, struct conn *conn);
void conn_stop_waiting(struct worker *worker, struct conn *conn);
/* The backend's socket is connected: from here on bytes move. */
void conn_join(struct worker *worker, struct conn *conn);

/* The verdict program has joined @conn (NULL: it has ended) with a warm socket. */
void conn_joined(struct worker *worker, struct conn *conn, const struct tw_join *join);

/* connect.c: from the first byte to the backend */
void conn_read_hello(struct worker *worker, struct conn *conn);
void conn_connect_event(struct worker *worker, struct conn *conn, uint32_t events);
void conn_connect_failed(struct worker *worker, struct conn *conn);
/* CONNECTING: the client has gone. */
void conn_connect_abandoned(struct worker *worker, struct conn *conn);

/* refuse.c */
void conn_refuse(struct worker *worker, struct conn *conn, enum tw_reason reason);
/* REFUSING: take what the client still sends, until it ends. */
void conn_refuse_drain(struct worker *worker, struct conn *conn);

#endif
