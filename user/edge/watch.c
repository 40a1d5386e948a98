// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Changes of a configuration's files (see watch.h). Every directory on the way to a file is
 * watched, each for the one name that the way goes through; links are followed by hand, since each
 * of them may be swapped. After a change the way is walked anew, with an inotify of its own: what
 * lies no longer on it is so forgotten.
 */
#include "edge/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/index.h"
#include "model/config.h"

#define LINKS_MAX   40 /* as the kernel's own limit */
#define EVENT_BYTES 16384

#define RETRY_MS 5000 /* where inotify is at its limits */

#define MASK_NAMES                                                                                 \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF)
#define MASK_BYTES (IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB)

/* Where something may happen that matters. */
struct spot {
	int wd;
	char *dir;
	char *name; /* NULL = all names that are read in a directory */
};

struct watch {
	char *path; /* a relative one begins at the working directory, as when it is read */
	int quiet_ms, max_ms;
	int fd;
	struct spot *spots;
	size_t n;
	int mounts;    /* /proc/self/mountinfo; -1 = there is none */
	uint64_t seen; /* fingerprint of what is known */
	bool is_pending, is_failing;
	int64_t first_ms, last_ms; /* events of the change that is pending */
	int64_t created_ms;	   /* a file came whose end of writing has not; 0 = none */
	int err;		   /* for watch_take_error() */
};

/* --- the way to the files -------------------------------------------------------------------- */

static void spots_free(struct spot *spots, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(spots[i].dir);
		free(spots[i].name);
	}
	free(spots);
}

/* What is not there, or no longer, is not watched: the spot before it tells when it comes. */
static int add_spot(struct watch *w, const char *dir, const char *name, uint32_t mask)
{
	struct spot *grown = reallocarray(w->spots, w->n + 1, sizeof(*grown));
	int wd;

	if (!grown)
		return -ENOMEM;
	w->spots = grown;
	wd = inotify_add_watch(w->fd, dir, mask | IN_MASK_ADD);
	if (wd < 0)
		return errno == ENOSPC || errno == ENOMEM ? -errno : 0;
	grown[w->n] =
		(struct spot){.wd = wd, .dir = strdup(dir), .name = name ? strdup(name) : NULL};
	if (!grown[w->n].dir || (name && !grown[w->n].name)) {
		free(grown[w->n].dir);
		return -ENOMEM;
	}
	w->n++;
	return 0;
}

/* Move the first part of @rest into @name; false = there is none. */
static bool next_part(char *rest, char name[NAME_MAX + 1])
{
	size_t skip = strspn(rest, "/"), len = strcspn(rest + skip, "/");

	if (!len || len > NAME_MAX)
		return false;
	memcpy(name, rest + skip, len);
	name[len] = '\0';
	skip += len;
	skip += strspn(rest + skip, "/");
	memmove(rest, rest + skip, strlen(rest + skip) + 1);
	return true;
}

/* Watch each step from @from (a directory) along @path, as far as there is something. */
static int walk(struct watch *w, const char *from, const char *path)
{
	char here[PATH_MAX], there[PATH_MAX], rest[PATH_MAX], target[PATH_MAX];
	char name[NAME_MAX + 1];
	int err = 0, links = 0;
	ssize_t len;

	snprintf(here, sizeof(here), "%s", from);
	snprintf(rest, sizeof(rest), "%s", path);
	while (!err && next_part(rest, name)) {
		err = add_spot(w, *here ? here : "/", name,
			       *rest ? MASK_NAMES : MASK_NAMES | MASK_BYTES);
		if (snprintf(there, sizeof(there), "%s/%s", here, name) >= (int)sizeof(there))
			break;
		len = readlink(there, target, sizeof(target) - 1);
		if (len < 0 && errno != EINVAL)
			break;
		if (len < 0) {
			memcpy(here, there, sizeof(here));
			continue;
		}
		target[len] = '\0';
		if (++links > LINKS_MAX ||
		    snprintf(there, sizeof(there), "%s/%s", target, rest) >= (int)sizeof(there))
			break;
		if (*target == '/')
			*here = '\0';
		memcpy(rest, there, sizeof(rest));
	}
	return err;
}

