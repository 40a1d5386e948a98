/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bringing the maps to what the model says (see sync.c). Called by tables.c only. */
#ifndef THRUWAY_SYNC_H
#define THRUWAY_SYNC_H

#include "kernel/mirror.h"
#include "kernel/tables.h"
#include "model/table.h"

/*
 * Make the maps behind @m hold @table. With @dry_run only say what would change. @changes may be
 * NULL. 0 or -errno; -ENOSPC with a problem if ids have run out. If @m->is_stale is set after an
 * error, the maps stand somewhere between old and new, and @m is to be read again.
 */
int sync_table(struct mirror *m, const struct table *table, bool dry_run,
	       struct tables_changes *changes, struct config_problems *problems);

#endif
