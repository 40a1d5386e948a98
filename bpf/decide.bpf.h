/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The answer to scratch->q: listener, route, backend, or the reason of a refusal.
 *
 * A look-up reads several entries while the daemon changes them, and an entry's memory may be given
 * to another one between the look-up and the load (maps.bpf.h). Both are found out at once: the
 * daemon moves tw_state.generation before each of its writes, and an answer counts only if the
 * generation did not move while it was made. Then at most one write fell into it, and that one
 * either was seen or was not: the answer is one that the table held. The daemon's order of writes
 * (user/kernel/sync.c) makes each of the tables in between give every name its old or its new
 * route.
 */
#ifndef THRUWAY_DECIDE_BPF_H
#define THRUWAY_DECIDE_BPF_H

#include "pick.bpf.h"
#include "route.bpf.h"

/* Attempts in one call. A write takes the daemon about as long as one attempt, and it rests now and
 * then; user space asks again after that. */
#define DECIDE_ATTEMPTS 64

static __always_inline __u64 decide_generation(void)
{
	__u32 zero = 0;
	struct tw_state *state = bpf_map_lookup_elem(&tw_state, &zero);

	return state ? *(volatile __u64 *)&state->generation : 0;
}

static __always_inline void decide_clear(struct tw_decide *q)
{
	q->reason = TW_OK;
	q->listener = 0;
	q->route = 0;
	q->backend = 0;
	q->set = 0;
	q->tries = 0;
	q->on_refuse = TW_ON_REFUSE_RESET;
	q->paths = 0;
	q->local = TW_LOCAL_OFF;
	q->matched_len = 0;
	__builtin_memset(&q->timeouts, 0, sizeof(q->timeouts));
	__builtin_memset(&q->address, 0, sizeof(q->address));
	__builtin_memset(&q->matched, 0, sizeof(q->matched));
}

static __always_inline bool decide_bind(struct tw_scratch *s)
{
	struct tw_bind_key *found = bpf_map_lookup_elem(&tw_bind_keys, &s->q.bind), key;
	struct tw_bind *bind;

	if (!found)
		return false;
	key = *found;
	bind = bpf_map_lookup_elem(&tw_binds, &key);
	if (!bind)
		return false;
	s->bind = *bind;
	return true;
}

/*
 * The next three are global functions: the verifier looks at each once, for any scratch, and not
 * anew for every call in every attempt (48,000 steps instead of 143,000). Such a function returns a
 * number, which says nothing here, and cannot take a pointer for granted.
 */

/* Search the name. Sets listener, and route or reason. */
__weak int decide_name(struct tw_scratch *s)
{
	if (!s)
		return 0;
	struct tw_decide *q = &s->q;

	if (!q->name_len || q->name_len > TW_NAME_MAX) {
		q->reason = TW_REFUSE_malformed;
		return 0;
	}
	route_find(s);
	if (!s->found.is_found) {
		q->reason = TW_REFUSE_unknown_name;
		return 0;
	}
	q->listener = s->found.name.listener;
	if (s->found.name.flags & TW_NAME_NO_MATCH) {
		q->reason = TW_REFUSE_unknown_name;
		return 0;
	}
	q->route = s->found.name.route;
	if (s->found.name.flags & TW_NAME_REFUSE)
		q->reason = TW_REFUSE_refused_name;
	bpf_probe_read_kernel(&q->matched, sizeof(q->matched), route_key_at(s, s->found.at));
	q->matched_len = s->found.at ? q->name_len - s->found.at : q->name_len;
	return 0;
}

