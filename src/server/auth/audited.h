/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changes of a row together with their audit line; for the folders that change rows. */
#pragma once

#include "server/auth/auth.h"

typedef struct HfAudited {
  HfDb *db;
  const HfActor *actor;
  const char *action; /* "create", "change", "delete", ... */
  const char *table;  /* with a column `id` */
  const char *id;
  const char *name;   /* of the thing, for a refusal; may be NULL */
} HfAudited;

/* Runs `work` in a transaction, with an audit line of what the row was before and after; when it is refused, with a
 * line about that in a transaction of its own. */
gboolean hf_audited(const HfAudited *change, HfDbWork work, gpointer user, GError **error);
