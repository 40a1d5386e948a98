// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Addresses between text and the maps' 16 bytes. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"

static void addresses_with_ports_come_back_as_they_were_written(void **state)
{
	static const char *const texts[] = {"10.0.0.1:443",    "[::1]:65535",
					    "[2001:db8::5]:1", "255.255.255.255:8443",
					    "0.0.0.0:1",       "[::]:443"};
	char text[ADDR_TEXT_SIZE];
	struct addr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(addr_parse(texts[i], &addr), 0);
		assert_string_equal(addr_format(text, addr.ip, addr.port), texts[i]);
	}
}

static void what_is_not_an_address_with_a_port_is_refused(void **state)
{
	static const char *const texts[] = {"",
					    ":443",
					    "10.0.0.1",
					    "10.0.0.1:",
					    "10.0.0.1:0",
					    "10.0.0.1:65536",
					    "10.0.0.1:-1",
					    "10.0.0.1:+1",
					    "10.0.0.1: 1",
					    "10.0.0.1:4 43",
					    "10.0.0.256:1",
					    "10.0.1:1",
					    "::1:443",
					    "[::1]",
					    "[::1]443",
					    "[10.0.0.1]:443",
					    "[::1:443",
					    "[::1]:",
					    "a.example:443",
					    "[fe80::1%eth0]:443",
					    "10.0.0.1:0x1bb",
					    "10.0.0.1:000443",
					    "[]:443"};
	struct addr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (addr_parse(texts[i], &addr) != -EINVAL)
			fail_msg("'%s' was taken", texts[i]);
}

static void ipv4_is_held_as_a_mapped_address_and_dialled_as_ipv4(void **state)
{
	struct sockaddr_storage sa;
	struct addr addr, back;

	(void)state;
	assert_int_equal(addr_parse("192.0.2.7:443", &addr), 0);
	assert_true(addr_is_ipv4(addr.ip));
	assert_int_equal(addr_to_sockaddr(addr.ip, addr.port, &sa), sizeof(struct sockaddr_in));
	assert_int_equal(sa.ss_family, AF_INET);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sa, &back), 0);
	assert_memory_equal(addr.ip, back.ip, 16);
	assert_int_equal(addr.port, back.port);
}

static void any_address_is_known_in_both_families(void **state)
{
	uint8_t ip[16];

	(void)state;
	assert_int_equal(addr_parse_ip("0.0.0.0", ip), 0);
	assert_true(addr_is_any(ip));
	assert_int_equal(addr_parse_ip("::", ip), 0);
	assert_true(addr_is_any(ip));
	assert_int_equal(addr_parse_ip("::1", ip), 0);
	assert_false(addr_is_any(ip));
	assert_int_equal(addr_parse_ip("0.0.0.1", ip), 0);
	assert_false(addr_is_any(ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_with_ports_come_back_as_they_were_written),
		cmocka_unit_test(what_is_not_an_address_with_a_port_is_refused),
		cmocka_unit_test(ipv4_is_held_as_a_mapped_address_and_dialled_as_ipv4),
		cmocka_unit_test(any_address_is_known_in_both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
