/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a connection was refused, and why one ended. One list makes the enum, the counter's field in
 * the pinned maps, the word in logs and JSON, and the line in the documentation.
 */
#ifndef THRUWAY_REASON_H
#define THRUWAY_REASON_H

#include "thruway/types.h"

/* Refusals: no byte of a backend reached the client. X(word, what happened) */
/* clang-format off */
#define TW_REFUSALS(X)                                                                          \
	X(unknown_name,    "the server name matches no route of this listener")                 \
	X(no_sni,          "the ClientHello carries no server name")                            \
	X(not_tls,         "the first bytes are not a TLS handshake record")                    \
	X(malformed,       "the ClientHello breaks its own lengths or names")                   \
	X(too_big,         "the ClientHello is longer than 16 KiB")                             \
	X(hello_timeout,   "no complete ClientHello came in time")                              \
	X(hello_closed,    "the client went before its ClientHello was complete")               \
	X(refused_name,    "the configuration refuses this name on purpose")                    \
	X(no_backend,      "the route has no backend that may be used")                         \
	X(backend_failed,  "every backend that was tried refused, failed or stayed silent")     \
	X(client_gone,     "the client went while a backend was being connected")               \
	X(aborted,         "conn kill, or the daemon's end, came before it was served")         \
	X(limit,           "a configured limit on connections was reached")                     \
	X(internal,        "the router ran out of a resource (see the daemon's log)")

/* Ends of connections that were served. X(word, what happened) */
#define TW_ENDS(X)                                                                              \
	X(closed,          "both ends sent FIN and every byte was handed to the kernel")        \
	X(client_reset,    "the client sent RST, passed on to the backend")                     \
	X(backend_reset,   "the backend sent RST, passed on to the client")                     \
	X(idle_timeout,    "no byte moved for the idle timeout")                                \
	X(half_closed,     "one end had sent FIN and no byte moved for the half-closed timeout") \
	X(killed,          "an operator asked for it (conn kill)")                              \
	X(shutdown,        "the daemon stopped")                                                \
	X(io_error,        "a socket failed (keepalive, unreachable network)")
/* clang-format on */

enum tw_reason {
	TW_OK = 0,
#define X(word, text) TW_REFUSE_##word,
	TW_REFUSALS(X)
#undef X
		TW_REFUSE_END, /* one past the last refusal */
#define X(word, text) TW_END_##word,
	TW_ENDS(X)
#undef X
		TW_REASON_END,
};

/* Counters of refusals, one named field each; TW_REFUSE_x - 1 indexes them as an array of __u64. */
struct tw_refusals {
#define X(word, text) __u64 word;
	TW_REFUSALS(X)
#undef X
};

#define TW_REFUSALS_N (TW_REFUSE_END - 1)

_Static_assert(sizeof(struct tw_refusals) == 8 * TW_REFUSALS_N, "one __u64 per refusal");

#endif
