/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "server/inventory/hosts.h"

#include <string.h>

#include "base/error.h"
#include "server/inventory/tables.h"

#define SEEN_US (5 * 60 * G_USEC_PER_SEC) /* last_seen is written at most that often */

#define R HfHostRow
static const HfField host_fields[] = {
  HF_FIELD(R, id, TEXT),
  HF_FIELD_CHANGES(R, name, TEXT),
  HF_FIELD_CHANGES(R, address, TEXT),
  HF_FIELD_CHANGES(R, description, TEXT),
  HF_FIELD(R, type, TEXT),
  HF_FIELD_JSON(R, ports, TRUE, "{}"),
  HF_FIELD_JSON(R, networks, FALSE, "[]"),
  HF_FIELD_CHANGES(R, credentials_id, OPTIONAL),
  HF_FIELD(R, status, TEXT),
  HF_FIELD(R, status_message, TEXT),
  HF_FIELD(R, identity, OPTIONAL),
  HF_FIELD(R, os_name, TEXT),
  HF_FIELD(R, os_version, TEXT),
  HF_FIELD(R, kernel, TEXT),
  HF_FIELD(R, architecture, TEXT),
  HF_FIELD(R, processors, NUMBER),
  HF_FIELD(R, memory, NUMBER),
  HF_FIELD(R, agent_version, TEXT),
  HF_FIELD_JSON(R, roles, FALSE, "{}"),
  HF_FIELD(R, certificate_fingerprint, TEXT),
  HF_FIELD(R, certificate_serial, TEXT),
  HF_FIELD_CHANGES(R, ssh_host_key, TEXT),
  HF_FIELD(R, is_server, FLAG),
  HF_FIELD(R, last_seen, TIME),
  HF_FIELD(R, enrolled, TIME),
  HF_FIELD(R, created, NUMBER),
};
#undef R
const HfTable hf_table_hosts = {"hosts", "host", sizeof(HfHostRow), host_fields, G_N_ELEMENTS(host_fields)};

#define R HfCertificateRow
static const HfField certificate_fields[] = {
  HF_FIELD(R, serial, TEXT),
  HF_FIELD(R, host_id, OPTIONAL),
  HF_FIELD(R, subject, TEXT),
  HF_FIELD(R, fingerprint, TEXT),
  HF_FIELD(R, issued, NUMBER),
  HF_FIELD(R, expires, NUMBER),
  HF_FIELD(R, revoked, TIME),
};
#undef R
static const HfTable certificates = {"certificates", "certificate", sizeof(HfCertificateRow), certificate_fields,
                                     G_N_ELEMENTS(certificate_fields)};

void hf_host_free(HfHostRow *row)
{
  hf_record_free(&hf_table_hosts, row);
}

void hf_certificate_free(HfCertificateRow *row)
{
  hf_record_free(&certificates, row);
}

HfHostRow *hf_inv_host_get(const HfInventory *inv, const char *id, GError **error)
{
  return hf_record_read(inv->db, &hf_table_hosts, id, error);
}

HfHostRow *hf_inv_host_find(const HfInventory *inv, const char *name_or_address, GError **error)
{
  g_autoptr(GPtrArray) found = hf_record_read_all(
      inv->db, &hf_table_hosts,
      "WHERE LOWER(name) = LOWER(?) OR address = ? "
      "ORDER BY CASE WHEN LOWER(name) = LOWER(?) THEN 0 ELSE 1 END, created LIMIT 1",
      HF_DB_VALUES(HF_DB_TEXT(name_or_address), HF_DB_TEXT(name_or_address), HF_DB_TEXT(name_or_address)), NULL, error);
  if (found == NULL)
    return NULL;
  if (found->len == 0) {
    hf_fail(error, HF_ERROR_NOT_FOUND, "there is no host '%s'", name_or_address);
    return NULL;
  }
  return g_ptr_array_index(found, 0);
}

GPtrArray *hf_inv_hosts_load(const HfInventory *inv, GError **error)
{
  return hf_record_read_all(inv->db, &hf_table_hosts, "ORDER BY name, id", HF_DB_NONE, (GDestroyNotify)hf_host_free,
                            error);
}

