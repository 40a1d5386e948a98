// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The access log (see access_log.h): names of ids, one line's text, the queue and its thread. */
#include "edge/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/reason.h"
#include "edge/alpn.h"
#include "edge/show.h"

#define QUEUE_BYTES (4u << 20)
/* Longer than any line can be: a dropped line would be one that the target was too slow for. */
#define LINE_BYTES  8192

struct names {
	char **text;
	uint32_t n;
};

struct access_log {
	atomic_bool is_on;
	atomic_int format; /* enum config_log_format */
	pthread_t thread;

	pthread_mutex_t lock; /* everything below */
	pthread_cond_t filled;
	char *queue; /* QUEUE_BYTES; lines end in \n */
	size_t used;
	uint64_t dropped;
	bool stop;
	int fd; /* -1 = syslog or off */
	bool is_syslog;

	pthread_rwlock_t names_lock;
	struct names names[3];
};

/* --- names of ids ------------------------------------------------------------------------ */

static int names_grow(struct names *names, uint32_t id)
{
	uint32_t n = names->n ? names->n : 64;
	char **text;

	while (n <= id)
		n *= 2;
	if (n == names->n)
		return 0;
	text = realloc(names->text, n * sizeof(*text));
	if (!text)
		return -ENOMEM;
	memset(text + names->n, 0, (n - names->n) * sizeof(*text));
	names->text = text;
	names->n = n;
	return 0;
}

void access_log_name(struct access_log *log, enum access_log_object object, uint32_t id,
		     const char *text)
{
	struct names *names = &log->names[object];

	/* Only this thread writes, so that reading needs no lock here. */
	if (id < names->n && names->text[id] && !strcmp(names->text[id], text))
		return;
	pthread_rwlock_wrlock(&log->names_lock);
	if (!names_grow(names, id)) {
		free(names->text[id]);
		names->text[id] = strdup(text);
	}
	pthread_rwlock_unlock(&log->names_lock);
}

static const char *name_of(const struct names *names, uint32_t id)
{
	return id < names->n && names->text[id] ? names->text[id] : "";
}

/* --- one line ---------------------------------------------------------------------------- */

struct line {
	char start[40]; /* RFC 3339, milliseconds, UTC */
	char client[ADDR_TEXT_SIZE], local[ADDR_TEXT_SIZE];
	const char *listener, *route, *backend;
};

