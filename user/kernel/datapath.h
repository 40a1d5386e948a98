/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The BPF object: opened, loaded, pinned and adopted here and nowhere else. Maps are pinned in
 * /sys/fs/bpf/INSTANCE/ by the names that bpf/maps.bpf.h gives them.
 */
#ifndef THRUWAY_DATAPATH_H
#define THRUWAY_DATAPATH_H

#include <stdbool.h>

#include "thruway/decide.h"
#include "thruway/socket.h"

struct datapath;

/* The oldest kernel that the object is made for. */
#define DATAPATH_KERNEL(major, minor) ((major)*1000 + (minor))
#define DATAPATH_KERNEL_MIN	      DATAPATH_KERNEL(6, 1)
#define DATAPATH_KERNEL_MIN_TEXT      "Linux 6.1"

/*
 * Load the BPF object and pin its maps for @instance, re-using maps of the same layout that are
 * already there (their entries stay). 0, or -errno with one line that says what is wrong and what
 * helps in *@ret_why (to be freed). -EEXIST: pinned maps of another layout stand in the way and
 * @reset is false; with @reset they are removed first. Maps that can be adopted stay either way.
 */
int datapath_open(const char *instance, bool reset, struct datapath **ret_dp, char **ret_why);
/* Close file descriptors and mappings; pins stay. Accepts NULL, returns NULL. */
struct datapath *datapath_close(struct datapath *dp);
/*
 * Remove every pin of @instance and its directory; what others pinned there stays. 0, -ENOENT if
 * there is no such directory, or -errno, then perhaps with one line in *@ret_why (to be freed;
 * @ret_why may be NULL): -ENOTEMPTY if something of others is left and nothing of ours.
 */
int datapath_unpin(const char *instance, char **ret_why);

/* File descriptors of maps, lent. */
int datapath_map_fd(const struct datapath *dp, const char *name);
/* Where a map is pinned, for messages; lent. */
const char *datapath_map_path(const struct datapath *dp, const char *name);

/*
 * Ask tw_decide. @q's in part is filled, its out part is written. Any thread, each with its own
 * scratch slot. 0, or -errno: -EINVAL for a length out of range, -EAGAIN if the table never held
 * still, else the program could not run.
 */
int datapath_decide(const struct datapath *dp, struct tw_decide *q);

/*
 * Tell look-ups that a map of the route table is about to be written: those under way start over.
 * Before each single write; main thread only.
 */
void datapath_begin_write(const struct datapath *dp);

/* Counters in shared memory; add with __atomic_fetch_add(.., __ATOMIC_RELAXED). Ids out of range
 * give the entry of id 0, which nobody shows. */
struct tw_stats *datapath_route_stats(const struct datapath *dp, __u32 route);
struct tw_stats *datapath_backend_stats(const struct datapath *dp, __u32 backend);
struct tw_listener_stats *datapath_listener_stats(const struct datapath *dp, __u32 listener);

/* The socket path's limits and counters, in shared memory. */
struct tw_socket *datapath_socket(const struct datapath *dp);
/*
 * The iterator that takes sockets out of tw_sources, as a link's file descriptor, lent.
 * -EOPNOTSUPP: this kernel does not take the socket path's programs.
 */
int datapath_leave_fd(const struct datapath *dp);
/* The program tw_arm, lent. */
int datapath_arm_fd(const struct datapath *dp);
/*
 * local: direct. Attach its programs, if they are not: 0, -EOPNOTSUPP where the kernel does not
 * take them, -errno. Main thread.
 */
int datapath_attach_local(struct datapath *dp);
void datapath_detach_local(struct datapath *dp);
/* The program tw_pair_ends, lent. */
int datapath_pair_ends_fd(const struct datapath *dp);
/* Is the sockops program attached to our own cgroup? */
bool datapath_sees_sockets(const struct datapath *dp);

#endif
