// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* local: direct (see local.h): system calls on the maps' file descriptors, no policy. */
#include "kernel/local.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"

struct local {
	struct datapath *dp;
	int binds, mark, ends, pair;
};

int local_open(struct datapath *dp, struct local **ret_local)
{
	struct local *local;
	int err = datapath_attach_local(dp);

	if (err)
		return err;
	local = calloc(1, sizeof(*local));
	if (!local)
		return -ENOMEM;
	local->dp = dp;
	local->binds = datapath_map_fd(dp, "tw_local_binds");
	local->mark = datapath_map_fd(dp, "tw_local_mark");
	local->ends = datapath_map_fd(dp, "tw_ends");
	local->pair = datapath_pair_ends_fd(dp);
	*ret_local = local;
	return 0;
}

struct local *local_close(struct local *local)
{
	if (!local)
		return NULL;
	datapath_detach_local(local->dp);
	free(local);
	return NULL;
}

/* Of our network namespace. */
static int netns_cookie(uint64_t *ret_cookie)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret_cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &len))
		return -errno;
	return 0;
}

int local_set_binds(struct local *local, const struct tw_bind_key *binds, size_t n)
{
	struct tw_bind_key key;
	uint64_t netns;
	int err = netns_cookie(&netns);

	if (err)
		return err;
	while (!bpf_map_get_next_key(local->binds, NULL, &key))
		if (bpf_map_delete_elem(local->binds, &key))
			return -errno;
	for (size_t i = 0; i < n; i++)
		if (bpf_map_update_elem(local->binds, &binds[i], &netns, BPF_ANY))
			return -errno;
	return 0;
}

void local_mark(const struct local *local, int fd)
{
	uint32_t one = 1;

	/* Without it the connection goes by TCP. */
	(void)bpf_map_update_elem(local->mark, &fd, &one, BPF_ANY);
}

int local_pair(const struct local *local, const struct tw_pair_ends *ends)
{
	struct tw_pair_ends context = *ends;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &context, .ctx_size_in = sizeof(context));

	if (bpf_prog_test_run_opts(local->pair, &opts))
		return -errno;
	return opts.retval ? -ENOENT : 0;
}

int local_get(const struct local *local, const struct tw_tuple *tuple, struct tw_end *ret_end)
{
	return bpf_map_lookup_elem(local->ends, tuple, ret_end) ? -errno : 0;
}

void local_drop(const struct local *local, const struct tw_tuple *tuple)
{
	/* Fails where there is none. */
	(void)bpf_map_delete_elem(local->ends, tuple);
}
