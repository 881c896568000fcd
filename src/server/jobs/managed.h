/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Managed hosts: sessions that add, look at and remove them, and what hosts tell into the right rows. Stands between
 * server/hosts (connections) and the database.
 */
#pragma once

#include "server/hosts/hosts.h"
#include "server/jobs/jobs.h"

/* What the connections tell, into the inventory and to the runner. `user` of the table is an HfManaged. */
typedef struct HfManaged {
  const HfInventory *inv;
  HfNotify *notify; /* may be NULL */
  HfJobs *jobs;     /* both are set before hosts are called */
  HfHosts *hosts;
  const char *state_folder;
} HfManaged;
void hf_managed_ops(HfManaged *managed, HfHostsOps *ops);
/* Begins to call all hosts of the database that are enrolled, and tells what is revoked. */
gboolean hf_managed_start(HfManaged *managed, GError **error);

/* A host to be added: by SSH or by token. Strings are copied; secrets are the caller's. */
typedef struct HfManagedWish {
  const char *address;        /* a name or an address; "HOST:PORT" with another installer port */
  const char *description;
  const char *token;          /* by token; else by SSH: */
  const char *credential_id;  /* or the single-use values */
  const char *user, *password, *private_key, *passphrase;
  const char *host_key;       /* that the host must have */
  gboolean sudo;
  guint16 ssh_port;           /* 0: the usual one */
  const char *package, *program; /* what is installed by SSH; both NULL: it is there */
} HfManagedWish;
gboolean hf_managed_add(HfManaged *managed, const HfActor *actor, const HfManagedWish *wish, char **session,
                        GError **error);
gboolean hf_managed_rescan(HfManaged *managed, const HfActor *actor, const char *host_id, char **session,
                           GError **error);

/* An agent for hosts. Strings are copied. */
typedef struct HfManagedAgent {
  const char *path;
  gboolean package;    /* a Debian package; else the program itself */
  const char *version;
} HfManagedAgent;
/* Sends it to the host, which installs it when no task runs there. */
gboolean hf_managed_upgrade(HfManaged *managed, const HfActor *actor, const char *host_id, const HfManagedAgent *agent,
                            char **session, GError **error);
/* `role`: "transport", "installer"; copied. */
typedef struct HfManagedRole {
  const char *role;
  HfInstallerRoleAct act;
} HfManagedRole;
/* HF_ERROR_NOT_FOUND by the host, in the session: it has no such role, or not one that can be told so. */
gboolean hf_managed_role(HfManaged *managed, const HfActor *actor, const char *host_id, const HfManagedRole *wish,
                         char **session, GError **error);
/* Fetches the host's logs into `logs` of the state folder; a later fetch replaces them. */
gboolean hf_managed_logs(HfManaged *managed, const HfActor *actor, const char *host_id, char **session, GError **error);
/* The tar file that was fetched last, or NULL with HF_ERROR_NOT_FOUND. */
GBytes *hf_managed_logs_read(const HfManaged *managed, const char *host_id, GError **error);
gboolean hf_managed_remove(HfManaged *managed, const HfActor *actor, const char *host_id, char **session,
                           GError **error);
