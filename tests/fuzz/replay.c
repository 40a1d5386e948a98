// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Runs a fuzz target over every file below the given folders, without a fuzzer: what was once found
 * stays found. Linked with one fuzz_*.c; prints how many inputs ran.
 */
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static int replay_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	size_t size = (size_t)st->st_size;

	(void)where;
	if (type != FTW_F)
		return 0;
	file = fopen(path, "rbe");
	/* Exactly as long as the input, so that a sanitizer sees the first byte read behind it. */
	data = malloc(size ? size : 1);
	if (!file || !data || fread(data, 1, size, file) != size) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return 1;
	}
	LLVMFuzzerTestOneInput(data, size);
	inputs++;
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (nftw(argv[i], replay_file, 16, FTW_PHYS))
			return 1;
	if (!inputs) {
		fprintf(stderr, "no inputs\n");
		return 1;
	}
	printf("%lu inputs\n", inputs);
	return 0;
}
