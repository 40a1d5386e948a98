/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a name to the entry of tw_names that speaks for it: the exact name, else the longest
 * wildcard, else "*". Listeners that share an address and port need no search of their own: the
 * daemon has resolved them into one set of names per bind (user/model/table.c).
 *
 * Within one pattern, entries with an ALPN protocol come first, in the order in which the client
 * offers its protocols, then the entry without. Where there is none without (TW_NAME_ONLY_ALPN) and
 * nothing offered fits, the search goes on to the next broader pattern.
 *
 * The keys are not built one by one. scratch->keys holds the key of the whole name, then zeros;
 * a shorter pattern's key is made in place, over labels that the search has done with:
 *
 *   keys    bind alpn a p p . e x a m p l e . c o m 0 0 0 ...
 *   at 0    |---------key of app.example.com--------------...
 *   at 2        bind alpn * . e x a m p l e . c o m 0 0 0 ...
 *
 * What a look-up reads may belong to another entry by the time it is read (maps.bpf.h); the caller
 * finds out by tw_state.generation and asks again.
 */
#ifndef THRUWAY_ROUTE_BPF_H
#define THRUWAY_ROUTE_BPF_H

#include "maps.bpf.h"

/* A key somewhere in scratch->keys. Packed: it stands on any byte. */
struct route_key {
	__u32 bind;
	__u32 alpn;
	char name[TW_NAME_SIZE];
} __attribute__((packed));

static __always_inline struct route_key *route_key_at(struct tw_scratch *s, __u32 at)
{
	at &= TW_NAME_SIZE - 1;
	barrier_var(at);
	return (struct route_key *)(s->keys + at);
}

struct route_walk {
	struct tw_scratch *s;
	__u32 pos; /* in the client's ALPN list */
	__u32 pad;
};

/* Protocol number @i of the client's ALPN list as an id; 0 = no route asks for it. */
static long route_read_alpn(__u32 i, void *arg)
{
	struct route_walk *walk = arg;
	struct tw_scratch *s = walk->s;
	__u32 pos = walk->pos, len, *id;

	if (pos >= s->q.alpn_len || pos >= TW_ASK_ALPN_BYTES)
		return 1;
	len = s->q.alpn[pos++];
	walk->pos = pos + len;
	if (!len || len >= TW_ALPN_SIZE || pos + len > s->q.alpn_len)
		return 0;
	barrier_var(len);
	len &= TW_ALPN_SIZE - 1;
	__builtin_memset(&s->alpn_key, 0, sizeof(s->alpn_key));
	bpf_probe_read_kernel(s->alpn_key.protocol, len, s->q.alpn + pos);
	id = bpf_map_lookup_elem(&tw_alpns, &s->alpn_key);
	if (id)
		s->alpns[i & (TW_ASK_ALPN_MAX - 1)] = *id;
	return 0;
}

static __noinline void route_read_alpns(struct tw_scratch *s)
{
	struct route_walk walk = {.s = s};

	__builtin_memset(s->alpns, 0, sizeof(s->alpns));
	bpf_loop(TW_ASK_ALPN_MAX, route_read_alpn, &walk, 0);
	s->alpns_known = 1;
}

static __always_inline void route_take(struct tw_scratch *s, const struct tw_name *name, __u32 at)
{
	s->found.name = *name;
	s->found.at = at;
	s->found.is_found = 1;
}

/* Look the key at @at up; true ends the search. */
static __noinline bool route_try(struct tw_scratch *s, __u32 at)
{
	struct route_key *key = route_key_at(s, at);
	struct tw_name *name, *fit;
	__u32 flags;

	key->bind = s->q.bind;
	key->alpn = 0;
	name = bpf_map_lookup_elem(&tw_names, key);
	if (!name)
		return false;
	flags = name->flags;
	if (!(flags & TW_NAME_ALPN)) {
		route_take(s, name, at);
		return true;
	}
	if (!s->alpns_known)
		route_read_alpns(s);
	for (int i = 0; i < TW_ASK_ALPN_MAX; i++) {
		if (!s->alpns[i])
			continue;
		key->alpn = s->alpns[i];
		fit = bpf_map_lookup_elem(&tw_names, key);
		if (fit) {
			route_take(s, fit, at);
			return true;
		}
	}
	key->alpn = 0;
	if (flags & TW_NAME_ONLY_ALPN)
		return false;
	route_take(s, name, at);
	return true;
}

static long route_note_dot(__u32 i, void *arg)
{
	struct tw_scratch *s = ((struct route_walk *)arg)->s;

	if (s->q.name[i & (TW_NAME_SIZE - 1)] == '.') {
		s->dots[s->n_dots & (TW_DOTS_SIZE - 1)] = i;
		s->n_dots++;
	}
	return 0;
}

/* Pattern number @i: "*" in place of the labels before dot @i; behind the last dot, "*" alone. */
static long route_try_wildcard(__u32 i, void *arg)
{
	struct tw_scratch *s = ((struct route_walk *)arg)->s;
	__u32 labels = s->n_dots - i, at;

	if (!(s->bind.wildcard_labels[(labels >> 6) & 1] >> (labels & 63) & 1))
		return 0;
	at = labels ? s->dots[i & (TW_DOTS_SIZE - 1)] : s->q.name_len;
	if (!at) /* a name that begins with a dot is not normalised */
		return 0;
	route_key_at(s, at - 1)->name[0] = '*';
	return route_try(s, at - 1);
}

/* Fill in scratch->found for the name in scratch->q, on the bind in scratch->bind. */
static __always_inline void route_find(struct tw_scratch *s)
{
	struct route_walk walk = {.s = s};

	s->found.is_found = 0;
	s->alpns_known = 0;
	s->n_dots = 0;
	__builtin_memcpy(s->keys + 8, s->q.name, TW_NAME_SIZE);
	if (route_try(s, 0))
		return;
	if (!s->bind.wildcard_labels[0] && !s->bind.wildcard_labels[1])
		return;
	bpf_loop(s->q.name_len & (TW_NAME_SIZE - 1), route_note_dot, &walk, 0);
	bpf_loop((s->n_dots & (TW_DOTS_SIZE - 1)) + 1, route_try_wildcard, &walk, 0);
}

#endif
