/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Room in the maps for old and new at once, before the first write. Called by plan.c only. */
#ifndef THRUWAY_ROOM_H
#define THRUWAY_ROOM_H

#include "kernel/plan.h"

/*
 * Where old and new do not fit together, find what may go before the new comes: plan->n_early and
 * plan->early_routes. 0, -ENOMEM, or -ENOSPC with a problem if that is not enough.
 */
int room_make(struct plan *plan, struct config_problems *problems);
/* Report that @what, of which there are @most places, does not fit. -ENOSPC. */
int room_refuse(struct config_problems *problems, const char *what, unsigned int most);

#endif