/* ---- changes by an administrator ---- */

static gboolean check_host(HfDbLink *link, const HfHostRow *row, GError **error)
{
  static const char *const types[] = {"LinuxHost", NULL};
  if (row->address == NULL || *row->address == '\0' || strpbrk(row->address, " \t\n/") != NULL)
    return hf_fail(error, HF_ERROR_USAGE, "'%s' is no address of a host; give a DNS name or an IP address",
                   row->address != NULL ? row->address : "");
  return hf_inv_check_name("host", row->name, error) &&
         hf_inv_check_word("the type of the host", row->type, types, error) &&
         hf_inv_check_json("the ports of the host", row->ports, FALSE, error) &&
         hf_inv_check_json("the networks of the host", row->networks, TRUE, error) &&
         hf_inv_check_json("the roles of the host", row->roles, FALSE, error) &&
         hf_inv_check_name_free(link, &hf_table_hosts, row->name, row->id, error);
}

static gboolean insert_host(HfDbLink *link, gpointer user, GError **error)
{
  const HfHostRow *row = user;
  return check_host(link, row, error) && hf_record_insert(link, &hf_table_hosts, row, error);
}

gboolean hf_inv_host_create(const HfInventory *inv, const HfActor *actor, HfHostRow *row, GError **error)
{
  if (row->id == NULL)
    row->id = hf_db_new_id();
  if (row->type == NULL)
    row->type = g_strdup("LinuxHost");
  g_free(row->status);
  row->status = g_strdup(HF_HOST_UNAVAILABLE);
  row->created = hf_db_now();
  return hf_inv_audited(&(HfChange){inv, actor, "create", &hf_table_hosts, row->id, row->name}, insert_host, row,
                        error);
}

static gboolean update_host(HfDbLink *link, gpointer user, GError **error)
{
  HfHostRow row = *(const HfHostRow *)user;
  g_autoptr(HfHostRow) old = hf_record_get(link, &hf_table_hosts, row.id, error);
  if (old == NULL)
    return FALSE;
  row.type = old->type;
  return check_host(link, &row, error) && hf_record_update(link, &hf_table_hosts, &row, error);
}

gboolean hf_inv_host_change(const HfInventory *inv, const HfActor *actor, const HfHostRow *row, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "change", &hf_table_hosts, row->id, row->name}, update_host,
                        (gpointer)row, error);
}

