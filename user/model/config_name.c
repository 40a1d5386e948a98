// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Names that a configuration may hold: hostnames, and the names of listeners and routes. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "model/config_parts.h"
#include "thruway/name.h"

int config_why(char **ret_why, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(ret_why, fmt, ap);
	va_end(ap);
	if (n >= 0)
		return -EINVAL;
	*ret_why = NULL;
	return -ENOMEM;
}

static bool is_ip(const char *text)
{
	char bare[64];
	uint8_t ip[16];
	size_t len = strlen(text);

	if (!addr_parse_ip(text, ip))
		return true;
	if (len < 3 || len >= sizeof(bare) || text[0] != '[' || text[len - 1] != ']')
		return false;
	memcpy(bare, text + 1, len - 2);
	bare[len - 2] = '\0';
	return !addr_parse_ip(bare, ip);
}

/* What people write instead of a name, each with its own answer; NULL if it is none of that. */
static const char *hostname_mistake(const char *text)
{
	const char *colon = strchr(text, ':');

	if (is_ip(text))
		return "is an IP address; TLS names servers by DNS name only (RFC 6066 3)";
	if (strchr(text, '/'))
		return "is not a hostname: leave out scheme and path";
	if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1))
		return "is not a hostname: leave out the port (it is the listener's)";
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return "is not a hostname: write it in its xn-- form";
	return NULL;
}

int config_parse_hostname(const char *text, char dst[TW_NAME_SIZE], char **ret_why)
{
	const char *mistake = hostname_mistake(text);
	size_t len = strlen(text);
	char name[TW_NAME_SIZE], shown[80];
	int err;

	log_quote(shown, sizeof(shown), text, len);
	if (mistake)
		return config_why(ret_why, "%s %s", shown, mistake);
	err = tw_name_pattern(name, text, len > UINT16_MAX ? UINT16_MAX : (__u32)len);
	if (err < 0)
		return config_why(ret_why, "%s is not a hostname: %s", shown,
				  tw_name_strerror(err));
	memcpy(dst, name, TW_NAME_SIZE);
	return 0;
}

int config_check_name(const char *what, size_t max, const char *text, char dst[TW_NAME_SIZE],
		      char **ret_why)
{
	size_t len = strlen(text);
	char shown[80];

	log_quote(shown, sizeof(shown), text, len);
	if (len > max)
		return config_why(ret_why, "%s is %zu bytes long; %s has at most %zu", shown, len,
				  what, max);
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("\"'`\\", *c))
			return config_why(
				ret_why,
				"\"%s\" is not %s: printable ASCII without spaces, quotes "
				"and backslashes is expected",
				shown, what);
	memcpy(dst, text, len + 1);
	return 0;
}
