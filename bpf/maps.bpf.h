/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: first the route table, then the socket path, then local: direct. Those with "pinning"
 * are in /sys/fs/bpf/INSTANCE/ under the names below and outlive the daemon; thruwayd adopts them
 * when it starts. The others end with it.
 *
 * Of the route table:
 * Who writes: only the daemon's main thread (user/kernel/sync.c), one element at a time; before
 * each write it moves tw_state.generation, so that a look-up knows when it has seen half of a
 * change (bpf/decide.bpf.h). Counters alone are added to by everyone, atomically.
 * Who reads: the programs here; anybody by bpftool.
 * When full: the daemon refuses what does not fit and says so; nothing is evicted.
 *
 * Of the other two, each map says it for itself.
 *
 * Hash maps do not preallocate: memory follows the number of entries. The kernel hands the memory
 * of a removed element to the next one at once, while a reader may still hold its pointer.
 * The definitions are weak, so that several objects include them and are linked into one.
 */
#ifndef THRUWAY_MAPS_BPF_H
#define THRUWAY_MAPS_BPF_H

#include "defs.bpf.h"
#include "thruway/local.h"
#include "thruway/socket.h"

/* Address and port -> bind. Ends when no listener is configured there any more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_BINDS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tw_bind_key);
	__type(value, struct tw_bind);
} tw_binds SEC(".maps") __weak;

/* Bind id -> address and port: for callers that know a bind by its id. Lives as its bind. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_BINDS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_bind_key);
} tw_bind_keys SEC(".maps") __weak;

/* Listener id -> listener. Ends with its entry in the configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_LISTENERS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_listener);
} tw_listeners SEC(".maps") __weak;

/* Bind, ALPN and name -> route. Ends when no route or listener has the name any more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_NAMES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tw_name_key);
	__type(value, struct tw_name);
} tw_names SEC(".maps") __weak;

/* ALPN protocol -> id. Ends when no route asks for the protocol any more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_ALPNS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tw_alpn_key);
	__type(value, __u32);
} tw_alpns SEC(".maps") __weak;

/* Route id -> route. Ends with its entry in the configuration, or with route del. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_ROUTES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_route);
} tw_routes SEC(".maps") __weak;

/* Set and index -> backend and weight. Written before a route uses the set, removed after. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_SLOTS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tw_slot_key);
	__type(value, struct tw_slot);
} tw_slots SEC(".maps") __weak;

/* Backend id -> backend. Ends when no route has it any more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_BACKENDS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_backend);
} tw_backends SEC(".maps") __weak;

/*
 * Counters by id. An entry is zeroed when its id is given to a new object, and an id is given away
 * again only when nothing is active on it. Mapped by the daemon.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TW_ROUTES_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_stats);
} tw_route_stats SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TW_BACKENDS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_stats);
} tw_backend_stats SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TW_LISTENERS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_listener_stats);
} tw_listener_stats SEC(".maps") __weak;

/* What belongs to the table as a whole. Mapped by the daemon, which alone writes it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_state);
} tw_state SEC(".maps") __weak;

/*
 * The socket path. tw_sources and tw_sinks hold sockets of the daemon by their cookie, put there by
 * its workers; a socket that is closed leaves them by itself. Not pinned: they end with the daemon.
 * Full: the connection stays on the relay.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, TW_PAIRS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} tw_sources SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, TW_PAIRS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} tw_sinks SEC(".maps") __weak;

/*
 * Cookies of sources that the next run of tw_leave takes out, and how many of the bytes that were
 * passed the daemon has read. Not pinned.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_PAIRS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} tw_leaving SEC(".maps") __weak;

/*
 * Socket cookie -> what its segments are redirected to. Made by the worker that has the connection,
 * or by tw_sockops before it is accepted; removed by the worker. What an earlier daemon left is
 * removed when one starts.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_PAIRS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, struct tw_pair);
} tw_pairs SEC(".maps") __weak;

/* The socket path's limits and counters. Mapped by the daemon, which alone writes the limits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct tw_socket);
} tw_socket SEC(".maps") __weak;

/* Worker -> the ring through which it is told (struct tw_event). Not pinned. */
struct tw_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, TW_RING_BYTES);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TW_SCRATCH_MAX);
	__type(key, __u32);
	__array(values, struct tw_ring);
} tw_rings SEC(".maps") __weak;

/* (Backend, worker) -> its warm sockets. Made and removed by the worker. Not pinned. */
struct tw_pool {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, TW_POOL_MAX);
	__uint(key_size, 0);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, TW_POOLS_MAX);
	__type(key, struct tw_pool_key);
	__array(values, struct tw_pool);
} tw_pools SEC(".maps") __weak;

/*
 * On a listening socket: its accepted sockets are to be sources from their first byte on. Set by
 * the daemon where a backend has a pool; ends with the socket.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct tw_listening);
} tw_listening SEC(".maps") __weak;

/* Working memory of the verdict program while it reads a hello; not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TW_PEEKS_MAX);
	__type(key, __u32);
	__type(value, struct tw_peek);
} tw_peeks SEC(".maps") __weak;

/*
 * local: direct. tw_end_socks holds the applications' sockets by what they call themselves, tw_ends
 * what is known of each; both are made by sockops. An end is removed by the worker that had paired
 * it, else when it is closed. A socket that is closed leaves tw_end_socks by itself. Full: TCP.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, TW_ENDS_MAX);
	__type(key, struct tw_tuple);
	__type(value, __u64);
} tw_end_socks SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, TW_ENDS_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct tw_tuple);
	__type(value, struct tw_end);
} tw_ends SEC(".maps") __weak;

/*
 * Binds where some listener or route says local: direct -> cookie of the daemon's network
 * namespace. Written by its main thread.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TW_BINDS_MAX);
	__type(key, struct tw_bind_key);
	__type(value, __u64);
} tw_local_binds SEC(".maps") __weak;

/*
 * Ends of backends that are about to accept a connection of ours -> cookie of the network
 * namespace. The oldest gives way.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tw_tuple);
	__type(value, __u64);
} tw_expected SEC(".maps") __weak;

/* On a socket of the daemon that will connect to a backend: the other end may be enrolled. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} tw_local_mark SEC(".maps") __weak;

/* Working memory of tw_decide, one slot a thread. Holds nothing between two calls; not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TW_SCRATCH_MAX);
	__type(key, __u32);
	__type(value, struct tw_scratch);
} tw_scratch SEC(".maps") __weak;

#endif
