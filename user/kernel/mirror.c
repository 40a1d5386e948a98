// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Writes to the route table's maps and to their image in memory (see mirror.h). Reading the maps at
 * start is in mirror_read.c.
 *
 * A write that look-ups can see is put between two moves of the generation. The first tells a
 * look-up under way that what it read before may not fit what it reads after; the second that
 * memory which the write set free may be given to another entry from now on (bpf/decide.bpf.h).
 */
#include "kernel/mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "model/table.h"

/*
 * A look-up that meets a write starts over; writes without a pause could hold it up for as long as
 * they last. 64 attempts (bpf/decide.bpf.h) take longer than these writes.
 */
#define VISIBLE_WRITES_MAX 32
#define PAUSE_NS	   20000

/* --- maps -------------------------------------------------------------------------------- */

static int map_error(void)
{
	return errno == E2BIG ? -ENOSPC : -errno;
}

/* An entry that nothing leads to yet. */
static int write_hidden(int fd, const void *key, const void *value)
{
	return bpf_map_update_elem(fd, key, value, BPF_ANY) ? map_error() : 0;
}

static int delete_hidden(int fd, const void *key)
{
	return bpf_map_delete_elem(fd, key) && errno != ENOENT ? map_error() : 0;
}

static void pause_for_lookups(struct mirror *m)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	if (m->is_live && ++m->n_visible % VISIBLE_WRITES_MAX == 0)
		nanosleep(&pause, NULL);
}

static int write_visible(struct mirror *m, int fd, const void *key, const void *value)
{
	int r;

	datapath_begin_write(m->dp);
	r = write_hidden(fd, key, value);
	datapath_begin_write(m->dp);
	pause_for_lookups(m);
	return r;
}

static int delete_visible(struct mirror *m, int fd, const void *key)
{
	int r;

	datapath_begin_write(m->dp);
	r = delete_hidden(fd, key);
	datapath_begin_write(m->dp);
	pause_for_lookups(m);
	return r;
}

/* --- finding ----------------------------------------------------------------------------- */

uint32_t mirror_find_bind(const struct mirror *m, const struct tw_bind_key *key)
{
	for (size_t i = 0; i < m->n_binds; i++)
		if (!memcmp(&m->binds[i].key, key, sizeof(*key)))
			return m->binds[i].value.id;
	return 0;
}

uint32_t mirror_find_listener(const struct mirror *m, const char *name)
{
	uint32_t at = INDEX_START, id;

	while ((id = index_next(&m->by_listener, index_hash_text(0, name), &at)) != INDEX_NONE)
		if (!strcmp(m->listeners[id]->name, name))
			return id;
	return 0;
}

uint32_t mirror_find_alpn(const struct mirror *m, const char *protocol)
{
	uint32_t at = INDEX_START, id;

	while ((id = index_next(&m->by_alpn, index_hash_text(0, protocol), &at)) != INDEX_NONE)
		if (!strcmp(m->alpns[id]->protocol, protocol))
			return id;
	return 0;
}

static bool is_route(const struct mirror *m, uint32_t id, uint32_t owner, const char *name,
		     const char *listener, const char *alpn)
{
	const struct tw_route *route = &m->routes[id]->value;

	return route->owner == owner && !strcmp(route->name, name) &&
	       !strcmp(route->listener, listener) && !strcmp(route->alpn, alpn);
}

uint32_t mirror_find_route(const struct mirror *m, uint32_t guess, uint32_t owner, const char *name,
			   const char *listener, const char *alpn)
{
	uint32_t hash, at = INDEX_START, id;

	if (guess < TW_ROUTES_MAX && m->routes[guess] &&
	    is_route(m, guess, owner, name, listener, alpn))
		return guess;
	hash = table_route_hash(owner, name, listener, alpn);
	while ((id = index_next(&m->by_route, hash, &at)) != INDEX_NONE)
		if (is_route(m, id, owner, name, listener, alpn))
			return id;
	return 0;
}

uint32_t mirror_find_backend(const struct mirror *m, uint32_t guess, const char *text)
{
	uint32_t hash, at = INDEX_START, id;

	if (guess < TW_BACKENDS_MAX && m->backends[guess] &&
	    !strcmp(m->backends[guess]->text, text))
		return guess;
	hash = index_hash_text(0, text);
	while ((id = index_next(&m->by_backend, hash, &at)) != INDEX_NONE)
		if (!strcmp(m->backends[id]->text, text))
			return id;
	return 0;
}

static bool is_name(const struct mirror_name *name, uint32_t bind, uint32_t alpn,
		    const char *pattern)
{
	return name->bind == bind && name->alpn == alpn && !strcmp(name->pattern, pattern);
}

