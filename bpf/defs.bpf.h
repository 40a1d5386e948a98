/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What BPF programs need besides the contract: the working memory of one decision, and memory
 * ordering. Types and small helpers only; maps are in maps.bpf.h.
 */
#ifndef THRUWAY_DEFS_BPF_H
#define THRUWAY_DEFS_BPF_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "thruway/decide.h"
#include "thruway/hello.h"

#define FAMILY_IPV4 2 /* AF_INET, which no UAPI header has */

/* Room for the dots of a name (at most 126), a power of two. */
#define TW_DOTS_SIZE 128

/* The entry of tw_names that a search ended at, and where its key stands in scratch->keys. */
struct tw_found {
	struct tw_name name;
	__u32 at;
	__u32 is_found;
};

/*
 * Too large for the stack of a BPF program. In-kernel hooks run with preemption of the same hook
 * excluded and may use a per-CPU slot; a syscall program sleeps and is preempted, so a per-CPU slot
 * would be shared by two threads: there, each thread brings the number of its own slot.
 */
struct tw_scratch {
	struct tw_decide q;
	struct tw_bind bind;
	struct tw_found found;
	/* keys[0..263] is the struct tw_name_key of the whole name; see route.bpf.h. */
	__u8 keys[sizeof(struct tw_name_key) + TW_NAME_SIZE] __attribute__((aligned(8)));
	__u8 dots[TW_DOTS_SIZE]; /* where the name's dots are */
	__u32 n_dots;
	__u32 alpns_known;	      /* alpns[] is filled in */
	__u32 alpns[TW_ASK_ALPN_MAX]; /* what the client offers, as ids; 0 = no route asks for it */
	struct tw_alpn_key alpn_key;
	/* Of the route that is being used. */
	__u32 set;
	__u32 backends;
	__u32 total_weight;
	__u32 stride;
	/* The place in the balancer's sequence, drawn once: an attempt made again must not draw
	 * again. */
	__u32 drawn_route;
	__u32 pad;
	__u64 drawn;
	__u64 fence;
};

/* A ClientHello that is being read in a segment: peek.bpf.h. */
struct tw_peek {
	__u32 is_taken;
	__u32 pad;
	struct tw_hello hello;
	__u8 chunk[TW_HELLO_CHUNK];
	struct tw_scratch scratch;
};

/*
 * Loads before it are done before loads after it. BPF has no such instruction before Linux 6.15; an
 * atomic operation that returns a value is a full barrier on every architecture.
 */
static __always_inline void read_barrier(struct tw_scratch *s)
{
	__u64 was = __sync_fetch_and_add(&s->fence, 1);

	barrier_var(was);
	barrier();
}

/* An address as the contract writes it (IPv4 as ::ffff:a.b.c.d), from what a context has. */
static __always_inline void addr_set(__u8 *to, __u32 family, __u32 ipv4, __u32 a, __u32 b, __u32 c,
				     __u32 d)
{
	__u32 *words = (__u32 *)to;

	words[0] = a;
	words[1] = b;
	words[2] = c;
	words[3] = d;
	if (family == FAMILY_IPV4) {
		words[0] = words[1] = 0;
		words[2] = bpf_htonl(0xffff);
		words[3] = ipv4;
	}
}

/* Finaliser of MurmurHash3 (public domain): every bit of the input moves half of the output's. */
static __always_inline __u64 mix64(__u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

#endif
