/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A repository service and its visitors in one process: every connection is a socket pair, its far end served by
 * hf_vault_serve on a thread, as the transport role would.
 */
#pragma once

#include "agent/ticket.h"
#include "agent/vault/visit.h"
#include "engine/backup/backup.h"
#include "net/channel.h"
#include "repo/repo.h"
#include "storage/service/service.h"

typedef struct VaultLab {
  char *folder;     /* scratch: the repository is "repo" in it */
  HfCancel cancel;  /* of the services */
  HfReport *report;
  GMutex lock;
  GPtrArray *warnings; /* of char* */
  GPtrArray *threads;  /* of GThread*: services */
} VaultLab;

VaultLab *vault_lab_new(void);
/* Waits for all services: their visitors must be gone. */
void vault_lab_free(VaultLab *lab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VaultLab, vault_lab_free)
char *vault_lab_path(VaultLab *lab, const char *name);
/* A file in the scratch folder, and the folders above it: bytes that do not compress and are the same for a seed. */
void vault_lab_noise(VaultLab *lab, const char *name, guint32 seed, gsize length);

typedef struct VaultTicket {
  guint32 rights;
  HfShortId writer;
  gboolean create;
  guint64 lock;
} VaultTicket;
HfTicket *vault_lab_ticket(VaultLab *lab, const VaultTicket *ticket);
/* One connection; its far end is served. The caller's to free. */
HfChannel *vault_lab_connect(VaultLab *lab, const HfTicket *ticket);
/* Waits for all services: their visitors must be gone. */
void vault_lab_join(VaultLab *lab);
/* A store with `connections` connections on a ticket of these rights. */
HfStore *vault_lab_store(VaultLab *lab, const VaultTicket *ticket, guint connections, GError **error);
/* The repository behind such a store, opened with a text (credential, pass) or, NULL, without keys. */
HfRepo *vault_lab_open(VaultLab *lab, const VaultTicket *ticket, const char *text, GError **error);

/* Makes the repository, through the service, locked by PASSWORD; small chunks, frames and packs. */
#define VAULT_LAB_PASSWORD "correct horse"
void vault_lab_init(VaultLab *lab);
HfRepo *vault_lab_owner(VaultLab *lab, guint32 rights);
/* Enrols a writer: its credential; caller frees. `id` becomes its id. */
char *vault_lab_writer(VaultLab *lab, const char *name, HfShortId *id);
/* Backs up `path` as this writer over four connections. */
gboolean vault_lab_backup(VaultLab *lab, const char *credential, const HfShortId *writer, guint64 lock,
                          const char *path, HfBackupResult *result, GError **error);
