// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reading the configuration, and reading it again (see reload.h). */
#include "edge/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "edge/load.h"
#include "edge/watch.h"

/* A change is over when nothing more comes for so long, or lasts so long in all. */
#define WATCH_QUIET_MS 100
#define WATCH_MAX_MS   1000
/* Until the first time that something is tried again, and, doubling, the last. */
#define RETRY_MIN_MS   5000
#define RETRY_MAX_MS   40000

#define INOTIFY_LIMITS "raise fs.inotify.max_user_watches and max_user_instances (sysctl)"

/* --- the source ------------------------------------------------------------------------------ */

/* The default file, which is not there (and not only out of reach). */
static bool has_nothing_yet(const struct source *source)
{
	return source->is_default && access(source->path, F_OK) && errno == ENOENT;
}

static int read_nothing(struct config **ret_config)
{
	*ret_config = calloc(1, sizeof(**ret_config));
	return *ret_config ? 0 : -ENOMEM;
}

/* The file of the command line; with no default file there, nothing yet. */
int source_read(const struct source *source, struct config **ret_config,
		struct config_problems *problems)
{
	if (has_nothing_yet(source)) {
		log_warn("%s does not exist: no listeners until \"thruway apply -f FILE\" gives "
			 "some",
			 source->path);
		return read_nothing(ret_config);
	}
	return load_file(source->path, ret_config, problems);
}

/*
 * With --watch, a file that is away for a moment must not take the default's emptiness with it; and
 * a pipe could wait for its writer for ever, by whatever way it is read once more.
 */
static char *why_unreadable(const struct source *source)
{
	struct stat st;
	char *why = NULL;
	int len = 0;

	if (!strcmp(source->path, "-")) {
		len = asprintf(&why, "standard input is read only once");
	} else if (stat(source->path, &st)) {
		if (source->is_watched)
			len = asprintf(&why, "%s: %s", source->path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		len = asprintf(&why, "%s: neither a file nor a directory", source->path);
	}
	return len < 0 ? NULL : why;
}

/* --- once more ------------------------------------------------------------------------------- */

/* 0, or -errno with *@ret_why, to be freed. */
static int read_again(struct router *router, const struct source *source,
		      struct config_problems *problems, char **ret_why)
{
	struct config *config = NULL;
	int err;

	*ret_why = why_unreadable(source);
	if (*ret_why)
		return -ENOENT;
	if (!has_nothing_yet(source))
		return load_again(router, source->path, problems, ret_why);
	err = read_nothing(&config);
	return err ? err
		   : load_commit(router, config, LOAD_ALL_OR_NOTHING, false, NULL, problems,
				 ret_why);
}

/* 0 or -errno. The same failure as before, when it is tried again, is not told again. */
static int read_and_tell(struct reload *r, bool is_retry)
{
	const char *before = r->api->reload.why;
	struct config_problems problems;
	const char *told; /* the problems stand before it */
	bool is_known;
	char *why;
	int err;

	/* Whatever becomes of the configuration: the old log may have been moved away. */
	if (!is_retry) {
		notify_send("RELOADING=1");
		router_reopen_log(r->api->router);
	}
	config_problems_init(&problems);
	err = read_again(r->api->router, r->source, &problems, &why);
	told = why ? why : problems.n_errors ? "the configuration has errors" : strerror(-err);
	if (err && !why)
		why = problems.n_errors ? load_first_error(&problems) : strdup(told);
	is_known = err && is_retry && before && why && !strcmp(before, why);
	if (!is_known)
		load_log_problems(&problems);
	if (!err && problems.n_errors)
		log_warn("reloaded %s, without the objects that have errors", r->source->path);
	else if (!err)
		log_info("reloaded %s", r->source->path);
	else if (!is_known)
		log_err("reload: %s; the running configuration stays as it was", told);
	if (err)
		api_note_failure(r->api, why);
	else
		api_note_reload(r->api, problems.n_errors);
	config_problems_fini(&problems);
	if (!is_retry)
		notify_send("READY=1");
	return err;
}

/*
 * What fails by something else than the configuration's text is tried again while it is watched:
 * nothing would tell when that is over.
 */
static void try(struct reload *r, bool is_retry)
{
	int err = read_and_tell(r, is_retry);

	if (!r->watch || !err || err == -EINVAL)
		r->retry_ms = 0;
	else if (!is_retry || !r->retry_ms)
		r->retry_ms = RETRY_MIN_MS;
	else if (r->retry_ms < RETRY_MAX_MS)
		r->retry_ms *= 2;
	r->retry_at_ms = clock_ms() + r->retry_ms;
}

void reload_now(struct reload *r)
{
	if (r->watch)
		watch_renew(r->watch);
	try(r, false);
}

/* --- watching -------------------------------------------------------------------------------- */

int reload_watch(struct reload *r)
{
	const char *path = r->source->path;
	int err = r->source->is_watched ? watch_open(path, WATCH_QUIET_MS, WATCH_MAX_MS, &r->watch)
					: 0;

	if (err == -ENOSPC || err == -EMFILE)
		log_err("--watch: %s: %s: " INOTIFY_LIMITS, path, strerror(-err));
	else if (err)
		log_err("--watch: %s: %s", path, strerror(-err));
	return err;
}

struct pollfd reload_poll_files(const struct reload *r)
{
	return (struct pollfd){.fd = r->watch ? watch_fd(r->watch) : -1, .events = POLLIN};
}

struct pollfd reload_poll_mounts(const struct reload *r)
{
	return (struct pollfd){.fd = r->watch ? watch_mounts_fd(r->watch) : -1, .events = POLLPRI};
}

/* Not where "apply" has put something else in force since: that would be lost unasked. */
static bool is_to_be_retried(const struct reload *r)
{
	return r->retry_ms && r->api->reload.failed_ms;
}

int reload_timeout_ms(const struct reload *r)
{
	int64_t rest = r->retry_at_ms - clock_ms();
	int changed = r->watch ? watch_timeout_ms(r->watch) : -1;
	int retry = rest > 0 ? (int)rest : 0;

	if (!is_to_be_retried(r) || (changed >= 0 && changed < retry))
		return changed;
	return retry;
}

void reload_dispatch(struct reload *r, short mounts_revents)
{
	bool has_changed;
	int err;

	if (!r->watch)
		return;
	if (mounts_revents)
		watch_note_mounts(r->watch);
	has_changed = watch_dispatch(r->watch);
	err = watch_take_error(r->watch);
	if (err)
		log_warn("--watch: %s: %s: " INOTIFY_LIMITS "; trying again, SIGHUP works",
			 r->source->path, strerror(-err));
	if (has_changed)
		try(r, false);
	else if (is_to_be_retried(r) && clock_ms() >= r->retry_at_ms)
		try(r, true);
}

void reload_fini(struct reload *r)
{
	watch_close(r->watch);
}