/* Its bytes may change by another name, in another directory: a mount, or one of several links. */
static bool has_other_names(int dir_fd, const char *name)
{
	struct statx st;

	return !statx(dir_fd, name, 0, STATX_TYPE | STATX_NLINK, &st) && S_ISREG(st.stx_mode) &&
	       (st.stx_nlink > 1 || st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int watch_entry(struct watch *w, int dir_fd, const struct dirent *entry)
{
	char path[PATH_MAX];
	int err = 0;

	if (!config_reads(entry->d_name))
		return 0;
	if (entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN)
		err = walk(w, w->path, entry->d_name);
	if (err || !has_other_names(dir_fd, entry->d_name) ||
	    snprintf(path, sizeof(path), "%s/%s", w->path, entry->d_name) >= (int)sizeof(path))
		return err;
	return add_spot(w, path, NULL, MASK_BYTES);
}

/* What is read of a directory: its own names, and where those lead that are links. */
static int walk_directory(struct watch *w)
{
	int err = add_spot(w, w->path, NULL, MASK_NAMES | MASK_BYTES);
	const struct dirent *entry;
	DIR *dir = opendir(w->path);

	while (dir && !err && (entry = readdir(dir)))
		err = watch_entry(w, dirfd(dir), entry);
	if (dir)
		closedir(dir);
	return err;
}

/* Watch the path as it is now; on an error what was watched before stays watched. */
static int watch_anew(struct watch *w)
{
	struct watch was = *w;
	struct stat st;
	int err;

	w->spots = NULL;
	w->n = 0;
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	err = w->fd < 0 ? -errno : walk(w, *w->path == '/' ? "" : ".", w->path);
	if (!err && !stat(w->path, &st))
		/* A file also by itself: a mount on it has another directory behind it. */
		err = S_ISDIR(st.st_mode) ? walk_directory(w)
					  : add_spot(w, w->path, NULL, MASK_BYTES);
	if (err) {
		spots_free(w->spots, w->n);
		if (w->fd >= 0)
			close(w->fd);
		*w = was;
		return err;
	}
	spots_free(was.spots, was.n);
	if (was.fd >= 0)
		close(was.fd);
	return 0;
}

/* --- what is there --------------------------------------------------------------------------- */

static uint64_t identity(const char *name, int dir_fd, const char *path)
{
	struct {
		uint64_t dev, ino, size;
		int64_t mtime_s, mtime_ns, ctime_s, ctime_ns;
		int64_t err;
	} id = {};
	uint32_t seed = index_hash_text(0, name);
	struct stat st;

	if (fstatat(dir_fd, path, &st, 0)) {
		id.err = errno;
	} else {
		id.dev = st.st_dev;
		id.ino = st.st_ino;
		id.size = (uint64_t)st.st_size;
		id.mtime_s = st.st_mtim.tv_sec;
		id.mtime_ns = st.st_mtim.tv_nsec;
		id.ctime_s = st.st_ctim.tv_sec;
		id.ctime_ns = st.st_ctim.tv_nsec;
	}
	return (uint64_t)index_hash(seed, &id, sizeof(id)) << 32 |
	       index_hash(~seed, &id, sizeof(id));
}

/* Of a directory: of the files that are read, in whatever order they are listed. */
static uint64_t fingerprint(const struct watch *w)
{
	DIR *dir = opendir(w->path);
	const struct dirent *entry;
	uint64_t sum = 1;

	if (!dir)
		return identity("", AT_FDCWD, w->path);
	while ((entry = readdir(dir)))
		if (config_reads(entry->d_name))
			sum += identity(entry->d_name, dirfd(dir), entry->d_name);
	closedir(dir);
	return sum;
}

/* --- events ---------------------------------------------------------------------------------- */

static const struct spot *find_spot(const struct watch *w, const struct inotify_event *event)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct spot *spot = &w->spots[i];

		if (spot->wd != event->wd)
			continue;
		if (!event->len ||
		    (spot->name ? !strcmp(spot->name, event->name) : config_reads(event->name)))
			return spot;
	}
	return NULL;
}

