// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Giving up capabilities (see privileges.h). */
#include "base/privileges.h"

#include <errno.h>
#include <stdbool.h>

#include <cap-ng.h>

#include "base/cleanup.h"

static const unsigned int needed[] = {
	CAP_BPF,	      /* load programs, make and read maps */
	CAP_PERFMON,	      /* bpf_probe_read_kernel() in them */
	CAP_NET_ADMIN,	      /* networking programs; TCP_REPAIR for on_refuse: drop */
	CAP_NET_BIND_SERVICE, /* listen on ports below 1024, after a reload, too */
	CAP_SYS_RESOURCE,     /* pipes of 1 MiB for every worker */
	CAP_DAC_OVERRIDE,     /* configuration and access log of other owners */
};

int privileges_drop(void)
{
	bool has[ARRAY_SIZE(needed)];

	if (capng_get_caps_process())
		return -EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		has[i] = capng_have_capability(CAPNG_PERMITTED, needed[i]);
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (has[i])
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, needed[i]);
	return capng_apply(CAPNG_SELECT_CAPS) ? -EPERM : 0;
}
