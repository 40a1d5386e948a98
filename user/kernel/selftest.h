/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Does this kernel's sockmap do what the socket path needs? Tried on local sockets with the very
 * programs that will be used, since versions and helper probing do not tell: fixes were carried
 * back to old kernels, and mistakes, too.
 */
#ifndef THRUWAY_SELFTEST_H
#define THRUWAY_SELFTEST_H

#include "kernel/sockmap.h"

/* X(step, what works, what it means if it does not) */
/* clang-format off */
#define SELFTEST_STEPS(X)                                                                       \
	X(sockets, "local sockets can be made",                                                 \
	           "nothing can be tried: is the loopback device up?")                          \
	X(join,    "bytes are redirected both ways",                                            \
	           "the sockmap does not redirect")                                             \
	X(kick,    "bytes from before the join are found",                                      \
	           "a hello that came first would wait for ever")                               \
	X(slow,    "8 MiB reach a slow reader, each byte in its place",                         \
	           "bytes get lost or mixed up while a reader is slow")                         \
	X(fin,     "an end is seen, wakes an epoll reader, and harms nothing",                  \
	           "an end would be missed, or would break the other direction")                \
	X(leave,   "a socket leaves without losing a byte",                                     \
	           "bytes get lost when a connection goes back to the relay")                   \
	X(inq,     "FIONREAD counts again after leaving",                                       \
	           "a socket that has left is not as it was")                                   \
	X(rst,     "a reset is seen and harms nothing",                                         \
	           "a reset would be missed, or would break the other socket")
/* clang-format on */

enum selftest_step {
#define X(step, works, fails) SELFTEST_##step,
	SELFTEST_STEPS(X)
#undef X
		SELFTEST_END,
};

/* Its name, and in words what was found: what works, or with @err what its failing means. */
const char *selftest_name(enum selftest_step step);
const char *selftest_text(enum selftest_step step, int err);

/*
 * Try all, in order, until one fails; @on_step (may be NULL) hears of each: 0 or -errno. Returns 0,
 * or -errno with the step that failed in *@ret_step. Takes some milliseconds and leaves nothing.
 */
int selftest_run(const struct sockmap *sockmap,
		 void (*on_step)(void *arg, enum selftest_step step, int err), void *arg,
		 enum selftest_step *ret_step);

#endif
