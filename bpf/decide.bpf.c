// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * tw_decide: the route table's answer for a connection, asked from user space with
 * BPF_PROG_TEST_RUN and struct tw_decide as the context. Returns 0, or EAGAIN while the table
 * changes faster than it can be read, or EINVAL for a scratch slot that does not exist.
 */
#include "decide.bpf.h"

#define EAGAIN 11
#define EINVAL 22

/* Offsets where the question ends and the answer begins: contexts are copied by constant words. */
#define IN_SIZE	 offsetof(struct tw_decide, reason)
#define OUT_SIZE (sizeof(struct tw_decide) - IN_SIZE)

SEC("syscall")
int tw_decide(struct tw_decide *ctx)
{
	__u32 slot = ctx->slot;
	struct tw_scratch *s = bpf_map_lookup_elem(&tw_scratch, &slot);

	if (!s)
		return EINVAL;
	__builtin_memcpy(&s->q, ctx, IN_SIZE);
	if (!decide(s))
		return EAGAIN;
	__builtin_memcpy(&ctx->reason, &s->q.reason, OUT_SIZE);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
