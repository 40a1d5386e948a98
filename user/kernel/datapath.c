// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The only owner of the BPF skeleton (see datapath.h): load, pin, adopt, map the counters. What
 * stands in the maps is the business of tables.c.
 */
#include "kernel/datapath.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cgroup.h"
#include "base/cleanup.h"
#include "base/instance.h"
#include "base/log.h"
#include "kernel/layout.h"
#include "thruway.skel.h"
#include "thruway/local.h"

#define BPFFS	      "/sys/fs/bpf"
/* A pin's path: BPFFS, instance, map. */
#define PIN_PATH_SIZE 192
/* Names of maps that are pinned begin so: those of today's object, and of earlier ones. */
#define PIN_PREFIX    "tw_"

/* Each asking again gives the kernel 64 attempts; a sync rests every few dozen writes. */
#define DECIDE_CALLS_MAX 1000

struct datapath {
	struct thruway_bpf *skel;
	int decide_fd;
	struct tw_stats *route_stats;
	struct tw_stats *backend_stats;
	struct tw_listener_stats *listener_stats;
	struct tw_state *state;
	struct tw_socket *socket;
	struct bpf_link *leave;	  /* NULL: this kernel does not take the socket path's programs */
	struct bpf_link *local;	  /* NULL: local: direct is not used */
	struct bpf_link *sockops; /* NULL: we do not see our own sockets' events */
};

static int fail(int err, char **ret_why, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(int err, char **ret_why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_why, fmt, ap) < 0)
		*ret_why = NULL;
	va_end(ap);
	return err;
}

/* libbpf's lines, one level lower than libbpf rates them: what they mean for us we say ourselves.
 */
static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	enum log_level at = level == LIBBPF_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	if (!log_enabled(at) || vasprintf(&text, fmt, ap) < 0)
		return 0;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_write(at, "%s", line);
	return 0;
}

static void pin_path(char dst[PIN_PATH_SIZE], const char *instance, const char *name)
{
	snprintf(dst, PIN_PATH_SIZE, BPFFS "/%s%s%s", instance, *name ? "/" : "", name);
}

/* libbpf turns dots in pinned names into underscores; ours have none. */
static bool is_pinned(const struct bpf_map *map)
{
	return bpf_map__pin_path(map);
}

/* --- before loading ---------------------------------------------------------------------- */

static int check_kernel(char **ret_why)
{
	struct utsname uts;
	int major = 0, minor = 0;

	if (uname(&uts) || sscanf(uts.release, "%d.%d", &major, &minor) != 2)
		return 0; /* unknown: loading will tell */
	if (DATAPATH_KERNEL(major, minor) >= DATAPATH_KERNEL_MIN)
		return 0;
	return fail(-EOPNOTSUPP, ret_why,
		    "kernel %s is too old: thruway needs " DATAPATH_KERNEL_MIN_TEXT " or later",
		    uts.release);
}

static int check_bpffs(char **ret_why)
{
	struct statfs fs;

	if (!statfs(BPFFS, &fs) && fs.f_type == BPF_FS_MAGIC)
		return 0;
	return fail(-ENODEV, ret_why,
		    "no BPF file system on " BPFFS ": run 'mount -t bpf bpf " BPFFS "'");
}

static int check_host(const char *instance, char **ret_why)
{
	int r;

	if (!instance_is_valid(instance))
		return fail(-EINVAL, ret_why, "instance '%s' is not a name: " INSTANCE_EXPECTED,
			    instance);
	r = check_kernel(ret_why);
	if (r)
		return r;
	if (geteuid() != 0)
		return fail(-EPERM, ret_why, "loading BPF programs needs root: run as root");
	return check_bpffs(ret_why);
}

/* What @map is about, for someone who is asked to give it up. */
static const char *map_content(const char *name)
{
	if (strstr(name, "stats") || !strcmp(name, "tw_socket"))
		return "counters";
	if (!strcmp(name, "tw_state") || !strcmp(name, "tw_pairs") || !strcmp(name, "tw_ends"))
		return "nothing";
	return "routes";
}

/*
 * Compare every pinned map with the object's. The first that differs is named in *@ret_why.
 * -EEXIST if one differs, 0 if all that exist match.
 */
static int check_pins(const struct thruway_bpf *skel, char **ret_why)
{
	const struct btf *btf = bpf_object__btf(skel->obj);
	const struct bpf_map *map;

	bpf_object__for_each_map (map, skel->obj) {
		_cleanup_close_ int fd = -1;
		const char *difference, *path = bpf_map__pin_path(map);
		int r;

		if (!is_pinned(map))
			continue;
		fd = bpf_obj_get(path);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return fail(-errno, ret_why, "%s: %s", path, strerror(errno));
		r = layout_matches(fd, map, btf, &difference);
		if (r < 0)
			return fail(r, ret_why, "%s: cannot be examined: %s", path, strerror(-r));
		if (!r)
			return fail(
				-EEXIST, ret_why,
				"%s was made by another version (its %s differ): --reset removes "
				"all pinned maps and what they hold (%s; routes added with "
				"'thruway route add' and all counters are lost)",
				path, difference, map_content(bpf_map__name(map)));
	}
	return 0;
}

