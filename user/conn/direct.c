// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* local: direct, for one connection (see direct.h). */
#include "conn/direct.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conn/conn.h"
#include "kernel/local.h"

#define TRIES_MAX 4

/* NULL: nothing asks for it. */
static const struct local *tools(const struct worker *w)
{
	return __atomic_load_n(&w->shared->local, __ATOMIC_ACQUIRE);
}

void direct_mark(const struct worker *w, const struct conn *c)
{
	const struct local *local = tools(w);

	if (local && c->wants_direct)
		local_mark(local, c->side[BACKEND].source.fd);
}

/* Our end of a connection, seen from its other end. */
static int other_end(int fd, struct tw_tuple *ret_tuple)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct addr addr;

	memset(ret_tuple, 0, sizeof(*ret_tuple));
	if (getsockname(fd, (struct sockaddr *)&sa, &len) ||
	    addr_from_sockaddr((struct sockaddr *)&sa, &addr))
		return -EINVAL;
	memcpy(ret_tuple->remote, addr.ip, sizeof(ret_tuple->remote));
	ret_tuple->remote_port = addr.port;
	len = sizeof(sa);
	if (getpeername(fd, (struct sockaddr *)&sa, &len) ||
	    addr_from_sockaddr((struct sockaddr *)&sa, &addr))
		return -EINVAL;
	memcpy(ret_tuple->local, addr.ip, sizeof(ret_tuple->local));
	ret_tuple->local_port = addr.port;
	return 0;
}

static int pair(const struct local *local, const struct conn *c, struct tw_pair_ends *ret_ends)
{
	struct tw_pair_ends ends = {.route = c->route, .backend_id = c->backend};
	int err = other_end(c->side[CLIENT].source.fd, &ends.client);

	if (!err)
		err = other_end(c->side[BACKEND].source.fd, &ends.backend);
	if (!err)
		err = local_pair(local, &ends);
	*ret_ends = ends;
	return err;
}

void direct_try(struct worker *w, struct conn *c)
{
	const struct local *local = tools(w);
	struct tw_pair_ends ends;

	if (!local || c->direct_tries == TRIES_MAX) {
		c->wants_direct = false;
		return;
	}
	c->direct_tries++;
	if (pair(local, c, &ends))
		return;
	c->direct = malloc(sizeof(*c->direct));
	/* Paired all the same: only its bytes would not be seen. */
	if (c->direct)
		*c->direct = ends;
	worker_count(&w->heap_bytes, c->direct ? sizeof(*c->direct) : 0);
	c->wants_direct = false;
	c->is_direct = true;
	/* Joining the two sockets here as well would only cost. */
	c->has_left = true;
	/* Nor may either end take our death for a proper end. */
	for (size_t i = 0; i < 2; i++)
		conn_set_linger(&c->side[i], true);
	conn_set_path(w, c, TW_PATH_SOCKET);
}

void direct_end(struct worker *w, struct conn *c)
{
	const struct local *local = tools(w);

	if (!c->direct)
		return;
	if (local) {
		local_drop(local, &c->direct->client);
		local_drop(local, &c->direct->backend);
	}
	worker_count(&w->heap_bytes, -(int64_t)sizeof(*c->direct));
	free(c->direct);
	c->direct = NULL;
}

void direct_counts(const struct worker *w, const struct conn *c, uint64_t bytes[2],
		   uint64_t *last_ms)
{
	const struct local *local = tools(w);
	struct tw_end end;

	if (!c->direct || !local)
		return;
	for (size_t i = 0; i < 2; i++) {
		if (local_get(local, i ? &c->direct->backend : &c->direct->client, &end))
			continue;
		bytes[i] += end.direct;
		if (end.last_ns / 1000000 > *last_ms)
			*last_ms = end.last_ns / 1000000;
	}
}
