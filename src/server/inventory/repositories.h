/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Repositories, the write-only credentials of hosts in them, and proxies (movers with task slots). */
#pragma once

#include "server/inventory/inventory.h"

typedef struct HfRepositoryRow {
  char *id;
  char *name, *description;
  char *type;       /* "LinuxLocal", "LinuxHardened" */
  char *host_id, *path;
  gint64 task_limit;     /* 0: none */
  gint64 rate_limit;     /* bytes a second, 0: none */
  gint64 immutable_days; /* 0: no lock */
  char *encryption_password_id; /* may be NULL */
  char *fingerprint; /* of the family of keys: siblings share it */
  char *unique_id;   /* of the repository itself */
  char *settings;   /* JSON */
  gint64 capacity, free, used; /* bytes */
  gboolean online, out_of_date;
  char *status_message;
  gint64 checked, created;
} HfRepositoryRow;
void hf_repository_free(HfRepositoryRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfRepositoryRow, hf_repository_free)

HfRepositoryRow *hf_inv_repository_get(const HfInventory *inv, const char *id, GError **error);
GPtrArray *hf_inv_repositories_load(const HfInventory *inv, GError **error);
/* LinuxHardened needs at least 1 immutable day. */
gboolean hf_inv_repository_create(const HfInventory *inv, const HfActor *actor, HfRepositoryRow *row, GError **error);
/* Name, description, limits, immutable days (HF_ERROR_REFUSED: never fewer while hardened), encryption password id,
 * settings. */
gboolean hf_inv_repository_change(const HfInventory *inv, const HfActor *actor, const HfRepositoryRow *row,
                                  GError **error);
/* HF_ERROR_EXISTS while a job writes to it, or while it has backups in the catalogue and `forget_backups` is FALSE. */
gboolean hf_inv_repository_delete(const HfInventory *inv, const HfActor *actor, const char *id, gboolean forget_backups,
                                  GError **error);
/* The engine's fingerprint and id, once it was made or opened. HF_ERROR_EXISTS names the row that is about the same
 * repository already, on whatever host and path. */
gboolean hf_inv_repository_made(const HfInventory *inv, const char *id, const char *fingerprint, const char *unique_id,
                                GError **error);
/* Figures as statvfs of its host gave them, or `online` FALSE with why (figures stay). Not audited. */
gboolean hf_inv_repository_state(const HfInventory *inv, const char *id, gboolean online, const char *message,
                                 gint64 capacity, gint64 free, gint64 used, gboolean out_of_date, GError **error);

typedef struct HfWriterRow {
  char *id, *host_id, *repository_id;
  char *writer, *domain; /* hex ids of the engine */
  gint64 created;
} HfWriterRow;
void hf_writer_free(HfWriterRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfWriterRow, hf_writer_free)
/* HF_ERROR_NOT_FOUND when the pair has none yet. */
HfWriterRow *hf_inv_writer_get(const HfInventory *inv, const char *host_id, const char *repository_id, GError **error);
/* HfWriterRow* of a repository. */
GPtrArray *hf_inv_writers_of(const HfInventory *inv, const char *repository_id, GError **error);
/* HfWriterRow* of a host. */
GPtrArray *hf_inv_writers_for(const HfInventory *inv, const char *host_id, GError **error);
/* One for each pair: HF_ERROR_EXISTS when another was first. */
gboolean hf_inv_writer_add(const HfInventory *inv, const HfActor *actor, HfWriterRow *row, gconstpointer credential,
                           gsize length, GError **error);
/* The write-only credential; caller wipes and frees. */
char *hf_inv_writer_credential(const HfInventory *inv, const HfWriterRow *row, gsize *length, GError **error);

typedef struct HfProxyRow {
  char *id, *name, *description;
  char *type;    /* "GeneralPurposeProxy" */
  char *host_id;
  gint64 max_tasks; /* 1..1000 */
  gboolean disabled;
  gint64 created;
} HfProxyRow;
void hf_proxy_free(HfProxyRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfProxyRow, hf_proxy_free)
HfProxyRow *hf_inv_proxy_get(const HfInventory *inv, const char *id, GError **error);
GPtrArray *hf_inv_proxies_load(const HfInventory *inv, GError **error);
gboolean hf_inv_proxy_create(const HfInventory *inv, const HfActor *actor, HfProxyRow *row, GError **error);
/* Name, description, max_tasks, disabled. */
gboolean hf_inv_proxy_change(const HfInventory *inv, const HfActor *actor, const HfProxyRow *row, GError **error);
gboolean hf_inv_proxy_switch(const HfInventory *inv, const HfActor *actor, const char *id, gboolean disabled,
                             GError **error);
gboolean hf_inv_proxy_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error);
