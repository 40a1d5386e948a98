/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * local: direct, for one connection. Its two sockets here stay as they are; what the programs at
 * both ends send to each other goes past them. Should it have to go by TCP, the relay carries it.
 */
#ifndef THRUWAY_DIRECT_H
#define THRUWAY_DIRECT_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct worker;

/* The backend's socket of @conn is about to be connected. */
void direct_mark(const struct worker *worker, const struct conn *conn);
/*
 * Pair the programs' sockets of @conn, which is OPEN. Tried a few times, since the other end of the
 * backend's connection may not be there yet; then @conn is served like any other.
 */
void direct_try(struct worker *worker, struct conn *conn);
/* The connection has ended. Accepts one that never was paired. */
void direct_end(struct worker *worker, struct conn *conn);
/* Bytes that went the short way, from each side, are added; *@last_ms is moved on to the last. */
void direct_counts(const struct worker *worker, const struct conn *conn, uint64_t bytes[2],
		   uint64_t *last_ms);

#endif
