/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Traffic rules: limits for a pair of networks, by time of day. The first rule that fits a pair of addresses
 * decides. */
#pragma once

#include "server/inventory/inventory.h"
#include "server/schedule/schedule.h"

typedef struct HfTrafficRow {
  char *id;
  gint64 position;
  char *name;
  char *source_first, *source_last, *target_first, *target_last; /* addresses, both of one family */
  gboolean encryption, throttling;
  gint64 throttling_value;
  char *throttling_unit; /* "MbitPerSec", "KbytePerSec", "MbytePerSec" */
  gboolean window_enabled;
  char *windows;         /* JSON for hf_window_parse */
} HfTrafficRow;
void hf_traffic_free(HfTrafficRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfTrafficRow, hf_traffic_free)

/* HfTrafficRow*, in order. */
GPtrArray *hf_inv_traffic_load(const HfInventory *inv, GError **error);
/* Replaces all rules and preferred networks ("10.0.0.0/8"; ended by NULL) at once, as the interface does. Rows without
 * id get one. */
gboolean hf_inv_traffic_replace(const HfInventory *inv, const HfActor *actor, GPtrArray *rules,
                                const char *const *networks, GError **error);
/* Ended by NULL; g_strfreev. */
char **hf_inv_preferred_networks(const HfInventory *inv, GError **error);

/* Bytes a second that the rules allow between two addresses at `time`, 0 for no limit. `*rule` (may be NULL) is the
 * rule that decides, borrowed from `rules`, or NULL: connections that the same rule decides share one limit. A rule
 * fits in both directions. */
gint64 hf_traffic_limit(GPtrArray *rules, const char *source, const char *target, GTimeZone *zone, gint64 time,
                        const HfTrafficRow **rule);
/* TRUE when the address lies in one of the networks. */
gboolean hf_network_holds(const char *const *networks, const char *address);
