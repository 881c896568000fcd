/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Managed hosts and the certificates that the internal CA gave out. */
#pragma once

#include "server/inventory/inventory.h"

typedef struct HfHostRow {
  char *id;
  char *name, *address, *description;
  char *type;           /* "LinuxHost" */
  char *ports;          /* JSON object: service id -> port, or [first, last]; "{}" */
  char *networks;       /* JSON array of the host's addresses */
  char *credentials_id; /* may be NULL */
  char *status, *status_message;
  char *identity;       /* NULL until enrolled */
  char *os_name, *os_version, *kernel, *architecture;
  gint64 processors, memory; /* memory in bytes */
  char *agent_version;
  char *roles;          /* JSON object: role -> version */
  char *certificate_fingerprint, *certificate_serial;
  char *ssh_host_key;
  gboolean is_server;
  gint64 last_seen, enrolled, created;
} HfHostRow;
void hf_host_free(HfHostRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfHostRow, hf_host_free)

HfHostRow *hf_inv_host_get(const HfInventory *inv, const char *id, GError **error);
/* By name without regard to case, else by address. */
HfHostRow *hf_inv_host_find(const HfInventory *inv, const char *name_or_address, GError **error);
/* HfHostRow*, by name; freed with the array. */
GPtrArray *hf_inv_hosts_load(const HfInventory *inv, GError **error);
/* Not enrolled yet: status Unavailable. Strings that are NULL become "" (JSON: "{}", "[]"). An `id` that is given is
 * kept (the certificate names it), else made. */
gboolean hf_inv_host_create(const HfInventory *inv, const HfActor *actor, HfHostRow *row, GError **error);
/* Name, address, description, ports, credentials, ssh_host_key. */
gboolean hf_inv_host_change(const HfInventory *inv, const HfActor *actor, const HfHostRow *row, GError **error);
/* HF_ERROR_EXISTS while a repository, a proxy that works or a job names it. Its certificates are revoked, its writers
 * in repositories forgotten and its proxies that are disabled deleted. Backups and points stay. */
gboolean hf_inv_host_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error);

/* Enrolment: the certificate that the host got, and what it says it is. HF_ERROR_EXISTS naming the other host when
 * `identity` is enrolled already under another id. Audited. */
gboolean hf_inv_host_enrolled(const HfInventory *inv, const HfActor *actor, const char *id, const char *identity,
                              const char *certificate_serial, const char *certificate_fingerprint, GError **error);

/* What the host told when it was called: all that is not NULL in `facts` (os_name to roles, networks) is kept. */
gboolean hf_inv_host_facts(const HfInventory *inv, const HfHostRow *facts, GError **error);
/* Status and last_seen (now, when `available`). No write when nothing changed but last_seen by less than five minutes.
 * *before (may be NULL) is the row as it was; the caller's to free. */
gboolean hf_inv_host_status(const HfInventory *inv, const char *id, gboolean available, const char *message,
                            HfHostRow **before, GError **error);

typedef struct HfCertificateRow {
  char *serial;  /* hex */
  char *host_id; /* may be NULL */
  char *subject, *fingerprint;
  gint64 issued, expires, revoked;
} HfCertificateRow;
void hf_certificate_free(HfCertificateRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfCertificateRow, hf_certificate_free)
gboolean hf_inv_certificate_add(const HfInventory *inv, const HfCertificateRow *row, GError **error);
gboolean hf_inv_certificate_revoke(const HfInventory *inv, const HfActor *actor, const char *serial, GError **error);
/* Serials that are revoked and have not expired; ended by NULL, g_strfreev. */
char **hf_inv_certificates_revoked(const HfInventory *inv, GError **error);
/* HfCertificateRow* of a host, newest first. */
GPtrArray *hf_inv_certificates_of(const HfInventory *inv, const char *host_id, GError **error);
