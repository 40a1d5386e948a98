/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One line per connection that ended or was refused. Workers format a line and put it into a
 * bounded queue; a thread of its own writes, so that a slow disk or terminal never holds up a
 * connection. Lines that find the queue full are dropped and counted, and the log says how many.
 */
#ifndef THRUWAY_ACCESS_LOG_H
#define THRUWAY_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "conn/workers.h"
#include "model/config.h"

struct access_log;

/* Off until configured. 0 or -errno. */
int access_log_open(struct access_log **ret_log);
/* Writes what is queued, ends the thread. Accepts NULL, returns NULL. */
struct access_log *access_log_close(struct access_log *log);

/*
 * @target NULL = off, "stdout", "syslog" or a path (opened for append, mode 0640; the same path
 * again is opened anew, as logrotate wants on SIGHUP). -errno, and nothing changed, if it cannot be
 * opened. Main thread.
 */
int access_log_configure(struct access_log *log, const char *target, enum config_log_format format);

/* Names of ids, for the lines. They stay until the id gets another name, so that a connection that
 * outlives its route is still logged with it. Main thread; @text is copied. */
enum access_log_object { ACCESS_LOG_LISTENER, ACCESS_LOG_ROUTE, ACCESS_LOG_BACKEND };
void access_log_name(struct access_log *log, enum access_log_object object, uint32_t id,
		     const char *text);

/* Any thread. */
bool access_log_is_on(const struct access_log *log);
void access_log_write(struct access_log *log, const struct conn_record *record);

#endif