uint32_t mirror_find_name(const struct mirror *m, uint32_t guess, uint32_t bind, uint32_t alpn,
			  const char *pattern)
{
	uint32_t hash, at = INDEX_START, i;

	if (guess < m->names_size && m->names[guess].pattern &&
	    is_name(&m->names[guess], bind, alpn, pattern))
		return guess;
	hash = table_name_hash(bind, alpn, pattern);
	while ((i = index_next(&m->by_name, hash, &at)) != INDEX_NONE)
		if (is_name(&m->names[i], bind, alpn, pattern))
			return i;
	return INDEX_NONE;
}

/* --- ids --------------------------------------------------------------------------------- */

static bool is_stats_idle(const struct tw_stats *stats)
{
	return !(__atomic_load_n(&stats->packet.active, __ATOMIC_RELAXED) |
		 __atomic_load_n(&stats->socket.active, __ATOMIC_RELAXED) |
		 __atomic_load_n(&stats->relay.active, __ATOMIC_RELAXED));
}

static bool is_route_idle(const void *arg, uint32_t id)
{
	return is_stats_idle(datapath_route_stats(arg, id));
}

static bool is_backend_idle(const void *arg, uint32_t id)
{
	return is_stats_idle(datapath_backend_stats(arg, id));
}

static bool is_listener_idle(const void *arg, uint32_t id)
{
	return !__atomic_load_n(&datapath_listener_stats(arg, id)->waiting, __ATOMIC_RELAXED);
}

uint32_t mirror_take_route_id(struct mirror *m)
{
	return ids_take(&m->route_ids, is_route_idle, m->dp);
}

uint32_t mirror_take_backend_id(struct mirror *m)
{
	return ids_take(&m->backend_ids, is_backend_idle, m->dp);
}

uint32_t mirror_take_listener_id(struct mirror *m)
{
	return ids_take(&m->listener_ids, is_listener_idle, m->dp);
}

/* --- binds, listeners, protocols, backends --------------------------------------------------- */

int mirror_put_bind(struct mirror *m, const struct tw_bind_key *key, const struct tw_bind *value)
{
	size_t i = 0;
	int r;

	while (i < m->n_binds && memcmp(&m->binds[i].key, key, sizeof(*key)) != 0)
		i++;
	/* In this order a daemon that dies in between leaves a key without a bind, which is none.
	 */
	r = i == m->n_binds ? write_visible(m, m->bind_keys_fd, &value->id, key) : 0;
	if (!r)
		r = write_visible(m, m->binds_fd, key, value);
	if (r)
		return r;
	m->binds[i] = (struct tables_bind){.key = *key, .value = *value};
	if (i == m->n_binds)
		m->n_binds++;
	return 0;
}

int mirror_del_bind(struct mirror *m, const struct tw_bind_key *key)
{
	size_t i = 0;
	int r;

	while (i < m->n_binds && memcmp(&m->binds[i].key, key, sizeof(*key)) != 0)
		i++;
	if (i == m->n_binds)
		return -ENOENT;
	r = delete_visible(m, m->binds_fd, key);
	if (!r)
		r = delete_visible(m, m->bind_keys_fd, &m->binds[i].value.id);
	if (r)
		return r;
	ids_give(&m->bind_ids, m->binds[i].value.id);
	m->n_binds--;
	memmove(&m->binds[i], &m->binds[i + 1], (m->n_binds - i) * sizeof(*m->binds));
	return 0;
}

int mirror_put_listener(struct mirror *m, const struct tw_listener *value)
{
	struct tw_listener *is = m->listeners[value->id];
	int r;

	if (is) {
		r = write_visible(m, m->listeners_fd, &value->id, value);
		if (!r)
			*is = *value;
		return r;
	}
	is = malloc(sizeof(*is));
	if (!is || index_add(&m->by_listener, index_hash_text(0, value->name), value->id)) {
		free(is);
		return -ENOMEM;
	}
	*is = *value;
	m->listeners[value->id] = is;
	memset(datapath_listener_stats(m->dp, value->id), 0, sizeof(struct tw_listener_stats));
	return write_hidden(m->listeners_fd, &value->id, value);
}

int mirror_del_listener(struct mirror *m, uint32_t id)
{
	int r = delete_hidden(m->listeners_fd, &id);

	if (r)
		return r;
	index_remove(&m->by_listener, index_hash_text(0, m->listeners[id]->name), id);
	free(m->listeners[id]);
	m->listeners[id] = NULL;
	ids_give(&m->listener_ids, id);
	return 0;
}

