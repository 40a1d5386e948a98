// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The image of the pinned maps, read when the daemon starts and after a sync that failed half way.
 * What such a sync (or a daemon killed in one) left behind is found here: sets that nothing leads
 * to are removed at once and tw_bind_keys is made to fit tw_binds again; routes under spare keys,
 * which names may lead to, are noted with their sets for the next sync.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "kernel/mirror.h"

/* The largest key and value of the maps that are walked. */
union any_key {
	__u32 id;
	struct tw_bind_key bind;
	struct tw_name_key name;
	struct tw_alpn_key alpn;
	struct tw_slot_key slot;
};

union any_value {
	__u32 id;
	struct tw_bind bind;
	struct tw_listener listener;
	struct tw_name name;
	struct tw_route route;
	struct tw_slot slot;
	struct tw_backend backend;
};

/* (*each) for every entry of @fd; nobody else adds or removes entries. Its error ends the walk. */
static int walk(struct mirror *m, int fd,
		int (*each)(struct mirror *m, const union any_key *key,
			    const union any_value *value))
{
	union any_key keys[2];
	union any_value value;
	void *last = NULL;
	int r = 0;

	for (int i = 0; !bpf_map_get_next_key(fd, last, &keys[i]) && !r; i = !i) {
		last = &keys[i];
		if (bpf_map_lookup_elem(fd, last, &value))
			return -errno;
		r = each(m, last, &value);
	}
	if (r)
		return r;
	return errno == ENOENT ? 0 : -errno;
}

static bool is_bind_used(const void *arg, uint32_t id)
{
	const struct mirror *m = arg;

	for (size_t i = 0; i < m->n_binds; i++)
		if (m->binds[i].value.id == id)
			return true;
	return false;
}

static int read_bind(struct mirror *m, const union any_key *key, const union any_value *value)
{
	if (m->n_binds == TW_BINDS_MAX || !value->bind.id || value->bind.id >= TW_BINDS_MAX ||
	    is_bind_used(m, value->bind.id))
		return -EUCLEAN;
	m->binds[m->n_binds++] = (struct tables_bind){.key = key->bind, .value = value->bind};
	return 0;
}

/* A new heap copy of @size bytes under @id of @slots, indexed by @text; @text lies in the copy. */
static int keep(void **slots, uint32_t id, uint32_t end, const void *value, size_t size,
		size_t text_offset, size_t text_size, struct index *ix)
{
	char *copy;

	if (!id || id >= end || slots[id])
		return -EUCLEAN;
	copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, value, size);
	copy[text_offset + text_size - 1] = '\0';
	if (index_add(ix, index_hash(0, copy + text_offset, strlen(copy + text_offset)), id)) {
		free(copy);
		return -ENOMEM;
	}
	slots[id] = copy;
	return 0;
}

static int read_listener(struct mirror *m, const union any_key *key, const union any_value *value)
{
	return keep((void **)m->listeners, key->id, TW_LISTENERS_MAX, &value->listener,
		    sizeof(value->listener), 0, TW_LABEL_SIZE, &m->by_listener);
}

static int read_alpn(struct mirror *m, const union any_key *key, const union any_value *value)
{
	return keep((void **)m->alpns, value->id, TW_ALPNS_MAX, &key->alpn, sizeof(key->alpn), 0,
		    TW_ALPN_SIZE, &m->by_alpn);
}

static int read_backend(struct mirror *m, const union any_key *key, const union any_value *value)
{
	return keep((void **)m->backends, key->id, TW_BACKENDS_MAX, &value->backend,
		    sizeof(value->backend), 0, TW_BACKEND_TEXT_SIZE, &m->by_backend);
}

