// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * local: direct. tw_local_ops sees the connections of the applications' cgroup and enrols the
 * ends of our own; tw_local decides message by message.
 */
#include "local.bpf.h"

SEC("sockops")
int tw_local_ops(struct bpf_sock_ops *ctx)
{
	struct tw_tuple t = {}, reversed = {};
	__u64 netns = bpf_get_netns_cookie(ctx);

	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		/* The daemon's own, on its way to a backend: the other end will be enrolled. */
		if (!ctx->sk || !bpf_sk_storage_get(&tw_local_mark, ctx->sk, NULL, 0))
			break;
		local_tuple(ctx, &t);
		local_reverse(&t, &reversed);
		bpf_map_update_elem(&tw_expected, &reversed, &netns, BPF_ANY);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		local_tuple(ctx, &t);
		if (local_is_to_us(&t, netns))
			local_enrol(ctx, &t, 0);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		local_tuple(ctx, &t);
		if (local_is_expected(&t, netns))
			local_enrol(ctx, &t, 1);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] != BPF_TCP_CLOSE)
			break;
		local_tuple(ctx, &t);
		local_closed(&t);
		break;
	}
	return 1;
}

SEC("sk_msg")
int tw_local(struct sk_msg_md *msg)
{
	struct tw_tuple t = {};
	struct tw_end *end;

	local_tuple(msg, &t);
	end = bpf_map_lookup_elem(&tw_ends, &t);
	if (!end || !end->peer.local_port)
		return SK_PASS;
	/*
	 * A socket that is closed has left tw_end_socks: SK_DROP would be EACCES for the sender,
	 * who is to get what TCP has for him.
	 */
	if (local_may(msg, end) &&
	    bpf_msg_redirect_hash(msg, &tw_end_socks, &end->peer, BPF_F_INGRESS) == SK_PASS)
		local_count(end, msg->size);
	else
		end->passed++;
	return SK_PASS;
}

/* The daemon has joined these two. Returns 0, or 1 if one of them is not enrolled. */
SEC("syscall")
int tw_pair_ends(struct tw_pair_ends *ctx)
{
	struct tw_tuple client = ctx->client, backend = ctx->backend;
	struct tw_end *c = bpf_map_lookup_elem(&tw_ends, &client);
	struct tw_end *b = bpf_map_lookup_elem(&tw_ends, &backend);

	if (!c || !b)
		return 1;
	c->route = b->route = ctx->route;
	c->backend = b->backend = ctx->backend_id;
	c->peer = backend;
	b->peer = client;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