/* --- loading ------------------------------------------------------------------------------- */

static int open_skel(const char *instance, struct thruway_bpf **ret_skel, char **ret_why)
{
	char root[PIN_PATH_SIZE];
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = root);
	struct thruway_bpf *skel;
	int err;

	pin_path(root, instance, "");
	skel = thruway_bpf__open_opts(&opts);
	if (!skel) {
		err = -errno;
		return fail(err, ret_why, "BPF object cannot be opened: %s", strerror(-err));
	}
	*ret_skel = skel;
	return 0;
}

/* What the socket path alone needs; the relay works without it. */
static void leave_out_socket(struct thruway_bpf *skel)
{
	bpf_program__set_autoload(skel->progs.tw_verdict, false);
	bpf_program__set_autoload(skel->progs.tw_leave, false);
	bpf_program__set_autoload(skel->progs.tw_arm, false);
	bpf_program__set_autoload(skel->progs.tw_sockops, false);
	bpf_program__set_autoload(skel->progs.tw_local_ops, false);
	bpf_program__set_autoload(skel->progs.tw_local, false);
	bpf_program__set_autoload(skel->progs.tw_pair_ends, false);
	bpf_map__set_autocreate(skel->maps.tw_sources, false);
	bpf_map__set_autocreate(skel->maps.tw_sinks, false);
	bpf_map__set_autocreate(skel->maps.tw_rings, false);
	bpf_map__set_autocreate(skel->maps.tw_pools, false);
	bpf_map__set_autocreate(skel->maps.tw_listening, false);
	bpf_map__set_autocreate(skel->maps.tw_end_socks, false);
	bpf_map__set_autocreate(skel->maps.tw_local_mark, false);
}

static int load_skel(const char *instance, struct thruway_bpf *skel, char **ret_why)
{
	char root[PIN_PATH_SIZE];
	bool is_new;
	int r;

	pin_path(root, instance, "");
	is_new = !mkdir(root, 0700);
	if (!is_new && errno != EEXIST)
		return fail(-errno, ret_why, "%s: %s", root, strerror(errno));
	/* RLIMIT_MEMLOCK is libbpf's business: it raises it where the kernel still counts so. */
	r = thruway_bpf__load(skel);
	if (!r)
		return 0;
	if (is_new) /* nothing is there but what the failed load made */
		(void)datapath_unpin(instance, NULL);
	if (r == -EPERM)
		return fail(r, ret_why,
			    "the kernel refuses BPF: give CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, "
			    "and see kernel lockdown");
	return fail(r, ret_why,
		    "BPF programs do not load: %s (the kernel's own words: --log-level debug)",
		    strerror(-r));
}

static int map_array(const struct bpf_map *map, void **ret_mem)
{
	size_t size = (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map);
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (mem == MAP_FAILED)
		return -errno;
	*ret_mem = mem;
	return 0;
}

static void unmap_array(const struct bpf_map *map, void *mem)
{
	if (mem)
		munmap(mem, (size_t)bpf_map__value_size(map) * bpf_map__max_entries(map));
}

static int map_counters(struct datapath *dp)
{
	int r;

	r = map_array(dp->skel->maps.tw_route_stats, (void **)&dp->route_stats);
	if (!r)
		r = map_array(dp->skel->maps.tw_backend_stats, (void **)&dp->backend_stats);
	if (!r)
		r = map_array(dp->skel->maps.tw_listener_stats, (void **)&dp->listener_stats);
	if (!r)
		r = map_array(dp->skel->maps.tw_state, (void **)&dp->state);
	if (!r)
		r = map_array(dp->skel->maps.tw_socket, (void **)&dp->socket);
	return r;
}

/* Connections of the relay and socket paths ended with the daemon that had them. */
static void forget_active(struct datapath *dp)
{
	for (__u32 i = 0; i < TW_ROUTES_MAX; i++)
		if (dp->route_stats[i].relay.active || dp->route_stats[i].socket.active)
			dp->route_stats[i].relay.active = dp->route_stats[i].socket.active = 0;
	for (__u32 i = 0; i < TW_BACKENDS_MAX; i++)
		if (dp->backend_stats[i].relay.active || dp->backend_stats[i].socket.active)
			dp->backend_stats[i].relay.active = dp->backend_stats[i].socket.active = 0;
	for (__u32 i = 0; i < TW_LISTENERS_MAX; i++)
		if (dp->listener_stats[i].waiting)
			dp->listener_stats[i].waiting = 0;
}

