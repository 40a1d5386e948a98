// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Weights to points on a line (see shares.h). */
#include "model/shares.h"

#include "model/table.h"

_Static_assert((uint64_t)TW_ROUTE_BACKENDS_MAX *TW_WEIGHT_MAX <= UINT32_MAX, "total fits");

uint64_t shares_gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static uint32_t stride_for(uint32_t total)
{
	uint32_t golden = (uint64_t)total * 618034 / 1000000;

	/* 1 is coprime to everything, so that the search ends. */
	for (uint32_t away = 0; away < golden; away++) {
		if (shares_gcd(golden + away, total) == 1)
			return golden + away;
		if (shares_gcd(golden - away, total) == 1)
			return golden - away;
	}
	return 1;
}

void shares_divide(struct table_slot *slots, size_t n, uint32_t *ret_total, uint32_t *ret_stride)
{
	uint32_t divisor = 0, total = 0;

	for (size_t i = 0; i < n; i++)
		divisor = (uint32_t)shares_gcd(divisor, slots[i].weight);
	for (size_t i = 0; i < n; i++) {
		total += divisor ? slots[i].weight / divisor : 0;
		slots[i].upto = total;
	}
	*ret_total = total;
	*ret_stride = total ? stride_for(total) : 0;
}

/* FNV-1a. */
uint32_t shares_hash(const char *text)
{
	uint32_t hash = 2166136261u;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619u;
	return hash;
}
