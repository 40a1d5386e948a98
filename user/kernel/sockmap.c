// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The socket path's maps (see sockmap.h): system calls on their file descriptors, no policy. */
#include "kernel/sockmap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"

struct sockmap {
	const struct datapath *dp;
	int sources, sinks, pairs, leaving, rings, listening, pools;
};

struct sockmap_ring {
	struct ring_buffer *buffer;
	int map_fd;
	void (*cb)(void *arg, const struct tw_event *event);
	void *arg;
};

int sockmap_open(const struct datapath *dp, struct sockmap **ret_sockmap)
{
	struct sockmap *sm;

	if (datapath_leave_fd(dp) < 0)
		return -EOPNOTSUPP;
	sm = calloc(1, sizeof(*sm));
	if (!sm)
		return -ENOMEM;
	sm->dp = dp;
	sm->sources = datapath_map_fd(dp, "tw_sources");
	sm->sinks = datapath_map_fd(dp, "tw_sinks");
	sm->pairs = datapath_map_fd(dp, "tw_pairs");
	sm->leaving = datapath_map_fd(dp, "tw_leaving");
	sm->rings = datapath_map_fd(dp, "tw_rings");
	sm->listening = datapath_map_fd(dp, "tw_listening");
	sm->pools = datapath_map_fd(dp, "tw_pools");
	*ret_sockmap = sm;
	return 0;
}

struct sockmap *sockmap_close(struct sockmap *sm)
{
	free(sm);
	return NULL;
}

int sockmap_cookie(int fd, uint64_t *ret_cookie)
{
	socklen_t len = sizeof(*ret_cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, &len) ? -errno : 0;
}

/* --- pairs ----------------------------------------------------------------------------------- */

int sockmap_set_pair(const struct sockmap *sm, uint64_t cookie, const struct tw_pair *pair)
{
	struct tw_pair made = *pair;

	made.self = cookie;
	return bpf_map_update_elem(sm->pairs, &cookie, &made, BPF_NOEXIST) ? -errno : 0;
}

int sockmap_get_pair(const struct sockmap *sm, uint64_t cookie, struct tw_pair *ret_pair)
{
	return bpf_map_lookup_elem(sm->pairs, &cookie, ret_pair) ? -errno : 0;
}

void sockmap_drop_pair(const struct sockmap *sm, uint64_t cookie)
{
	struct tw_pair last;

	/* Fails when there is none: then nothing is counted for it. */
	if (!bpf_map_lookup_and_delete_elem(sm->pairs, &cookie, &last) && last.backlog)
		__atomic_fetch_sub(&sockmap_state(sm)->backlog, last.backlog, __ATOMIC_RELAXED);
}

/* --- sockets --------------------------------------------------------------------------------- */

static int add(int map, uint64_t cookie, int fd)
{
	uint64_t value = (uint64_t)fd;

	return bpf_map_update_elem(map, &cookie, &value, BPF_NOEXIST) ? -errno : 0;
}

int sockmap_add_sink(const struct sockmap *sm, uint64_t cookie, int fd)
{
	return add(sm->sinks, cookie, fd);
}

int sockmap_add_source(const struct sockmap *sm, uint64_t cookie, int fd)
{
	return add(sm->sources, cookie, fd);
}

void sockmap_drop_sink(const struct sockmap *sm, uint64_t cookie)
{
	/* Fails when the socket has gone by itself (RST). */
	(void)bpf_map_delete_elem(sm->sinks, &cookie);
}

int sockmap_kick(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);

	return n < 0 ? -errno : (int)n;
}

static int run_iterator(int link_fd)
{
	_cleanup_close_ int fd = bpf_iter_create(link_fd);
	char nothing[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = read(fd, nothing, sizeof(nothing));
	while (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)));
	return n < 0 ? -errno : 0;
}

int sockmap_leave(const struct sockmap *sm, const struct sockmap_leaving *leaving, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (bpf_map_update_elem(sm->leaving, &leaving[i].cookie, &leaving[i].consumed,
					BPF_ANY))
			err = -errno;
	if (!err)
		err = run_iterator(datapath_leave_fd(sm->dp));
	for (size_t i = 0; i < n; i++)
		/* Fails for one that was not added above. */
		(void)bpf_map_delete_elem(sm->leaving, &leaving[i].cookie);
	return err;
}

