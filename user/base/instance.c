// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The name of an instance, and where its files are (see instance.h). */
#include "base/instance.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 63

bool instance_is_valid(const char *instance)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	size_t len = strlen(instance);

	return len >= 1 && len <= NAME_MAX_BYTES && strspn(instance, letters) == len &&
	       !strchr("_-", instance[0]);
}

void instance_run_path(const char *instance, const char *file, char dst[INSTANCE_PATH_SIZE])
{
	snprintf(dst, INSTANCE_PATH_SIZE, "/run/%.*s%s%s", NAME_MAX_BYTES, instance,
		 file[0] ? "/" : "", file);
}
