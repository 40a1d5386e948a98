// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Warm sockets (see pool.h). */
#include "conn/pool.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "conn/listener.h"
#include "conn/redirect.h"
#include "conn/worker.h"
#include "kernel/sockmap.h"

/* How often the pools are looked after, beyond what events ask for. */
#define TICK_MS	   1000
/* A backend that a connection failed to is left alone for so long. */
#define RESUME_MS  1000
/* Replaced after so long: servers close connections that say nothing, commonly after a minute. */
#define RENEW_MS   20000
/* Connecting takes at most so long. */
#define CONNECT_MS 5000
/* Started in one round, so that a large pool does not hold up everything else. */
#define BURST	   64

static struct redirect_tools *tools(struct worker *w)
{
	return &w->redirect;
}

void pool_tools_init(struct worker *w)
{
	LIST_INIT(&w->pool.pools);
	TAILQ_INIT(&w->pool.dead);
}

bool pool_is_used(const struct worker *w)
{
	return !LIST_EMPTY(&w->pool.pools);
}

/* --- one warm socket --------------------------------------------------------------------- */

/* Out of every list; its socket stays open. */
static void unlink_warm(struct worker *w, struct warm *warm)
{
	struct pool *pool = warm->pool;

	TAILQ_REMOVE(warm->is_ready ? &pool->ready : &pool->connecting, warm, link);
	if (warm->is_ready && warm->cookie)
		HASH_DELETE(hh, w->pool.by_cookie, warm);
	pool->n--;
	TAILQ_INSERT_TAIL(&w->pool.dead, warm, link);
}

static int give_away(struct worker *w, struct warm *warm)
{
	int fd = warm->source.fd;

	unlink_warm(w, warm);
	warm->source.fd = -1;
	return fd;
}

static void discard(struct worker *w, struct warm *warm)
{
	uint64_t cookie = warm->cookie;
	int fd = give_away(w, warm);

	close(fd);
	if (cookie)
		sockmap_drop_pair(tools(w)->sockmap, cookie);
}

static void failed(struct worker *w, struct warm *warm)
{
	warm->pool->resume_ms = w->now_ms + RESUME_MS;
	discard(w, warm);
}

static void lost(struct worker *w, struct warm *warm)
{
	counter_add(&datapath_socket(w->shared->dp)->pool_dead, 1);
	failed(w, warm);
}

static bool watch(struct worker *w, struct warm *warm, uint32_t events, int op)
{
	struct epoll_event event = {.events = events | EPOLLRDHUP | EPOLLET, .data.ptr = warm};

	return epoll_ctl(w->epoll_fd, op, warm->source.fd, &event) == 0;
}

/* Into the socket path's maps: from here on the verdict program may hand it out. */
static int enlist(struct worker *w, struct warm *warm)
{
	const struct sockmap *sm = tools(w)->sockmap;
	struct tw_pair pair = {.state = TW_PAIR_WARM, .worker = w->index};
	int err = sockmap_cookie(warm->source.fd, &warm->cookie);

	if (!err)
		err = sockmap_set_pair(sm, warm->cookie, &pair);
	if (!err)
		err = sockmap_add_sink(sm, warm->cookie, warm->source.fd);
	if (!err)
		err = sockmap_add_source(sm, warm->cookie, warm->source.fd);
	return err;
}

static struct warm *find_warm(const struct worker *w, uint64_t cookie)
{
	struct warm *warm;

	HASH_FIND(hh, w->pool.by_cookie, &cookie, sizeof(cookie), warm);
	return warm;
}

/* What died meanwhile is in the queue still, and may have filled it. */
static void push(struct worker *w, const struct warm *warm)
{
	int fd = warm->pool->queue_fd;
	uint64_t cookie;

	while (sockmap_pool_push(fd, warm->cookie) == -E2BIG && !sockmap_pool_pop(fd, &cookie))
		if (find_warm(w, cookie))
			(void)sockmap_pool_push(fd, cookie);
}

/* The verdict program has handed it out, or is about to; the ring says so. */
static bool is_handed_out(enum tw_pair_state state)
{
	return state == TW_PAIR_TAKEN || state == TW_PAIR_JOINED;
}

/* No longer the verdict program's to hand out: TW_PAIR_PASSED; or it is handed out, or dead. */
static enum tw_pair_state withdraw(struct worker *w, const struct warm *warm)
{
	struct tw_arm arm = {.cookie = warm->cookie};

	return sockmap_arm(tools(w)->sockmap, &arm) ? TW_PAIR_DEAD : arm.state;
}

