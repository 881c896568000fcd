/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server's sessions: the RPC of spec/messages/installer.toml over what the installer face relays. One session is
 * kept: a new one ends the one before it, which may be dead without anybody knowing.
 */
#pragma once

#include "agent/keeper/keeper.h"

HfService *hf_service_new(HfKeeper *keeper);
/* Ends all sessions and waits for them. */
void hf_service_free(HfService *service);
/* Takes over `fd`, the connection. Main thread. */
void hf_service_connect(HfService *service, int fd);
/* Ends the session that stands, if any. */
void hf_service_disconnect(HfService *service);
