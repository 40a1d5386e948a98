// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A worker's thread: the loop over events, timers, ready connections and commands. */
#include "conn/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "conn/conn.h"
#include "conn/listener.h"
#include "kernel/sockmap.h"

#define EVENTS_MAX     128
/* A worker answers between two events; this only bounds what a stuck kernel could do to us. */
#define CALL_TIMEOUT_S 10

#define COMPLAIN_MS 60000

static void run_commands(struct worker *w)
{
	struct command *command;
	uint64_t n;

	/* An empty counter is nobody's mistake: the queue says what there is. */
	(void)!read(w->queue.fd, &n, sizeof(n));
	pthread_mutex_lock(&w->lock);
	while ((command = TAILQ_FIRST(&w->commands))) {
		TAILQ_REMOVE(&w->commands, command, link);
		command->is_taken = true;
		pthread_mutex_unlock(&w->lock);
		command->run(w, command);
		pthread_mutex_lock(&w->lock);
		command->is_done = true;
		pthread_cond_broadcast(&w->done);
	}
	pthread_mutex_unlock(&w->lock);
}

static void dispatch(struct worker *w, const struct epoll_event *event)
{
	struct source *source = event->data.ptr;

	switch ((enum source_kind)source->kind) {
	case SOURCE_QUEUE:
		run_commands(w);
		break;
	case SOURCE_RING:
		redirect_ring_event(w);
		break;
	case SOURCE_LISTENER:
		listener_event(w, (struct listener *)source);
		break;
	case SOURCE_WARM:
		pool_event(w, (struct warm *)source, event->events);
		break;
	case SOURCE_CLIENT:
	case SOURCE_BACKEND:
		conn_event(w, (struct side *)source, event->events);
		break;
	}
}

static void fire(void *arg, struct timer *timer)
{
	struct worker *w = arg;

	if (timer == &w->accept_timer)
		listener_resume(w);
	else if (timer == &w->pool.timer)
		pool_timer(w);
	else if (timer == &w->redirect.leave_timer)
		; /* only wakes: what waits is seen to at the end of the round */
	else
		conn_timer(w, timer);
}

/* Those that are ready now; who becomes ready meanwhile waits for the next round. */
static void run_ready(struct worker *w)
{
	struct conn_queue now = TAILQ_HEAD_INITIALIZER(now);

	TAILQ_CONCAT(&now, &w->ready, queue);
	conn_run_ready(w, &now);
}

static void loop(struct worker *w)
{
	struct epoll_event events[EVENTS_MAX];

	while (!w->is_stopping) {
		int wait = TAILQ_EMPTY(&w->ready) ? timer_wait_ms(&w->timers, w->now_ms) : 0;
		int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, wait);

		w->now_ms = (uint64_t)clock_ms();
		for (int i = 0; i < n; i++)
			dispatch(w, &events[i]);
		timer_advance(&w->timers, w->now_ms, fire, w);
		if (!TAILQ_EMPTY(&w->ready))
			run_ready(w);
		redirect_leave_queued(w);
		pool_refill(w);
		conn_free_dead(w);
		listener_free_dead(w);
		pool_free_dead(w);
	}
}

void worker_give_reserve(struct worker *w)
{
	if (w->reserve_fd >= 0)
		close(w->reserve_fd);
	w->reserve_fd = -1;
}

bool worker_take_reserve(struct worker *w)
{
	if (w->reserve_fd < 0)
		w->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return w->reserve_fd >= 0;
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "tw-relay/%u", w->index);
	pthread_setname_np(pthread_self(), name);
	loop(w);
	listener_close_all(w);
	pool_tools_fini(w);
	conn_end_all(w, TW_END_shutdown);
	conn_free_dead(w);
	listener_free_dead(w);
	return NULL;
}

static struct worker *worker_free(struct worker *w)
{
	if (!w)
		return NULL;
	redirect_tools_fini(w);
	pipe_pool_fini(&w->tools.pipes);
	free(w->tools.buf);
	if (w->queue.fd >= 0)
		close(w->queue.fd);
	if (w->epoll_fd >= 0)
		close(w->epoll_fd);
	worker_give_reserve(w);
	pthread_cond_destroy(&w->done);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

static int watch_source(struct worker *w, struct source *source)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

static int open_ring(struct worker *w)
{
	int err = redirect_tools_init(w);

	if (err || !w->redirect.ring)
		return err;
	w->ring.fd = sockmap_ring_fd(w->redirect.ring);
	return watch_source(w, &w->ring);
}

static int worker_open(struct worker *w)
{
	int err;

	w->tools.buf = malloc(FLOW_BUF_BYTES);
	if (!w->tools.buf)
		return -ENOMEM;
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	w->queue.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->epoll_fd < 0 || w->queue.fd < 0 || !worker_take_reserve(w))
		return -errno;
	err = watch_source(w, &w->queue);
	return err ? err : open_ring(w);
}

/*
 * With all signals blocked: they are the main thread's, and splice(2) to a socket whose other end
 * has gone raises SIGPIPE, which no flag keeps it from.
 */
static int start_thread(struct worker *w)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int worker_start(struct shared *shared, unsigned int index, struct worker **ret_worker)
{
	struct worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int err;

	if (!w)
		return -ENOMEM;
	w->shared = shared;
	w->index = index;
	w->epoll_fd = w->reserve_fd = w->queue.fd = -1;
	w->queue.kind = SOURCE_QUEUE;
	w->ring = (struct source){.fd = -1, .kind = SOURCE_RING};
	w->accept_batch = 1;
	pool_tools_init(w);
	w->now_ms = (uint64_t)clock_ms();
	LIST_INIT(&w->listeners);
	LIST_INIT(&w->dead_listeners);
	LIST_INIT(&w->conns);
	TAILQ_INIT(&w->ready);
	TAILQ_INIT(&w->dead);
	TAILQ_INIT(&w->commands);
	timer_wheel_init(&w->timers, w->now_ms);
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->done, &attr);
	pthread_condattr_destroy(&attr);

	err = worker_open(w);
	if (!err)
		err = start_thread(w);
	if (err) {
		worker_free(w);
		return err;
	}
	*ret_worker = w;
	return 0;
}

int worker_call(struct worker *w, struct command *command)
{
	struct timespec until;
	uint64_t one = 1;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CALL_TIMEOUT_S;
	command->is_taken = command->is_done = false;
	pthread_mutex_lock(&w->lock);
	TAILQ_INSERT_TAIL(&w->commands, command, link);
	/* Fails only when the counter is full, and then the worker wakes up as well. */
	(void)!write(w->queue.fd, &one, sizeof(one));
	while (!command->is_done && !err) {
		err = pthread_cond_timedwait(&w->done, &w->lock, &until);
		/* One that runs uses the caller's memory: it is waited for. */
		while (command->is_taken && !command->is_done)
			pthread_cond_wait(&w->done, &w->lock);
	}
	if (!command->is_done)
		TAILQ_REMOVE(&w->commands, command, link);
	else
		err = 0;
	pthread_mutex_unlock(&w->lock);
	return -err;
}

bool worker_may_complain(struct worker *w)
{
	if (w->complained_ms && w->now_ms - w->complained_ms < COMPLAIN_MS)
		return false;
	w->complained_ms = w->now_ms;
	return true;
}

static void stop(struct worker *w, struct command *command)
{
	(void)command;
	w->is_stopping = true;
}

struct worker *worker_join(struct worker *w)
{
	struct command command = {.run = stop};

	if (!w)
		return NULL;
	while (worker_call(w, &command) < 0)
		;
	pthread_join(w->thread, NULL);
	return worker_free(w);
}
