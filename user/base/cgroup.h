/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where this process stands in the cgroup v2 hierarchy. */
#ifndef THRUWAY_CGROUP_H
#define THRUWAY_CGROUP_H

/* The directory of our own cgroup, or of the root: a file descriptor, or -errno (no cgroup v2). */
int cgroup_open_own(void);
int cgroup_open_root(void);

#endif
