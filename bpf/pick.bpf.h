/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which of a route's backends takes a connection.
 *
 * weighted    Connection number n of the route takes point (n * stride) mod total of the line on
 *             which every backend has as many points as its weight. stride is coprime to total, so
 *             that any total connections in a row visit each point once: shares are exact. It is
 *             near total's golden section, so that they are nearly so within a shorter run, too.
 * least_conn  The backend that weighted would take, and a second one by weight at random: the one
 *             with fewer active connections for its weight (power of two choices).
 * source      Weighted rendezvous hashing: the backend with the highest weight / -log2(u), where u
 *             in (0, 1] is a hash of the client's address and the backend's text. A backend that
 *             goes takes only its own clients along, one that comes takes its share from all, and
 *             nothing is remembered. Ports do not count.
 *
 * A backend that is drained or was tried for this connection is passed over: draws by weight find
 * another; if they do not, the next usable one from a random place on. Weight 0 takes nothing. An
 * entry without a backend (a reference that leads nowhere) takes its share and refuses it.
 */
#ifndef THRUWAY_PICK_BPF_H
#define THRUWAY_PICK_BPF_H

#include "maps.bpf.h"

/* Draws by weight before the search turns to one entry after the other. */
#define PICK_DRAWS    8
/* Binary search over TW_ROUTE_BACKENDS_MAX entries. */
#define PICK_STEPS    11
/*
 * Fraction bits of the logarithm. Its error of 2^-20 shifts the share of a backend only against
 * one of another weight, by less than 0.1 % with 1,024 backends; equal weights compare exactly.
 */
#define PICK_LOG_BITS 20

static __always_inline struct tw_slot *pick_slot(struct tw_scratch *s, __u32 index)
{
	struct tw_slot_key key = {.set = s->set, .index = index};

	return bpf_map_lookup_elem(&tw_slots, &key);
}

/* The entry that holds @point, 0 .. total_weight - 1. */
static __noinline struct tw_slot *pick_at(struct tw_scratch *s, __u32 point)
{
	__u32 low = 0, high = s->backends - 1, mid;
	struct tw_slot *slot;

	for (int i = 0; i < PICK_STEPS && low < high; i++) {
		mid = (low + high) / 2;
		slot = pick_slot(s, mid);
		if (!slot)
			return NULL;
		if (point < slot->upto)
			high = mid;
		else
			low = mid + 1;
	}
	return pick_slot(s, low);
}

static __always_inline bool pick_was_tried(const struct tw_scratch *s, __u32 backend)
{
	for (__u32 i = 0; i < TW_TRIES_MAX; i++)
		if (i < s->q.tried_n && s->q.tried[i] == backend)
			return true;
	return false;
}

static __noinline bool pick_is_usable(struct tw_scratch *s, const struct tw_slot *slot)
{
	struct tw_backend *backend;
	__u32 id;

	if (!slot || !slot->weight || !slot->backend)
		return false;
	id = slot->backend;
	backend = bpf_map_lookup_elem(&tw_backends, &id);
	return backend && !backend->drained && !pick_was_tried(s, id);
}

/* This connection's number in the route's sequence. One that is tried again takes no number. */
static __always_inline __u64 pick_number(struct tw_scratch *s)
{
	struct tw_stats *stats;
	__u32 route = s->q.route;

	if (s->q.tried_n)
		return bpf_get_prandom_u32();
	if (s->drawn_route == route)
		return s->drawn;
	stats = bpf_map_lookup_elem(&tw_route_stats, &route);
	if (!stats)
		return 0;
	s->drawn = s->q.dry_run ? stats->picks : __sync_fetch_and_add(&stats->picks, 1);
	s->drawn_route = route;
	return s->drawn;
}

struct pick_walk {
	struct tw_scratch *s;
	__u64 client;	/* source: hash of the address */
	__u64 weight;	/* source: of the best so far */
	__u64 distance; /* source: its -log2(u), PICK_LOG_BITS of fraction */
	__u32 start;
	__u32 backend;
	__u32 is_found;
	__u32 pad;
};

static long pick_next(__u32 i, void *arg)
{
	struct pick_walk *walk = arg;
	struct tw_slot *slot;
	__u32 index = walk->start + i;

	if (index >= walk->s->backends)
		index -= walk->s->backends;
	slot = pick_slot(walk->s, index);
	if (!pick_is_usable(walk->s, slot))
		return 0;
	walk->backend = slot->backend;
	walk->is_found = 1;
	return 1;
}