/* --- the socket path ----------------------------------------------------------------------- */

/*
 * To our own cgroup, where every socket of ours is, and none of others' if the daemon has one for
 * itself; the program looks at our listeners' alone either way. Without it accepted sockets become
 * sources later, from user space.
 */
static void attach_sockops(struct datapath *dp)
{
	_cleanup_close_ int fd = cgroup_open_own();

	if (fd >= 0)
		dp->sockops = bpf_program__attach_cgroup(dp->skel->progs.tw_sockops, fd);
}

/*
 * Sources run the verdict program, and the iterator is ready. Failing is no error: a kernel that
 * cannot do it serves the relay path.
 */
static void attach_socket(struct datapath *dp)
{
	int err = bpf_prog_attach(bpf_program__fd(dp->skel->progs.tw_verdict),
				  bpf_map__fd(dp->skel->maps.tw_sources), BPF_SK_SKB_STREAM_VERDICT,
				  0);

	if (!err)
		dp->leave = bpf_program__attach_iter(dp->skel->progs.tw_leave, NULL);
	if (dp->leave)
		attach_sockops(dp);
}

/*
 * Load all; where the kernel does not take the socket path's programs, all the others. (Which it
 * takes cannot be asked: helper probing says yes to everything.)
 */
static int load(const char *instance, struct datapath *dp, char **ret_why)
{
	int r = load_skel(instance, dp->skel, ret_why);

	if (!r) {
		attach_socket(dp);
		return 0;
	}
	if (r == -EPERM)
		return r;
	thruway_bpf__destroy(dp->skel);
	dp->skel = NULL;
	free(*ret_why);
	*ret_why = NULL;
	r = open_skel(instance, &dp->skel, ret_why);
	if (r)
		return r;
	leave_out_socket(dp->skel);
	return load_skel(instance, dp->skel, ret_why);
}

/* Sockets of an earlier daemon ended with it, and so did what led past them. */
static void forget_pairs(struct datapath *dp)
{
	int pairs = bpf_map__fd(dp->skel->maps.tw_pairs),
	    ends = bpf_map__fd(dp->skel->maps.tw_ends);
	struct tw_tuple tuple;
	__u64 cookie;

	while (!bpf_map_get_next_key(pairs, NULL, &cookie))
		if (bpf_map_delete_elem(pairs, &cookie))
			break;
	while (!bpf_map_get_next_key(ends, NULL, &tuple))
		if (bpf_map_delete_elem(ends, &tuple))
			break;
	dp->socket->backlog = 0;
}

/* --- public -------------------------------------------------------------------------------- */

int datapath_open(const char *instance, bool reset, struct datapath **ret_dp, char **ret_why)
{
	struct datapath *dp;
	int r;

	libbpf_set_print(print_libbpf);
	r = check_host(instance, ret_why);
	if (r)
		return r;
	dp = calloc(1, sizeof(*dp));
	if (!dp)
		return fail(-ENOMEM, ret_why, "out of memory");
	r = open_skel(instance, &dp->skel, ret_why);
	if (!r)
		r = check_pins(dp->skel, ret_why);
	if (r == -EEXIST && reset) {
		free(*ret_why);
		*ret_why = NULL;
		r = datapath_unpin(instance, ret_why);
		if (r == -ENOTEMPTY) { /* what is not ours is not in our way */
			free(*ret_why);
			*ret_why = NULL;
			r = 0;
		}
	}
	if (!r)
		r = load(instance, dp, ret_why);
	if (r)
		goto err;
	dp->decide_fd = bpf_program__fd(dp->skel->progs.tw_decide);
	r = map_counters(dp);
	if (r) {
		fail(r, ret_why, "counters cannot be mapped into memory: %s", strerror(-r));
		goto err;
	}
	forget_active(dp);
	forget_pairs(dp);
	*ret_dp = dp;
	return 0;
err:
	datapath_close(dp);
	return r;
}

struct datapath *datapath_close(struct datapath *dp)
{
	if (!dp)
		return NULL;
	if (dp->skel) {
		unmap_array(dp->skel->maps.tw_route_stats, dp->route_stats);
		unmap_array(dp->skel->maps.tw_backend_stats, dp->backend_stats);
		unmap_array(dp->skel->maps.tw_listener_stats, dp->listener_stats);
		unmap_array(dp->skel->maps.tw_state, dp->state);
		unmap_array(dp->skel->maps.tw_socket, dp->socket);
	}
	bpf_link__destroy(dp->leave);
	bpf_link__destroy(dp->sockops);
	bpf_link__destroy(dp->local);
	thruway_bpf__destroy(dp->skel);
	free(dp);
	return NULL;
}

