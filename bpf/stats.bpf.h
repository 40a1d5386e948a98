/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What routes and backends count of the bytes that the kernel moves by itself. */
#ifndef THRUWAY_STATS_BPF_H
#define THRUWAY_STATS_BPF_H

#include "maps.bpf.h"

static __always_inline void stats_add(void *map, __u32 id, __u32 direction, __u64 bytes)
{
	struct tw_stats *stats = bpf_map_lookup_elem(map, &id);

	if (!stats)
		return;
	if (direction)
		__sync_fetch_and_add(&stats->socket.bytes_to_client, bytes);
	else
		__sync_fetch_and_add(&stats->socket.bytes_to_backend, bytes);
}

/* @direction: 0 to the backend, 1 to the client. */
static __always_inline void stats_count(__u32 route, __u32 backend, __u32 direction, __u64 bytes)
{
	stats_add(&tw_route_stats, route, direction, bytes);
	stats_add(&tw_backend_stats, backend, direction, bytes);
}

#endif