int mirror_put_alpn(struct mirror *m, uint32_t id, const char *protocol)
{
	struct tw_alpn_key *key = calloc(1, sizeof(*key));

	if (!key || index_add(&m->by_alpn, index_hash_text(0, protocol), id)) {
		free(key);
		return -ENOMEM;
	}
	memcpy(key->protocol, protocol, strnlen(protocol, sizeof(key->protocol) - 1));
	m->alpns[id] = key;
	return write_hidden(m->alpns_fd, key, &id);
}

int mirror_del_alpn(struct mirror *m, uint32_t id)
{
	int r = delete_hidden(m->alpns_fd, m->alpns[id]);

	if (r)
		return r;
	index_remove(&m->by_alpn, index_hash_text(0, m->alpns[id]->protocol), id);
	free(m->alpns[id]);
	m->alpns[id] = NULL;
	ids_give(&m->alpn_ids, id);
	return 0;
}

int mirror_put_backend(struct mirror *m, const struct tw_backend *value)
{
	struct tw_backend *is = m->backends[value->id];
	int r;

	if (is) {
		r = write_visible(m, m->backends_fd, &value->id, value);
		if (!r)
			*is = *value;
		return r;
	}
	is = malloc(sizeof(*is));
	if (!is || index_add(&m->by_backend, index_hash_text(0, value->text), value->id)) {
		free(is);
		return -ENOMEM;
	}
	*is = *value;
	m->backends[value->id] = is;
	memset(datapath_backend_stats(m->dp, value->id), 0, sizeof(struct tw_stats));
	return write_hidden(m->backends_fd, &value->id, value);
}

int mirror_del_backend(struct mirror *m, uint32_t id)
{
	int r = delete_hidden(m->backends_fd, &id);

	if (r)
		return r;
	index_remove(&m->by_backend, index_hash_text(0, m->backends[id]->text), id);
	free(m->backends[id]);
	m->backends[id] = NULL;
	ids_give(&m->backend_ids, id);
	return 0;
}

/* --- names ------------------------------------------------------------------------------- */

/* The list that a name with @route stands in; NULL for a name that leads to no route. */
static uint32_t *names_of(struct mirror *m, uint32_t route)
{
	struct mirror_route *r = route < TW_ROUTES_MAX ? m->routes[route] : NULL;

	return r ? &r->names : NULL;
}

void mirror_link_name(struct mirror *m, uint32_t place)
{
	struct mirror_name *name = &m->names[place];
	uint32_t *first = names_of(m, name->value.route);

	name->prev = INDEX_NONE;
	name->next = first ? *first : INDEX_NONE;
	if (name->next != INDEX_NONE)
		m->names[name->next].prev = place;
	if (first)
		*first = place;
}

static void unlink_name(struct mirror *m, uint32_t place)
{
	struct mirror_name *name = &m->names[place];
	uint32_t *first = names_of(m, name->value.route);

	if (name->next != INDEX_NONE)
		m->names[name->next].prev = name->prev;
	if (name->prev != INDEX_NONE)
		m->names[name->prev].next = name->next;
	else if (first && *first == place)
		*first = name->next;
}

static int grow_names(struct mirror *m)
{
	size_t capacity = m->names_capacity ? m->names_capacity * 2 : 64;
	struct mirror_name *names = reallocarray(m->names, capacity, sizeof(*names));

	if (!names)
		return -ENOMEM;
	m->names = names;
	m->names_capacity = capacity;
	return 0;
}

int mirror_add_name(struct mirror *m, uint32_t bind, uint32_t alpn, const char *pattern,
		    const struct tw_name *value, uint32_t *ret_place)
{
	uint32_t place = m->free_name;
	char *copy;

	if (place == INDEX_NONE) {
		if (m->names_size == m->names_capacity && grow_names(m))
			return -ENOMEM;
		place = m->names_size;
	}
	copy = strdup(pattern);
	if (!copy || index_add(&m->by_name, table_name_hash(bind, alpn, pattern), place)) {
		free(copy);
		return -ENOMEM;
	}
	if (place == m->names_size)
		m->names_size++;
	else
		m->free_name = m->names[place].next;
	m->names[place] = (struct mirror_name){
		.pattern = copy,
		.bind = bind,
		.alpn = alpn,
		.value = *value,
		.next = INDEX_NONE,
		.prev = INDEX_NONE,
	};
	*ret_place = place;
	return 0;
}

void mirror_name_key(const struct mirror_name *name, struct tw_name_key *ret_key)
{
	*ret_key = (struct tw_name_key){.bind = name->bind, .alpn = name->alpn};
	memcpy(ret_key->name, name->pattern, strnlen(name->pattern, TW_NAME_MAX));
}

