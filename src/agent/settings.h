/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the agent of a host is told by its configuration file (a key file, /etc/holdfast/agent.conf;
 * data/conf/agent.conf is the commented one that is installed) and by the command line: where it listens and where its
 * folders are.
 */
#pragma once

#include <glib.h>

#define HF_AGENT_CONFIG "/etc/holdfast/agent.conf"
#define HF_AGENT_STATE "/var/lib/holdfast-agent"
#define HF_AGENT_RUNTIME "/run/holdfast-agent"

typedef struct HfSettings {
  char *state, *runtime; /* folders */
  char *address;         /* to listen on; NULL: all of this host */
  char *user;            /* what faces run as when the agent is root */
  guint16 installer_port, transport_port;
  guint16 channels_first, channels_last;
} HfSettings;

/* Reads `config`; NULL: HF_AGENT_CONFIG, which may be missing. `state` and `runtime` (or NULL) go before what it says.
 * Unknown groups and keys are errors that name the nearest right one. */
HfSettings *hf_settings_load(const char *config, const char *state, const char *runtime, GError **error);
void hf_settings_free(HfSettings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfSettings, hf_settings_free)
