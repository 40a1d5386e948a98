// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The control socket's server (see control.h): accepts root's connections, collects one request
 * each, has the handler answer it and writes the answer as the client reads. Nothing here waits:
 * a client that stalls costs its own slot and is closed when its time is up. What the requests
 * mean is the handler's business; so is everything that the daemon says in its log.
 *
 * One client:   accept -> READING -- end of input --> handler -> WRITING -> close
 *                            |  too big, too late, not JSON        ^
 *                            +-------- {"error": ..} --------------+
 */
#include "edge/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/instance.h"

#define CLIENTS_MAX	   64
#define REQUEST_MS	   10000 /* for a whole request */
#define WRITE_MS	   10000 /* without the client taking a byte */
#define ACCEPT_PAUSE_MS	   1000	 /* after accept(2) failed: no file descriptor was left */
#define BUFFER_FIRST_BYTES 4096
/* Read from one client before the others get their turn. */
#define READ_TURN_BYTES	   (1u << 20)
/* Two daemons that start and stop at once can make each other's lock file vanish this often. */
#define LOCK_TRIES	   100

enum client_state { CLIENT_READING, CLIENT_WRITING };

struct client {
	TAILQ_ENTRY(client) link;
	int fd;
	enum client_state state;
	char *bytes; /* request so far, then the answer */
	size_t len, size;
	size_t at; /* of the answer: written so far */
	int64_t deadline_ms;
};

struct control {
	int listen_fd, epoll_fd, lock_fd;
	char dir[INSTANCE_PATH_SIZE];
	char path[INSTANCE_PATH_SIZE];
	char lock[INSTANCE_PATH_SIZE];
	control_handler handler;
	void *arg;
	TAILQ_HEAD(, client) clients;
	size_t n_clients;
	bool is_accepting;
	int64_t accept_after_ms;
};

__attribute__((format(printf, 3, 4))) static int fail(char **ret_why, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_why, fmt, ap) < 0)
		*ret_why = NULL;
	va_end(ap);
	return err;
}

/* --- clients --------------------------------------------------------------------------------- */

static void client_free(struct control *control, struct client *client)
{
	TAILQ_REMOVE(&control->clients, client, link);
	control->n_clients--;
	close(client->fd);
	free(client->bytes);
	free(client);
}

