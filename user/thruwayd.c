// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * thruwayd: the daemon. Reads its arguments, puts the parts together and waits for signals and the
 * control socket. What to do with them is the parts' own business.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/instance.h"
#include "base/log.h"
#include "base/notify.h"
#include "edge/api.h"
#include "edge/control.h"
#include "edge/load.h"
#include "edge/router.h"
#include "edge/watch.h"

#define CONFIG_DEFAULT "/etc/thruway/thruway.yaml"

/* --watch: a change is over when nothing more comes for so long, or lasts so long in all. */
#define WATCH_QUIET_MS 100
#define WATCH_MAX_MS   1000

struct options {
	const char *config_path;
	bool config_is_default;
	const char *instance;
	bool reset;
	bool watch;
};

static const char usage[] =
	"Usage: thruwayd [-c FILE|DIR] [--watch] [--instance NAME] [--log-level LEVEL] [--reset]\n"
	"\n"
	"Route TLS connections by server name, without decrypting them. Runs in the foreground.\n"
	"\n"
	"  -c, --config FILE|DIR  configuration (default " CONFIG_DEFAULT ")\n"
	"      --watch            read the configuration again whenever it changes\n"
	"      --instance NAME    pins in /sys/fs/bpf/NAME, control socket in /run/NAME\n"
	"                         (default thruway)\n"
	"      --log-level LEVEL  error, warn, info (default) or debug\n"
	"      --reset            remove pinned state of another version instead of refusing to "
	"start\n"
	"  -V, --version          print the version\n"
	"  -h, --help             print this help\n"
	"\n"
	"SIGHUP reads the configuration again: all of it, or nothing if it has an error. SIGTERM "
	"stops\n"
	"the daemon; routes and counters stay pinned (\"thruway down\" removes them).\n";

/* 0, or the exit code + 1. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"instance", required_argument, NULL, 'i'},
		{"log-level", required_argument, NULL, 'l'},
		{"reset", no_argument, NULL, 'r'},
		{"watch", no_argument, NULL, 'w'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	enum log_level level;
	int c;

	while ((c = getopt_long(argc, argv, "c:Vh", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config_path = optarg;
			o->config_is_default = false;
			break;
		case 'i':
			o->instance = optarg;
			break;
		case 'l':
			if (log_level_parse(optarg, &level)) {
				fprintf(stderr,
					"thruwayd: --log-level %s: one of error, warn, info, "
					"debug is expected\n",
					optarg);
				return 3;
			}
			log_set_level(level);
			break;
		case 'r':
			o->reset = true;
			break;
		case 'w':
			o->watch = true;
			break;
		case 'V':
			puts("thruwayd " THRUWAY_VERSION);
			return 1;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			fputs("Try 'thruwayd --help'.\n", stderr);
			return 3;
		}
	}
	if (optind < argc || !instance_is_valid(o->instance) ||
	    (o->watch && !strcmp(o->config_path, "-"))) {
		if (optind < argc)
			fprintf(stderr, "thruwayd: unexpected argument '%s'\n", argv[optind]);
		else if (!instance_is_valid(o->instance))
			fprintf(stderr,
				"thruwayd: --instance %s: " INSTANCE_EXPECTED " is expected\n",
				o->instance);
		else
			fprintf(stderr, "thruwayd: --watch: standard input cannot be watched\n");
		fputs("Try 'thruwayd --help'.\n", stderr);
		return 3;
	}
	return 0;
}

static void log_problems(const struct config_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *p = &problems->items[i];
		char where[512] = "";

		if (p->pos.file && p->pos.line)
			snprintf(where, sizeof(where), "%s:%u:%u: ", p->pos.file, p->pos.line,
				 p->pos.column);
		else if (p->pos.file)
			snprintf(where, sizeof(where), "%s: ", p->pos.file);
		log_write(p->is_warning ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, "%s%s", where, p->text);
	}
}

/* The default file, which is not there. */
static bool has_nothing_yet(const struct options *o)
{
	return o->config_is_default && access(o->config_path, F_OK);
}

/* The file of the command line; with no default file there, nothing yet. */
static int read_config(const struct options *o, struct config **ret_config,
		       struct config_problems *problems)
{
	if (has_nothing_yet(o)) {
		log_warn("%s does not exist: no listeners until \"thruway apply -f FILE\" gives "
			 "some",
			 o->config_path);
		*ret_config = calloc(1, sizeof(**ret_config));
		return *ret_config ? 0 : -ENOMEM;
	}
	return load_file(o->config_path, ret_config, problems);
}

/* With --watch, a file that is away for a moment must not take the default's emptiness with it. */
static bool is_away(const struct options *o)
{
	if (!o->watch || !access(o->config_path, F_OK))
		return false;
	log_err("reload: %s: %s; the running configuration stays as it was", o->config_path,
		strerror(errno));
	return true;
}

