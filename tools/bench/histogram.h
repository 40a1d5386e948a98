/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A histogram of nanoseconds in buckets of 1.6 %, in constant memory; merged across threads. */
#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BITS	  6
#define HISTOGRAM_HALF	  (1u << HISTOGRAM_BITS)
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_BITS + 1) * HISTOGRAM_HALF)

struct histogram {
	uint64_t count, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Values below 128 have a bucket each; above, each power of two has 64. */
static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	unsigned int shift = 0;

	if (ns >= 2 * HISTOGRAM_HALF)
		shift = 63 - __builtin_clzll(ns) - HISTOGRAM_BITS;
	h->buckets[shift * HISTOGRAM_HALF + (ns >> shift)]++;
	h->count++;
	if (ns > h->max)
		h->max = ns;
}

static inline void histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	to->count += from->count;
	if (from->max > to->max)
		to->max = from->max;
}

/* The value below which @share (0..1) of all lie; 0 when there are none. */
static inline double histogram_quantile(const struct histogram *h, double share)
{
	uint64_t seen = 0, wanted = (uint64_t)(share * (double)h->count);

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		unsigned int shift = i < 2 * HISTOGRAM_HALF ? 0 : i / HISTOGRAM_HALF - 1;

		seen += h->buckets[i];
		if (seen > wanted)
			return (double)(i - shift * HISTOGRAM_HALF) * (double)(1ull << shift) +
			       (double)(1ull << shift) / 2;
	}
	return (double)h->max;
}

#endif
