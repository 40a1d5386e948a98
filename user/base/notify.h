/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tell the service manager about the daemon's state: sd_notify(3)'s protocol, without its library.
 */
#ifndef THRUWAY_NOTIFY_H
#define THRUWAY_NOTIFY_H

/* Send @state ("READY=1", "RELOADING=1\n...") to $NOTIFY_SOCKET; does nothing without one. */
void notify_send(const char *state);

#endif
