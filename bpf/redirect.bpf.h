/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Redirecting what a joined socket receives, and noticing when it had better stop: the queue behind
 * a redirect has no limit (net/core/skmsg.c), and no program may take its own socket out of the
 * map. So the worker is told, once, through its ring.
 *
 * Every function runs under the source socket's lock. A pair is written under it, but for a warm
 * socket's, which peek.bpf.h joins under the client's, and for tw_arm: both by a state that changes
 * atomically.
 */
#ifndef THRUWAY_REDIRECT_BPF_H
#define THRUWAY_REDIRECT_BPF_H

#include "kernel.bpf.h"
#include "maps.bpf.h"
#include "stats.bpf.h"

/*
 * Bulk: so many bytes within so long. Below that rate redirecting costs less than two wake-ups of
 * the relay; above it, splice(2) moves a megabyte at a time. See docs/architecture.md.
 */
#define BULK_BYTES (16ULL << 20)
#define BULK_NS	   200000000ULL

/* bpf_skb_adjust_room() takes off at most so much in one call. */
#define TRIM_MAX   4095
#define TRIM_CALLS 32

static __always_inline struct tw_socket *socket_state(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&tw_socket, &zero);
}

struct trim_walk {
	struct __sk_buff *skb;
	__u32 left;
};

static long trim_part(__u32 i, void *arg)
{
	struct trim_walk *walk = arg;
	__u32 part = walk->left < TRIM_MAX ? walk->left : TRIM_MAX;

	(void)i;
	if (!part || bpf_skb_adjust_room(walk->skb, -(__s32)part, 0, 0))
		return 1;
	walk->left -= part;
	return 0;
}

enum trim { TRIM_NEW, TRIM_OLD, TRIM_FAILED };

/*
 * A segment may begin with bytes that were read before: those of a retransmission that overlaps, or
 * what a recv(2) took of it before the socket was joined. tcp_read_skb() hands it over whole. Take
 * them off: TRIM_NEW, unless nothing new is in it, or the kernel has no memory.
 */
static __always_inline enum trim redirect_trim(struct __sk_buff *skb, struct tw_pair *pair)
{
	struct sk_buff *kskb = bpf_cast_to_kern_ctx(skb);
	struct bpf_sock *sk = skb->sk;
	struct tcp_skb_cb *cb = (void *)kskb->cb;
	struct tcp_sock *tcp;
	struct trim_walk walk = {.skb = skb};
	__u32 seq, end, read;

	if (!sk)
		return TRIM_FAILED;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (!tcp)
		return TRIM_FAILED;
	bpf_probe_read_kernel(&seq, sizeof(seq), &cb->seq);
	bpf_probe_read_kernel(&end, sizeof(end), &cb->end_seq);
	read = tcp->copied_seq - seq;
	/* What was passed and not read yet does not move copied_seq. */
	if (pair->has_seen && (__s32)(pair->seen - tcp->copied_seq) > 0)
		read = pair->seen - seq;
	if (!pair->has_seen || (__s32)(end - pair->seen) > 0)
		pair->seen = end;
	pair->has_seen = 1;
	if (!read || (__s32)read < 0)
		return TRIM_NEW;
	if (read >= skb->len)
		return TRIM_OLD;
	walk.left = read;
	bpf_loop(TRIM_CALLS, trim_part, &walk, 0);
	return walk.left ? TRIM_FAILED : TRIM_NEW;
}

/* How far the sink's TCP has come: all that was ever written to it. */
static __always_inline bool redirect_written(const __u64 *cookie, __u32 *ret)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&tw_sinks, cookie);
	struct tcp_sock *tcp;

	if (!sk)
		return false;
	tcp = bpf_skc_to_tcp_sock(sk);
	if (tcp)
		*ret = tcp->write_seq;
	bpf_sk_release(sk);
	return tcp;
}