static void reload(struct router *router, const struct options *o)
{
	struct config_problems problems;
	struct config *config = NULL;
	char *why = NULL;
	int err;

	if (is_away(o))
		return;
	notify_send("RELOADING=1");
	/* Whatever becomes of the configuration: the old file may have been moved away. */
	router_reopen_log(router);
	config_problems_init(&problems);
	if (!has_nothing_yet(o))
		err = load_again(router, o->config_path, &problems, &why);
	else
		err = read_config(o, &config, &problems);
	if (config)
		err = load_commit(router, TAKE_PTR(config), LOAD_ALL_OR_NOTHING, false, NULL,
				  &problems, &why);
	log_problems(&problems);
	if (err)
		log_err("reload: %s; the running configuration stays as it was",
			why ? why : "the configuration has errors");
	else if (problems.n_errors)
		log_warn("reloaded %s, without the objects that have errors", o->config_path);
	else
		log_info("reloaded %s", o->config_path);
	config_free(config);
	free(why);
	config_problems_fini(&problems);
	notify_send("READY=1");
}

static struct router *start(const struct options *o)
{
	struct config_problems problems;
	struct router *router = NULL;
	struct config *config = NULL;
	char *why = NULL;
	int err;

	config_problems_init(&problems);
	err = read_config(o, &config, &problems);
	if (!err && !load_can_start(config, &problems))
		err = -EINVAL;
	if (!err)
		err = router_open(o->instance, o->reset, config, &router, &why);
	if (!err)
		err = load_commit(router, TAKE_PTR(config), LOAD_GOOD_ROUTES, false, NULL,
				  &problems, &why);
	log_problems(&problems);
	if (why)
		log_err("%s", why);
	else if (err && !problems.n_errors)
		log_err("cannot start: %s", strerror(-err));
	config_free(config);
	free(why);
	config_problems_fini(&problems);
	return err ? router_close(router, false) : router;
}

static bool has_changed(struct watch *watch, const struct options *o)
{
	int changed = watch ? watch_dispatch(watch) : 0;

	if (changed < 0)
		log_warn("--watch: %s: %s (fs.inotify limits); trying again, SIGHUP works",
			 o->config_path, strerror(-changed));
	return changed > 0;
}

/* The sooner of two timeouts for poll(). */
static int sooner(int a, int b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

/* Until a signal or "down" ends it; true = remove the pinned state, too. */
static bool serve(struct router *router, struct control *control, int signals, struct watch *watch,
		  const struct options *o, const bool *is_down)
{
	struct signalfd_siginfo info;

	while (!*is_down) {
		struct pollfd fds[] = {
			{.fd = signals, .events = POLLIN},
			{.fd = control_fd(control), .events = POLLIN},
			{.fd = watch ? watch_fd(watch) : -1, .events = POLLIN},
		};
		int timeout = control_timeout_ms(control);

		if (watch)
			timeout = sooner(timeout, watch_timeout_ms(watch));
		if (poll(fds, ARRAY_SIZE(fds), timeout) < 0 && errno != EINTR) {
			log_err("poll: %s", strerror(errno));
			return false;
		}
		control_dispatch(control);
		if (has_changed(watch, o))
			reload(router, o);
		if (!(fds[0].revents & POLLIN) ||
		    read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGHUP) {
			log_info("%s: stopping; routes and counters stay pinned",
				 strsignal((int)info.ssi_signo));
			return false;
		}
		reload(router, o);
	}
	return true;
}

/* Block what is handled by signalfd in this and every later thread. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct handler {
	struct api api;
	bool is_down;
};

static json_t *handle(void *arg, const json_t *request)
{
	struct handler *h = arg;
	json_t *answer = api_handle(&h->api, request);

	h->is_down = h->is_down || json_is_true(json_object_get(answer, "down"));
	return answer;
}

int main(int argc, char **argv)
{
	struct options o = {.config_path = CONFIG_DEFAULT,
			    .config_is_default = true,
			    .instance = INSTANCE_DEFAULT};
	_cleanup_close_ int signals = -1;
	struct control *control = NULL;
	struct watch *watch = NULL;
	struct handler handler = {};
	struct router *router;
	bool unpin = false;
	char *why = NULL;
	int code;

	code = parse_options(argc, argv, &o);
	if (code)
		return code - 1;
	if (geteuid() != 0) {
		log_err("root is needed to load BPF programs: run as root, or with sudo");
		return 1;
	}
	signals = open_signals();
	/* First of all: a second daemon of this instance must not touch its maps. */
	if (signals < 0 || control_open(o.instance, handle, &handler, &control, &why)) {
		log_err("%s", why ? why : strerror(errno));
		free(why);
		return 1;
	}
	/* Before the first reading: what changes from then on is seen. */
	code = o.watch ? watch_open(o.config_path, WATCH_QUIET_MS, WATCH_MAX_MS, &watch) : 0;
	if (code)
		log_err("--watch: %s: %s", o.config_path, strerror(-code));
	router = code ? NULL : start(&o);
	if (router) {
		handler.api = (struct api){router, o.instance, o.config_path, clock_ms()};
		log_info("ready");
		notify_send("READY=1");
		unpin = serve(router, control, signals, watch, &o, &handler.is_down);
		notify_send("STOPPING=1");
	}
	code = router ? 0 : 1;
	/* The control socket and its lock go last: they keep another daemon away until all is done.
	 */
	router_close(router, unpin);
	watch_close(watch);
	control_close(control);
	return code;
}
