// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The socket path's programs: which sockets are looked at from their first byte on, what happens to
 * a segment that one of them received, and how one is taken off the path.
 */
#include "peek.bpf.h"

/* Sockets that our listeners accept where a backend has a pool: sources before they are accepted.
 */
SEC("sockops")
int tw_sockops(struct bpf_sock_ops *ctx)
{
	struct tw_pair pair = {.state = TW_PAIR_HELLO};
	struct tw_listening *listening;
	__u64 cookie;

	if (ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || !ctx->sk)
		return 1;
	listening = bpf_sk_storage_get(&tw_listening, ctx->sk, NULL, 0);
	if (!listening)
		return 1;
	pair.worker = listening->worker;
	pair.bind = listening->bind;
	cookie = pair.self = bpf_get_socket_cookie(ctx);
	if (bpf_map_update_elem(&tw_pairs, &cookie, &pair, BPF_NOEXIST))
		return 1;
	if (bpf_sock_hash_update(ctx, &tw_sinks, &cookie, BPF_NOEXIST) ||
	    bpf_sock_hash_update(ctx, &tw_sources, &cookie, BPF_NOEXIST))
		bpf_map_delete_elem(&tw_pairs, &cookie);
	return 1;
}

/* A backend's socket that waits for a client has heard something: true if a client has come. */
static __always_inline bool wake_warm(__u64 cookie, struct tw_pair *pair)
{
	if (__sync_val_compare_and_swap(&pair->state, TW_PAIR_WARM, TW_PAIR_DEAD) == TW_PAIR_JOINED)
		return true;
	/* Where the ring is full it is closed when it would be renewed. */
	redirect_tell(cookie, pair, TW_EVENT_DEAD, 0);
	return false;
}

/*
 * Does the sink, as a source, keep nothing that was passed? The kernel has one queue for what waits
 * to be sent on a socket and what was received on it: what is passed would wait behind what is
 * redirected to it, for as long as the other end does not read.
 */
static __always_inline bool is_sink_free(const struct tw_pair *pair)
{
	const struct tw_pair *sink = bpf_map_lookup_elem(&tw_pairs, &pair->peer);

	return !sink || sink->state == TW_PAIR_JOINED ||
	       (sink->state == TW_PAIR_ARMED && sink->passed == sink->consumed);
}

/* Is the segment to be redirected? */
static __always_inline bool is_joined(struct __sk_buff *skb, __u64 cookie, struct tw_pair *pair)
{
	switch (pair->state) {
	case TW_PAIR_JOINED:
		return true;
	case TW_PAIR_HELLO:
		if (peek(skb, cookie, pair))
			return true;
		pair->state = TW_PAIR_PASSED;
		return false;
	case TW_PAIR_ARMED:
		if (pair->passed != pair->consumed || !is_sink_free(pair))
			return false;
		pair->state = TW_PAIR_JOINED;
		return true;
	case TW_PAIR_WARM:
		return wake_warm(cookie, pair);
	default:
		return false;
	}
}

SEC("sk_skb/stream_verdict")
int tw_verdict(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct tw_pair *pair = bpf_map_lookup_elem(&tw_pairs, &cookie);
	enum trim trim;

	if (!pair)
		return SK_PASS;
	if (!skb->len) {
		/*
		 * FIN alone: redirected it would break the sink (EPIPE), passed it would wait
		 * behind a backlog. The end of file is seen without it.
		 */
		if (pair->state == TW_PAIR_WARM)
			wake_warm(cookie, pair);
		return SK_DROP;
	}
	trim = pair->has_lost ? TRIM_FAILED : redirect_trim(skb, pair);
	/* Nobody knows yet to whom a backend speaks that did not wait for its hello. */
	if (trim == TRIM_FAILED || pair->state == TW_PAIR_TAKEN)
		return redirect_lost(cookie, pair);
	if (trim == TRIM_OLD)
		return SK_DROP;
	if (is_joined(skb, cookie, pair))
		return redirect(skb, cookie, pair);
	pair->passed += skb->len;
	return SK_PASS;
}

/* See struct tw_arm. Returns 0, or 1 where there is no such source. */
SEC("syscall")
int tw_arm(struct tw_arm *ctx)
{
	__u64 cookie = ctx->cookie;
	struct tw_pair *pair = bpf_map_lookup_elem(&tw_pairs, &cookie);

	if (!pair)
		return 1;
	if (pair->state == TW_PAIR_WARM && !ctx->peer) {
		__sync_val_compare_and_swap(&pair->state, TW_PAIR_WARM, TW_PAIR_PASSED);
	} else if (ctx->peer && pair->state != TW_PAIR_JOINED) {
		pair->peer = ctx->peer;
		pair->connection = ctx->connection;
		pair->route = ctx->route;
		pair->backend = ctx->backend;
		pair->direction = ctx->direction;
		/* Whole before the verdict program, on another CPU, may use it. */
		__sync_lock_test_and_set(&pair->consumed, ctx->consumed);
		__sync_val_compare_and_swap(&pair->state, TW_PAIR_PASSED, TW_PAIR_ARMED);
	}
	ctx->state = pair->state;
	return 0;
}

/*
 * Run over all TCP sockets of the network namespace, each locked: takes those that are leaving out
 * of tw_sources. bpf(2) does it without the lock, and a segment that is just being looked at on
 * another CPU is then dropped (sk_psock_verdict_recv() finds no program). One that holds bytes that
 * were passed and not read stays: they would be out of reach.
 */
SEC("iter/tcp")
int tw_leave(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	struct tw_pair *pair;
	__u64 cookie, *consumed;

	if (!sk)
		return 0;
	cookie = bpf_get_socket_cookie(sk);
	consumed = bpf_map_lookup_elem(&tw_leaving, &cookie);
	if (!consumed)
		return 0;
	pair = bpf_map_lookup_elem(&tw_pairs, &cookie);
	if (pair && pair->passed == *consumed)
		bpf_map_delete_elem(&tw_sources, &cookie);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
