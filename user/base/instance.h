/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The name of an instance, and where its files are: instances do not meet. */
#ifndef THRUWAY_INSTANCE_H
#define THRUWAY_INSTANCE_H

#include <stdbool.h>

#define INSTANCE_DEFAULT     "thruway"
/* "/run/INSTANCE/control.sock" with its NUL: what a sockaddr_un holds. */
#define INSTANCE_PATH_SIZE   108
/* Longest request that may be sent to its control socket, in bytes. */
#define INSTANCE_REQUEST_MAX (64u << 20)

/* It becomes the name of directories, one of them in bpffs, which takes no dots. */
bool instance_is_valid(const char *instance);
/* What is expected, for messages. */
#define INSTANCE_EXPECTED "1 to 63 of A-Z a-z 0-9 _ -, a letter or digit first"

/* The path of @file ("control.sock") in the instance's directory; "" = that directory itself. */
void instance_run_path(const char *instance, const char *file, char dst[INSTANCE_PATH_SIZE]);

#endif
