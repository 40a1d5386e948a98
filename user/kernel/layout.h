/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a pinned map still means what this program means: the same kind and sizes, and the same
 * fields at the same places by its BTF.
 */
#ifndef THRUWAY_LAYOUT_H
#define THRUWAY_LAYOUT_H

struct bpf_map;
struct btf;

/*
 * 1 = the map behind @fd can stand for @map of an object with the types @ours, 0 = it cannot
 * (*@ret_difference: in "type", "size" or "fields"), -errno = it could not be examined.
 */
int layout_matches(int fd, const struct bpf_map *map, const struct btf *ours,
		   const char **ret_difference);

#endif
