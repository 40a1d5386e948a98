// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The daemon's own log (see log.h): levels, one write(2) per line, quoting. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static enum log_level max_level = LOG_LEVEL_INFO;
static const char *const level_words[] = {"error", "warn", "info", "debug"};

void log_set_level(enum log_level level)
{
	max_level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

int log_level_parse(const char *word, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_words) / sizeof(level_words[0]); i++)
		if (!strcmp(word, level_words[i])) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int len, n;
	va_list ap;

	if (!log_enabled(level))
		return;
	len = snprintf(line, sizeof(line), "%s: ", level_words[level]);
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	len += n < (int)sizeof(line) - len - 1 ? n : (int)sizeof(line) - len - 2;
	line[len++] = '\n';
	/* One write keeps lines of several threads whole; a full stderr is nobody's to report to.
	 */
	(void)!write(STDERR_FILENO, line, len);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '\'';
}

static bool is_word(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '-' || c == '.' || c == '_' || c == '/';
}

static char *escape(char *dst, size_t size, const void *src, size_t len,
		    bool (*stays)(unsigned char c))
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *s = src;
	size_t at = 0;

	for (size_t i = 0; i < len; i++) {
		size_t need = stays(s[i]) ? 1 : 4;

		/* Room for "..." and NUL is kept, but for the last byte only NUL. */
		if (at + need + 4 > size && !(i + 1 == len && at + need + 1 <= size)) {
			for (int dot = 0; dot < 3 && at + 1 < size; dot++)
				dst[at++] = '.';
			break;
		}
		if (need == 1) {
			dst[at++] = (char)s[i];
			continue;
		}
		dst[at++] = '\\';
		dst[at++] = 'x';
		dst[at++] = hex[s[i] >> 4];
		dst[at++] = hex[s[i] & 15];
	}
	if (size)
		dst[at] = '\0';
	return dst;
}

char *log_quote(char *dst, size_t size, const void *src, size_t len)
{
	return escape(dst, size, src, len, is_plain);
}

char *log_word(char *dst, size_t size, const void *src, size_t len)
{
	return escape(dst, size, src, len, is_word);
}
