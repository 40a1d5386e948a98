/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * local: direct (include/thruway/local.h) as user space uses it. Opened by the main thread when a
 * configuration first asks for it; the rest from any thread.
 */
#ifndef THRUWAY_LOCAL_MAPS_H
#define THRUWAY_LOCAL_MAPS_H

#include <stddef.h>

#include "kernel/datapath.h"
#include "thruway/local.h"

struct local;

/*
 * Attach the programs: to the root of the cgroups, since the applications may be in any. 0;
 * -EOPNOTSUPP where the kernel does not take them; -errno.
 */
int local_open(struct datapath *dp, struct local **ret_local);
/* The programs go; sockets that are enrolled go on by TCP. Accepts NULL, returns NULL. */
struct local *local_close(struct local *local);

/* Enrol clients of exactly these binds. 0 or -errno. */
int local_set_binds(struct local *local, const struct tw_bind_key *binds, size_t n);

/* @fd, which is not connected yet, will lead to a backend whose end may be enrolled. */
void local_mark(const struct local *local, int fd);
/* 0; -ENOENT if one of the two is not enrolled. */
int local_pair(const struct local *local, const struct tw_pair_ends *ends);
/* 0 or -ENOENT. */
int local_get(const struct local *local, const struct tw_tuple *tuple, struct tw_end *ret_end);
void local_drop(const struct local *local, const struct tw_tuple *tuple);

#endif
