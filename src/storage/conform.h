/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does a store keep the promises of store.h? The suite that every driver must pass, and that users run against their
 * own storage with `holdfast benchmark --storage REPO`: it works on a live repository below "conform/RANDOM/", and
 * removes what it made (a run that is killed leaves objects there, which may be removed by hand). Needs 300 MiB of
 * space.
 *
 * Checked: S1 (an abort leaves nothing, nothing is seen before its commit), S3 (one winner among threads and handles),
 * S4 (read after write, also through a second handle of the same location), S5 (an object stays as it is while it is
 * read, removed and created anew), ranges, sizes, names, listings. Not checked, because it takes a power cut: S2.
 */
#pragma once

#include "storage/store.h"

/* Called once a check, in order, from the calling thread. `detail`: the cause of a failure, why a check was left out
 * (`passed` is TRUE then), or NULL. */
typedef void (*HfStoreConformReport)(const char *check, gboolean passed, const char *detail, gpointer user);

/* One measured line; what a person wants is operations / seconds and bytes / seconds. */
typedef struct HfStoreRate {
  const char *what; /* static, for example "put 4 KiB" */
  guint threads;
  guint64 operations, bytes;
  double seconds;
} HfStoreRate;

#define HF_STORE_RATES 8
typedef struct HfStoreRates {
  guint count;
  HfStoreRate rows[HF_STORE_RATES];
} HfStoreRates;

/* Runs all checks, also after one failed, and cleans up. FALSE with HF_ERROR_FAILED naming the first check that failed.
 * `report` may be NULL. */
gboolean hf_store_conform(HfStore *store, HfStoreConformReport report, gpointer user, GError **error);

/* Measures puts, gets, a listing and removals; takes about `seconds` for each line. */
gboolean hf_store_measure(HfStore *store, double seconds, HfStoreRates *rates, GError **error);