/* false: the ring is full. */
static __always_inline bool redirect_tell(__u64 cookie, struct tw_pair *pair, __u32 kind,
					  __u32 ejection)
{
	void *ring = bpf_map_lookup_elem(&tw_rings, &pair->worker);
	struct tw_event *event;

	if (!ring)
		return false;
	event = bpf_ringbuf_reserve(ring, sizeof(*event), 0);
	if (!event)
		return false;
	event->cookie = cookie;
	event->kind = kind;
	event->ejection = ejection;
	bpf_ringbuf_submit(event, 0);
	return true;
}

static __always_inline void redirect_eject(__u64 cookie, struct tw_pair *pair, __u32 ejection)
{
	/* Else the next look tries again. */
	if (redirect_tell(cookie, pair, TW_EVENT_EJECT, ejection))
		pair->ejection = ejection;
}

static __always_inline bool redirect_is_bulk(struct tw_pair *pair)
{
	if (pair->redirected - pair->window_at < BULK_BYTES)
		return false;
	if (pair->last_ns - pair->window_ns <= BULK_NS)
		return true;
	pair->window_ns = pair->last_ns;
	pair->window_at = pair->redirected;
	return false;
}

/*
 * The worker cannot be asked to watch for it: the kernel wakes who waits for EPOLLPRI with every
 * segment (sock_def_readable()).
 */
static __always_inline bool redirect_has_urgent(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;

	return tcp && tcp->urg_data;
}

/* Every TW_BACKLOG_STEP bytes: how much waits for the reader, and is this still the right path? */
static __always_inline void redirect_check(__u64 cookie, struct tw_pair *pair)
{
	struct tw_socket *state = socket_state();
	__u32 written;
	__u64 waits;

	pair->check_at = pair->redirected + TW_BACKLOG_STEP;
	if (!state || !redirect_written(&pair->peer, &written))
		return;
	waits = (__u32)((__u32)pair->redirected - (written - pair->base));
	__sync_fetch_and_add(&state->backlog, waits - pair->backlog);
	pair->backlog = waits;
	/* While something waits, each segment: what is counted in all must not grow old. */
	if (waits)
		pair->check_at = pair->redirected + 1;
	if (pair->ejection)
		return;
	if (waits > state->per_connection)
		redirect_eject(cookie, pair, TW_EJECT_backlog);
	else if (waits > TW_BACKLOG_STEP && state->backlog > state->in_all)
		redirect_eject(cookie, pair, TW_EJECT_total);
	else if (redirect_is_bulk(pair))
		redirect_eject(cookie, pair, TW_EJECT_bulk);
}

static __always_inline void redirect_count(struct tw_pair *pair, __u64 bytes)
{
	pair->redirected += bytes;
	pair->last_ns = bpf_ktime_get_ns();
	stats_count(pair->route, pair->backend, pair->direction, bytes);
}

/* What is dropped was acknowledged already. */
static __always_inline int redirect_drop(void)
{
	struct tw_socket *state = socket_state();

	if (state)
		__sync_fetch_and_add(&state->dropped, 1);
	return SK_DROP;
}

/* A segment cannot be carried: nothing may follow it, and the worker ends the connection. */
static __always_inline int redirect_lost(__u64 cookie, struct tw_pair *pair)
{
	pair->has_lost = 1;
	/* Where the ring is full, with the next segment. */
	redirect_tell(cookie, pair, TW_EVENT_LOST, 0);
	return redirect_drop();
}

/* The verdict on a segment of a joined socket. Its sink may have gone, and with it the connection.
 */
static __always_inline int redirect(struct __sk_buff *skb, __u64 cookie, struct tw_pair *pair)
{
	if (!pair->redirected) {
		if (!redirect_written(&pair->peer, &pair->base))
			return redirect_drop();
		pair->check_at = TW_BACKLOG_STEP;
		pair->window_ns = bpf_ktime_get_ns();
	}
	if (bpf_sk_redirect_hash(skb, &tw_sinks, &pair->peer, 0) != SK_PASS)
		return redirect_drop();
	redirect_count(pair, skb->len);
	if (!pair->ejection && redirect_has_urgent(skb))
		redirect_eject(cookie, pair, TW_EJECT_urgent);
	if (pair->redirected >= pair->check_at)
		redirect_check(cookie, pair);
	return SK_PASS;
}

#endif
