/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server for tests of the interface: actions that only write rows, and rows to look at. */
#pragma once

#include "api/api.h"
#include "server/inventory/inventory.h"

/* Actions over `inventory`, which must outlive them. */
void fake_actions(HfApiActions *actions, HfInventory *inventory);
/* A few rows of everything. Aborts on errors. */
void fake_fill(HfInventory *inventory);
/* Many rows: hosts, jobs, repositories, points, sessions. */
void fake_fill_many(HfInventory *inventory, guint hosts, guint sessions);
/* A job runs and tells its progress each `milliseconds` while the program lives: to be called once, rows being there. */
void fake_changes(HfInventory *inventory, guint milliseconds);