static gboolean delete_host(HfDbLink *link, gpointer user, GError **error)
{
  const char *id = user;
  static const struct {
    const char *what, *sql;
  } uses[] = {
    {"repository", "SELECT name FROM repositories WHERE host_id = ?"},
    {"proxy", "SELECT name FROM proxies WHERE disabled = 0 AND host_id = ?"},
    {"job", "SELECT jobs.name FROM job_hosts JOIN jobs ON jobs.id = job_hosts.job_id WHERE job_hosts.host_id = ?"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(uses); i++)
    if (!hf_inv_check_unused(link, "host", id, uses[i].what, uses[i].sql, error))
      return FALSE;
  if (!hf_db_exec(link, "UPDATE certificates SET revoked = ? WHERE host_id = ? AND revoked IS NULL",
                  HF_DB_VALUES(HF_DB_INT(hf_db_now()), HF_DB_TEXT(id)), NULL, error))
    return FALSE;
  static const char *const steps[] = {
    "DELETE FROM repository_writers WHERE host_id = ?",
    "DELETE FROM proxies WHERE host_id = ?",
    "UPDATE backup_objects SET host_id = NULL WHERE host_id = ?",
  };
  for (gsize i = 0; i < G_N_ELEMENTS(steps); i++)
    if (!hf_db_exec(link, steps[i], HF_DB_VALUES(HF_DB_TEXT(id)), NULL, error))
      return FALSE;
  return hf_inv_exec_one(link, &hf_table_hosts, id, "DELETE FROM hosts WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(id)),
                         error);
}

gboolean hf_inv_host_delete(const HfInventory *inv, const HfActor *actor, const char *id, GError **error)
{
  return hf_inv_audited(&(HfChange){inv, actor, "delete", &hf_table_hosts, id, NULL}, delete_host, (gpointer)id, error);
}

typedef struct Enrolment {
  const char *id, *identity, *serial, *fingerprint;
} Enrolment;

static gboolean enrol(HfDbLink *link, gpointer user, GError **error)
{
  const Enrolment *enrolment = user;
  if (enrolment->identity == NULL || *enrolment->identity == '\0')
    return hf_fail(error, HF_ERROR_USAGE, "the host does not say who it is");
  g_autoptr(HfDbRows) rows = hf_db_query(link, "SELECT name, address FROM hosts WHERE identity = ? AND id <> ?",
                                         HF_DB_VALUES(HF_DB_TEXT(enrolment->identity), HF_DB_TEXT(enrolment->id)),
                                             error);
  if (rows == NULL)
    return FALSE;
  if (hf_db_next(rows, error))
    return hf_fail(error, HF_ERROR_EXISTS, "this host is enrolled already as '%s' (%s); delete that one first",
                   hf_db_text(rows, 0), hf_db_text(rows, 1));
  gint64 now = hf_db_now();
  return !hf_db_failed(rows) &&
         hf_inv_exec_one(link, &hf_table_hosts, enrolment->id,
                         "UPDATE hosts SET identity = ?, certificate_serial = ?, certificate_fingerprint = ?, "
                         "enrolled = ? WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(enrolment->identity), HF_DB_TEXT(enrolment->serial),
                                      HF_DB_TEXT(enrolment->fingerprint), HF_DB_INT(now), HF_DB_TEXT(enrolment->id)),
                         error);
}

gboolean hf_inv_host_enrolled(const HfInventory *inv, const HfActor *actor, const char *id, const char *identity,
                              const char *certificate_serial, const char *certificate_fingerprint, GError **error)
{
  Enrolment enrolment = {id, identity, certificate_serial, certificate_fingerprint};
  return hf_inv_audited(&(HfChange){inv, actor, "enrol", &hf_table_hosts, id, NULL}, enrol, &enrolment, error);
}

/* ---- what the host tells ---- */

static gboolean keep_facts(HfDbLink *link, gpointer user, GError **error)
{
  const HfHostRow *facts = user;
  if (!hf_inv_check_json("the networks of the host", facts->networks, TRUE, error) ||
      !hf_inv_check_json("the roles of the host", facts->roles, FALSE, error))
    return FALSE;
  const char *const columns[] = {"networks", "os_name", "os_version", "kernel", "architecture", "agent_version",
                                 "roles"};
  const char *const values[] = {facts->networks, facts->os_name, facts->os_version, facts->kernel, facts->architecture,
                                facts->agent_version, facts->roles};
  for (gsize i = 0; i < G_N_ELEMENTS(columns); i++) {
    g_autofree char *sql = g_strdup_printf("UPDATE hosts SET %s = ? WHERE id = ?", columns[i]);
    if (values[i] != NULL &&
        !hf_db_exec(link, sql, HF_DB_VALUES(HF_DB_TEXT(values[i]), HF_DB_TEXT(facts->id)), NULL, error))
      return FALSE;
  }
  return hf_inv_exec_one(link, &hf_table_hosts, facts->id,
                         "UPDATE hosts SET processors = CASE WHEN ? > 0 THEN ? ELSE processors END, "
                         "memory = CASE WHEN ? > 0 THEN ? ELSE memory END WHERE id = ?",
                         HF_DB_VALUES(HF_DB_INT(facts->processors), HF_DB_INT(facts->processors),
                                      HF_DB_INT(facts->memory), HF_DB_INT(facts->memory), HF_DB_TEXT(facts->id)),
                                          error);
}

gboolean hf_inv_host_facts(const HfInventory *inv, const HfHostRow *facts, GError **error)
{
  return hf_db_write(inv->db, keep_facts, (gpointer)facts, error);
}