int mirror_put_name(struct mirror *m, uint32_t bind, uint32_t alpn, const char *pattern,
		    const struct tw_name *value)
{
	uint32_t place = mirror_find_name(m, INDEX_NONE, bind, alpn, pattern);
	struct tw_name_key key;
	int r;

	if (place == INDEX_NONE) {
		r = mirror_add_name(m, bind, alpn, pattern, value, &place);
		if (r)
			return r;
	} else {
		unlink_name(m, place);
		m->names[place].value = *value;
	}
	mirror_link_name(m, place);
	mirror_name_key(&m->names[place], &key);
	return write_visible(m, m->names_fd, &key, value);
}

int mirror_del_name(struct mirror *m, uint32_t place)
{
	struct mirror_name *name = &m->names[place];
	struct tw_name_key key;
	int r;

	mirror_name_key(name, &key);
	r = delete_visible(m, m->names_fd, &key);
	if (r)
		return r;
	unlink_name(m, place);
	index_remove(&m->by_name, table_name_hash(name->bind, name->alpn, name->pattern), place);
	free(name->pattern);
	name->pattern = NULL;
	name->next = m->free_name;
	m->free_name = place;
	return 0;
}

/* --- routes and their sets --------------------------------------------------------------- */

int mirror_add_set(struct mirror *m, const struct tw_slot *slots, uint32_t n, uint32_t *ret_set)
{
	struct tw_slot_key key = {};
	int r;

	*ret_set = 0;
	if (!n)
		return 0;
	if (!++m->last_set) /* 2^32 sets later: those of then are gone */
		m->last_set = 1;
	key.set = m->last_set;
	for (key.index = 0; key.index < n; key.index++) {
		r = write_hidden(m->slots_fd, &key, &slots[key.index]);
		if (r)
			return r;
		m->n_slots++;
	}
	*ret_set = key.set;
	return 0;
}

int mirror_del_set(struct mirror *m, uint32_t set, uint32_t n)
{
	struct tw_slot_key key = {.set = set};
	int r = 0;

	for (; set && key.index < n && !r; key.index++) {
		r = delete_hidden(m->slots_fd, &key);
		m->n_slots -= !r && m->n_slots;
	}
	return r;
}

static int copy_slots(const struct tw_slot *slots, uint32_t n, struct tw_slot **ret_copy)
{
	struct tw_slot *copy = NULL;

	if (n) {
		copy = calloc(n, sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, slots, n * sizeof(*copy));
	}
	*ret_copy = copy;
	return 0;
}

int mirror_add_route(struct mirror *m, const struct tw_route *value, struct tw_slot *slots)
{
	uint32_t hash = table_route_hash(value->owner, value->name, value->listener, value->alpn);
	struct mirror_route *route = malloc(sizeof(*route));

	if (!route || index_add(&m->by_route, hash, value->id)) {
		free(route);
		return -ENOMEM;
	}
	*route = (struct mirror_route){.value = *value, .slots = slots, .names = INDEX_NONE};
	m->routes[value->id] = route;
	return 0;
}

int mirror_put_route(struct mirror *m, const struct tw_route *value, const struct tw_slot *slots)
{
	struct mirror_route *route = m->routes[value->id];
	struct tw_slot *copy;
	int r = copy_slots(slots, value->backends, &copy);

	if (r)
		return r;
	if (route) {
		r = write_visible(m, m->routes_fd, &value->id, value);
		if (r) {
			free(copy);
			return r;
		}
		free(route->slots);
		route->value = *value;
		route->slots = copy;
		return 0;
	}
	r = mirror_add_route(m, value, copy);
	if (r) {
		free(copy);
		return r;
	}
	memset(datapath_route_stats(m->dp, value->id), 0, sizeof(struct tw_stats));
	return write_hidden(m->routes_fd, &value->id, value);
}

int mirror_del_route(struct mirror *m, uint32_t id)
{
	struct mirror_route *route = m->routes[id];
	const struct tw_route *value = &route->value;
	int r = delete_hidden(m->routes_fd, &id);

	if (r)
		return r;
	index_remove(&m->by_route,
		     table_route_hash(value->owner, value->name, value->listener, value->alpn), id);
	free(route->slots);
	free(route);
	m->routes[id] = NULL;
	ids_give(&m->route_ids, id);
	return 0;
}

int mirror_put_spare(struct mirror *m, uint32_t key, const struct tw_route *value)
{
	return write_hidden(m->routes_fd, &key, value);
}

int mirror_del_spare(struct mirror *m, uint32_t key)
{
	int r = delete_hidden(m->routes_fd, &key);

	if (!r)
		ids_give(&m->route_ids, key);
	return r;
}
