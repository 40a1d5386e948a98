/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The numbers that bpf/pick.bpf.h chooses a backend with, worked out once for a route. */
#ifndef THRUWAY_SHARES_H
#define THRUWAY_SHARES_H

#include <stddef.h>
#include <stdint.h>

struct table_slot;

/*
 * Fill in @slots[].upto from their weights, and for the whole: *@ret_total, the sum of the weights
 * divided by their greatest common divisor, and *@ret_stride, coprime to it and near 0.618 of it.
 * At most TW_ROUTE_BACKENDS_MAX * TW_WEIGHT_MAX in all, which fits. Without any weight both are 0.
 */
void shares_divide(struct table_slot *slots, size_t n, uint32_t *ret_total, uint32_t *ret_stride);

/* Hash of a backend's text for balance: source. Never to change: clients would move. */
uint32_t shares_hash(const char *text);

/* The greatest number that divides both; 0 divides by anything. */
uint64_t shares_gcd(uint64_t a, uint64_t b);

#endif
