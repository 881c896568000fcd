/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An open repository: store, config, keys, index. The struct is filled by hf_repo_open and read-only afterwards; what
 * it points to is thread-safe.
 */
#pragma once

#include "base/report.h"
#include "base/work.h"
#include "repo/index.h"
#include "repo/keyring.h"

typedef struct HfRepo {
  HfStore *store;      /* owned */
  HfConfig config;
  HfShortId fingerprint;
  HfKeyring *keys;     /* owned; NULL without keys */
  HfAccess access;
  HfIndex *index;      /* owned; NULL until hf_repo_load_index */
  HfReport *report;    /* borrowed, may be NULL */
  HfCancel *cancel;    /* borrowed, may be NULL */
  gboolean read_only;  /* the store cannot be written: nothing is healed, no session objects are made */
  /* Seconds that the service which keeps this repository has run, by its own count; 0: we are not the service. Set by
   * it alone, before points are loaded or forgotten. Locks end by it. */
  guint64 running_seconds;
} HfRepo;

typedef struct HfRepoOptions {
  const HfUnlock *unlock; /* NULL: open without keys */
  gboolean read_only;
  HfReport *report;
  HfCancel *cancel;
} HfRepoOptions;

/* Opens; takes `store` over in any case. Damaged copies of config, keys and points are healed, unless read_only;
 * sessions that committed without finishing are finished (format.md 10.2). HF_ERROR_FORMAT when it is not a
 * repository or a newer one, HF_ERROR_PASSWORD, HF_ERROR_DAMAGED when all copies of the config are bad. */
HfRepo *hf_repo_open(HfStore *store, const HfRepoOptions *options, GError **error);
void hf_repo_free(HfRepo *repo);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRepo, hf_repo_free)

/* Makes a repository in an empty store (HF_ERROR_REFUSED when it is not empty). `config` holds the parameters; ids
 * and keys are filled in. *made (may be NULL) is the text of the paper key, or of the key file (hf_keyring_create;
 * NULL for encryption none); wipe and free. */
gboolean hf_repo_create(HfStore *store, HfConfig *config, const HfUnlock *unlock, char **made, GError **error);
/* A sibling of `like` in an empty store: same family and keys. Needs HF_ACCESS_FULL of `like`. */
gboolean hf_repo_create_like(HfStore *store, const HfRepo *like, GError **error);

/* Opens the index when it is not open yet. */
gboolean hf_repo_load_index(HfRepo *repo, GError **error);
/* Besides brings an index that was open to what the store holds now. */
gboolean hf_repo_fresh_index(HfRepo *repo, GError **error);

/* ---- The reserve: given up when the store is full, so that marks and tombstones can be written. ---- */
/* hf_store_put that removes the reserve and tries again on HF_ERROR_NO_SPACE. */
gboolean hf_repo_put_urgent(HfRepo *repo, const char *name, GBytes *record, GError **error);
/* Makes the reserve anew when it is missing; failing is not an error. */
void hf_repo_restore_reserve(HfRepo *repo);
