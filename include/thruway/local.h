/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * local: direct. Where client and backend are both sockets of this node, what the one's program
 * sends is put into the other's receive queue, past the router and past TCP:
 *
 *   client program: socket C ---- TCP ---- daemon ---- TCP ---- socket B: backend program
 *                            \____________ sk_msg ____________/
 *
 * TCP stays: for what came before, for what cannot go the short way, and for the ends. A message
 * takes the short way only when the other program has read every byte that ever went by TCP in
 * this direction; then nothing is on the long way that it could overtake.
 */
#ifndef THRUWAY_LOCAL_H
#define THRUWAY_LOCAL_H

#include "thruway/table.h"

/* Sockets at one time. One that finds no room goes by TCP. */
#define TW_ENDS_MAX 65536

/* Addresses and ports as the socket itself sees them; IPv4 as ::ffff:a.b.c.d. Key of tw_ends,
 * tw_end_socks and tw_expected. */
struct tw_tuple {
	__u8 local[16];
	__u8 remote[16];
	__be16 local_port;
	__be16 remote_port;
};

/* Value of tw_ends: a program's own socket. Made when it is established. */
struct tw_end {
	struct tw_tuple peer; /* the other program's socket; all zero until the daemon has paired
				 them */
	__u32 written;	      /* write_seq and copied_seq when it was established */
	__u32 read;
	__u32 route;
	__u32 backend;
	__u32 direction; /* of what it sends: 0 to the backend, 1 to the client */
	__u64 sock;	 /* where the kernel keeps it, and its cookie, to be sure of it */
	__u64 cookie;
	__u64 direct;  /* bytes that it sent the short way */
	__u64 passed;  /* messages that went by TCP after it was paired */
	__u64 last_ns; /* CLOCK_MONOTONIC of the last of the bytes */
};

/* Context of tw_pair_ends. */
struct tw_pair_ends {
	struct tw_tuple client;
	struct tw_tuple backend;
	__u32 route;
	__u32 backend_id;
};

_Static_assert(sizeof(struct tw_tuple) == 36, "no hidden padding in a key");
_Static_assert(sizeof(struct tw_end) == 96, "layout is pinned");
_Static_assert(sizeof(struct tw_pair_ends) == 80, "copied in whole words");

#endif
