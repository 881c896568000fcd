/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What this host is: system, kernel, processors, memory, addresses. Any thread. */
#pragma once

#include "net/messages/installer.h"

/* Fills the members from os_name to addresses, which are zeros. */
void hf_facts_fill(HfInstallerWelcome *welcome);