/* Unlink what is ours in @dir; the name of something else goes to @other. 0 or -errno. */
static int unlink_pins(DIR *dir, char other[NAME_MAX + 1])
{
	struct dirent *entry;
	int r = 0;

	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (strncmp(entry->d_name, PIN_PREFIX, strlen(PIN_PREFIX)) != 0)
			snprintf(other, NAME_MAX + 1, "%s", entry->d_name);
		else if (unlinkat(dirfd(dir), entry->d_name, 0) && !r)
			r = -errno;
	}
	return r;
}

int datapath_unpin(const char *instance, char **ret_why)
{
	char root[PIN_PATH_SIZE], other[NAME_MAX + 1] = "", *ignored = NULL;
	DIR *dir;
	int r;

	if (!instance_is_valid(instance))
		return -EINVAL;
	pin_path(root, instance, "");
	dir = opendir(root);
	if (!dir)
		return -errno;
	r = unlink_pins(dir, other);
	closedir(dir);
	if (!r && *other)
		r = fail(-ENOTEMPTY, ret_why ? ret_why : &ignored, "%s holds other pins: %s; left",
			 root, other);
	else if (r || rmdir(root))
		r = fail(r ? r : -errno, ret_why ? ret_why : &ignored, "%s cannot be removed: %s",
			 root, strerror(r ? -r : errno));
	free(ignored);
	return r;
}

int datapath_map_fd(const struct datapath *dp, const char *name)
{
	return bpf_object__find_map_fd_by_name(dp->skel->obj, name);
}

const char *datapath_map_path(const struct datapath *dp, const char *name)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(dp->skel->obj, name);
	const char *path = map ? bpf_map__pin_path(map) : NULL;

	return path ? path : name;
}

int datapath_decide(const struct datapath *dp, struct tw_decide *q)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = q, .ctx_size_in = sizeof(*q));

	if (q->name_len > TW_NAME_MAX || q->tried_n > TW_TRIES_MAX ||
	    q->alpn_len > TW_ASK_ALPN_BYTES)
		return -EINVAL;
	memset(q->name + q->name_len, 0, TW_NAME_SIZE - q->name_len);
	for (int i = 0; i < DECIDE_CALLS_MAX; i++) {
		opts.sz = sizeof(opts);
		if (bpf_prog_test_run_opts(dp->decide_fd, &opts))
			return -errno;
		if (opts.retval != EAGAIN)
			return -(int)opts.retval;
	}
	return -EAGAIN;
}

struct tw_stats *datapath_route_stats(const struct datapath *dp, __u32 route)
{
	return &dp->route_stats[route < TW_ROUTES_MAX ? route : 0];
}

struct tw_stats *datapath_backend_stats(const struct datapath *dp, __u32 backend)
{
	return &dp->backend_stats[backend < TW_BACKENDS_MAX ? backend : 0];
}

struct tw_listener_stats *datapath_listener_stats(const struct datapath *dp, __u32 listener)
{
	return &dp->listener_stats[listener < TW_LISTENERS_MAX ? listener : 0];
}

struct tw_socket *datapath_socket(const struct datapath *dp)
{
	return dp->socket;
}

int datapath_leave_fd(const struct datapath *dp)
{
	return dp->leave ? bpf_link__fd(dp->leave) : -EOPNOTSUPP;
}

int datapath_arm_fd(const struct datapath *dp)
{
	return bpf_program__fd(dp->skel->progs.tw_arm);
}

int datapath_attach_local(struct datapath *dp)
{
	_cleanup_close_ int root = -1;
	int err;

	if (dp->local)
		return 0;
	if (!dp->leave) /* nor were these programs loaded */
		return -EOPNOTSUPP;
	root = cgroup_open_root();
	if (root < 0)
		return root;
	err = bpf_prog_attach(bpf_program__fd(dp->skel->progs.tw_local),
			      bpf_map__fd(dp->skel->maps.tw_end_socks), BPF_SK_MSG_VERDICT, 0);
	if (err)
		return err;
	dp->local = bpf_program__attach_cgroup(dp->skel->progs.tw_local_ops, root);
	return dp->local ? 0 : -errno;
}

void datapath_detach_local(struct datapath *dp)
{
	bpf_link__destroy(dp->local);
	dp->local = NULL;
}

int datapath_pair_ends_fd(const struct datapath *dp)
{
	return bpf_program__fd(dp->skel->progs.tw_pair_ends);
}

bool datapath_sees_sockets(const struct datapath *dp)
{
	return dp->sockops;
}

void datapath_begin_write(const struct datapath *dp)
{
	__atomic_fetch_add(&dp->state->generation, 1, __ATOMIC_SEQ_CST);
}