static void became_ready(struct worker *w, struct warm *warm)
{
	struct pool *pool = warm->pool;
	bool in_kernel = pool->queue_fd >= 0;

	if (!watch(w, warm, in_kernel ? 0 : EPOLLIN, EPOLL_CTL_MOD) ||
	    (in_kernel && enlist(w, warm))) {
		failed(w, warm);
		return;
	}
	/* What came before it was a source is only looked at when something makes the kernel look.
	 */
	if (in_kernel && sockmap_kick(warm->source.fd) != -EAGAIN) {
		lost(w, warm);
		return;
	}
	TAILQ_REMOVE(&pool->connecting, warm, link);
	TAILQ_INSERT_TAIL(&pool->ready, warm, link);
	warm->is_ready = true;
	warm->made_ms = w->now_ms;
	if (!in_kernel)
		return;
	HASH_ADD(hh, w->pool.by_cookie, cookie, sizeof(warm->cookie), warm);
	push(w, warm);
}

static bool start(struct worker *w, struct pool *pool)
{
	struct warm *warm = calloc(1, sizeof(*warm));
	struct sockaddr_storage sa;
	socklen_t len = addr_to_sockaddr(pool->backend.addr, pool->backend.port, &sa);
	int on = 1;

	if (!warm)
		return false;
	warm->source.kind = SOURCE_WARM;
	warm->pool = pool;
	warm->made_ms = w->now_ms;
	warm->source.fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (warm->source.fd < 0) {
		free(warm);
		return false;
	}
	TAILQ_INSERT_TAIL(&pool->connecting, warm, link);
	pool->n++;
	(void)setsockopt(warm->source.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(warm->source.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	if ((connect(warm->source.fd, (struct sockaddr *)&sa, len) && errno != EINPROGRESS) ||
	    !watch(w, warm, EPOLLOUT, EPOLL_CTL_ADD)) {
		failed(w, warm);
		return false;
	}
	return true;
}

/* --- one pool ---------------------------------------------------------------------------- */

static void fill(struct worker *w, struct pool *pool)
{
	for (int i = 0; i < BURST && pool->n < pool->want && w->now_ms >= pool->resume_ms; i++)
		if (!start(w, pool)) {
			pool->resume_ms = w->now_ms + RESUME_MS;
			break;
		}
}

/* Take the oldest out of the queue, where it commonly is the head: hellos need not look at it. */
static void unqueue(struct worker *w, const struct warm *warm)
{
	uint64_t cookie;

	if (!sockmap_pool_pop(warm->pool->queue_fd, &cookie) && cookie != warm->cookie &&
	    find_warm(w, cookie))
		push(w, find_warm(w, cookie));
}

/* Close the oldest. false: it has been handed out a moment ago. */
static bool retire(struct worker *w, struct warm *warm)
{
	if (warm->pool->queue_fd >= 0) {
		unqueue(w, warm);
		if (is_handed_out(withdraw(w, warm)))
			return false;
	}
	discard(w, warm);
	return true;
}

static void expire(struct worker *w, struct pool *pool)
{
	struct warm *warm, *next;

	for (warm = TAILQ_FIRST(&pool->connecting); warm; warm = next) {
		next = TAILQ_NEXT(warm, link);
		if (w->now_ms - warm->made_ms >= CONNECT_MS)
			failed(w, warm);
	}
	/* What the verdict program has handed out is in the ring. */
	redirect_ring_event(w);
	while ((warm = TAILQ_FIRST(&pool->ready)) && w->now_ms - warm->made_ms >= RENEW_MS)
		if (!retire(w, warm))
			break;
}

static void tend(struct worker *w, struct pool *pool)
{
	expire(w, pool);
	while (pool->n > pool->want && !TAILQ_EMPTY(&pool->connecting))
		discard(w, TAILQ_FIRST(&pool->connecting));
	while (pool->n > pool->want && retire(w, TAILQ_FIRST(&pool->ready)))
		;
	fill(w, pool);
}

static struct pool *find(struct worker *w, uint32_t backend)
{
	struct pool *pool;

	LIST_FOREACH (pool, &w->pool.pools, link)
		if (pool->backend.id == backend)
			return pool;
	return NULL;
}

static struct pool *open_pool(struct worker *w, const struct tw_backend *backend)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->backend = *backend;
	pool->queue_fd = -1;
	TAILQ_INIT(&pool->ready);
	TAILQ_INIT(&pool->connecting);
	if (tools(w)->sockmap)
		pool->queue_fd = sockmap_pool_open(tools(w)->sockmap, backend->id, w->index);
	LIST_INSERT_HEAD(&w->pool.pools, pool, link);
	return pool;
}

/* First of all nobody is given one of its sockets any more. */
static void close_pool(struct worker *w, struct pool *pool)
{
	struct warm *warm;

	if (pool->queue_fd >= 0) {
		sockmap_pool_close(tools(w)->sockmap, pool->backend.id, w->index, pool->queue_fd);
		redirect_ring_event(w);
	}
	while ((warm = TAILQ_FIRST(&pool->ready)))
		discard(w, warm);
	while ((warm = TAILQ_FIRST(&pool->connecting)))
		discard(w, warm);
	LIST_REMOVE(pool, link);
	free(pool);
}

static bool is_listed(const struct pool *pool, const struct workers_pool *pools, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pools[i].backend.id == pool->backend.id &&
		    !strcmp(pools[i].backend.text, pool->backend.text))
			return true;
	return false;
}

