/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keys and values of the route table's maps, shared by BPF programs and user space.
 *
 *   bind      an address and port that clients dial; several listeners may share one
 *   listener  a named part of a bind: the names it takes, its timeouts, what a refusal looks like
 *   name      (bind, ALPN, server name) -> listener and route, or a refusal on purpose
 *   route     backends with weights, how to choose among them, timeouts
 *   set       the immutable list of a route's backends; a change makes a new set, then the route
 *             is switched to it with one map write
 *   backend   an address that serves connections
 *
 * Which map holds what, who writes it and when entries end: bpf/maps.bpf.h.
 */
#ifndef THRUWAY_TABLE_H
#define THRUWAY_TABLE_H

#include "thruway/reason.h"
#include "thruway/types.h"

#define TW_BINDS_MAX	      256
#define TW_LISTENERS_MAX      1024
#define TW_ROUTES_MAX	      131072 /* route ids 1 .. TW_ROUTES_MAX - 1; 0 means none */
#define TW_BACKENDS_MAX	      65536  /* backend ids 1 .. TW_BACKENDS_MAX - 1; 0 means none */
#define TW_NAMES_MAX	      1048576
#define TW_SLOTS_MAX	      1048576
#define TW_ALPNS_MAX	      1024 /* ALPN ids 1 .. TW_ALPNS_MAX - 1; 0 means any */
/* Backends of one route. */
#define TW_ROUTE_BACKENDS_MAX 1024
/* Weight of one backend, as in the Gateway API. */
#define TW_WEIGHT_MAX	      1000000
/* Warm sockets of one backend. */
#define TW_POOL_MAX	      1024

enum tw_path { TW_PATH_PACKET, TW_PATH_SOCKET, TW_PATH_RELAY, TW_PATHS };

/* --- binds ------------------------------------------------------------------------------- */

/* Key of tw_binds, value of tw_bind_keys (by bind id). IPv4 is written as ::ffff:a.b.c.d; all
 * addresses is ::. */
struct tw_bind_key {
	__u8 addr[16];
	__be16 port;
	__u16 pad;
};

struct tw_bind {
	__u32 id;	/* 1 .. TW_BINDS_MAX - 1 */
	__u32 listener; /* speaks for connections whose name is not known (yet) */
	/* Bit n of the 128: some entry "*.…" on this bind has n labels behind the asterisk. */
	__u64 wildcard_labels[2];
};

/* --- listeners --------------------------------------------------------------------------- */

enum tw_on_refuse {
	TW_ON_REFUSE_RESET, /* RST */
	TW_ON_REFUSE_ALERT, /* TLS alert unrecognized_name(112), then FIN (RFC 6066 3) */
	TW_ON_REFUSE_DROP,  /* nothing: the client hears no more unless it sends again (RST) */
};

/* Milliseconds; 0 = not set here, the listener's (and then the built-in) value holds. */
struct tw_timeouts {
	__u32 hello_ms;
	__u32 connect_ms;
	__u32 idle_ms;
	__u32 half_closed_ms;
};

/* Where client and backend are sockets of this node: see include/thruway/local.h. */
enum tw_local {
	TW_LOCAL_UNSET, /* of a route: as the listener says */
	TW_LOCAL_OFF,
	TW_LOCAL_DIRECT,
};

#define TW_HELLO_MS_DEFAULT	  10000
#define TW_CONNECT_MS_DEFAULT	  5000
#define TW_IDLE_MS_DEFAULT	  3600000
#define TW_HALF_CLOSED_MS_DEFAULT 300000

/* Value of tw_listeners, by listener id (1 .. TW_LISTENERS_MAX - 1). */
struct tw_listener {
	char name[TW_LABEL_SIZE];
	char hostname[TW_NAME_SIZE]; /* "" = all names; "*.example.com" */
	__u8 addr[16];
	__be16 port;
	__u16 on_refuse; /* enum tw_on_refuse */
	__u32 id;
	__u32 bind;
	__u32 paths;		     /* bit n: enum tw_path n may be used */
	struct tw_timeouts timeouts; /* all set */
	/* Routes for what would be refused; 0 = refuse. */
	__u32 no_sni_route;
	__u32 unknown_name_route;
	__u32 not_tls_route;
	__u32 local; /* enum tw_local, OFF or DIRECT */
};

/* --- names ------------------------------------------------------------------------------- */

/*
 * Key of tw_names. name: lower case, no trailing dot. "app.example.com" is exact,
 * "*.example.com" matches one or more labels more, "*" is the default of the bind.
 */
struct tw_name_key {
	__u32 bind;
	__u32 alpn; /* id from tw_alpns; 0 = whatever the client offers */
	char name[TW_NAME_SIZE];
};

enum tw_name_flags {
	TW_NAME_REFUSE = 1,   /* the search ends here: refused_name */
	TW_NAME_NO_MATCH = 2, /* the search ends here: unknown_name (a listener's name, no route) */
	TW_NAME_ALPN = 4,     /* entries with an ALPN id exist for this name; look there first */
	TW_NAME_ONLY_ALPN = 8, /* nothing without ALPN: no match there means the search goes on */
};

struct tw_name {
	__u32 route;
	__u32 listener;
	__u32 flags; /* enum tw_name_flags */
	__u32 pad;
};

