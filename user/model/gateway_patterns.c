// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The patterns that fields of objects have (Gateway API: apis/v1/shared_types.go). */
#include <ctype.h>
#include <string.h>

#include "base/addr.h"
#include "model/gateway_fields.h"

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One or more labels of [a-z0-9-] that begin and end with a letter or digit, joined by dots. */
static bool is_dns(const char *text, size_t len, bool is_one_label)
{
	size_t start = 0;

	if (!len)
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && text[i] != '.') {
			if (!is_lower(text[i]) && text[i] != '-')
				return false;
			continue;
		}
		if (i < len && is_one_label)
			return false;
		if (i == start || text[start] == '-' || text[i - 1] == '-')
			return false;
		start = i + 1;
	}
	return true;
}

static bool is_hostname(const char *text)
{
	if (!strncmp(text, "*.", 2))
		text += 2;
	return is_dns(text, strlen(text), false);
}

static bool is_subdomain(const char *text)
{
	return is_dns(text, strlen(text), false);
}

static bool is_label(const char *text)
{
	return is_dns(text, strlen(text), true);
}

static bool is_port_name(const char *text)
{
	return !*text || is_label(text);
}

static bool is_group(const char *text)
{
	return !*text || is_subdomain(text);
}

/* Letters, digits and hyphens, with neither end a hyphen. */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	if (!len || !isalnum((unsigned char)*text) || !isalnum((unsigned char)text[len - 1]))
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && *text != '-')
			return false;
	return true;
}

static bool is_kind(const char *text)
{
	return isalpha((unsigned char)*text) && is_word(text);
}

static bool is_not_empty(const char *text)
{
	return *text;
}

/* The second way is a name behind a '/'; what is before it has no pattern but at its end. */
static bool is_protocol(const char *text)
{
	const char *slash = strrchr(text, '/');

	if (!slash)
		return is_word(text);
	if (slash == text || !is_lower(slash[-1]) || !slash[1])
		return false;
	for (text = slash + 1; *text; text++)
		if (!isalnum((unsigned char)*text))
			return false;
	return true;
}

/* A name in IANA's registry of services, as a targetPort may be. */
static bool is_service_name(const char *text)
{
	bool has_letter = false;

	for (const char *c = text; *c; c++) {
		has_letter |= *c >= 'a' && *c <= 'z';
		if (*c == '-' && c[1] == '-')
			return false;
	}
	return has_letter && strlen(text) <= 15 && is_label(text);
}

/* Of a label: letters, digits, '-', '_' and '.', the first and last a letter or digit. */
static bool is_label_part(const char *text, size_t len)
{
	if (!len || len > 63 || !isalnum((unsigned char)*text) ||
	    !isalnum((unsigned char)text[len - 1]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.", text[i]))
			return false;
	return true;
}

static bool is_label_value(const char *text)
{
	return !*text || is_label_part(text, strlen(text));
}

static bool is_label_key(const char *text)
{
	const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;

	return is_label_part(name, strlen(name)) &&
	       (!slash || (slash - text <= 253 && is_dns(text, (size_t)(slash - text), false)));
}

static bool is_path(const char *text)
{
	static const char chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-._~%!$&'()*+,;=:";

	return *text && !text[strspn(text, chars)];
}

/* The pattern's words have no ends, and the domain before a path no beginning. */
static bool is_address_type(const char *text)
{
	if (!strncmp(text, "Hostname", strlen("Hostname")) || strstr(text, "IPAddress") ||
	    strstr(text, "NamedAddress"))
		return true;
	for (const char *at = text; (at = strchr(at, '/')); at++)
		if (at > text && is_lower(at[-1]) && is_path(at + 1))
			return true;
	return false;
}

static bool is_controller(const char *text)
{
	const char *slash = strchr(text, '/');

	return slash && is_path(slash + 1) && is_dns(text, (size_t)(slash - text), false);
}

bool gw_is_ip(const char *text)
{
	uint8_t ip[16];

	return !addr_parse_ip(text, ip);
}

const struct gw_pattern gw_hostname = {is_hostname,
				       "a hostname: labels of a-z, 0-9 and -, of which "
				       "the first may be *"};
const struct gw_pattern gw_subdomain = {
	is_subdomain, "a name of a-z, 0-9, - and ., each part with a letter or digit at both ends "
		      "(RFC 1123)"};
const struct gw_pattern gw_label = {
	is_label, "a name of a-z, 0-9 and - with a letter or digit at both ends (RFC 1123)"};
const struct gw_pattern gw_port_name = {
	is_port_name, "a name of a-z, 0-9 and - with a letter or digit at both ends (RFC 1123)"};
const struct gw_pattern gw_group = {is_group, "an API group, such as gateway.networking.k8s.io"};
const struct gw_pattern gw_kind_name = {is_kind, "a kind: letters, digits and -, a letter first"};
const struct gw_pattern gw_not_empty = {is_not_empty, "a name"};
const struct gw_pattern gw_protocol = {is_protocol, "a protocol, such as TLS"};
const struct gw_pattern gw_controller = {is_controller,
					 "a controller's name, such as example.com/controller"};
const struct gw_pattern gw_service_name = {
	is_service_name,
	"a port, or a port's name: at most 15 of a-z, 0-9 and -, a letter among them"};
const struct gw_pattern gw_label_key = {is_label_key, "a label's key, such as example.com/name"};
const struct gw_pattern gw_label_value = {
	is_label_value,
	"a label's value: at most 63 of letters, digits, -, _ and ., with a letter or "
	"digit at both ends"};
const struct gw_pattern gw_address_type = {is_address_type,
					   "IPAddress, Hostname or a name with a /"};
