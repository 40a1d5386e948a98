// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * hello.h as a BPF program has it, for tests: reads a piece of a stream out of a map, with its
 * state in another one. Called by test_hello_bpf.c with BPF_PROG_TEST_RUN; no part of the product.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "thruway/hello.h"

#define STREAM_SIZE 131072 /* a power of two above TW_HELLO_STREAM_MAX */

struct stream {
	__u8 bytes[STREAM_SIZE + TW_HELLO_CHUNK];
};

/* The stream so far; written by the test. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stream);
} stream SEC(".maps");

/* The reader's state and answer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct tw_hello);
} state SEC(".maps");

struct hello_args {
	__u32 begin; /* 1 = the stream is a new one */
	__u32 from;  /* reads the bytes from here ... */
	__u32 until; /* ... to before here */
};

static long feed_chunk(__u32 i, void *ctx)
{
	struct hello_args *args = ctx;
	struct tw_hello *h;
	struct stream *s;
	__u32 zero = 0, len, from = args->from;

	(void)i;
	s = bpf_map_lookup_elem(&stream, &zero);
	h = bpf_map_lookup_elem(&state, &zero);
	if (!s || !h || from >= args->until || from >= STREAM_SIZE)
		return 1;
	len = args->until - from;
	if (len > TW_HELLO_CHUNK)
		len = TW_HELLO_CHUNK;
	args->from += len;
	return tw_hello_feed(h, s->bytes + from, len) != TW_HELLO_MORE;
}

SEC("syscall")
int hello_feed(struct hello_args *ctx)
{
	struct hello_args args = {ctx->begin, ctx->from, ctx->until};
	struct tw_hello *h;
	__u32 zero = 0;

	h = bpf_map_lookup_elem(&state, &zero);
	if (!h)
		return -1;
	if (args.begin)
		tw_hello_init(h);
	bpf_loop(STREAM_SIZE, feed_chunk, &args, 0);
	return h->answer;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