typedef struct Status {
  const char *id, *status, *message;
  gint64 seen; /* 0: not seen */
} Status;

static gboolean put_status(HfDbLink *link, gpointer user, GError **error)
{
  const Status *status = user;
  return hf_inv_exec_one(link, &hf_table_hosts, status->id,
                         "UPDATE hosts SET status = ?, status_message = ?, "
                         "last_seen = CASE WHEN ? > 0 THEN ? ELSE last_seen END WHERE id = ?",
                         HF_DB_VALUES(HF_DB_TEXT(status->status), HF_DB_TEXT(status->message), HF_DB_INT(status->seen),
                                      HF_DB_INT(status->seen), HF_DB_TEXT(status->id)), error);
}

gboolean hf_inv_host_status(const HfInventory *inv, const char *id, gboolean available, const char *message,
                            HfHostRow **before, GError **error)
{
  g_autoptr(HfHostRow) old = hf_inv_host_get(inv, id, error);
  if (old == NULL)
    return FALSE;
  gint64 now = hf_db_now();
  Status status = {id, available ? HF_HOST_AVAILABLE : HF_HOST_UNAVAILABLE, message != NULL ? message : "",
                   available ? now : 0};
  gboolean same = strcmp(old->status, status.status) == 0 && strcmp(old->status_message, status.message) == 0;
  gboolean recent = !available || ABS(now - old->last_seen) < SEEN_US;
  if (!(same && recent) && !hf_db_write(inv->db, put_status, &status, error))
    return FALSE;
  if (before != NULL)
    *before = g_steal_pointer(&old);
  return TRUE;
}

/* ---- certificates ---- */

static gboolean insert_certificate(HfDbLink *link, gpointer user, GError **error)
{
  return hf_record_insert(link, &certificates, user, error);
}

gboolean hf_inv_certificate_add(const HfInventory *inv, const HfCertificateRow *row, GError **error)
{
  return hf_db_write(inv->db, insert_certificate, (gpointer)row, error);
}

typedef struct Revocation {
  const HfActor *actor;
  const char *serial;
} Revocation;

static gboolean put_revoked(HfDbLink *link, gpointer user, GError **error)
{
  const Revocation *revocation = user;
  HfAudit line = {.action = "revoke", .object_kind = "certificates", .object_id = revocation->serial,
                  .object_name = ""};
  return hf_inv_exec_one(link, &certificates, revocation->serial,
                         "UPDATE certificates SET revoked = COALESCE(revoked, ?) WHERE serial = ?",
                         HF_DB_VALUES(HF_DB_INT(hf_db_now()), HF_DB_TEXT(revocation->serial)), error) &&
         hf_audit_write(link, revocation->actor, &line, error);
}

gboolean hf_inv_certificate_revoke(const HfInventory *inv, const HfActor *actor, const char *serial, GError **error)
{
  Revocation revocation = {actor, serial};
  return hf_db_write(inv->db, put_revoked, &revocation, error);
}

char **hf_inv_certificates_revoked(const HfInventory *inv, GError **error)
{
  g_autoptr(HfDbLink) link = hf_db_read(inv->db, error);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT serial FROM certificates WHERE revoked IS NOT NULL AND expires > ? "
                                       "ORDER BY serial", HF_DB_VALUES(HF_DB_INT(hf_db_now())), error);
  if (rows == NULL)
    return NULL;
  g_autoptr(GStrvBuilder) serials = g_strv_builder_new();
  while (hf_db_next(rows, error))
    g_strv_builder_add(serials, hf_db_text(rows, 0));
  return hf_db_failed(rows) ? NULL : g_strv_builder_end(serials);
}

GPtrArray *hf_inv_certificates_of(const HfInventory *inv, const char *host_id, GError **error)
{
  return hf_record_read_all(inv->db, &certificates, "WHERE host_id = ? ORDER BY issued DESC, serial",
                            HF_DB_VALUES(HF_DB_TEXT(host_id)), (GDestroyNotify)hf_certificate_free, error);
}
