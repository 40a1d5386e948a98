// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Comparing a pinned map's layout with the object's (see layout.h). Called by datapath.c only. */
#include "kernel/layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

/* Types of map keys and values nest a few levels; deeper is not ours. */
#define LAYOUT_DEPTH_MAX 16

struct type_ref {
	const struct btf *btf;
	uint32_t id;
};

static const struct btf_type *ref_type(struct type_ref *ref)
{
	const struct btf_type *type = btf__type_by_id(ref->btf, ref->id);

	while (type && (btf_is_mod(type) || btf_is_typedef(type))) {
		ref->id = type->type;
		type = btf__type_by_id(ref->btf, ref->id);
	}
	return type;
}

static const char *ref_name(const struct type_ref *ref, uint32_t offset)
{
	const char *name = btf__name_by_offset(ref->btf, offset);

	return name ? name : "";
}

static bool types_equal(struct type_ref a, struct type_ref b, int depth);

static bool members_equal(struct type_ref a, const struct btf_type *ta, struct type_ref b,
			  const struct btf_type *tb, int depth)
{
	const struct btf_member *ma = btf_members(ta), *mb = btf_members(tb);

	for (unsigned int i = 0; i < btf_vlen(ta); i++, ma++, mb++) {
		struct type_ref fa = {a.btf, ma->type}, fb = {b.btf, mb->type};

		if (ma->offset != mb->offset ||
		    strcmp(ref_name(&a, ma->name_off), ref_name(&b, mb->name_off)) != 0 ||
		    !types_equal(fa, fb, depth + 1))
			return false;
	}
	return true;
}

static bool types_equal(struct type_ref a, struct type_ref b, int depth)
{
	const struct btf_type *ta = ref_type(&a), *tb = ref_type(&b);

	if (!ta || !tb || depth > LAYOUT_DEPTH_MAX || btf_kind(ta) != btf_kind(tb))
		return false;
	if (btf_is_array(ta)) {
		struct type_ref ea = {a.btf, btf_array(ta)->type},
				eb = {b.btf, btf_array(tb)->type};

		return btf_array(ta)->nelems == btf_array(tb)->nelems &&
		       types_equal(ea, eb, depth + 1);
	}
	if (ta->size != tb->size || btf_vlen(ta) != btf_vlen(tb))
		return false;
	if (btf_is_composite(ta))
		return members_equal(a, ta, b, tb, depth);
	return btf_is_int(ta);
}

static bool btf_matches(const struct bpf_map_info *info, const struct btf *pinned,
			const struct bpf_map *map, const struct btf *ours)
{
	struct type_ref keys[2] = {{pinned, info->btf_key_type_id},
				   {ours, bpf_map__btf_key_type_id(map)}};
	struct type_ref values[2] = {{pinned, info->btf_value_type_id},
				     {ours, bpf_map__btf_value_type_id(map)}};

	return types_equal(keys[0], keys[1], 0) && types_equal(values[0], values[1], 0);
}

int layout_matches(int fd, const struct bpf_map *map, const struct btf *ours,
		   const char **ret_difference)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	struct btf *pinned;
	bool is_equal;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	*ret_difference = "type";
	if (info.type != bpf_map__type(map) || info.map_flags != bpf_map__map_flags(map))
		return 0;
	*ret_difference = "size";
	if (info.key_size != bpf_map__key_size(map) ||
	    info.value_size != bpf_map__value_size(map) ||
	    info.max_entries != bpf_map__max_entries(map))
		return 0;
	*ret_difference = "fields";
	if (!info.btf_id)
		return 0;
	pinned = btf__load_from_kernel_by_id(info.btf_id);
	if (!pinned)
		return -errno;
	is_equal = btf_matches(&info, pinned, map, ours);
	btf__free(pinned);
	return is_equal;
}
