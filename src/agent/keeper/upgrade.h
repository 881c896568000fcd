/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Upgrades: an order names a file by its digest, the pieces of it come unsigned, and what has that digest is installed
 * once no task runs: a Debian package by apt where the keeper is root, the program file by replacing it and starting
 * it anew.
 */
#pragma once

#include "agent/keeper/keeper.h"
#include "net/rpc.h"

HfUpgrade *hf_upgrade_new(HfKeeper *keeper);
void hf_upgrade_free(HfUpgrade *upgrade);

/* Main thread. *have: bytes of this very file that are there already. */
gboolean hf_upgrade_begin(HfUpgrade *upgrade, const HfInstallerUpgradeOrder *order, guint64 *have, GError **error);
/* Takes the pieces of the call: an RPC thread. */
gboolean hf_upgrade_receive(HfUpgrade *upgrade, HfCall *call, GError **error);
/* TRUE from when the file is whole until it is installed: no task may begin. */
gboolean hf_upgrade_pending(HfUpgrade *upgrade);
/* Installs what is pending. Main thread, while no task runs. */
void hf_upgrade_install(HfUpgrade *upgrade);