static int client_new(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

	if (!client)
		return -ENOMEM;
	if (epoll_ctl(control->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		free(client);
		return -errno;
	}
	client->fd = fd;
	client->deadline_ms = clock_ms() + REQUEST_MS;
	TAILQ_INSERT_TAIL(&control->clients, client, link);
	control->n_clients++;
	return 0;
}

/* Write what the client takes now; frees the client when all is written or it is gone. */
static void client_write(struct control *control, struct client *client)
{
	while (client->at < client->len) {
		ssize_t n = send(client->fd, client->bytes + client->at, client->len - client->at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		client->at += (size_t)n;
		client->deadline_ms = clock_ms() + WRITE_MS;
	}
	client_free(control, client);
}

/* Turn to writing @answer (taken; NULL = out of memory). */
static void client_answer(struct control *control, struct client *client, json_t *answer)
{
	struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	if (!text)
		text = strdup(
			"{\"error\":\"the daemon could not make an answer (out of memory)\"}");
	free(client->bytes);
	client->bytes = text;
	client->len = text ? strlen(text) : 0;
	client->at = 0;
	client->state = CLIENT_WRITING;
	client->deadline_ms = clock_ms() + WRITE_MS;
	/* What the client still sends is not wanted: its send(2) says so, and it reads our answer.
	 */
	shutdown(client->fd, SHUT_RD);
	if (epoll_ctl(control->epoll_fd, EPOLL_CTL_MOD, client->fd, &event) < 0) {
		client_free(control, client);
		return;
	}
	client_write(control, client);
}

static json_t *request_answer(const struct control *control, const char *bytes, size_t len)
{
	json_error_t error;
	json_t *request, *answer, *why;

	request = json_loadb(bytes ? bytes : "", len, JSON_REJECT_DUPLICATES, &error);
	if (!request) {
		/* The parser's text quotes the request, which may not be UTF-8. */
		why = json_sprintf("the request is not JSON: %s (byte %d of %zu)", error.text,
				   error.position, len);
		if (!why)
			why = json_sprintf("the request is not JSON (byte %d of %zu)",
					   error.position, len);
		return json_pack("{s:o}", "error", why);
	}
	if (!json_is_object(request))
		answer = json_pack("{s:s}", "error", "the request is not a JSON object");
	else if (!json_is_string(json_object_get(request, "op")))
		answer = json_pack("{s:s}", "error", "op: a string is expected");
	else
		answer = control->handler(control->arg, request);
	json_decref(request);
	return answer;
}

static int client_grow(struct client *client)
{
	size_t size = client->size ? client->size * 2 : BUFFER_FIRST_BYTES;
	char *bytes;

	/* One byte more than is allowed, to see that there is one. */
	if (size > INSTANCE_REQUEST_MAX + 1u)
		size = INSTANCE_REQUEST_MAX + 1u;
	bytes = realloc(client->bytes, size);
	if (!bytes)
		return -ENOMEM;
	client->bytes = bytes;
	client->size = size;
	return 0;
}

static void client_read(struct control *control, struct client *client)
{
	size_t turn = 0;

	while (turn < READ_TURN_BYTES) {
		ssize_t n;

		if (client->len == client->size && client_grow(client) < 0) {
			client_answer(control, client, NULL);
			return;
		}
		n = recv(client->fd, client->bytes + client->len, client->size - client->len,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			client_free(control, client);
			return;
		}
		if (n == 0) {
			client_answer(control, client,
				      request_answer(control, client->bytes, client->len));
			return;
		}
		client->len += (size_t)n;
		turn += (size_t)n;
		if (client->len > INSTANCE_REQUEST_MAX) {
			client_answer(control, client,
				      json_pack("{s:o}", "error",
						json_sprintf("the request is longer than %u bytes",
							     INSTANCE_REQUEST_MAX)));
			return;
		}
	}
}

static void client_expire(struct control *control, struct client *client)
{
	if (client->state == CLIENT_READING)
		client_answer(control, client,
			      json_pack("{s:o}", "error",
					json_sprintf("the request did not end within %d seconds",
						     REQUEST_MS / 1000)));
	else
		client_free(control, client);
}

/* --- accepting ------------------------------------------------------------------------------- */

/* Clients beyond the maximum wait in the listener's queue. */
static void accept_update(struct control *control)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	bool want = control->n_clients < CLIENTS_MAX && clock_ms() >= control->accept_after_ms;

	if (want == control->is_accepting)
		return;
	if (!epoll_ctl(control->epoll_fd, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, control->listen_fd,
		       &event))
		control->is_accepting = want;
}

static bool peer_is_root(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.uid == 0;
}

static void accept_all(struct control *control)
{
	static const char not_root[] = "{\"error\":\"only root may use the control socket\"}";

	while (control->n_clients < CLIENTS_MAX) {
		int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			if (errno != EAGAIN)
				control->accept_after_ms = clock_ms() + ACCEPT_PAUSE_MS;
			return;
		}
		if (!peer_is_root(fd)) {
			/* A courtesy; whoever does not read it is closed all the same. */
			(void)send(fd, not_root, sizeof(not_root) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
			close(fd);
		} else if (client_new(control, fd) < 0) {
			close(fd);
		}
	}
}

void control_dispatch(struct control *control)
{
	struct epoll_event events[CLIENTS_MAX + 1];
	struct client *client, *next;
	int n = epoll_wait(control->epoll_fd, events, CLIENTS_MAX + 1, 0);
	int64_t now;

	for (int i = 0; i < n; i++) {
		client = events[i].data.ptr;
		if (!client)
			accept_all(control);
		else if (client->state == CLIENT_READING)
			client_read(control, client);
		else
			client_write(control, client);
	}
	now = clock_ms();
	for (client = TAILQ_FIRST(&control->clients); client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (now >= client->deadline_ms)
			client_expire(control, client);
	}
	accept_update(control);
}

int control_timeout_ms(const struct control *control)
{
	const struct client *client;
	int64_t first = INT64_MAX;
	int64_t now = clock_ms();

	TAILQ_FOREACH (client, &control->clients, link)
		if (client->deadline_ms < first)
			first = client->deadline_ms;
	if (!control->is_accepting && control->n_clients < CLIENTS_MAX &&
	    control->accept_after_ms < first)
		first = control->accept_after_ms;
	if (first == INT64_MAX)
		return -1;
	return first > now ? (int)(first - now) : 0;
}

int control_fd(const struct control *control)
{
	return control->epoll_fd;
}

/* --- opening and closing --------------------------------------------------------------------- */

static int dir_make(const struct control *control, char **ret_why)
{
	struct stat st;

	if (mkdir(control->dir, 0700) < 0 && errno != EEXIST)
		return fail(ret_why, -errno, "%s cannot be made: %s%s", control->dir,
			    strerror(errno), geteuid() ? "; run thruwayd as root" : "");
	if (lstat(control->dir, &st) < 0)
		return fail(ret_why, -errno, "%s: %s", control->dir, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH))
		return fail(ret_why, -EPERM,
			    "%s is not a directory that root alone may write to; "
			    "remove it or use another --instance",
			    control->dir);
	return 0;
}