/* Key of tw_alpns; its value is a __u32 id. */
struct tw_alpn_key {
	char protocol[TW_ALPN_SIZE];
};

/* --- routes ------------------------------------------------------------------------------ */

enum tw_balance {
	TW_BALANCE_WEIGHTED,   /* exact shares: see bpf/pick.bpf.h */
	TW_BALANCE_LEAST_CONN, /* the less loaded (by weight) of two picked at random by weight */
	TW_BALANCE_SOURCE,     /* weighted rendezvous hash of the client's address */
};

enum tw_owner {
	TW_OWNER_FILE = 1, /* configuration file, apply */
	TW_OWNER_CLI = 2,  /* thruway route add */
};

#define TW_TRIES_DEFAULT 3
#define TW_TRIES_MAX	 8

/*
 * Value of tw_routes, by route id. While a route changes its names and its backends at once, its
 * new half stands under a spare key for a moment; id is then still the route's own (kernel/sync.c).
 * Everything that re-makes a CLI route after a restart is here.
 */
struct tw_route {
	char name[TW_NAME_SIZE]; /* the route's name; for a CLI route its one hostname */
	/* Of a CLI route: the one listener and protocol that it is for; "" = all, several. */
	char listener[TW_LABEL_SIZE];
	char alpn[TW_ALPN_SIZE];
	__u32 id;
	__u32 owner;	    /* enum tw_owner */
	__u32 balance;	    /* enum tw_balance */
	__u32 set;	    /* current set of backends; 0 = none */
	__u32 backends;	    /* entries in the set */
	__u32 total_weight; /* sum of the set's weights, each divided by their greatest common
			       divisor */
	__u32 stride; /* coprime to total_weight, near its golden section: see bpf/pick.bpf.h */
	__u32 tries;  /* backends tried for one connection */
	__u32 refuse; /* 1 = every connection is refused (refused_name) */
	__u32 local;  /* enum tw_local */
	struct tw_timeouts timeouts; /* 0 = the listener's */
};

/* Key of tw_slots: entry number index (0 ..) of a set. */
struct tw_slot_key {
	__u32 set;
	__u32 index;
};

/* backend 0 = this share of connections is refused with no_backend (Gateway API, invalid refs). */
struct tw_slot {
	__u32 backend;
	__u32 weight; /* as configured; may be 0 */
	__u32 upto;   /* sum of the weights 0 .. index, each divided by the set's common divisor */
	__u32 hash;   /* of the backend's text: the same on every node and after every restart */
};

/* --- backends ---------------------------------------------------------------------------- */

#define TW_BACKEND_TEXT_SIZE 128 /* holds "unix:" and sun_path (108) */

enum tw_backend_family { TW_FAMILY_IPV4 = 4, TW_FAMILY_IPV6 = 6, TW_FAMILY_UNIX = 1 };

/* Value of tw_backends, by backend id. */
struct tw_backend {
	char text[TW_BACKEND_TEXT_SIZE]; /* canonical: "10.0.0.5:8443", "[::1]:443", "unix:/run/x"
					  */
	__u8 addr[16];			 /* IPv4 as ::ffff:a.b.c.d */
	__be16 port;
	__u16 family; /* enum tw_backend_family */
	__u32 id;
	__u32 drained; /* 1 = no new connections (thruway backend drain) */
	__u32 pool;    /* warm sockets that are kept connected; 0 = none */
};

/* --- counters: arrays, mapped into the daemon with mmap(2), added to atomically ------------ */

struct tw_path_stats {
	/* Got a backend since the counter was made; each under the path that it began on. */
	__u64 connections;
	__u64 active; /* now holding a backend: being connected to it, or joined */
	__u64 bytes_to_backend;
	__u64 bytes_to_client;
};

/* Value of tw_route_stats and tw_backend_stats, by id. */
struct tw_stats {
	struct tw_path_stats packet;
	struct tw_path_stats socket;
	struct tw_path_stats relay;
	__u64 connect_failures; /* tries that ended in refusal, error or silence */
	__u64 refused;		/* connections of this route that were refused (any reason) */
	__u64 picks;		/* connections ever given to this route's balancer */
	__u64 pad;
};

/* Value of tw_state, an array of one entry that the daemon maps. */
struct tw_state {
	/* Moves before each write that changes what a look-up may find: see bpf/decide.bpf.h. */
	__u64 generation;
};

/*
 * Value of tw_listener_stats, by listener id. Over all listeners and routes
 * accepted = waiting + connections + refused.
 */
struct tw_listener_stats {
	__u64 accepted; /* connections that clients opened */
	__u64 waiting;	/* of those, now without a complete hello (or joined to no backend yet) */
	struct tw_refusals refused;
};

_Static_assert(sizeof(struct tw_bind_key) == 20, "no hidden padding in a key");
_Static_assert(sizeof(struct tw_name_key) == 264, "no hidden padding in a key");
_Static_assert(sizeof(struct tw_listener) == 384, "layout is pinned");
_Static_assert(sizeof(struct tw_route) == 408, "layout is pinned");
_Static_assert(sizeof(struct tw_backend) == 160, "layout is pinned");
_Static_assert(sizeof(struct tw_stats) == 128, "two cache lines");

#endif
