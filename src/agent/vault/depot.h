/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository that this process keeps: opened once for each folder, shared by all who visit it, kept open until the
 * process ends, so that its clock goes on (format.md 9.4). Opened without any key.
 *
 * A folder is known by its device and inode: whatever paths lead to it (links, bind mounts, "..", slashes), there is
 * one depot, so that commits and deletions there are in one hand.
 *
 * Threads: all functions may be called from any thread.
 */
#pragma once

#include "agent/vault/holder.h"
#include "repo/keeper.h"

typedef struct HfDepot HfDepot;

/* The folder at `path`. With `create` it is made when missing, and need not hold a repository yet. The depot is shared
 * and lives until hf_depots_close. */
HfDepot *hf_depot_open(const char *path, gboolean create, GError **error);
/* Closes all: nobody may visit any more. */
void hf_depots_close(void);

HfStore *hf_depot_store(HfDepot *depot);
/* The repository, opened when it is asked for first, with its index. HF_ERROR_FORMAT when the folder holds none. */
HfRepo *hf_depot_repo(HfDepot *depot, GError **error);
/* Its writers, as they are in the store now. */
HfWriterTable *hf_depot_writers(HfDepot *depot, GError **error);
/* Reads runs, packs and marks anew: before a session that will be told what is stored. */
gboolean hf_depot_refresh(HfDepot *depot, GError **error);

/* As hf_keeper_commit, one at a time, with the clock put down first. */
gboolean hf_depot_commit(HfDepot *depot, const HfKeeperTerms *terms, const HfShortId *session, GBytes *point,
                         GError **error);
/* Forgets the points whose ids are given (GArray of HfShortId); *forgotten counts. HF_ERROR_REFUSED names the first
 * that is locked, before any is forgotten. */
gboolean hf_depot_forget(HfDepot *depot, const GArray *points, guint *forgotten, GError **error);
/* The repository opened once more, as another process would, for a verb that takes its time (prune, verify): the
 * caller's to free. `report` and `cancel` are borrowed by it. */
HfRepo *hf_depot_reopen(HfDepot *depot, HfReport *report, HfCancel *cancel, GError **error);
/* What a holder needs of it; its repository is open (hf_depot_repo). */
HfHeld hf_depot_held(HfDepot *depot);
/* Packs were rewritten: what locked points need of them is made immutable soon. */
void hf_depot_rewritten(HfDepot *depot);
/* The path that led there last; the caller's to free. */
char *hf_depot_path(HfDepot *depot);
/* Seconds that the depot's repository has been kept. */
guint64 hf_depot_seconds(HfDepot *depot);
