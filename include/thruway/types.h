/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Fixed-width types for headers that are compiled for BPF and for user space. Everything under
 * include/thruway is the contract between the two: no pointers, no long, no enum and no bool as a
 * field of a map key or value; padding is explicit and zeroed, since a hash map compares it.
 */
#ifndef THRUWAY_TYPES_H
#define THRUWAY_TYPES_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Longest DNS name without its trailing dot, in bytes (RFC 1035 2.3.4). */
#define TW_NAME_MAX   253
/* A name in a map: NUL-terminated and zero-filled, so that bpftool prints it as a string. */
#define TW_NAME_SIZE  256
/* Longest name of a listener, in bytes, with its NUL. */
#define TW_LABEL_SIZE 64
/* Longest ALPN protocol that a route may ask for, with its NUL (RFC 7301 allows 255 bytes). */
#define TW_ALPN_SIZE  32

#endif