/* A new file comes before its bytes: its writer closes it. A link, or another name, is complete. */
static bool may_be_incomplete(const struct spot *spot, const struct inotify_event *event)
{
	char path[PATH_MAX];
	struct stat st;

	if (!(event->mask & IN_CREATE) || event->mask & IN_ISDIR || !event->len ||
	    snprintf(path, sizeof(path), "%s/%s", spot->dir, event->name) >= (int)sizeof(path))
		return false;
	return !lstat(path, &st) && S_ISREG(st.st_mode) && st.st_nlink == 1;
}

static void take_event(struct watch *w, const struct inotify_event *event)
{
	const struct spot *spot = find_spot(w, event);
	bool is_lost = event->mask & IN_Q_OVERFLOW;

	if (!spot && !is_lost)
		return;
	w->last_ms = clock_ms();
	if (w->is_pending || (!is_lost && event->mask & IN_MODIFY))
		return;
	/* One that came by link(2) looks the same, and nobody will close it. */
	if (!is_lost && may_be_incomplete(spot, event)) {
		if (!w->created_ms)
			w->created_ms = w->last_ms;
		return;
	}
	w->is_pending = true;
	w->first_ms = w->last_ms;
}

static void take_events(struct watch *w)
{
	char buffer[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
	const struct inotify_event *event;
	ssize_t len;

	while ((len = read(w->fd, buffer, sizeof(buffer))) > 0)
		for (char *at = buffer; at < buffer + len; at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)at;
			take_event(w, event);
		}
}

int watch_timeout_ms(const struct watch *w)
{
	int64_t due, now = clock_ms();

	if (!w->is_pending && !w->created_ms)
		return -1;
	due = w->is_pending ? w->first_ms + w->max_ms : w->created_ms + w->max_ms;
	if (w->is_pending && due > w->last_ms + w->quiet_ms)
		due = w->last_ms + w->quiet_ms;
	if (w->created_ms && due > w->created_ms + w->max_ms)
		due = w->created_ms + w->max_ms;
	return due > now ? (int)(due - now) : 0;
}

/* Watch what is there now; where that is not possible, try again later, and say so once. */
static void renew(struct watch *w)
{
	int err = watch_anew(w);

	w->is_pending = err;
	w->created_ms = 0;
	if (err)
		w->first_ms = w->last_ms = clock_ms() + RETRY_MS;
	if (err && !w->is_failing)
		w->err = err;
	w->is_failing = err;
}

bool watch_dispatch(struct watch *w)
{
	uint64_t seen;

	take_events(w);
	if (watch_timeout_ms(w) != 0)
		return false;
	renew(w);
	/* After that: what changes from here on is an event. */
	seen = fingerprint(w);
	if (seen == w->seen)
		return false;
	w->seen = seen;
	return true;
}

void watch_renew(struct watch *w)
{
	renew(w);
	w->seen = fingerprint(w);
}

int watch_take_error(struct watch *w)
{
	int err = w->err;

	w->err = 0;
	return err;
}

int watch_mounts_fd(const struct watch *w)
{
	return w->mounts;
}

void watch_note_mounts(struct watch *w)
{
	w->last_ms = clock_ms();
	if (!w->is_pending)
		w->first_ms = w->last_ms;
	w->is_pending = true;
}

/* ---------------------------------------------------------------------------------------------- */

int watch_open(const char *path, int quiet_ms, int max_ms, struct watch **ret_watch)
{
	struct watch *w = calloc(1, sizeof(*w));
	int err = 0;

	if (!w)
		return -ENOMEM;
	*w = (struct watch){.fd = -1, .quiet_ms = quiet_ms, .max_ms = max_ms};
	w->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	w->path = strdup(path);
	if (!w->path)
		err = -ENOMEM;
	else if (strlen(w->path) >= PATH_MAX)
		err = -ENAMETOOLONG;
	if (!err)
		err = watch_anew(w);
	if (err) {
		watch_close(w);
		return err;
	}
	w->seen = fingerprint(w);
	*ret_watch = w;
	return 0;
}

struct watch *watch_close(struct watch *w)
{
	if (!w)
		return NULL;
	if (w->fd >= 0)
		close(w->fd);
	if (w->mounts >= 0)
		close(w->mounts);
	spots_free(w->spots, w->n);
	free(w->path);
	free(w);
	return NULL;
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}
