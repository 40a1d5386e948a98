// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Where this process stands in the cgroup v2 hierarchy (see cgroup.h; cgroups(7)). */
#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>

/* Where cgroup v2 is mounted: in a hybrid set-up, not at /sys/fs/cgroup itself. */
static int find_mount(char dst[PATH_MAX])
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;
	int err = -ENOENT;

	if (!mounts)
		return -errno;
	while (err && (entry = getmntent(mounts)))
		if (!strcmp(entry->mnt_type, "cgroup2"))
			err = snprintf(dst, PATH_MAX, "%s", entry->mnt_dir) < PATH_MAX
				      ? 0
				      : -ENAMETOOLONG;
	endmntent(mounts);
	return err;
}

/* The line "0::/path" of /proc/self/cgroup. */
static int find_path(char dst[PATH_MAX])
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	int err = -ENOENT;

	if (!file)
		return -errno;
	while (err && fgets(dst, PATH_MAX, file))
		if (!strncmp(dst, "0::", 3)) {
			memmove(dst, dst + 3, strlen(dst + 3) + 1);
			dst[strcspn(dst, "\n")] = '\0';
			err = 0;
		}
	fclose(file);
	return err;
}

static int open_below_mount(const char *path)
{
	char mount[PATH_MAX], whole[2 * PATH_MAX];
	int err = find_mount(mount), fd;

	if (err)
		return err;
	snprintf(whole, sizeof(whole), "%s%s", mount, path);
	fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_open_own(void)
{
	char path[PATH_MAX];
	int err = find_path(path);

	return err ? err : open_below_mount(path);
}

int cgroup_open_root(void)
{
	return open_below_mount("");
}
