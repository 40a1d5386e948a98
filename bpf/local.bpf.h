/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The short way between two programs of this node: which sockets are enrolled, and which of their
 * messages may take it (include/thruway/local.h).
 */
#ifndef THRUWAY_LOCAL_BPF_H
#define THRUWAY_LOCAL_BPF_H

#include <bpf/bpf_core_read.h>

#include "kernel.bpf.h"
#include "maps.bpf.h"
#include "stats.bpf.h"

/*
 * What may wait for one reader. The kernel puts no limit on it but tcp_mem. A lower one makes bulk
 * fall back to TCP again and again (measured with 8 flows: 14 Gbit/s with 4 MiB, 46 with 16 MiB, 26
 * over loopback without a router), a higher one gains nothing.
 */
#define LOCAL_ROOM (16 << 20)

/* Word by word: clang would load two at once, which the verifier refuses for a context. */
#define LOCAL_WORD(field) (*(volatile __u32 *)&(field))

/*
 * struct bpf_sock_ops and struct sk_msg_md name these fields alike: the local port in host order,
 * the remote one in the upper half of a word in network order.
 */
#define local_tuple(ctx, t)                                                                        \
	do {                                                                                       \
		__u32 family = LOCAL_WORD((ctx)->family);                                          \
                                                                                                   \
		addr_set((t)->local, family, LOCAL_WORD((ctx)->local_ip4),                         \
			 LOCAL_WORD((ctx)->local_ip6[0]), LOCAL_WORD((ctx)->local_ip6[1]),         \
			 LOCAL_WORD((ctx)->local_ip6[2]), LOCAL_WORD((ctx)->local_ip6[3]));        \
		addr_set((t)->remote, family, LOCAL_WORD((ctx)->remote_ip4),                       \
			 LOCAL_WORD((ctx)->remote_ip6[0]), LOCAL_WORD((ctx)->remote_ip6[1]),       \
			 LOCAL_WORD((ctx)->remote_ip6[2]), LOCAL_WORD((ctx)->remote_ip6[3]));      \
		(t)->local_port = bpf_htons((__u16)LOCAL_WORD((ctx)->local_port));                 \
		(t)->remote_port = bpf_htons((__u16)bpf_ntohl(LOCAL_WORD((ctx)->remote_port)));    \
	} while (0)

static __always_inline void local_reverse(const struct tw_tuple *t, struct tw_tuple *ret)
{
	__builtin_memcpy(ret->local, t->remote, 16);
	__builtin_memcpy(ret->remote, t->local, 16);
	ret->local_port = t->remote_port;
	ret->remote_port = t->local_port;
}

/*
 * Does this connection lead to a bind that asks for the short way? Addresses mean something in one
 * network namespace only: @netns must be the daemon's.
 */
static __always_inline bool local_is_to_us(const struct tw_tuple *t, __u64 netns)
{
	struct tw_bind_key key = {.port = t->remote_port};
	__u64 *ours;

	__builtin_memcpy(key.addr, t->remote, 16);
	ours = bpf_map_lookup_elem(&tw_local_binds, &key);
	if (!ours) {
		__builtin_memset(key.addr, 0, 16);
		ours = bpf_map_lookup_elem(&tw_local_binds, &key);
	}
	return ours && *ours == netns;
}

/* Is this the other end of a connection that the daemon is making? */
static __always_inline bool local_is_expected(const struct tw_tuple *t, __u64 netns)
{
	__u64 *ours = bpf_map_lookup_elem(&tw_expected, t);

	if (!ours || *ours != netns)
		return false;
	bpf_map_delete_elem(&tw_expected, t);
	return true;
}

static __always_inline void local_enrol(struct bpf_sock_ops *ctx, struct tw_tuple *t,
					__u32 direction)
{
	struct tw_end end = {.direction = direction};
	struct tcp_sock *tcp;

	if (!ctx->sk)
		return;
	tcp = bpf_skc_to_tcp_sock(ctx->sk);
	if (!tcp)
		return;
	end.written = tcp->write_seq;
	end.read = tcp->copied_seq;
	end.sock = (__u64)(unsigned long)tcp;
	end.cookie = bpf_get_socket_cookie(ctx);
	if (bpf_map_update_elem(&tw_ends, t, &end, BPF_ANY))
		return;
	/* It may be in a sockmap of somebody else's, or there is no room: then it goes by TCP. */
	if (bpf_sock_hash_update(ctx, &tw_end_socks, t, BPF_ANY)) {
		bpf_map_delete_elem(&tw_ends, t);
		return;
	}
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* One that was never paired: nobody else knows of it. */
static __always_inline void local_closed(const struct tw_tuple *t)
{
	struct tw_end *end = bpf_map_lookup_elem(&tw_ends, t);

	if (end && !end->peer.local_port)
		bpf_map_delete_elem(&tw_ends, t);
}

struct local_peer {
	__u32 read;
	bool has_room;
};

/*
 * How far the program of the other socket has read, and whether its queue has room. An sk_msg
 * program cannot look a socket up and give it back, so its memory is read; the cookie tells whether
 * it still is that socket's. Where it is not, the redirect would find nothing either.
 */
static __always_inline bool local_look(const struct tw_end *end, struct local_peer *ret)
{
	struct tcp_sock *tcp = (struct tcp_sock *)(unsigned long)end->sock;
	struct sock *sock = (struct sock *)tcp;
	struct sock_common *common = (struct sock_common *)tcp;
	__s32 used;
	__u64 cookie;

	if (bpf_core_read(&ret->read, sizeof(ret->read), &tcp->copied_seq) ||
	    bpf_core_read(&used, sizeof(used), &sock->sk_backlog.rmem_alloc.counter) ||
	    bpf_core_read(&cookie, sizeof(cookie), &common->skc_cookie.counter))
		return false;
	ret->has_room = used < LOCAL_ROOM;
	return cookie == end->cookie;
}

static __always_inline void local_count(struct tw_end *end, __u64 bytes)
{
	end->direct += bytes;
	end->last_ns = bpf_ktime_get_ns();
	stats_count(end->route, end->backend, end->direction, bytes);
}

/* May this message take the short way? The sending socket is locked. */
static __always_inline bool local_may(struct sk_msg_md *msg, struct tw_end *end)
{
	struct tw_end *other = bpf_map_lookup_elem(&tw_ends, &end->peer);
	struct local_peer peer = {};
	struct tcp_sock *own;

	if (!other || !msg->sk || !local_look(other, &peer) || !peer.has_room)
		return false;
	own = bpf_skc_to_tcp_sock(msg->sk);
	return own && own->write_seq - end->written == peer.read - other->read;
}

#endif
