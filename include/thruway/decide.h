/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The question "where does this connection go?" and its answer. The BPF program tw_decide
 * (bpf/decide.bpf.c, BPF_PROG_TYPE_SYSCALL) takes this struct as its context; user space asks with
 * BPF_PROG_TEST_RUN, so that the relay and the in-kernel paths share one look-up and one choice.
 */
#ifndef THRUWAY_DECIDE_H
#define THRUWAY_DECIDE_H

#include "thruway/table.h"

enum tw_ask {
	TW_ASK_NAME,	 /* name (and alpn) hold what the ClientHello said */
	TW_ASK_NO_SNI,	 /* a ClientHello without a name: only the listener's no_sni route can serve
			  */
	TW_ASK_NOT_TLS,	 /* not TLS: only the listener's not_tls route can serve */
	TW_ASK_LISTENER, /* only fill in the listener's part: timeouts, on_refuse */
};

#define TW_ASK_ALPN_MAX	  16 /* protocols looked at, in the client's order */
#define TW_ASK_ALPN_BYTES 256

struct tw_decide {
	/* in */
	__u32 bind;
	__u32 ask;	 /* enum tw_ask */
	__u32 slot;	 /* scratch slot: each thread its own, 0 .. TW_SCRATCH_MAX - 1 */
	__u32 dry_run;	 /* 1 = explain: the balancer's counter does not move */
	__u8 client[16]; /* IPv4 as ::ffff:a.b.c.d */
	__be16 client_port;
	__u16 name_len; /* 1 .. TW_NAME_MAX */
	__u16 alpn_len; /* bytes of alpn */
	__u16 tried_n;
	/* The connection's number in the sequence of a route, if it has drawn one; route 0 = none.
	 */
	__u32 drawn_route;
	__u32 pad;
	__u64 drawn;
	__u32 tried[TW_TRIES_MAX];    /* backends that failed for this connection */
	char name[TW_NAME_SIZE];      /* normalised (name.h), zero-filled */
	__u8 alpn[TW_ASK_ALPN_BYTES]; /* as on the wire: length byte, protocol, ... (RFC 7301 3.1)
				       */

	/* out */
	__u32 reason;		     /* enum tw_reason: TW_OK or a refusal */
	__u32 listener;		     /* id; always set when the bind exists */
	__u32 route;		     /* id; 0 = none matched */
	__u32 backend;		     /* id; 0 when refused */
	__u32 set;		     /* the set that the backend was picked from */
	__u32 tries;		     /* of the route */
	__u32 on_refuse;	     /* enum tw_on_refuse */
	__u32 paths;		     /* bit n: enum tw_path n may be used */
	__u32 local;		     /* enum tw_local, OFF or DIRECT; route's over listener's */
	__u32 matched_len;	     /* matched entry: length of the pattern in matched; 0 = none */
	struct tw_timeouts timeouts; /* route's over listener's; all set */
	struct tw_backend address;   /* of the backend */
	struct tw_name_key matched;  /* the tw_names entry that decided */
} __attribute__((aligned(8)));

_Static_assert(sizeof(struct tw_decide) == 1080, "copied in and out in whole words");

/* Callers of tw_decide at one time. */
#define TW_SCRATCH_MAX 256

#endif
