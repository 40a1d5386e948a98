/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The few fields of kernel structures that programs read, by CO-RE: their offsets are taken from
 * the running kernel's BTF when a program is loaded.
 */
#ifndef THRUWAY_KERNEL_BPF_H
#define THRUWAY_KERNEL_BPF_H

#include "defs.bpf.h"

typedef struct {
	__s64 counter;
} atomic64_t;

struct sock_common {
	__u16 skc_family;
	volatile unsigned char skc_state;
	atomic64_t skc_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	int counter;
} atomic_t;

struct sock {
	struct {
		atomic_t rmem_alloc;
	} sk_backlog;
} __attribute__((preserve_access_index));

struct tcp_sock {
	__u32 copied_seq; /* head of what has not been read (net/ipv4/tcp.c) */
	__u32 write_seq;  /* tail of what has been written */
	__u16 urg_data;	  /* not 0: urgent data has come */
} __attribute__((preserve_access_index));

/* include/net/tcp.h: what TCP keeps in sk_buff.cb. */
struct tcp_skb_cb {
	__u32 seq;
	__u32 end_seq;
} __attribute__((preserve_access_index));

struct sk_buff {
	char cb[48];
} __attribute__((preserve_access_index));

/* The context of a "tcp" iterator. */
struct bpf_iter__tcp {
	struct sock_common *sk_common;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym;

#endif
