/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A ClientHello that came whole in one segment, for a backend with a warm socket: read, decided and
 * redirected without waking the daemon. Everything else is passed to the daemon, which then does
 * what it does on the relay.
 */
#ifndef THRUWAY_PEEK_BPF_H
#define THRUWAY_PEEK_BPF_H

#include "decide.bpf.h"
#include "redirect.bpf.h"

#define STATE_ESTABLISHED 1 /* include/net/tcp_states.h */
/*
 * The verdict runs in softirq and in the system calls of the daemon, which softirq interrupts: one
 * CPU needs more than one slot.
 */
#define PEEK_SLOTS	  4
/* Warm sockets looked at, dead ones passed over. */
#define PEEK_WARM_MAX	  8
/* The longest hello that is read here, in chunks. */
#define PEEK_CHUNKS	  (TW_HELLO_MAX / TW_HELLO_CHUNK)

static __always_inline struct tw_peek *peek_take(void)
{
	__u32 first = bpf_get_smp_processor_id() * PEEK_SLOTS;

	for (__u32 i = 0; i < PEEK_SLOTS; i++) {
		__u32 slot = (first + i) & (TW_PEEKS_MAX - 1);
		struct tw_peek *p = bpf_map_lookup_elem(&tw_peeks, &slot);

		if (p && !__sync_val_compare_and_swap(&p->is_taken, 0, 1))
			return p;
	}
	return NULL;
}

static __always_inline void peek_give(struct tw_peek *p)
{
	__sync_val_compare_and_swap(&p->is_taken, 1, 0);
}

struct peek_walk {
	struct __sk_buff *skb;
	struct tw_peek *p;
	__u32 at;
};

static long peek_chunk(__u32 i, void *arg)
{
	struct peek_walk *walk = arg;
	struct tw_peek *p = walk->p;
	__u32 len = walk->skb->len - walk->at;

	(void)i;
	if (walk->skb->len <= walk->at)
		return 1;
	if (len > TW_HELLO_CHUNK)
		len = TW_HELLO_CHUNK;
	len -= 1;
	barrier_var(len);
	len &= TW_HELLO_CHUNK - 1;
	len += 1;
	if (bpf_skb_load_bytes(walk->skb, walk->at, p->chunk, len))
		return 1;
	walk->at += len;
	return tw_hello_feed(&p->hello, p->chunk, len) != TW_HELLO_MORE;
}

static __always_inline void peek_client(struct __sk_buff *skb, struct tw_decide *q)
{
	__u32 ipv4 = skb->remote_ip4;

	/* clang would load from one computed offset, which the verifier refuses for a context. */
	barrier_var(ipv4);
	addr_set(q->client, skb->family, ipv4, skb->remote_ip6[0], skb->remote_ip6[1],
		 skb->remote_ip6[2], skb->remote_ip6[3]);
}

/* Where does the hello go? false: the daemon is to find out, and to do what it then does. */
static __always_inline bool peek_decide(struct __sk_buff *skb, struct tw_pair *pair,
					struct tw_peek *p)
{
	struct tw_scratch *s = &p->scratch;
	bool is_decided;

	if (p->hello.answer != TW_HELLO_FOUND)
		return false;
	__builtin_memset(&s->q, 0, offsetof(struct tw_decide, name));
	s->q.bind = pair->bind;
	s->q.ask = TW_ASK_NAME;
	s->q.name_len = p->hello.name_len;
	s->q.alpn_len = p->hello.alpn_len;
	__builtin_memcpy(s->q.name, p->hello.name, TW_NAME_SIZE);
	__builtin_memcpy(s->q.alpn, p->hello.alpn, TW_ASK_ALPN_BYTES);
	peek_client(skb, &s->q);
	is_decided = decide(s);
	/* One connection takes one number, also where the daemon has to ask again. */
	pair->drawn_route = s->drawn_route;
	pair->drawn = s->drawn;
	return is_decided && !s->q.reason && s->q.paths & 1u << TW_PATH_SOCKET &&
	       s->q.local != TW_LOCAL_DIRECT && s->q.address.pool;
}

static __always_inline bool peek_is_alive(__u64 *cookie)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&tw_sinks, cookie);
	bool is_alive;

	if (!sk)
		return false;
	is_alive = sk->state == STATE_ESTABLISHED;
	bpf_sk_release(sk);
	return is_alive;
}