/* Shares of the workers: together as many as asked for. */
static uint32_t share(const struct worker *w, uint32_t n)
{
	uint32_t workers = w->shared->n_workers;

	return n / workers + (w->index < n % workers);
}

void pool_set(struct worker *w, const struct workers_pool *pools, size_t n)
{
	struct pool *pool, *next;
	struct listener *l;

	for (pool = LIST_FIRST(&w->pool.pools); pool; pool = next) {
		next = LIST_NEXT(pool, link);
		if (!is_listed(pool, pools, n))
			close_pool(w, pool);
	}
	for (size_t i = 0; i < n; i++) {
		pool = find(w, pools[i].backend.id);
		if (!pool)
			pool = open_pool(w, &pools[i].backend);
		if (!pool)
			continue;
		pool->want = share(w, pools[i].n);
		tend(w, pool);
	}
	LIST_FOREACH (l, &w->listeners, link)
		redirect_watch_listener(w, l);
	if (n) {
		w->pool.was_used = true;
		timer_set(&w->timers, &w->pool.timer, w->now_ms + TICK_MS);
	} else {
		timer_cancel(&w->timers, &w->pool.timer);
	}
}

void pool_tools_fini(struct worker *w)
{
	while (!LIST_EMPTY(&w->pool.pools))
		close_pool(w, LIST_FIRST(&w->pool.pools));
	pool_free_dead(w);
}

/* --- events ------------------------------------------------------------------------------ */

void pool_refill(struct worker *w)
{
	struct pool *pool;

	if (!w->pool.is_short)
		return;
	w->pool.is_short = false;
	LIST_FOREACH (pool, &w->pool.pools, link)
		fill(w, pool);
}

void pool_timer(struct worker *w)
{
	struct pool *pool;

	LIST_FOREACH (pool, &w->pool.pools, link)
		tend(w, pool);
	timer_set(&w->timers, &w->pool.timer, w->now_ms + TICK_MS);
}

void pool_event(struct worker *w, struct warm *warm, uint32_t events)
{
	struct tw_pair pair;

	if (warm->source.fd < 0)
		return;
	if (!warm->is_ready) {
		if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))
			failed(w, warm);
		else if (events & EPOLLOUT)
			became_ready(w, warm);
		return;
	}
	/* It may have been handed out a moment ago; then the ring says so. */
	if (warm->cookie && !sockmap_get_pair(tools(w)->sockmap, warm->cookie, &pair) &&
	    is_handed_out(pair.state)) {
		redirect_ring_event(w);
		return;
	}
	lost(w, warm);
}

void pool_lost(struct worker *w, uint64_t cookie)
{
	struct warm *warm = find_warm(w, cookie);

	if (warm)
		lost(w, warm);
}

void pool_free_dead(struct worker *w)
{
	struct warm *warm;

	while ((warm = TAILQ_FIRST(&w->pool.dead))) {
		TAILQ_REMOVE(&w->pool.dead, warm, link);
		free(warm);
	}
}

/* --- handing out ------------------------------------------------------------------------- */

static struct warm *pop(struct worker *w, struct pool *pool)
{
	struct warm *warm;
	uint64_t cookie;

	if (pool->queue_fd < 0)
		return TAILQ_FIRST(&pool->ready);
	while (!sockmap_pool_pop(pool->queue_fd, &cookie)) {
		enum tw_pair_state state;

		warm = find_warm(w, cookie);
		if (!warm)
			continue;
		state = withdraw(w, warm);
		if (state == TW_PAIR_PASSED)
			return warm;
		if (!is_handed_out(state))
			discard(w, warm);
	}
	return NULL;
}

/* Has it been closed, without an event that we have seen yet? */
static bool is_alive(const struct warm *warm)
{
	char byte;
	ssize_t n = recv(warm->source.fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);

	return n < 0 && errno == EAGAIN;
}

static void count(struct worker *w, bool is_hit)
{
	struct tw_socket *state = datapath_socket(w->shared->dp);

	counter_add(is_hit ? &state->pool_hits : &state->pool_misses, 1);
}

int pool_take(struct worker *w, uint32_t backend, uint64_t *ret_cookie)
{
	struct pool *pool = find(w, backend);
	struct warm *warm;
	int fd = -1;

	*ret_cookie = 0;
	if (!pool)
		return -1;
	while ((warm = pop(w, pool)) && !is_alive(warm)) {
		counter_add(&datapath_socket(w->shared->dp)->pool_dead, 1);
		discard(w, warm);
	}
	if (warm) {
		*ret_cookie = warm->cookie;
		fd = give_away(w, warm);
	}
	count(w, warm);
	w->pool.is_short = true;
	return fd;
}

int pool_claim(struct worker *w, uint64_t cookie)
{
	struct warm *warm = find_warm(w, cookie);

	if (!warm)
		return -1;
	w->pool.is_short = true;
	return give_away(w, warm);
}