static void format_time(char *dst, size_t size, int64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(dst, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(dst + len, size - len, ".%03dZ", (int)(unix_ms % 1000));
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static size_t format_text(char *dst, size_t size, const struct line *line,
			  const struct conn_record *r)
{
	char sni[4 * TW_NAME_MAX + 1], alpn[4 * TW_ASK_ALPN_BYTES];
	int len;

	log_word(sni, sizeof(sni), r->sni, strlen(r->sni));
	alpn_text(alpn, sizeof(alpn), r->alpn, r->alpn_len);
	len = snprintf(
		dst, size,
		"%s client=%s listener=%s sni=%s alpn=%s route=%s backend=%s path=%s "
		"direct=%s pooled=%s left=%s to_backend=%llu to_client=%llu duration_ms=%llu "
		"tries=%u "
		"reason=%s\n",
		line->start, line->client, or_dash(line->listener), or_dash(sni), or_dash(alpn),
		or_dash(line->route), or_dash(line->backend), show_path_word(r->path),
		r->is_direct ? "yes" : "no", r->is_pooled ? "yes" : "no",
		r->ejection ? show_ejection_word(r->ejection) : "-",
		(unsigned long long)r->bytes_to_backend, (unsigned long long)r->bytes_to_client,
		(unsigned long long)r->age_ms, r->tries, reason_word(r->reason));
	return len > 0 && (size_t)len < size ? (size_t)len : 0;
}

static size_t format_json(char *dst, size_t size, const struct line *line,
			  const struct conn_record *r)
{
	json_t *object;
	size_t len;

	object = json_pack(
		"{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:o, s:I, s:I, s:I, s:i, "
		"s:s}",
		"time", line->start, "client", line->client, "local", line->local, "listener",
		show_text(line->listener), "sni", show_text(r->sni), "alpn",
		alpn_json(r->alpn, r->alpn_len), "route", show_text(line->route), "backend",
		show_text(line->backend), "path", show_path_word(r->path), "direct", r->is_direct,
		"pooled", r->is_pooled, "left", show_text(show_ejection_word(r->ejection)),
		"bytes_to_backend", (json_int_t)r->bytes_to_backend, "bytes_to_client",
		(json_int_t)r->bytes_to_client, "duration_ms", (json_int_t)r->age_ms, "tries",
		(int)r->tries, "reason", reason_word(r->reason));
	if (!object)
		return 0;
	len = json_dumpb(object, dst, size - 1, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(object);
	if (!len || len >= size)
		return 0;
	dst[len++] = '\n';
	return len;
}

bool access_log_is_on(const struct access_log *log)
{
	return atomic_load_explicit(&log->is_on, memory_order_relaxed);
}

void access_log_write(struct access_log *log, const struct conn_record *r)
{
	char text[LINE_BYTES];
	struct line line;
	size_t len;

	if (!access_log_is_on(log))
		return;
	format_time(line.start, sizeof(line.start), r->start_unix_ms);
	addr_format(line.client, r->client.ip, r->client.port);
	addr_format(line.local, r->local.ip, r->local.port);
	pthread_rwlock_rdlock(&log->names_lock);
	line.listener = name_of(&log->names[ACCESS_LOG_LISTENER], r->listener);
	line.route = name_of(&log->names[ACCESS_LOG_ROUTE], r->route);
	line.backend = name_of(&log->names[ACCESS_LOG_BACKEND], r->backend);
	if (atomic_load(&log->format) == CONFIG_LOG_JSON)
		len = format_json(text, sizeof(text), &line, r);
	else
		len = format_text(text, sizeof(text), &line, r);
	pthread_rwlock_unlock(&log->names_lock);

	pthread_mutex_lock(&log->lock);
	if (len && log->used + len <= QUEUE_BYTES) {
		memcpy(log->queue + log->used, text, len);
		log->used += len;
	} else {
		log->dropped++;
	}
	pthread_cond_signal(&log->filled);
	pthread_mutex_unlock(&log->lock);
}

/* --- the writing thread ------------------------------------------------------------------ */

static void write_syslog(const char *lines, size_t len)
{
	const char *end;

	for (const char *line = lines; line < lines + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(lines + len - line));
		syslog(LOG_INFO, "%.*s", (int)(end - line), line);
	}
}

static void write_file(int fd, const char *lines, size_t len)
{
	ssize_t n;

	while (len) {
		n = write(fd, lines, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			log_warn("access log: %s; lines are lost", strerror(errno));
			return;
		}
		lines += n;
		len -= (size_t)n;
	}
}

static void *writer(void *arg)
{
	struct access_log *log = arg;
	char *mine = malloc(QUEUE_BYTES);
	uint64_t dropped;
	bool is_syslog;
	size_t len;
	int fd;

	pthread_mutex_lock(&log->lock);
	while (mine) {
		char *full;

		while (!log->used && !log->dropped && !log->stop)
			pthread_cond_wait(&log->filled, &log->lock);
		if (log->stop && !log->used)
			break;
		full = log->queue;
		len = log->used;
		dropped = log->dropped;
		/* A copy of its own: configure may close the log's at any time. */
		fd = log->fd < 0 ? -1 : fcntl(log->fd, F_DUPFD_CLOEXEC, 0);
		is_syslog = log->is_syslog;
		log->queue = mine;
		log->used = 0;
		log->dropped = 0;
		pthread_mutex_unlock(&log->lock);

		mine = full;
		if (is_syslog)
			write_syslog(mine, len);
		else if (fd >= 0)
			write_file(fd, mine, len);
		if (fd >= 0)
			close(fd);
		if (dropped)
			log_warn("access log: %llu lines dropped, the target is too slow",
				 (unsigned long long)dropped);
		pthread_mutex_lock(&log->lock);
	}
	pthread_mutex_unlock(&log->lock);
	free(mine);
	return NULL;
}

/* --- open, configure, close -------------------------------------------------------------- */

int access_log_open(struct access_log **ret_log)
{
	struct access_log *log = calloc(1, sizeof(*log));
	int err;

	if (!log)
		return -ENOMEM;
	log->fd = -1;
	log->queue = malloc(QUEUE_BYTES);
	pthread_mutex_init(&log->lock, NULL);
	pthread_cond_init(&log->filled, NULL);
	pthread_rwlock_init(&log->names_lock, NULL);
	err = log->queue ? -pthread_create(&log->thread, NULL, writer, log) : -ENOMEM;
	if (err) {
		free(log->queue);
		free(log);
		return err;
	}
	*ret_log = log;
	return 0;
}

int access_log_configure(struct access_log *log, const char *target, enum config_log_format format)
{
	bool is_syslog = target && !strcmp(target, "syslog");
	int fd = -1, old;

	if (target && !strcmp(target, "stdout"))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	else if (target && !is_syslog)
		fd = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
	if (target && !is_syslog && fd < 0)
		return -errno;
	if (is_syslog)
		openlog("thruwayd", LOG_PID, LOG_DAEMON);

	pthread_mutex_lock(&log->lock);
	old = log->fd;
	log->fd = fd;
	log->is_syslog = is_syslog;
	pthread_mutex_unlock(&log->lock);
	atomic_store(&log->format, format);
	atomic_store(&log->is_on, target != NULL);
	if (old >= 0)
		close(old);
	return 0;
}

struct access_log *access_log_close(struct access_log *log)
{
	if (!log)
		return NULL;
	pthread_mutex_lock(&log->lock);
	log->stop = true;
	pthread_cond_signal(&log->filled);
	pthread_mutex_unlock(&log->lock);
	pthread_join(log->thread, NULL);
	if (log->fd >= 0)
		close(log->fd);
	for (size_t i = 0; i < ARRAY_SIZE(log->names); i++) {
		for (uint32_t id = 0; id < log->names[i].n; id++)
			free(log->names[i].text[id]);
		free(log->names[i].text);
	}
	free(log->queue);
	free(log);
	return NULL;
}