static int note_spare(struct mirror *m, uint32_t key, const struct tw_route *route)
{
	struct mirror_spare *grown = reallocarray(m->spares, m->n_spares + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	m->spares = grown;
	m->spares[m->n_spares++] = (struct mirror_spare){key, route->set, route->backends};
	return 0;
}

static int read_route(struct mirror *m, const union any_key *key, const union any_value *value)
{
	struct tw_route route = value->route;
	struct tw_slot *slots = NULL;
	int r;

	if (!key->id || key->id >= TW_ROUTES_MAX || route.backends > TW_ROUTE_BACKENDS_MAX)
		return -EUCLEAN;
	if (route.set > m->last_set)
		m->last_set = route.set;
	if (route.id != key->id)
		return note_spare(m, key->id, &route);
	route.name[TW_NAME_SIZE - 1] = '\0';
	route.listener[TW_LABEL_SIZE - 1] = '\0';
	route.alpn[TW_ALPN_SIZE - 1] = '\0';
	if (route.backends) {
		slots = calloc(route.backends, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
	}
	r = mirror_add_route(m, &route, slots);
	if (r)
		free(slots);
	return r;
}

static int read_name(struct mirror *m, const union any_key *key, const union any_value *value)
{
	char pattern[TW_NAME_SIZE];
	uint32_t place;
	int r;

	memcpy(pattern, key->name.name, sizeof(pattern));
	pattern[TW_NAME_SIZE - 1] = '\0';
	r = mirror_add_name(m, key->name.bind, key->name.alpn, pattern, &value->name, &place);
	if (!r)
		mirror_link_name(m, place);
	return r;
}

/* --- tw_bind_keys: tw_binds turned round ------------------------------------------------------ */

/* Ids in tw_bind_keys that are not those of the bind at their address. */
static int find_stale_bind_keys(const struct mirror *m, uint32_t stale[TW_BINDS_MAX], size_t *ret_n)
{
	uint32_t keys[2], *last = NULL;
	struct tw_bind_key value;
	size_t n = 0;

	for (int i = 0; !bpf_map_get_next_key(m->bind_keys_fd, last, &keys[i]); i = !i) {
		last = &keys[i];
		if (bpf_map_lookup_elem(m->bind_keys_fd, last, &value))
			return -errno;
		if (n < TW_BINDS_MAX && mirror_find_bind(m, &value) != *last)
			stale[n++] = *last;
	}
	*ret_n = n;
	return errno == ENOENT ? 0 : -errno;
}

static int mend_bind_keys(struct mirror *m)
{
	uint32_t stale[TW_BINDS_MAX];
	struct tw_bind_key value;
	size_t n = 0;
	int r = find_stale_bind_keys(m, stale, &n);

	for (size_t i = 0; i < n && !r; i++) {
		datapath_begin_write(m->dp);
		if (bpf_map_delete_elem(m->bind_keys_fd, &stale[i]))
			r = -errno;
	}
	for (size_t i = 0; i < m->n_binds && !r; i++) {
		if (!bpf_map_lookup_elem(m->bind_keys_fd, &m->binds[i].value.id, &value))
			continue;
		datapath_begin_write(m->dp);
		if (bpf_map_update_elem(m->bind_keys_fd, &m->binds[i].value.id, &m->binds[i].key,
					BPF_ANY))
			r = -errno;
	}
	datapath_begin_write(m->dp);
	return r;
}

/* --- sets: each belongs to a route, to a spare key, or to nobody -------------------------------
 */

struct sets {
	struct mirror *m;
	struct index by_set; /* routes by id; spares by their number, TW_ROUTES_MAX added */
	struct tw_slot_key *orphans;
	size_t n_orphans, capacity;
};

static uint32_t set_hash(uint32_t set)
{
	return index_hash(0, &set, sizeof(set));
}

/* The route or spare that has @set, as in by_set; INDEX_NONE = nobody. */
static uint32_t owner_of_set(const struct sets *sets, uint32_t set)
{
	const struct mirror *m = sets->m;
	uint32_t at = INDEX_START, i;

	while ((i = index_next(&sets->by_set, set_hash(set), &at)) != INDEX_NONE)
		if ((i < TW_ROUTES_MAX ? m->routes[i]->value.set
				       : m->spares[i - TW_ROUTES_MAX].set) == set)
			return i;
	return INDEX_NONE;
}

static int note_orphan(struct sets *sets, const struct tw_slot_key *key)
{
	size_t capacity = sets->capacity ? sets->capacity * 2 : 64;
	struct tw_slot_key *grown;

	if (sets->n_orphans == sets->capacity) {
		grown = reallocarray(sets->orphans, capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		sets->orphans = grown;
		sets->capacity = capacity;
	}
	sets->orphans[sets->n_orphans++] = *key;
	return 0;
}

static int read_slot(struct sets *sets, const struct tw_slot_key *key)
{
	uint32_t owner = owner_of_set(sets, key->set);
	struct mirror *m = sets->m;

	if (key->set > m->last_set)
		m->last_set = key->set;
	if (owner != INDEX_NONE && owner >= TW_ROUTES_MAX &&
	    key->index < m->spares[owner - TW_ROUTES_MAX].backends) {
		m->n_slots++;
		return 0;
	}
	if (owner >= TW_ROUTES_MAX || key->index >= m->routes[owner]->value.backends)
		return note_orphan(sets, key);
	m->n_slots++;
	return bpf_map_lookup_elem(m->slots_fd, key, &m->routes[owner]->slots[key->index]) ? -errno
											   : 0;
}

static int read_slots(struct sets *sets)
{
	struct tw_slot_key keys[2], *last = NULL;
	int fd = sets->m->slots_fd, r = 0;

	for (int i = 0; !bpf_map_get_next_key(fd, last, &keys[i]) && !r; i = !i) {
		last = &keys[i];
		r = read_slot(sets, last);
	}
	if (r)
		return r;
	return errno == ENOENT ? 0 : -errno;
}

static int index_sets(struct sets *sets)
{
	struct mirror *m = sets->m;
	int r = 0;

	for (uint32_t id = 1; id < TW_ROUTES_MAX && !r; id++)
		if (m->routes[id] && m->routes[id]->value.set)
			r = index_add(&sets->by_set, set_hash(m->routes[id]->value.set), id);
	for (size_t i = 0; i < m->n_spares && !r; i++) {
		struct mirror_spare *spare = &m->spares[i];

		if (owner_of_set(sets, spare->set) != INDEX_NONE)
			spare->set = 0;
		if (spare->set)
			r = index_add(&sets->by_set, set_hash(spare->set), TW_ROUTES_MAX + i);
	}
	return r;
}

static int read_sets(struct mirror *m)
{
	struct sets sets = {.m = m};
	int r = index_sets(&sets);

	if (!r)
		r = read_slots(&sets);
	for (size_t i = 0; i < sets.n_orphans && !r; i++)
		if (bpf_map_delete_elem(m->slots_fd, &sets.orphans[i]))
			r = -errno;
	index_fini(&sets.by_set);
	free(sets.orphans);
	return r;
}

/* --- all --------------------------------------------------------------------------------- */

static bool is_listener_used(const void *arg, uint32_t id)
{
	return ((const struct mirror *)arg)->listeners[id];
}

static bool is_alpn_used(const void *arg, uint32_t id)
{
	return ((const struct mirror *)arg)->alpns[id];
}

static bool is_route_used(const void *arg, uint32_t id)
{
	const struct mirror *m = arg;

	for (size_t i = 0; i < m->n_spares; i++)
		if (m->spares[i].key == id)
			return true;
	return m->routes[id];
}

static bool is_backend_used(const void *arg, uint32_t id)
{
	return ((const struct mirror *)arg)->backends[id];
}

static int init_ids(struct mirror *m)
{
	if (ids_init(&m->bind_ids, TW_BINDS_MAX, is_bind_used, m) ||
	    ids_init(&m->listener_ids, TW_LISTENERS_MAX, is_listener_used, m) ||
	    ids_init(&m->alpn_ids, TW_ALPNS_MAX, is_alpn_used, m) ||
	    ids_init(&m->route_ids, TW_ROUTES_MAX, is_route_used, m) ||
	    ids_init(&m->backend_ids, TW_BACKENDS_MAX, is_backend_used, m))
		return -ENOMEM;
	return 0;
}

static int allocate(struct mirror *m)
{
	m->binds = calloc(TW_BINDS_MAX, sizeof(*m->binds));
	m->listeners = calloc(TW_LISTENERS_MAX, sizeof(*m->listeners));
	m->alpns = calloc(TW_ALPNS_MAX, sizeof(*m->alpns));
	m->routes = calloc(TW_ROUTES_MAX, sizeof(*m->routes));
	m->backends = calloc(TW_BACKENDS_MAX, sizeof(*m->backends));
	return m->binds && m->listeners && m->alpns && m->routes && m->backends ? 0 : -ENOMEM;
}

static void find_maps(struct mirror *m)
{
	m->binds_fd = datapath_map_fd(m->dp, "tw_binds");
	m->bind_keys_fd = datapath_map_fd(m->dp, "tw_bind_keys");
	m->listeners_fd = datapath_map_fd(m->dp, "tw_listeners");
	m->names_fd = datapath_map_fd(m->dp, "tw_names");
	m->alpns_fd = datapath_map_fd(m->dp, "tw_alpns");
	m->routes_fd = datapath_map_fd(m->dp, "tw_routes");
	m->slots_fd = datapath_map_fd(m->dp, "tw_slots");
	m->backends_fd = datapath_map_fd(m->dp, "tw_backends");
}

static int read_maps(struct mirror *m, const char **ret_map)
{
	static const struct {
		const char *map;
		int (*each)(struct mirror *m, const union any_key *key,
			    const union any_value *value);
	} walks[] = {
		{"tw_binds", read_bind},   {"tw_listeners", read_listener},
		{"tw_alpns", read_alpn},   {"tw_backends", read_backend},
		{"tw_routes", read_route}, {"tw_names", read_name},
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]) && !r; i++) {
		*ret_map = walks[i].map;
		r = walk(m, datapath_map_fd(m->dp, walks[i].map), walks[i].each);
	}
	if (r)
		return r;
	*ret_map = "tw_bind_keys";
	r = mend_bind_keys(m);
	if (r)
		return r;
	*ret_map = "tw_slots";
	return read_sets(m);
}

int mirror_read(struct mirror *m, struct datapath *dp, const char **ret_map)
{
	int r;

	*m = (struct mirror){.dp = dp, .free_name = INDEX_NONE};
	*ret_map = NULL;
	find_maps(m);
	r = allocate(m);
	if (!r)
		r = read_maps(m, ret_map);
	if (!r)
		r = init_ids(m);
	if (r)
		mirror_fini(m);
	return r;
}

void mirror_fini(struct mirror *m)
{
	for (uint32_t i = 0; m->listeners && i < TW_LISTENERS_MAX; i++)
		free(m->listeners[i]);
	for (uint32_t i = 0; m->alpns && i < TW_ALPNS_MAX; i++)
		free(m->alpns[i]);
	for (uint32_t i = 0; m->backends && i < TW_BACKENDS_MAX; i++)
		free(m->backends[i]);
	for (uint32_t i = 0; m->routes && i < TW_ROUTES_MAX; i++) {
		if (m->routes[i])
			free(m->routes[i]->slots);
		free(m->routes[i]);
	}
	for (size_t i = 0; i < m->names_size; i++)
		free(m->names[i].pattern);
	free(m->binds);
	free(m->listeners);
	free(m->alpns);
	free(m->routes);
	free(m->backends);
	free(m->names);
	free(m->spares);
	ids_fini(&m->bind_ids);
	ids_fini(&m->listener_ids);
	ids_fini(&m->alpn_ids);
	ids_fini(&m->route_ids);
	ids_fini(&m->backend_ids);
	index_fini(&m->by_listener);
	index_fini(&m->by_route);
	index_fini(&m->by_backend);
	index_fini(&m->by_name);
	index_fini(&m->by_alpn);
	*m = (struct mirror){};
}