static int in_use(const struct control *control, const char *instance, char **ret_why)
{
	return fail(ret_why, -EADDRINUSE,
		    "another thruwayd of instance %s answers at %s; stop it or use --instance",
		    instance, control->path);
}

/*
 * Hold the lock file until the socket is closed. Its last holder removes it, so a lock counts only
 * if the file still has its name.
 */
static int lock_take(struct control *control, const char *instance, char **ret_why)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		_cleanup_close_ int fd = -1;
		struct stat held, named;
		int err = dir_make(control, ret_why);

		if (err < 0)
			return err;
		fd = open(control->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return fail(ret_why, -errno, "%s cannot be opened: %s", control->lock,
				    strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return in_use(control, instance, ret_why);
		if (!fstat(fd, &held) && !stat(control->lock, &named) &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev) {
			control->lock_fd = TAKE_FD(fd);
			return 0;
		}
	}
	return fail(ret_why, -EAGAIN, "%s changes hands all the time; stop what does it",
		    control->lock);
}

static int unix_socket(const char *path, struct sockaddr_un *ret_sun)
{
	*ret_sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(ret_sun->sun_path, sizeof(ret_sun->sun_path), "%s", path);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Remove a socket that its owner left behind. The lock is held: nobody else is doing the same. */
static int stale_remove(const struct control *control, const char *instance, char **ret_why)
{
	struct sockaddr_un sun;
	_cleanup_close_ int fd = unix_socket(control->path, &sun);
	struct stat st;

	if (fd < 0)
		return fail(ret_why, -errno, "no socket: %s", strerror(errno));
	if (lstat(control->path, &st) < 0)
		return 0; /* the usual case: nothing there */
	if (!S_ISSOCK(st.st_mode))
		return fail(ret_why, -EEXIST, "%s is not a socket; remove it", control->path);
	if (!connect(fd, (struct sockaddr *)&sun, sizeof(sun)) || errno != ECONNREFUSED)
		return in_use(control, instance, ret_why);
	if (unlink(control->path) < 0)
		return fail(ret_why, -errno, "%s cannot be removed: %s", control->path,
			    strerror(errno));
	return 0;
}

static int listen_open(struct control *control, char **ret_why)
{
	struct sockaddr_un sun;
	_cleanup_close_ int fd = unix_socket(control->path, &sun);

	/* Until listen(2) nobody can connect, whatever the mode is. */
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
	    chmod(control->path, 0600) < 0 || listen(fd, CLIENTS_MAX) < 0)
		return fail(ret_why, -errno, "%s cannot be opened: %s", control->path,
			    strerror(errno));
	control->listen_fd = TAKE_FD(fd);
	return 0;
}

int control_open(const char *instance, control_handler handler, void *arg,
		 struct control **ret_control, char **ret_why)
{
	struct control *control = calloc(1, sizeof(*control));
	int err;

	if (!control)
		return fail(ret_why, -ENOMEM, "out of memory");
	control->listen_fd = control->epoll_fd = control->lock_fd = -1;
	control->handler = handler;
	control->arg = arg;
	TAILQ_INIT(&control->clients);
	if (!instance_is_valid(instance)) {
		err = fail(ret_why, -EINVAL,
			   "--instance: '%s' is not a name (" INSTANCE_EXPECTED ")", instance);
		goto err_free;
	}
	instance_run_path(instance, "", control->dir);
	instance_run_path(instance, "control.sock", control->path);
	instance_run_path(instance, "lock", control->lock);
	err = lock_take(control, instance, ret_why);
	if (err < 0)
		goto err_free;
	err = stale_remove(control, instance, ret_why);
	if (err < 0)
		goto err_unlock;
	control->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (control->epoll_fd < 0) {
		err = fail(ret_why, -errno, "no epoll: %s", strerror(errno));
		goto err_unlock;
	}
	err = listen_open(control, ret_why);
	if (err < 0)
		goto err_unlock;
	accept_update(control);
	*ret_control = control;
	return 0;

err_unlock:
	/* What stands at the socket's path may be somebody else's: only the lock is ours. */
	unlink(control->lock);
	rmdir(control->dir);
err_free:
	control_close(control);
	return err;
}

struct control *control_close(struct control *control)
{
	struct client *client;

	if (!control)
		return NULL;
	while ((client = TAILQ_FIRST(&control->clients)))
		client_free(control, client);
	if (control->listen_fd >= 0) {
		unlink(control->path);
		unlink(control->lock);
		rmdir(control->dir); /* stays if somebody else keeps files there */
		close(control->listen_fd);
	}
	if (control->epoll_fd >= 0)
		close(control->epoll_fd);
	if (control->lock_fd >= 0)
		close(control->lock_fd);
	free(control);
	return NULL;
}
