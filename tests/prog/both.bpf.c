// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * That the hello parser and the route table go into one BPF object: a path in the kernel needs
 * both. Compiled for the check alone, never loaded.
 */
/* A macro that both define must be the same in both. */
#pragma clang diagnostic error "-Wmacro-redefined"

#include "decide.bpf.h"

#include "thruway/hello.h"

_Static_assert(TW_DOTS_SIZE >= TW_LABELS_MAX && !(TW_DOTS_SIZE & (TW_DOTS_SIZE - 1)),
	       "every dot of a name has its place");
_Static_assert(sizeof(((struct tw_scratch *)0)->q.name) == TW_NAME_SIZE, "one size of names");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
