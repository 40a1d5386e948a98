// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A connection on the socket path (see redirect.h).
 *
 * A redirect carries bytes and nothing else, and what was redirected waits in a queue that is
 * thrown away when the sink is shut down or leaves its map. So before an end is passed on, and
 * before a socket leaves, the sink's TCP must have taken every byte: what it has acknowledged and
 * what is in its send queue, together, since the path was entered. (The send queue alone is empty
 * while the kernel's queue is not.)
 */
#include "conn/redirect.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "conn/conn.h"
#include "conn/listener.h"
#include "kernel/sockmap.h"

/* Looks in a row without sleeping: the kernel's worker is about to run, perhaps on this CPU. */
#define LOOKS_AWAKE	  16
#define BACKOFF_MS_FIRST  1
#define BACKOFF_MS_LAST	  128
/* Looks at a socket that took nothing while its send queue is empty, before it is pushed. */
#define LOOKS_STUCK	  24
/* TCP_ESTABLISHED (include/net/tcp_states.h); <netinet/tcp.h> has it, but not tcpi_bytes_acked. */
#define STATE_ESTABLISHED 1
/* Two readings that agree are of one moment; an acknowledgement between them is rare. */
#define READINGS_MAX	  16

static uint64_t acked(int fd, bool *ret_is_established)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	/* Fails for a socket that is closed; nobody waits for that one. */
	(void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	*ret_is_established = info.tcpi_state == STATE_ESTABLISHED;
	return info.tcpi_bytes_acked;
}

/*
 * How many bytes the TCP of @fd has taken ever, up to a constant. tcpi_bytes_acked counts from the
 * other end's first acknowledgement, the send queue from there.
 */
static uint64_t taken(int fd, int *ret_unsent, bool *ret_is_established)
{
	uint64_t before = acked(fd, ret_is_established), after;

	for (int i = 0; i < READINGS_MAX; i++) {
		*ret_unsent = 0;
		(void)ioctl(fd, SIOCOUTQ, ret_unsent);
		after = acked(fd, ret_is_established);
		if (after == before)
			break;
		before = after;
	}
	return before + (uint64_t)*ret_unsent;
}

/* --- a worker's part ------------------------------------------------------------------------- */

static struct conn *find_conn(struct worker *w, uint64_t cookie)
{
	struct redirect_source *source;

	HASH_FIND(hh, w->redirect.sources, &cookie, sizeof(cookie), source);
	return source ? source->conn : NULL;
}

static void on_event(void *arg, const struct tw_event *event)
{
	struct worker *w = arg;
	struct conn *c = find_conn(w, event->cookie);

	switch ((enum tw_event_kind)event->kind) {
	case TW_EVENT_JOIN:
		conn_joined(w, c, (const struct tw_join *)event);
		break;
	case TW_EVENT_DEAD:
		pool_lost(w, event->cookie);
		break;
	/* It may have ended meanwhile. */
	case TW_EVENT_EJECT:
		if (c)
			redirect_eject(w, c, event->ejection);
		break;
	case TW_EVENT_LOST:
		if (c)
			conn_kill(w, c, TW_END_io_error);
		break;
	}
}

int redirect_tools_init(struct worker *w)
{
	struct redirect_tools *tools = &w->redirect;

	TAILQ_INIT(&tools->leaving);
	if (!w->shared->sockmap)
		return 0;
	tools->sockmap = w->shared->sockmap;
	return sockmap_ring_open(tools->sockmap, w->index, on_event, w, &tools->ring);
}

void redirect_tools_fini(struct worker *w)
{
	w->redirect.ring = sockmap_ring_close(w->redirect.ring);
}

void redirect_ring_event(struct worker *w)
{
	if (w->redirect.ring)
		sockmap_ring_consume(w->redirect.ring);
}

void redirect_watch_listener(struct worker *w, const struct listener *l)
{
	const struct sockmap *sm = w->redirect.sockmap;
	int err;

	if (!sm || l->source.fd < 0)
		return;
	if (!pool_is_used(w)) {
		sockmap_unlisten(sm, l->source.fd);
		return;
	}
	err = sockmap_listen(sm, l->source.fd, w->index, l->bind);
	if (err && err != -EOPNOTSUPP && worker_may_complain(w))
		log_warn("socket path: %s, hellos are not read in the kernel", strerror(-err));
}

/* --- sources --------------------------------------------------------------------------------- */

static struct redirect *make(struct worker *w, struct conn *c)
{
	if (!c->redirect) {
		c->redirect = calloc(1, sizeof(*c->redirect));
		if (c->redirect)
			worker_count(&w->heap_bytes, sizeof(*c->redirect));
	}
	return c->redirect;
}

static void add_to_hash(struct worker *w, struct conn *c, size_t side, uint64_t cookie)
{
	struct redirect_source *source = &c->redirect->source[side];

	source->cookie = cookie;
	source->conn = c;
	HASH_ADD(hh, w->redirect.sources, cookie, sizeof(source->cookie), source);
}

static void forget_source(struct worker *w, struct conn *c, size_t side)
{
	struct redirect_source *source = &c->redirect->source[side];

	if (!source->cookie)
		return;
	HASH_DELETE(hh, w->redirect.sources, source);
	sockmap_drop_pair(w->redirect.sockmap, source->cookie);
	source->cookie = 0;
}

static void forget(struct worker *w, struct conn *c)
{
	/* Ejected in this round, and over before the queue's turn came. */
	if (c->redirect->is_queued)
		TAILQ_REMOVE(&w->redirect.leaving, c->redirect, queue);
	for (size_t i = 0; i < 2; i++)
		forget_source(w, c, i);
	free(c->redirect);
	c->redirect = NULL;
	worker_count(&w->heap_bytes, -(int64_t)sizeof(struct redirect));
}

/* @side is a source that is passed to us. */
static void note_passed(struct worker *w, struct conn *c, size_t side, uint64_t cookie)
{
	add_to_hash(w, c, side, cookie);
	c->redirect->phase[side] = REDIRECT_PASSED;
	c->side[side].in_map = true;
}

void redirect_accepted(struct worker *w, struct conn *c)
{
	const struct sockmap *sm = w->redirect.sockmap;
	struct tw_pair pair;
	uint64_t cookie;

	if (!sm || !w->pool.was_used || sockmap_cookie(c->side[CLIENT].source.fd, &cookie) ||
	    sockmap_get_pair(sm, cookie, &pair))
		return;
	if (make(w, c))
		note_passed(w, c, CLIENT, cookie);
	else
		/* Served all the same, but for splice(2) and the path. */
		c->side[CLIENT].in_map = c->has_left = true;
}

void redirect_took_warm(struct worker *w, struct conn *c, uint64_t cookie)
{
	if (make(w, c))
		note_passed(w, c, BACKEND, cookie);
	else
		c->side[BACKEND].error = ENOMEM;
}

void redirect_drop_backend(struct worker *w, struct conn *c)
{
	if (!c->redirect)
		return;
	forget_source(w, c, BACKEND);
	c->redirect->phase[BACKEND] = REDIRECT_RELAY;
}

void redirect_tell_drawn(const struct worker *w, const struct conn *c, struct tw_decide *q)
{
	struct tw_pair pair;

	if (!c->redirect || !c->redirect->source[CLIENT].cookie ||
	    sockmap_get_pair(w->redirect.sockmap, c->redirect->source[CLIENT].cookie, &pair))
		return;
	q->drawn_route = pair.drawn_route;
	q->drawn = pair.drawn;
}

/* --- joining --------------------------------------------------------------------------------- */

static bool is_idle(const struct conn *c, size_t side)
{
	return !c->flow[side].pending && !c->side[side].eof && !c->side[side].error &&
	       !c->side[side].urgent && !c->side[side].is_unix;
}

/* What both sockets need before either becomes a source. */
static int prepare(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;
	bool is_established;
	uint64_t cookie;
	int err = 0, unsent;

	for (size_t i = 0; i < 2 && !err; i++) {
		/* Less what the relay has sent, and may go on sending while it is ARMED. */
		r->base[i] =
			taken(c->side[i].source.fd, &unsent, &is_established) - c->flow[!i].bytes;
		/* FIN is on its way to being seen: there is nothing to be gained any more. */
		if (!is_established)
			err = -ENOTCONN;
		if (err || r->phase[i] == REDIRECT_PASSED)
			continue;
		err = sockmap_cookie(c->side[i].source.fd, &cookie);
		if (!err)
			add_to_hash(w, c, i, cookie);
	}
	return err;
}

static int arm(struct worker *w, struct conn *c, size_t side)
{
	struct redirect *r = c->redirect;
	struct tw_arm arm = {
		.cookie = r->source[side].cookie,
		.peer = r->source[!side].cookie,
		.connection = c->id,
		.consumed = c->flow[side].bytes,
		.route = c->route,
		.backend = c->backend,
		.direction = (uint32_t)side,
	};
	int err = sockmap_arm(w->redirect.sockmap, &arm);

	r->consumed[side] = arm.consumed;
	if (!err)
		r->phase[side] = arm.state == TW_PAIR_JOINED ? REDIRECT_KERNEL : REDIRECT_ARMED;
	return err;
}

static int add_sink(struct worker *w, struct conn *c, size_t side)
{
	int err = sockmap_add_sink(w->redirect.sockmap, c->redirect->source[side].cookie,
				   c->side[side].source.fd);

	/* A warm socket is one already, and one that our listener made a source. */
	return err == -EEXIST ? 0 : err;
}

/* Is what comes from @side passed to us? */
static bool is_passed(const struct redirect *r, size_t side)
{
	return r->phase[side] == REDIRECT_PASSED || r->phase[side] == REDIRECT_ARMED;
}

static int add_source(struct worker *w, struct conn *c, size_t side)
{
	const struct sockmap *sm = w->redirect.sockmap;
	struct redirect *r = c->redirect;
	struct tw_pair pair = {
		.peer = r->source[!side].cookie,
		.connection = c->id,
		.direction = (uint32_t)side,
		.route = c->route,
		.backend = c->backend,
		.worker = w->index,
	};
	int err;

	if (r->phase[side] == REDIRECT_PASSED)
		return arm(w, c, side);
	err = sockmap_set_pair(sm, r->source[side].cookie, &pair);
	if (!err)
		err = sockmap_add_source(sm, r->source[side].cookie, c->side[side].source.fd);
	if (!err)
		r->phase[side] = REDIRECT_KERNEL;
	return err;
}

/* From here on events only tell of ends; what came before is the verdict program's to look at. */
static void settle_in(struct worker *w, struct conn *c, size_t i)
{
	struct side *side = &c->side[i];
	int n;

	side->is_quiet = side->in_map = true;
	conn_set_linger(side, true);
	conn_rewatch(w, side);
	n = sockmap_kick(side->source.fd);
	if (n == 0)
		side->rdhup = true;
	/* Receiving has taken it: no event tells of it any more. */
	else if (n < 0 && n != -EAGAIN && !side->error)
		side->error = (uint16_t)-n;
}

/* Not joined: as before, and never tried again. */
static void give_up(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;

	for (size_t i = 0; i < 2; i++)
		if (r->phase[i] == REDIRECT_RELAY && r->source[i].cookie) {
			sockmap_drop_sink(w->redirect.sockmap, r->source[i].cookie);
			forget_source(w, c, i);
		}
	if (r->phase[CLIENT] == REDIRECT_RELAY && r->phase[BACKEND] == REDIRECT_RELAY)
		forget(w, c);
	c->has_left = true;
	counter_add(&sockmap_state(w->redirect.sockmap)->fallbacks, 1);
}

void redirect_try(struct worker *w, struct conn *c)
{
	const struct sockmap *sm = w->redirect.sockmap;
	struct redirect *r;
	int err;

	if (!sm || c->wants_direct || (c->redirect && c->redirect->is_joined) || c->has_left ||
	    c->reason || !(c->paths & 1u << TW_PATH_SOCKET) || !is_idle(c, CLIENT) ||
	    !is_idle(c, BACKEND))
		return;
	r = make(w, c);
	if (!r)
		return;
	err = prepare(w, c);
	for (size_t i = 0; i < 2 && !err; i++)
		err = add_sink(w, c, i);
	if (!err)
		err = add_source(w, c, CLIENT);
	if (err) {
		give_up(w, c);
		return;
	}
	r->is_joined = true;
	r->is_half = r->phase[CLIENT] == REDIRECT_ARMED && r->phase[BACKEND] == REDIRECT_RELAY;
	if (!r->is_half)
		err = add_source(w, c, BACKEND);
	counter_add(err ? &sockmap_state(sm)->fallbacks : &sockmap_state(sm)->joined, 1);
	conn_set_path(w, c, TW_PATH_SOCKET);
	for (size_t i = 0; i < 2; i++)
		if (r->phase[i] == REDIRECT_KERNEL)
			settle_in(w, c, i);
	/* The client's socket is a source and the backend's cannot be one: out again. */
	if (err)
		redirect_eject(w, c, TW_EJECT_NONE);
	redirect_step(w, c);
}

void redirect_adopt(struct worker *w, struct conn *c, uint64_t warm)
{
	struct redirect *r = c->redirect;

	add_to_hash(w, c, BACKEND, warm);
	r->is_joined = true;
	/* Nothing was ever sent on either: what TCP has taken is its own SYN's acknowledgement. */
	r->base[CLIENT] = 0;
	r->base[BACKEND] = 1;
	conn_set_path(w, c, TW_PATH_SOCKET);
	for (size_t i = 0; i < 2; i++) {
		r->phase[i] = REDIRECT_KERNEL;
		settle_in(w, c, i);
	}
	redirect_step(w, c);
}

/* --- draining -------------------------------------------------------------------------------- */

/* The verdict program has seen the last byte from @side: this is the count to wait for. */
void redirect_start_draining(struct worker *w, struct conn *c, size_t side)
{
	struct redirect *r = c->redirect;
	struct tw_pair pair;

	if (!sockmap_get_pair(w->redirect.sockmap, r->source[side].cookie, &pair))
		r->redirected[side] = pair.redirected;
	r->phase[side] = REDIRECT_DRAINING;
	r->backoff_ms = BACKOFF_MS_FIRST;
	r->looks = 0;
}

/*
 * FIN may be known before the segment that it came in has been looked at: receiving waits for that,
 * and then says 0.
 */
static void see_end(struct worker *w, struct conn *c, size_t side)
{
	struct side *s = &c->side[side];

	if (s->error) {
		c->redirect->has_ended[side] = true;
		redirect_start_draining(w, c, side);
	} else if (s->rdhup) {
		int n = sockmap_kick(s->source.fd);

		if (n == -EAGAIN)
			conn_make_ready(w, c);
		else if (n < 0)
			s->error = (uint16_t)-n;
		c->redirect->has_ended[side] = n == 0 || s->error;
		if (c->redirect->has_ended[side])
			redirect_start_draining(w, c, side);
	}
}

/*
 * Nothing on its way, nothing taken, and bytes in the kernel's queue: its worker sleeps. A socket
 * that finds room wakes it, and this is how to say that it has.
 */
static void push(struct worker *w, const struct conn *c, int fd)
{
	int bytes = 0;
	socklen_t len = sizeof(bytes);

	if (worker_may_complain(w))
		log_warn("socket path: bytes wait in the kernel, pushing (conn=%llu)",
			 (unsigned long long)c->id);
	if (!getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len)) {
		bytes /= 2; /* the kernel doubles what it is given */
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
}

static void hand_to_relay(struct worker *w, struct conn *c, size_t side)
{
	struct redirect *r = c->redirect;
	struct side *from = &c->side[side];

	r->phase[side] = REDIRECT_RELAY;
	c->flow[side].bytes += r->redirected[side];
	from->eof = r->has_ended[side];
	from->readable = true;
	/* The other direction may drain for long, and may wait for what comes this way. */
	if (from->eof || from->source.fd < 0)
		return;
	from->is_quiet = false;
	conn_rewatch(w, from);
}

/* How far has the sink of @side's direction come? */
static void look(struct worker *w, struct conn *c, size_t side)
{
	struct redirect *r = c->redirect;
	struct side *to = &c->side[!side];
	uint64_t accepted;
	bool is_established;
	int unsent = 0;

	if (to->error) {
		hand_to_relay(w, c, side);
		return;
	}
	accepted = taken(to->source.fd, &unsent, &is_established) - r->base[!side] -
		   c->flow[side].bytes;
	if (accepted >= r->redirected[side]) {
		hand_to_relay(w, c, side);
		return;
	}
	r->looks++;
	if (accepted != r->accepted[!side]) {
		c->active_ms = w->now_ms;
		r->looks = 0;
		r->backoff_ms = BACKOFF_MS_FIRST;
	} else if (!unsent && r->looks > LOOKS_AWAKE && r->looks % LOOKS_STUCK == 0) {
		push(w, c, to->source.fd);
	}
	r->accepted[!side] = accepted;
}

/* Both directions are the relay's: so are the sockets. */
static void go_back(struct worker *w, struct conn *c)
{
	for (size_t i = 0; i < 2; i++)
		sockmap_drop_sink(w->redirect.sockmap, c->redirect->source[i].cookie);
	forget(w, c);
	c->has_left = true;
	conn_set_path(w, c, TW_PATH_RELAY);
	for (size_t i = 0; i < 2; i++) {
		struct side *side = &c->side[i];

		side->is_quiet = side->in_map = false;
		side->readable = side->writable = true;
		if (side->source.fd < 0)
			continue;
		conn_set_linger(side, false);
		conn_rewatch(w, side);
	}
}

static bool is_draining(const struct redirect *r)
{
	return r->phase[CLIENT] == REDIRECT_DRAINING || r->phase[BACKEND] == REDIRECT_DRAINING;
}

/* Has what was passed been read, and has the kernel begun? */
static void rearm(struct worker *w, struct conn *c, size_t side)
{
	if (c->flow[side].pending || arm(w, c, side))
		return;
	if (c->redirect->phase[side] == REDIRECT_KERNEL)
		settle_in(w, c, side);
}

void redirect_note_read(struct worker *w, struct conn *c, size_t side)
{
	if (c->redirect->phase[side] != REDIRECT_ARMED)
		return;
	rearm(w, c, side);
	if (c->redirect->phase[side] == REDIRECT_KERNEL)
		conn_make_ready(w, c);
}

/* Receiving says that there is no more, and what was passed may wait in the kernel still. */
static bool has_unread(const struct worker *w, const struct conn *c, size_t side)
{
	struct tw_pair pair;

	return !sockmap_get_pair(w->redirect.sockmap, c->redirect->source[side].cookie, &pair) &&
	       pair.passed != c->flow[side].bytes + c->flow[side].pending;
}

void redirect_confirm_end(struct worker *w, struct conn *c, size_t side)
{
	struct redirect *r = c->redirect;
	struct side *s = &c->side[side];

	/* KERNEL: redirect_note_read() has found out just now. */
	if (!is_passed(r, side) && r->phase[side] != REDIRECT_KERNEL)
		return;
	if (r->phase[side] == REDIRECT_ARMED)
		rearm(w, c, side);
	if (r->phase[side] != REDIRECT_KERNEL) {
		if (!s->error && has_unread(w, c, side))
			s->eof = false;
		return;
	}
	s->eof = false;
	s->rdhup = true;
	redirect_step(w, c);
}

/*
 * What was passed from the client has been read: nothing of it can wait behind what is redirected
 * to its socket any more, which has one queue for both.
 */
static void join_backend(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;

	if (!r->is_half || r->is_leaving || r->phase[CLIENT] != REDIRECT_KERNEL ||
	    !is_idle(c, BACKEND))
		return;
	r->is_half = false;
	if (add_source(w, c, BACKEND))
		redirect_eject(w, c, TW_EJECT_NONE);
	else
		settle_in(w, c, BACKEND);
}

void redirect_step(struct worker *w, struct conn *c)
{
	struct redirect *r = c->redirect;

	if (!r->is_joined)
		return;
	for (size_t i = 0; i < 2; i++) {
		if (r->phase[i] == REDIRECT_ARMED)
			rearm(w, c, i);
		join_backend(w, c);
		if (r->phase[i] == REDIRECT_KERNEL)
			see_end(w, c, i);
		if (r->phase[i] == REDIRECT_DRAINING)
			look(w, c, i);
	}
	if (r->is_leaving && r->phase[CLIENT] == REDIRECT_RELAY &&
	    r->phase[BACKEND] == REDIRECT_RELAY) {
		go_back(w, c);
		return;
	}
	if (!is_draining(r))
		return;
	if (r->looks <= LOOKS_AWAKE) {
		sched_yield();
		conn_make_ready(w, c);
	} else if (r->backoff_ms < BACKOFF_MS_LAST) {
		r->backoff_ms *= 2;
	}
}

uint64_t redirect_due_ms(const struct worker *w, const struct conn *c)
{
	const struct redirect *r = c->redirect;

	if (!r)
		return UINT64_MAX;
	if (is_draining(r))
		return w->now_ms + r->backoff_ms;
	return r->is_leaving && r->leave_ms > w->now_ms ? r->leave_ms : UINT64_MAX;
}

/* --- the end, and questions ------------------------------------------------------------------ */

void redirect_end(struct worker *w, struct conn *c)
{
	if (c->redirect)
		forget(w, c);
}

bool redirect_is_relayed(const struct conn *c, size_t side)
{
	return !c->redirect || c->redirect->phase[side] < REDIRECT_KERNEL;
}

void redirect_counts(const struct worker *w, const struct conn *c, uint64_t bytes[2],
		     uint64_t *last_ms)
{
	const struct redirect *r = c->redirect;
	struct tw_pair pair;

	*last_ms = 0;
	for (size_t i = 0; i < 2; i++) {
		bytes[i] = 0;
		if (!r || !r->is_joined ||
		    sockmap_get_pair(w->redirect.sockmap, r->source[i].cookie, &pair))
			continue;
		if (r->phase[i] >= REDIRECT_KERNEL)
			bytes[i] = pair.redirected;
		if (pair.last_ns / 1000000 > *last_ms)
			*last_ms = pair.last_ns / 1000000;
	}
}
