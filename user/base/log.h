/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's own log: one line per event on stderr, "<level> <text>", where systemd or the user
 * picks it up. Safe from any thread. Text from the network goes through log_quote() first.
 */
#ifndef THRUWAY_LOG_H
#define THRUWAY_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/* "error", "warn", "info", "debug" -> *@ret_level; -EINVAL for anything else. */
int log_level_parse(const char *word, enum log_level *ret_level);

void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_err(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Write @len bytes of @src into @dst (@size bytes, always NUL-terminated) with everything outside
 * printable ASCII, and quote and backslash, as \xNN. What does not fit ends in "...". Returns @dst.
 */
char *log_quote(char *dst, size_t size, const void *src, size_t len);
/*
 * The same for a word that stands unquoted in a line of key=value: only letters, digits and - . _ /
 * stay as they are, so that nothing in it can look like a separator or another field.
 */
char *log_word(char *dst, size_t size, const void *src, size_t len);

#endif
