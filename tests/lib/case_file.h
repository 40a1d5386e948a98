/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files of test cases. Include after cmocka.h. */
#ifndef THRUWAY_TESTS_CASE_FILE_H
#define THRUWAY_TESTS_CASE_FILE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* The whole file; the caller frees it. */
static char *read_file(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	if (!file)
		fail_msg("%s: %s (tests run in the root of the tree)", path, strerror(errno));
	assert_true(getdelim(&text, &size, '\0', file) > 0);
	return text;
}

#endif
