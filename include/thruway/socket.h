/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The socket path's contract: two TCP sockets of the daemon whose bytes the kernel redirects from
 * one to the other.
 *
 *   source   a socket in tw_sources: each segment that it receives runs the verdict program
 *   sink     a socket in tw_sinks: redirected segments are sent on it
 *   pair     entry of tw_pairs, by socket cookie: what the verdict program needs to know about a
 *            source; a joined connection has two
 *   backlog  bytes that were redirected to a sink and that its TCP has not taken yet: they wait in
 *            a queue of the kernel that no limit of TCP counts
 */
#ifndef THRUWAY_SOCKET_H
#define THRUWAY_SOCKET_H

#include "thruway/decide.h"

/* Sockets on the path at one time. A connection that finds no room stays on the relay. */
#define TW_PAIRS_MAX 131072

/* Why a joined connection was taken off the path. X(word, what happened) */
/* clang-format off */
#define TW_EJECTIONS(X)                                                                         \
	X(backlog, "more bytes waited for a slow reader than redirect_per_connection allows")   \
	X(total,   "more bytes waited in all than redirect_total allows")                       \
	X(bulk,    "so much came so fast that splice(2) is cheaper")                            \
	X(urgent,  "urgent data, which a redirect cannot carry as such")
/* clang-format on */

enum tw_ejection {
	TW_EJECT_NONE = 0,
#define X(word, text) TW_EJECT_##word,
	TW_EJECTIONS(X)
#undef X
		TW_EJECTION_END,
};

/*
 * What the verdict program does with a segment of a source.
 *
 *   HELLO -+-> JOINED   the hello names a backend that has a warm socket: both are joined
 *          +-> PASSED   the daemon reads it ----> ARMED ----> JOINED
 *   WARM  -+-> TAKEN ----> JOINED   a hello is redirected to it
 *          +-> PASSED   the daemon took it for a connection of its own
 *          +-> DEAD     the backend spoke or ended: it is handed to nobody
 */
enum tw_pair_state {
	TW_PAIR_JOINED, /* redirects */
	TW_PAIR_HELLO,	/* reads the ClientHello; nothing was passed yet */
	TW_PAIR_PASSED, /* passes it to the daemon */
	TW_PAIR_ARMED,	/* passes it while something that was passed to either has not been read */
	TW_PAIR_WARM,	/* expects nothing: a backend's socket that waits for a client */
	TW_PAIR_DEAD,	/* passes it; not to be used */
	TW_PAIR_TAKEN,	/* WARM, and about to be JOINED */
};

/*
 * Value of tw_pairs. Written by the verdict program under the source's lock, and by tw_arm while it
 * does not redirect.
 */
struct tw_pair {
	__u64 peer;	  /* cookie of the sink */
	__u64 redirected; /* bytes */
	__u64 last_ns;	  /* CLOCK_MONOTONIC of the last of them */
	__u64 check_at;	  /* value of redirected at which the backlog is looked at next */
	__u64 backlog;	  /* when it was last looked at; part of tw_socket.backlog */
	__u64 window_ns;  /* start of the span over which the rate is taken */
	__u64 window_at;  /* value of redirected then */
	__u64 connection; /* id, as in conn show */
	__u32 base;	  /* the sink's write_seq before the first byte */
	__u32 direction;  /* 0 to the backend, 1 to the client */
	__u32 route;
	__u32 backend;
	__u32 worker;	   /* whose ring is told */
	__u32 ejection;	   /* enum tw_ejection that the worker was told of; 0 = none */
	__u32 state;	   /* enum tw_pair_state */
	__u32 bind;	   /* HELLO: where it was accepted */
	__u32 drawn_route; /* whose sequence gave the number drawn; 0 = none was drawn */
	__u32 has_lost;	   /* a segment could not be carried: the connection is to be ended */
	__u64 drawn;
	__u64 self; /* the cookie that is the key: an entry's memory may be given to another one */
	__u32 seen; /* end_seq of the last segment, if has_seen */
	__u32 has_seen;
	__u64 passed;	/* bytes */
	__u64 consumed; /* ARMED: of those, read by the daemon */
};

/* Context of tw_arm: a source that was passed to the daemon is to be joined. */
struct tw_arm {
	__u64 cookie;
	__u64 peer; /* 0 = only be passed from here on (a warm socket that the daemon takes) */
	__u64 connection;
	__u64 consumed; /* bytes that the daemon has read from it */
	__u32 route;
	__u32 backend;
	__u32 direction;
	__u32 state; /* out: enum tw_pair_state */
};

/* Value of tw_listening, the socket storage of listening sockets: inherited by what they accept. */
struct tw_listening {
	__u32 worker;
	__u32 bind;
};

/* Key of tw_pools; its value is a queue of warm sockets' cookies, the oldest first. */
struct tw_pool_key {
	__u32 backend;
	__u32 worker;
};

/* Of one worker. */
#define TW_RING_BYTES 131072
/* Backends with a pool, times workers. */
#define TW_POOLS_MAX  4096
/* Hellos that are read at one time. */
#define TW_PEEKS_MAX  256

enum tw_event_kind {
	TW_EVENT_EJECT, /* take the connection off the path */
	TW_EVENT_LOST,	/* a segment could not be carried: end the connection */
	TW_EVENT_DEAD,	/* a warm socket's backend spoke or ended */
	TW_EVENT_JOIN,	/* struct tw_join follows: the kernel has joined two sockets */
};

/* Record of tw_rings. */
struct tw_event {
	__u64 cookie;	/* of the source */
	__u32 kind;	/* enum tw_event_kind */
	__u32 ejection; /* enum tw_ejection */
};

/* TW_EVENT_JOIN: what was decided for the client's socket @event.cookie. */
struct tw_join {
	struct tw_event event;
	__u64 warm; /* cookie of the backend's socket */
	__u32 listener;
	__u32 route;
	__u32 backend;
	__u32 paths;
	struct tw_timeouts timeouts;
	__u16 name_len;
	__u16 alpn_len;
	__u32 pad;
	char name[TW_NAME_SIZE];
	__u8 alpn[TW_ASK_ALPN_BYTES];
};

/* Value of tw_socket, an array of one entry that the daemon maps. */
struct tw_socket {
	/* Limits, in bytes; written by the daemon. */
	__u64 per_connection;
	__u64 in_all;
	/* Bytes that wait for slow readers, as of the last look at each. */
	__u64 backlog;
	__u64 joined;	 /* connections that the kernel joined */
	__u64 fallbacks; /* connections that could not be joined and stayed on the relay */
	__u64 dropped;	 /* segments that came when their sink had gone, or could not be carried */
	__u64 pool_hits;
	__u64 pool_misses;
	__u64 pool_dead; /* warm sockets that their backend closed */
	__u64 pad;
	struct {
#define X(word, text) __u64 word;
		TW_EJECTIONS(X)
#undef X
	} ejected;
};

/* How often the backlog is looked at: each time so many bytes have been redirected. */
#define TW_BACKLOG_STEP (64 << 10)

_Static_assert(sizeof(struct tw_pair) == 144, "layout is pinned");
_Static_assert(sizeof(struct tw_event) == 16, "no hidden padding");
_Static_assert(sizeof(struct tw_arm) == 48, "copied in and out in whole words");

#endif