/* What the listener says: its timeouts, how it refuses, and a route for what is refused. */
__weak int decide_listener(struct tw_scratch *s)
{
	if (!s)
		return 0;
	struct tw_decide *q = &s->q;
	__u32 id = q->listener, instead = 0;
	struct tw_listener *listener = bpf_map_lookup_elem(&tw_listeners, &id);

	if (!listener) {
		q->reason = TW_REFUSE_internal;
		return 0;
	}
	q->on_refuse = listener->on_refuse;
	q->timeouts = listener->timeouts;
	q->paths = listener->paths;
	q->local = listener->local;
	if (q->reason == TW_REFUSE_no_sni)
		instead = listener->no_sni_route;
	else if (q->reason == TW_REFUSE_not_tls)
		instead = listener->not_tls_route;
	else if (q->reason == TW_REFUSE_unknown_name)
		instead = listener->unknown_name_route;
	if (instead) {
		q->route = instead;
		q->reason = TW_OK;
	}
	return 0;
}

static __always_inline void decide_timeouts(struct tw_timeouts *to, const struct tw_timeouts *from)
{
	if (from->hello_ms)
		to->hello_ms = from->hello_ms;
	if (from->connect_ms)
		to->connect_ms = from->connect_ms;
	if (from->idle_ms)
		to->idle_ms = from->idle_ms;
	if (from->half_closed_ms)
		to->half_closed_ms = from->half_closed_ms;
}

/* The route under key q->route: its limits, then one of its backends. */
__weak int decide_backend(struct tw_scratch *s)
{
	if (!s)
		return 0;
	struct tw_decide *q = &s->q;
	__u32 key = q->route, id = 0;
	struct tw_route *route = bpf_map_lookup_elem(&tw_routes, &key);
	struct tw_backend *backend;

	if (!route) {
		q->reason = TW_REFUSE_internal;
		return 0;
	}
	q->route = route->id;
	q->tries = route->tries;
	decide_timeouts(&q->timeouts, &route->timeouts);
	if (route->local)
		q->local = route->local;
	if (q->reason || route->refuse) {
		q->reason = TW_REFUSE_refused_name;
		return 0;
	}
	q->set = s->set = route->set;
	s->backends = route->backends;
	s->total_weight = route->total_weight;
	s->stride = route->stride;
	if (!pick(s, route->balance, &id))
		id = 0;
	backend = id ? bpf_map_lookup_elem(&tw_backends, &id) : NULL;
	if (!backend) {
		q->reason = q->tried_n ? TW_REFUSE_backend_failed : TW_REFUSE_no_backend;
		return 0;
	}
	q->backend = id;
	q->address = *backend;
	return 0;
}

static __always_inline void decide_once(struct tw_scratch *s)
{
	struct tw_decide *q = &s->q;

	decide_clear(q);
	if (!decide_bind(s)) {
		q->reason = TW_REFUSE_unknown_name;
		return;
	}
	q->listener = s->bind.listener;
	if (q->ask == TW_ASK_NAME)
		decide_name(s);
	else if (q->ask == TW_ASK_NO_SNI)
		q->reason = TW_REFUSE_no_sni;
	else if (q->ask == TW_ASK_NOT_TLS)
		q->reason = TW_REFUSE_not_tls;
	decide_listener(s);
	if (q->route && q->ask != TW_ASK_LISTENER)
		decide_backend(s);
}

struct decide_walk {
	struct tw_scratch *s;
	__u32 is_done;
	__u32 pad;
};

static long decide_attempt(__u32 i __attribute__((unused)), void *arg)
{
	struct decide_walk *walk = arg;
	struct tw_scratch *s = walk->s;
	__u64 generation = decide_generation();

	read_barrier(s);
	decide_once(s);
	read_barrier(s);
	walk->is_done = generation == decide_generation();
	return walk->is_done;
}

/* Answer s->q. False: the table kept changing; nothing in the answer counts, ask again. */
static __always_inline bool decide(struct tw_scratch *s)
{
	struct decide_walk walk = {.s = s};

	s->drawn_route = s->q.drawn_route;
	s->drawn = s->q.drawn;
	bpf_loop(DECIDE_ATTEMPTS, decide_attempt, &walk, 0);
	return walk.is_done;
}

#endif