/* Make the warm socket @peer the client's. false: it is not warm any more. */
static __always_inline bool peek_take_warm(__u64 peer, __u64 client, const struct tw_decide *q)
{
	struct tw_pair *warm = bpf_map_lookup_elem(&tw_pairs, &peer);

	if (!warm || warm->self != peer || !peek_is_alive(&peer) ||
	    __sync_val_compare_and_swap(&warm->state, TW_PAIR_WARM, TW_PAIR_TAKEN) != TW_PAIR_WARM)
		return false;
	/* Its memory may have been given to another one since it was found. */
	if (warm->self != peer) {
		__sync_val_compare_and_swap(&warm->state, TW_PAIR_TAKEN, TW_PAIR_WARM);
		return false;
	}
	warm->peer = client;
	warm->route = q->route;
	warm->backend = q->backend;
	warm->direction = 1;
	/* Whole before the verdict program, on another CPU, may use it. */
	__sync_val_compare_and_swap(&warm->state, TW_PAIR_TAKEN, TW_PAIR_JOINED);
	return true;
}

/* A warm socket of this worker's, joined to @client. */
static __always_inline bool peek_warm(struct tw_pair *pair, __u64 client, const struct tw_decide *q,
				      __u64 *ret_cookie)
{
	struct tw_pool_key key = {.backend = q->backend, .worker = pair->worker};
	void *pool = bpf_map_lookup_elem(&tw_pools, &key);

	if (!pool)
		return false;
	for (int i = 0; i < PEEK_WARM_MAX; i++) {
		if (bpf_map_pop_elem(pool, ret_cookie))
			return false;
		if (peek_take_warm(*ret_cookie, client, q))
			return true;
	}
	return false;
}

static __always_inline void peek_tell(struct tw_join *join, struct tw_peek *p, __u64 cookie,
				      __u64 warm)
{
	struct tw_decide *q = &p->scratch.q;

	join->event.cookie = cookie;
	join->event.kind = TW_EVENT_JOIN;
	join->event.ejection = 0;
	join->warm = warm;
	join->listener = q->listener;
	join->route = q->route;
	join->backend = q->backend;
	join->paths = q->paths;
	join->timeouts = q->timeouts;
	join->name_len = q->name_len;
	join->alpn_len = q->alpn_len;
	join->pad = 0;
	bpf_probe_read_kernel(join->name, sizeof(join->name), q->name);
	bpf_probe_read_kernel(join->alpn, sizeof(join->alpn), q->alpn);
	bpf_ringbuf_submit(join, 0);
}

/* Join the client's socket with a warm one. false: there is none, and the daemon counts the miss.
 */
static __always_inline bool peek_join(__u64 cookie, struct tw_pair *pair, struct tw_peek *p)
{
	struct tw_decide *q = &p->scratch.q;
	struct tw_socket *state = socket_state();
	void *ring = bpf_map_lookup_elem(&tw_rings, &pair->worker);
	struct tw_join *join;
	__u64 peer;

	if (!ring || !state)
		return false;
	/* First: a connection that the daemon does not hear of must not be. */
	join = bpf_ringbuf_reserve(ring, sizeof(*join), 0);
	if (!join)
		return false;
	if (!peek_warm(pair, cookie, q, &peer)) {
		bpf_ringbuf_discard(join, 0);
		return false;
	}
	pair->peer = peer;
	pair->route = q->route;
	pair->backend = q->backend;
	pair->state = TW_PAIR_JOINED;
	__sync_fetch_and_add(&state->pool_hits, 1);
	__sync_fetch_and_add(&state->joined, 1);
	peek_tell(join, p, cookie, peer);
	return true;
}

/* true: the pair is joined. */
static __always_inline bool peek(struct __sk_buff *skb, __u64 cookie, struct tw_pair *pair)
{
	struct peek_walk walk = {.skb = skb};
	struct tw_peek *p = peek_take();
	bool is_joined;

	if (!p)
		return false;
	walk.p = p;
	tw_hello_init(&p->hello);
	bpf_loop(PEEK_CHUNKS, peek_chunk, &walk, 0);
	is_joined = peek_decide(skb, pair, p) && peek_join(cookie, pair, p);
	peek_give(p);
	return is_joined;
}

#endif