bool sockmap_is_source(const struct sockmap *sm, uint64_t cookie)
{
	uint64_t value;

	return bpf_map_lookup_elem(sm->sources, &cookie, &value) == 0;
}

int sockmap_arm(const struct sockmap *sm, struct tw_arm *arm)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = arm, .ctx_size_in = sizeof(*arm));

	if (bpf_prog_test_run_opts(datapath_arm_fd(sm->dp), &opts))
		return -errno;
	return opts.retval ? -ENOENT : 0;
}

/* --- hellos and warm sockets ----------------------------------------------------------------- */

int sockmap_listen(const struct sockmap *sm, int fd, uint32_t worker, uint32_t bind)
{
	struct tw_listening listening = {.worker = worker, .bind = bind};

	if (!datapath_sees_sockets(sm->dp))
		return -EOPNOTSUPP;
	return bpf_map_update_elem(sm->listening, &fd, &listening, BPF_ANY) ? -errno : 0;
}

void sockmap_unlisten(const struct sockmap *sm, int fd)
{
	/* Fails where it was not. */
	(void)bpf_map_delete_elem(sm->listening, &fd);
}

int sockmap_pool_open(const struct sockmap *sm, uint32_t backend, uint32_t worker)
{
	struct tw_pool_key key = {.backend = backend, .worker = worker};
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_QUEUE, "tw_pool", 0, sizeof(uint64_t),
						TW_POOL_MAX, NULL);

	if (fd < 0 || bpf_map_update_elem(sm->pools, &key, &fd, BPF_ANY))
		return -errno;
	return TAKE_FD(fd);
}

void sockmap_pool_close(const struct sockmap *sm, uint32_t backend, uint32_t worker, int fd)
{
	struct tw_pool_key key = {.backend = backend, .worker = worker};

	/* Waits until no program looks at it any more (kernel/bpf/syscall.c). */
	(void)bpf_map_delete_elem(sm->pools, &key);
	close(fd);
}

int sockmap_pool_push(int fd, uint64_t cookie)
{
	return bpf_map_update_elem(fd, NULL, &cookie, BPF_ANY) ? -errno : 0;
}

int sockmap_pool_pop(int fd, uint64_t *ret_cookie)
{
	return bpf_map_lookup_and_delete_elem(fd, NULL, ret_cookie) ? -errno : 0;
}

/* --- rings ----------------------------------------------------------------------------------- */

static int on_record(void *arg, void *data, size_t size)
{
	const struct sockmap_ring *ring = arg;

	if (size >= sizeof(struct tw_event))
		ring->cb(ring->arg, data);
	return 0;
}

int sockmap_ring_open(const struct sockmap *sm, uint32_t worker,
		      void (*cb)(void *arg, const struct tw_event *event), void *arg,
		      struct sockmap_ring **ret_ring)
{
	struct sockmap_ring *ring = calloc(1, sizeof(*ring));
	int err = 0;

	if (!ring)
		return -ENOMEM;
	ring->cb = cb;
	ring->arg = arg;
	ring->map_fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "tw_ring", 0, 0, TW_RING_BYTES, NULL);
	if (ring->map_fd < 0 || bpf_map_update_elem(sm->rings, &worker, &ring->map_fd, BPF_ANY))
		err = -errno;
	if (!err) {
		ring->buffer = ring_buffer__new(ring->map_fd, on_record, ring, NULL);
		err = ring->buffer ? 0 : -errno;
	}
	if (err) {
		sockmap_ring_close(ring);
		return err;
	}
	*ret_ring = ring;
	return 0;
}

struct sockmap_ring *sockmap_ring_close(struct sockmap_ring *ring)
{
	if (!ring)
		return NULL;
	ring_buffer__free(ring->buffer);
	if (ring->map_fd >= 0)
		close(ring->map_fd);
	free(ring);
	return NULL;
}

int sockmap_ring_fd(const struct sockmap_ring *ring)
{
	return ring_buffer__epoll_fd(ring->buffer);
}

void sockmap_ring_consume(struct sockmap_ring *ring)
{
	/* What cannot be read now is told again: see redirect_tell(). */
	(void)ring_buffer__consume(ring->buffer);
}

struct tw_socket *sockmap_state(const struct sockmap *sm)
{
	return datapath_socket(sm->dp);
}
