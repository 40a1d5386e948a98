/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What root may do that the daemon does not need is given up before anybody's bytes are read. */
#ifndef THRUWAY_PRIVILEGES_H
#define THRUWAY_PRIVILEGES_H

/*
 * Keep, of what this process has, only the capabilities that the daemon needs (capabilities(7)); of
 * threads, those started from now on. 0 or -errno, and nothing changed.
 */
int privileges_drop(void);

#endif