/* A usable backend for connection @number; false = there is none. *@ret may be 0: refuse. */
static __noinline bool pick_weighted(struct tw_scratch *s, __u64 number, __u32 *ret)
{
	__u64 point = number % s->total_weight * s->stride % s->total_weight;
	struct pick_walk walk = {.s = s};
	struct tw_slot *slot = pick_at(s, point);

	if (slot && !slot->backend && slot->weight && !s->q.tried_n) {
		*ret = 0;
		return true;
	}
	for (__u32 i = 0; i <= PICK_DRAWS; i++) {
		if (pick_is_usable(s, slot)) {
			*ret = slot->backend;
			return true;
		}
		slot = pick_at(s, mix64(number + ((__u64)i << 56) + 1) % s->total_weight);
	}
	walk.start = mix64(number) % s->backends;
	bpf_loop(s->backends, pick_next, &walk, 0);
	*ret = walk.backend;
	return walk.is_found;
}

static __always_inline __u64 pick_active(__u32 backend)
{
	struct tw_stats *stats = bpf_map_lookup_elem(&tw_backend_stats, &backend);

	return stats ? stats->packet.active + stats->socket.active + stats->relay.active : 0;
}

/* A backend's weight stands in its slot: @point finds the second one, this the first one again. */
static __noinline bool pick_least_conn(struct tw_scratch *s, __u64 number, __u32 *ret)
{
	__u64 point = number % s->total_weight * s->stride % s->total_weight;
	struct tw_slot *first = pick_at(s, point), *second;

	if (!pick_is_usable(s, first))
		return pick_weighted(s, number, ret);
	*ret = first->backend;
	for (int i = 0; i < PICK_DRAWS; i++) {
		second = pick_at(s, bpf_get_prandom_u32() % s->total_weight);
		if (!second || second->backend == first->backend || !pick_is_usable(s, second))
			continue;
		if (pick_active(second->backend) * first->weight <
		    pick_active(first->backend) * second->weight)
			*ret = second->backend;
		break;
	}
	return true;
}

/* -log2(@u / 2^32) with PICK_LOG_BITS of fraction, for @u in 1 .. 2^32. */
static __always_inline __u64 pick_distance(__u64 u)
{
	__u64 whole = 0, fraction = 0;

	for (int shift = 32; shift; shift >>= 1)
		if (u >> (whole + shift))
			whole += shift;
	u <<= 32 - whole; /* now 2^32 <= u < 2^33: the mantissa, 1 <= u / 2^32 < 2 */
	u >>= 1;	  /* as 31 bits, so that its square fits */
	for (int i = 0; i < PICK_LOG_BITS; i++) {
		u = u * u >> 31;
		fraction <<= 1;
		if (u >> 32) {
			u >>= 1;
			fraction |= 1;
		}
	}
	return (32ULL << PICK_LOG_BITS) - (whole << PICK_LOG_BITS) - fraction;
}

static long pick_nearer(__u32 i, void *arg)
{
	struct pick_walk *walk = arg;
	struct tw_slot *slot = pick_slot(walk->s, i);
	__u64 distance;
	bool is_refusal;

	if (!slot || !slot->weight)
		return 0;
	is_refusal = !slot->backend && !walk->s->q.tried_n;
	if (!is_refusal && !pick_is_usable(walk->s, slot))
		return 0;
	distance = pick_distance((mix64(walk->client ^ slot->hash) >> 32) + 1);
	if (walk->is_found && slot->weight * walk->distance <= walk->weight * distance)
		return 0;
	walk->weight = slot->weight;
	walk->distance = distance;
	walk->backend = slot->backend;
	walk->is_found = 1;
	return 0;
}

static __noinline bool pick_source(struct tw_scratch *s, __u32 *ret)
{
	const __u64 *client = (const __u64 *)s->q.client;
	struct pick_walk walk = {.s = s};

	walk.client = mix64(client[1] ^ mix64(client[0]));
	bpf_loop(s->backends, pick_nearer, &walk, 0);
	*ret = walk.backend;
	return walk.is_found;
}

/* Choose for the route whose set is in scratch; *@ret 0 = its share is refused. */
static __always_inline bool pick(struct tw_scratch *s, __u32 balance, __u32 *ret)
{
	if (!s->backends || s->backends > TW_ROUTE_BACKENDS_MAX || !s->total_weight)
		return false;
	if (balance == TW_BALANCE_SOURCE)
		return pick_source(s, ret);
	if (balance == TW_BALANCE_LEAST_CONN)
		return pick_least_conn(s, pick_number(s), ret);
	return pick_weighted(s, pick_number(s), ret);
}

#endif
