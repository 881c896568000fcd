/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "place.h"
#include "server/inventory/catalogue.h"
#include "server/inventory/credentials.h"
#include "server/inventory/hosts.h"
#include "server/inventory/jobs.h"
#include "server/inventory/repositories.h"
#include "server/inventory/traffic.h"

#define NOBODY "00000000-0000-4000-8000-00000000dead"

static void replace(char **member, const char *text)
{
  g_free(*member);
  *member = g_strdup(text);
}

static char *last_audit(TestPlace *place)
{
  return test_text(place->db, "SELECT action || ' ' || object_kind || ' ' || object_name || ' ' || result FROM audit "
                              "ORDER BY time DESC LIMIT 1");
}

/* ---- credentials ---- */

static void test_credentials(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autoptr(HfCredentialRow) row = g_new0(HfCredentialRow, 1);
  HfCredentialSecrets secrets = {.password = "s3cret"};
  row->username = g_strdup("root");
  row->type = g_strdup("Linux");
  g_assert_true(hf_inv_credential_create(inv, &test_actor, row, &secrets, &error));
  g_assert_no_error(error);
  g_autofree char *line = last_audit(place);
  g_assert_cmpstr(line, ==, "create credentials root ok");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE new_value LIKE '%s3cret%'"), ==, 0);

  g_autoptr(HfCredentialRow) got = hf_inv_credential_get(inv, row->id, &error);
  g_assert_cmpstr(got->username, ==, "root");
  g_assert_cmpstr(got->authentication, ==, "Password");
  g_assert_cmpint(got->created, ==, row->created);
  g_autoptr(HfSecret) password = hf_inv_credential_secret(inv, row->id, HF_CREDENTIAL_PASSWORD, &error);
  g_assert_cmpstr(password, ==, "s3cret");
  g_autoptr(HfSecret) key = hf_inv_credential_secret(inv, row->id, HF_CREDENTIAL_PRIVATE_KEY, &error);
  g_assert_cmpstr(key, ==, "");
  g_assert_null(hf_inv_credential_secret(inv, NOBODY, HF_CREDENTIAL_PASSWORD, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, NOBODY);

  /* By key without a key. */
  replace(&got->authentication, "PrivateKey");
  g_assert_false(hf_inv_credential_change(inv, &test_actor, got, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "private key");
  secrets = (HfCredentialSecrets){.private_key = "KEY", .passphrase = "phrase", .root_password = "r"};
  got->ssh_port = 2222;
  g_assert_true(hf_inv_credential_change(inv, &test_actor, got, &secrets, &error));
  g_assert_no_error(error);
  g_autoptr(HfSecret) kept = hf_inv_credential_secret(inv, row->id, HF_CREDENTIAL_PASSWORD, &error);
  g_assert_cmpstr(kept, ==, "s3cret");
  g_autoptr(HfSecret) phrase = hf_inv_credential_secret(inv, row->id, HF_CREDENTIAL_PASSPHRASE, &error);
  g_assert_cmpstr(phrase, ==, "phrase");
  g_autofree char *audit = test_text(place->db, "SELECT old_value || new_value FROM audit WHERE action = 'change' AND "
                                                "result = 'ok'");
  g_assert_nonnull(strstr(audit, "\"ssh_port\":2222"));
  g_assert_nonnull(strstr(audit, "\"sealed_private_key\":\"(secret)\""));

  got->ssh_port = 70000;
  g_assert_false(hf_inv_credential_change(inv, &test_actor, got, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "SSH port");
  g_autoptr(HfCredentialRow) wrong = g_new0(HfCredentialRow, 1);
  wrong->type = g_strdup("Linux");
  g_assert_false(hf_inv_credential_create(inv, &test_actor, wrong, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "user name");
  wrong->username = g_strdup("x");
  g_assert_false(hf_inv_credential_create(inv, &test_actor, wrong, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "password");
  replace(&wrong->type, "Windows");
  g_assert_false(hf_inv_credential_create(inv, &test_actor, wrong, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "Standard, Linux");

  /* In use. */
  g_autofree char *host = test_host(place, "alpha");
  g_autoptr(HfHostRow) host_row = hf_inv_host_get(inv, host, &error);
  host_row->credentials_id = g_strdup(row->id);
  g_assert_true(hf_inv_host_change(inv, &test_actor, host_row, &error));
  g_assert_false(hf_inv_credential_delete(inv, &test_actor, row->id, &error));
  test_refused(&error, HF_ERROR_EXISTS, "host 'alpha'");
  g_clear_pointer(&host_row->credentials_id, g_free);
  g_assert_true(hf_inv_host_change(inv, &test_actor, host_row, &error));
  g_assert_true(hf_inv_credential_delete(inv, &test_actor, row->id, &error));
  g_assert_false(hf_inv_credential_delete(inv, &test_actor, row->id, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, row->id);
  g_assert_false(hf_inv_credential_change(inv, &test_actor, row, NULL, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, row->id);
}

static void test_encryption_passwords(TestPlace *place)
{
  GError *error = NULL;
  gboolean same = FALSE;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autoptr(HfEncryptionPasswordRow) row = g_new0(HfEncryptionPasswordRow, 1);
  g_assert_false(hf_inv_encryption_password_create(inv, &test_actor, row, "pw", &error));
  test_refused(&error, HF_ERROR_USAGE, "hint");
  row->hint = g_strdup("the usual");
  g_assert_false(hf_inv_encryption_password_create(inv, &test_actor, row, "", &error));
  test_refused(&error, HF_ERROR_USAGE, "empty");
  g_assert_true(hf_inv_encryption_password_create(inv, &test_actor, row, "pw", &error));
  g_assert_true(hf_inv_encryption_password_verify(inv, row->id, "pw", &same, &error) && same);
  g_assert_true(hf_inv_encryption_password_verify(inv, row->id, "pW", &same, &error) && !same);
  g_assert_false(hf_inv_encryption_password_verify(inv, NOBODY, "pw", &same, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, NOBODY);
  replace(&row->hint, "new hint");
  g_assert_true(hf_inv_encryption_password_change(inv, &test_actor, row, "pw2", &error));
  g_assert_false(hf_inv_encryption_password_change(inv, &test_actor, row, "", &error));
  test_refused(&error, HF_ERROR_USAGE, "empty");
  g_autoptr(HfSecret) secret = hf_inv_encryption_password_secret(inv, row->id, &error);
  g_assert_cmpstr(secret, ==, "pw2");
  g_autoptr(HfEncryptionPasswordRow) got = hf_inv_encryption_password_get(inv, row->id, &error);
  g_assert_cmpstr(got->hint, ==, "new hint");
  replace(&got->hint, "");
  g_assert_false(hf_inv_encryption_password_change(inv, &test_actor, got, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "hint");

  g_autofree char *host = test_host(place, "alpha");
  g_autofree char *repository = test_repository(place, "store", host);
  g_autoptr(HfRepositoryRow) repository_row = hf_inv_repository_get(inv, repository, &error);
  repository_row->encryption_password_id = g_strdup(NOBODY);
  g_assert_false(hf_inv_repository_change(inv, &test_actor, repository_row, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "encryption password");
  replace(&repository_row->encryption_password_id, row->id);
  g_assert_true(hf_inv_repository_change(inv, &test_actor, repository_row, &error));
  g_assert_false(hf_inv_encryption_password_delete(inv, &test_actor, row->id, &error));
  test_refused(&error, HF_ERROR_EXISTS, "repository 'store'");
  g_clear_pointer(&repository_row->encryption_password_id, g_free);
  g_assert_true(hf_inv_repository_change(inv, &test_actor, repository_row, &error));
  g_assert_true(hf_inv_encryption_password_delete(inv, &test_actor, row->id, &error));
}

/* ---- hosts ---- */

static void test_hosts(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_autofree char *beta = test_host(place, "beta");
  g_autoptr(HfHostRow) again = g_new0(HfHostRow, 1);
  again->name = g_strdup("ALPHA");
  again->address = g_strdup("192.0.2.3");
  g_assert_false(hf_inv_host_create(inv, &test_actor, again, &error));
  test_refused(&error, HF_ERROR_EXISTS, alpha);
  g_autofree char *line = last_audit(place);
  g_assert_true(g_str_has_prefix(line, "create hosts ALPHA the name 'ALPHA' is taken"));
  static const char *const addresses[] = {"", "a b", "a/b"};
  replace(&again->name, "gamma");
  for (gsize i = 0; i < G_N_ELEMENTS(addresses); i++) {
    replace(&again->address, addresses[i]);
    g_assert_false(hf_inv_host_create(inv, &test_actor, again, &error));
    test_refused(&error, HF_ERROR_USAGE, "address of a host");
  }
  replace(&again->address, "x");
  static const char *const names[] = {"", " x", "x\n", "a\tb", "\xff"};
  for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
    replace(&again->name, names[i]);
    g_assert_false(hf_inv_host_create(inv, &test_actor, again, &error));
    test_refused(&error, HF_ERROR_USAGE, "name");
  }
  replace(&again->name, "gamma");
  replace(&again->ports, "[1]");
  g_assert_false(hf_inv_host_create(inv, &test_actor, again, &error));
  test_refused(&error, HF_ERROR_USAGE, "ports of the host is not a JSON object");

  g_autoptr(GPtrArray) all = hf_inv_hosts_load(inv, &error);
  g_assert_cmpuint(all->len, ==, 2);
  g_assert_cmpstr(((HfHostRow *)all->pdata[0])->name, ==, "alpha");
  g_assert_cmpstr(((HfHostRow *)all->pdata[0])->networks, ==, "[]");
  g_autoptr(HfHostRow) by_name = hf_inv_host_find(inv, "Beta", &error);
  g_assert_cmpstr(by_name->id, ==, beta);
  g_autoptr(HfHostRow) by_address = hf_inv_host_find(inv, "beta.example", &error);
  g_assert_cmpstr(by_address->id, ==, beta);
  g_assert_null(hf_inv_host_find(inv, "nobody", &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "nobody");
  replace(&by_name->name, "alpha");
  g_assert_false(hf_inv_host_change(inv, &test_actor, by_name, &error));
  test_refused(&error, HF_ERROR_EXISTS, "alpha");

  /* Enrolment. */
  g_assert_true(hf_inv_host_enrolled(inv, &test_actor, alpha, "machine-1", "0a", "ff", &error));
  g_assert_false(hf_inv_host_enrolled(inv, &test_actor, beta, "machine-1", "0b", "fe", &error));
  test_refused(&error, HF_ERROR_EXISTS, "enrolled already as 'alpha' (alpha.example)");
  g_assert_false(hf_inv_host_enrolled(inv, &test_actor, beta, "", "0b", "fe", &error));
  test_refused(&error, HF_ERROR_USAGE, "who it is");
  g_assert_true(hf_inv_host_enrolled(inv, &test_actor, alpha, "machine-1", "0c", "fd", &error)); /* renewed */
  g_autoptr(HfHostRow) enrolled = hf_inv_host_get(inv, alpha, &error);
  g_assert_cmpstr(enrolled->certificate_serial, ==, "0c");
  g_assert_cmpint(enrolled->enrolled, >, 0);

  /* What it tells. */
  HfHostRow facts = {.id = alpha, .os_name = (char *)"Debian", .processors = 4, .memory = 1 << 30,
                     .roles = (char *)"{\"transport\":\"1.0\"}"};
  g_assert_true(hf_inv_host_facts(inv, &facts, &error));
  HfHostRow fewer = {.id = alpha, .kernel = (char *)"6.1"};
  g_assert_true(hf_inv_host_facts(inv, &fewer, &error));
  g_autoptr(HfHostRow) told = hf_inv_host_get(inv, alpha, &error);
  g_assert_cmpstr(told->os_name, ==, "Debian");
  g_assert_cmpstr(told->kernel, ==, "6.1");
  g_assert_cmpint(told->processors, ==, 4);
  fewer.roles = (char *)"no";
  g_assert_false(hf_inv_host_facts(inv, &fewer, &error));
  test_refused(&error, HF_ERROR_USAGE, "roles");
  fewer = (HfHostRow){.id = (char *)NOBODY};
  g_assert_false(hf_inv_host_facts(inv, &fewer, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, NOBODY);
}

static void test_host_status(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_assert_true(hf_inv_host_status(inv, alpha, TRUE, NULL, NULL, &error));
  gint64 seen = test_number(place->db, "SELECT last_seen FROM hosts");
  g_assert_cmpint(seen, >, 0);
  g_assert_true(hf_inv_host_status(inv, alpha, TRUE, NULL, NULL, &error)); /* too soon to be written */
  g_assert_cmpint(test_number(place->db, "SELECT last_seen FROM hosts"), ==, seen);
  g_autoptr(HfHostRow) before = NULL;
  g_assert_true(hf_inv_host_status(inv, alpha, FALSE, "no answer", &before, &error));
  g_assert_cmpstr(before->status, ==, HF_HOST_AVAILABLE);
  g_autoptr(HfHostRow) row = hf_inv_host_get(inv, alpha, &error);
  g_assert_cmpstr(row->status, ==, HF_HOST_UNAVAILABLE);
  g_assert_cmpstr(row->status_message, ==, "no answer");
  g_assert_cmpint(row->last_seen, ==, seen);
  g_assert_false(hf_inv_host_status(inv, NOBODY, TRUE, NULL, NULL, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, NOBODY);
}

static void test_certificates(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  HfCertificateRow row = {.serial = (char *)"0a", .host_id = alpha, .subject = (char *)"alpha",
                          .fingerprint = (char *)"ff", .issued = hf_db_now(), .expires = hf_db_now() +
                              G_USEC_PER_SEC * 60};
  g_assert_true(hf_inv_certificate_add(inv, &row, &error));
  row.serial = (char *)"0b";
  row.issued++;
  g_assert_true(hf_inv_certificate_add(inv, &row, &error));
  g_assert_false(hf_inv_certificate_add(inv, &row, &error));
  test_refused(&error, HF_ERROR_EXISTS, "certificates");
  g_autoptr(GPtrArray) mine = hf_inv_certificates_of(inv, alpha, &error);
  g_assert_cmpuint(mine->len, ==, 2);
  g_assert_cmpstr(((HfCertificateRow *)mine->pdata[0])->serial, ==, "0b");
  g_assert_true(hf_inv_certificate_revoke(inv, &test_actor, "0a", &error));
  g_assert_false(hf_inv_certificate_revoke(inv, &test_actor, "0f", &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "0f");
  g_auto(GStrv) revoked = hf_inv_certificates_revoked(inv, &error);
  g_assert_cmpuint(g_strv_length(revoked), ==, 1);
  g_assert_cmpstr(revoked[0], ==, "0a");
  /* A host that is deleted takes its certificates with it. */
  g_assert_true(hf_inv_host_delete(inv, &test_actor, alpha, &error));
  g_assert_no_error(error);
  g_auto(GStrv) both = hf_inv_certificates_revoked(inv, &error);
  g_assert_cmpuint(g_strv_length(both), ==, 2);
}

/* ---- repositories, writers, proxies ---- */

static void test_repositories(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_autofree char *store = test_repository(place, "store", alpha);
  g_autoptr(HfRepositoryRow) row = g_new0(HfRepositoryRow, 1);
  row->name = g_strdup("hard");
  row->type = g_strdup("LinuxHardened");
  row->host_id = g_strdup(NOBODY);
  row->path = g_strdup("srv");
  g_assert_false(hf_inv_repository_create(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_USAGE, "not absolute");
  replace(&row->path, "/srv/store");
  g_assert_false(hf_inv_repository_create(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_USAGE, "at least 1 day");
  row->immutable_days = 7;
  g_assert_false(hf_inv_repository_create(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "host");
  replace(&row->host_id, alpha);
  g_assert_false(hf_inv_repository_create(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_EXISTS, "the repository 'store' already");
  replace(&row->path, "/srv/hard");
  g_assert_true(hf_inv_repository_create(inv, &test_actor, row, &error));
  row->immutable_days = 6;
  g_assert_false(hf_inv_repository_change(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_REFUSED, "never made shorter");
  row->immutable_days = 8;
  row->task_limit = 3;
  g_assert_true(hf_inv_repository_change(inv, &test_actor, row, &error));
  row->rate_limit = -1;
  g_assert_false(hf_inv_repository_change(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_USAGE, "rate limit is -1");

  g_assert_true(hf_inv_repository_made(inv, store, "abcd", "0123", &error));
  g_assert_true(hf_inv_repository_made(inv, store, "abcd", "0123", &error)); /* itself */
  g_assert_false(hf_inv_repository_made(inv, row->id, "abcd", "0123", &error));
  test_refused(&error, HF_ERROR_EXISTS, "'store' (alpha:/srv/store)");
  g_assert_true(hf_inv_repository_made(inv, row->id, "abcd", "4567", &error));
  g_assert_true(hf_inv_repository_state(inv, store, TRUE, NULL, 100, 60, 40, TRUE, &error));
  g_assert_true(hf_inv_repository_state(inv, store, FALSE, "gone", 0, 0, 0, FALSE, &error));
  g_autoptr(HfRepositoryRow) got = hf_inv_repository_get(inv, store, &error);
  g_assert_false(got->online);
  g_assert_cmpstr(got->status_message, ==, "gone");
  g_assert_cmpint(got->capacity, ==, 100); /* the figures stay */
  g_assert_true(got->out_of_date);
  g_assert_cmpint(got->checked, >, 0);
  g_assert_cmpstr(got->fingerprint, ==, "abcd");
  g_assert_cmpstr(got->unique_id, ==, "0123");
  g_autoptr(GPtrArray) all = hf_inv_repositories_load(inv, &error);
  g_assert_cmpuint(all->len, ==, 2);

  g_assert_false(hf_inv_host_delete(inv, &test_actor, alpha, &error));
  test_refused(&error, HF_ERROR_EXISTS, "repository");
  g_autofree char *job = test_job(place, "nightly", store, NULL);
  g_assert_false(hf_inv_repository_delete(inv, &test_actor, store, TRUE, &error));
  test_refused(&error, HF_ERROR_EXISTS, "job 'nightly'");
  g_assert_true(hf_inv_job_delete(inv, &test_actor, job, &error));
  g_assert_true(hf_inv_repository_delete(inv, &test_actor, store, FALSE, &error));
  g_assert_false(hf_inv_repository_delete(inv, &test_actor, store, FALSE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, store);
}

static void test_writers(TestPlace *place)
{
  GError *error = NULL;
  gsize length = 0;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_autofree char *beta = test_host(place, "beta");
  g_autofree char *store = test_repository(place, "store", alpha);
  g_autoptr(HfWriterRow) row = g_new0(HfWriterRow, 1);
  row->host_id = g_strdup(beta);
  row->repository_id = g_strdup(store);
  row->writer = g_strdup("aa");
  row->domain = g_strdup("bb");
  g_assert_null(hf_inv_writer_get(inv, beta, store, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "no writer");
  g_assert_true(hf_inv_writer_add(inv, &test_actor, row, "a\0b", 3, &error));
  g_autoptr(HfWriterRow) got = hf_inv_writer_get(inv, beta, store, &error);
  g_assert_cmpstr(got->domain, ==, "bb");
  g_autofree char *credential = hf_inv_writer_credential(inv, got, &length, &error);
  g_assert_cmpmem(credential, (int)length, "a\0b", 3);
  g_autoptr(HfWriterRow) second = g_new0(HfWriterRow, 1);
  second->host_id = g_strdup(beta);
  second->repository_id = g_strdup(store);
  second->writer = g_strdup("cc");
  second->domain = g_strdup("dd");
  g_assert_false(hf_inv_writer_add(inv, &test_actor, second, "x", 1, &error));
  test_refused(&error, HF_ERROR_EXISTS, "repository_writers");
  g_autoptr(GPtrArray) all = hf_inv_writers_of(inv, store, &error);
  g_assert_cmpuint(all->len, ==, 1);
  replace(&((HfWriterRow *)got)->id, NOBODY);
  g_assert_null(hf_inv_writer_credential(inv, got, &length, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "writer");
  replace(&second->host_id, NOBODY);
  g_assert_false(hf_inv_writer_add(inv, &test_actor, second, "x", 1, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "host");
}

static void test_proxies(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_autoptr(HfProxyRow) row = g_new0(HfProxyRow, 1);
  row->name = g_strdup("mover");
  row->host_id = g_strdup(alpha);
  g_assert_false(hf_inv_proxy_create(inv, &test_actor, row, &error));
  test_refused(&error, HF_ERROR_USAGE, "number of tasks");
  row->max_tasks = 2;
  g_assert_true(hf_inv_proxy_create(inv, &test_actor, row, &error));
  g_autoptr(HfProxyRow) second = g_new0(HfProxyRow, 1);
  second->name = g_strdup("other");
  second->host_id = g_strdup(alpha);
  second->max_tasks = 1;
  g_assert_false(hf_inv_proxy_create(inv, &test_actor, second, &error));
  test_refused(&error, HF_ERROR_EXISTS, "proxy 'mover'");
  g_assert_false(hf_inv_host_delete(inv, &test_actor, alpha, &error));
  test_refused(&error, HF_ERROR_EXISTS, "proxy 'mover'");
  row->max_tasks = 5;
  g_assert_true(hf_inv_proxy_change(inv, &test_actor, row, &error));
  g_assert_true(hf_inv_proxy_switch(inv, &test_actor, row->id, TRUE, &error));
  g_autoptr(HfProxyRow) got = hf_inv_proxy_get(inv, row->id, &error);
  g_assert_cmpint(got->max_tasks, ==, 5);
  g_assert_true(got->disabled);
  g_autofree char *line = last_audit(place);
  g_assert_cmpstr(line, ==, "disable proxies mover ok");
  g_autoptr(GPtrArray) all = hf_inv_proxies_load(inv, &error);
  g_assert_cmpuint(all->len, ==, 1);
  g_assert_false(hf_inv_proxy_switch(inv, &test_actor, NOBODY, TRUE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, NOBODY);
  replace(&second->id, NOBODY);
  g_assert_false(hf_inv_proxy_change(inv, &test_actor, second, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, NOBODY);
  g_assert_true(hf_inv_host_delete(inv, &test_actor, alpha, &error)); /* a disabled one goes with its host */
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM proxies"), ==, 0);
  g_assert_false(hf_inv_proxy_delete(inv, &test_actor, row->id, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, row->id);
}

/* ---- traffic rules ---- */

static HfTrafficRow *rule(const char *name, const char *source_first, const char *source_last, const char *target_first,
                          const char *target_last, gint64 value, const char *unit)
{
  HfTrafficRow *row = g_new0(HfTrafficRow, 1);
  row->name = g_strdup(name);
  row->source_first = g_strdup(source_first);
  row->source_last = g_strdup(source_last);
  row->target_first = g_strdup(target_first);
  row->target_last = g_strdup(target_last);
  row->throttling = value != 0;
  row->throttling_value = value;
  row->throttling_unit = g_strdup(unit);
  return row;
}

static void test_traffic(TestPlace *place)
{
  GError *error = NULL;
  const HfTrafficRow *decides = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autoptr(GTimeZone) zone = g_time_zone_new_utc();
  g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func((GDestroyNotify)hf_traffic_free);
  g_ptr_array_add(rules, rule("slow", "10.0.0.1", "10.0.0.9", "10.1.0.0", "10.1.255.255", 8, "MbitPerSec"));
  g_ptr_array_add(rules, rule("all", "0.0.0.0", "255.255.255.255", "0.0.0.0", "255.255.255.255", 2, "MbytePerSec"));
  g_ptr_array_add(rules, rule("six", "fd00::", "fd00::ffff", "fd00::", "fd00::ffff", 3, "KbytePerSec"));
  const char *const networks[] = {"10.0.0.0/8", "fd00::/16", NULL};
  g_assert_true(hf_inv_traffic_replace(inv, &test_actor, rules, networks, &error));
  g_assert_no_error(error);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'create'"), ==, 3);

  g_autoptr(GPtrArray) got = hf_inv_traffic_load(inv, &error);
  g_assert_cmpint(hf_traffic_limit(got, "10.0.0.5", "10.1.2.3", zone, 0, &decides), ==, 1000000);
  g_assert_cmpstr(decides->name, ==, "slow");
  g_assert_cmpint(hf_traffic_limit(got, "10.1.2.3", "::ffff:10.0.0.5", zone, 0, NULL), ==, 1000000); /* both ways */
  g_assert_cmpint(hf_traffic_limit(got, "10.0.0.10", "10.1.2.3", zone, 0, NULL), ==, 2 * 1024 * 1024);
  g_assert_cmpint(hf_traffic_limit(got, "fd00::5", "fd00::6", zone, 0, NULL), ==, 3 * 1024);
  g_assert_cmpint(hf_traffic_limit(got, "fd01::5", "fd00::6", zone, 0, &decides), ==, 0);
  g_assert_null(decides);
  g_assert_cmpint(hf_traffic_limit(got, "nonsense", "fd00::6", zone, 0, NULL), ==, 0);

  /* Only in its hours; the rule decides nevertheless. */
  HfTrafficRow *slow = g_ptr_array_index(got, 0);
  slow->window_enabled = TRUE;
  replace(&slow->windows, "{\"days\":[{\"day\":\"Thursday\",\"hours\":"
          "\"1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\"}]}");
  g_assert_cmpint(hf_traffic_limit(got, "10.0.0.5", "10.1.2.3", zone, 0, NULL), ==, 1000000);
  g_assert_cmpint(hf_traffic_limit(got, "10.0.0.5", "10.1.2.3", zone, 3600 * G_GINT64_CONSTANT(1000000), &decides), ==,
                  0);
  g_assert_true(decides == slow);
  /* One is changed, one is gone, one stays. */
  g_ptr_array_remove_index(got, 1);
  g_assert_true(hf_inv_traffic_replace(inv, &test_actor, got, NULL, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'change'"), ==,
                  2); /* and its place */
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM audit WHERE action = 'delete'"), ==, 1);
  g_auto(GStrv) none = hf_inv_preferred_networks(inv, &error);
  g_assert_cmpuint(g_strv_length(none), ==, 0);

  g_assert_true(hf_network_holds(networks, "10.9.9.9"));
  g_assert_true(hf_network_holds(networks, "fd00::1"));
  g_assert_false(hf_network_holds(networks, "192.0.2.1"));
  g_assert_false(hf_network_holds(networks, "x"));
}

static void test_traffic_refused(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const struct {
    HfTrafficRow *row;
    const char *holds;
  } wrong[] = {
    {rule("", "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", 1, "MbitPerSec"), "name"},
    {rule("a", "10.0.0.x", "10.0.0.2", "10.0.0.1", "10.0.0.2", 1, "MbitPerSec"), "no IP address"},
    {rule("a", "10.0.0.1", NULL, "10.0.0.1", "10.0.0.2", 1, "MbitPerSec"), "no IP address"},
    {rule("a", "10.0.0.3", "10.0.0.2", "10.0.0.1", "10.0.0.2", 1, "MbitPerSec"), "no range"},
    {rule("a", "10.0.0.1", "10.0.0.2", "10.0.0.1", "fd00::1", 1, "MbitPerSec"), "no range"},
    {rule("a", "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", 1, "Furlongs"), "unit"},
    {rule("a", "10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", -1, "MbitPerSec"), "limit"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
    g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func((GDestroyNotify)hf_traffic_free);
    g_ptr_array_add(rules, wrong[i].row);
    g_assert_false(hf_inv_traffic_replace(&place->inv, &test_actor, rules, NULL, &error));
    test_refused(&error, HF_ERROR_USAGE, wrong[i].holds);
  }
  g_autoptr(GPtrArray) none = g_ptr_array_new();
  g_assert_false(hf_inv_traffic_replace(&place->inv, &test_actor, none, (const char *const[]){"10.0.0.0/99", NULL},
                                        &error));
  test_refused(&error, HF_ERROR_USAGE, "no network");
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM traffic_rules"), ==, 0);
}

/* ---- jobs ---- */

#define AFTER(name) "{\"runAutomatically\":true,\"afterThisJob\":{\"isEnabled\":true,\"jobName\":\"" name "\"}}"

static void test_jobs(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_autofree char *store = test_repository(place, "store", alpha);
  g_autofree char *first = test_job(place, "first", store, NULL);
  g_autofree char *second = test_job(place, "second", store, AFTER("First"));
  g_autoptr(HfJobRow) row = hf_inv_job_get(inv, second, &error);
  g_assert_cmpstr(row->after_job_id, ==, first);
  g_assert_cmpstr(row->next_run_policy, ==, "after job 'First'");
  g_assert_cmpstr(row->status, ==, HF_JOB_INACTIVE);
  g_assert_cmpstr(row->last_result, ==, HF_RESULT_NONE);

  /* A ring is refused, a name that is not there too. */
  g_autoptr(HfJobRow) ring = hf_inv_job_find(inv, "FIRST", &error);
  replace(&ring->schedule, AFTER("second"));
  g_assert_false(hf_inv_job_change(inv, &test_actor, ring, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "after itself");
  replace(&ring->schedule, AFTER("nowhere"));
  g_assert_false(hf_inv_job_change(inv, &test_actor, ring, NULL, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "nowhere");
  replace(&ring->schedule, "{\"daily\":{\"dailyKind\":\"x\"}}");
  g_assert_false(hf_inv_job_change(inv, &test_actor, ring, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "dailyKind");
  replace(&ring->schedule, "{}");
  replace(&ring->config, "[]");
  g_assert_false(hf_inv_job_change(inv, &test_actor, ring, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "configuration");
  replace(&ring->config, "{\"paths\":[\"/home\"]}");

  /* Another name: what follows it follows. */
  replace(&ring->name, "begin");
  const char *const hosts[] = {alpha, alpha, NULL};
  g_assert_true(hf_inv_job_change(inv, &test_actor, ring, hosts, &error));
  g_assert_no_error(error);
  g_autoptr(HfJobRow) followed = hf_inv_job_get(inv, second, &error);
  g_assert_nonnull(strstr(followed->schedule, "\"jobName\":\"begin\""));
  g_assert_cmpstr(followed->next_run_policy, ==, "after job 'begin'");
  g_auto(GStrv) named = hf_inv_job_hosts(inv, first, &error);
  g_assert_cmpuint(g_strv_length(named), ==, 1);
  g_assert_cmpstr(named[0], ==, alpha);
  const char *const unknown[] = {NOBODY, NULL};
  g_assert_false(hf_inv_job_change(inv, &test_actor, ring, unknown, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "host");

  g_assert_false(hf_inv_job_delete(inv, &test_actor, first, &error));
  test_refused(&error, HF_ERROR_EXISTS, "job 'second'");
  g_autoptr(HfJobRow) lost = g_new0(HfJobRow, 1);
  lost->name = g_strdup("lost");
  lost->type = g_strdup("BackupCopy");
  lost->repository_id = g_strdup(NOBODY);
  g_assert_false(hf_inv_job_create(inv, &test_actor, lost, NULL, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "repository");
  replace(&lost->type, "Magic");
  g_assert_false(hf_inv_job_create(inv, &test_actor, lost, NULL, &error));
  test_refused(&error, HF_ERROR_USAGE, "type of the job");
  g_assert_null(hf_inv_job_find(inv, "lost", &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "lost");
  g_autoptr(GPtrArray) all = hf_inv_jobs_load(inv, &error);
  g_assert_cmpuint(all->len, ==, 2);
}

static void test_runs(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *job = test_job(place, "nightly", NULL, NULL);
  g_autofree char *session = hf_db_new_id();
  g_assert_true(hf_inv_job_begin(inv, job, session, FALSE, &error));
  g_assert_false(hf_inv_job_begin(inv, job, session, FALSE, &error));
  test_refused(&error, HF_ERROR_BUSY, "runs already");
  g_assert_false(hf_inv_job_delete(inv, &test_actor, job, &error));
  test_refused(&error, HF_ERROR_BUSY, "stop it first");
  g_assert_true(hf_inv_job_status(inv, job, HF_JOB_RUNNING, &error));
  g_assert_false(hf_inv_job_status(inv, job, HF_JOB_DISABLED, &error));
  test_refused(&error, HF_ERROR_USAGE, "status");
  g_assert_true(hf_inv_job_switch(inv, &test_actor, job, TRUE, &error)); /* the run goes on */
  g_autoptr(HfJobRow) running = hf_inv_job_get(inv, job, &error);
  g_assert_cmpstr(running->status, ==, HF_JOB_RUNNING);
  g_assert_cmpstr(running->last_session_id, ==, session);
  g_assert_true(hf_inv_job_end(inv, job, HF_RESULT_FAILED, &error));
  g_autoptr(HfJobRow) ended = hf_inv_job_get(inv, job, &error);
  g_assert_cmpstr(ended->status, ==, HF_JOB_DISABLED);
  g_assert_cmpstr(ended->last_result, ==, HF_RESULT_FAILED);
  g_assert_true(hf_inv_job_status(inv, job, HF_JOB_STOPPING, &error)); /* too late: nothing */
  g_assert_true(hf_inv_job_switch(inv, &test_actor, job, FALSE, &error));
  g_assert_true(hf_inv_job_begin(inv, job, session, TRUE, &error));
  g_autoptr(HfJobRow) retried = hf_inv_job_get(inv, job, &error);
  g_assert_cmpstr(retried->status, ==, HF_JOB_STARTING);
  g_assert_cmpint(retried->retries, ==, 1);
  g_assert_true(hf_inv_job_end(inv, job, HF_RESULT_SUCCESS, &error));
  g_assert_false(hf_inv_job_begin(inv, NOBODY, session, FALSE, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "job");
  g_assert_true(hf_inv_job_delete(inv, &test_actor, job, &error));
}

/* ---- the catalogue ---- */

static void add_point(TestPlace *place, const char *repository, const char *job, const char *object_name, guint number,
                      char **point_id, char **backup_id)
{
  GError *error = NULL;
  g_autoptr(HfBackupRow) backup = g_new0(HfBackupRow, 1);
  g_autoptr(HfObjectRow) object = g_new0(HfObjectRow, 1);
  g_autoptr(HfPointRow) point = g_new0(HfPointRow, 1);
  backup->job_id = g_strdup(job);
  backup->job_type = g_strdup("LinuxAgentBackup");
  backup->name = g_strdup("nightly");
  backup->platform = g_strdup("LinuxPhysical");
  backup->repository_id = g_strdup(repository);
  object->name = g_strdup(object_name);
  object->type = g_strdup("Files");
  object->platform = g_strdup("LinuxPhysical");
  object->source_id = g_strdup_printf("50%s", object_name);
  point->point = g_strdup_printf("%032x", number);
  point->name = g_strdup(object_name);
  point->type = g_strdup("Increment");
  point->time = number * G_GINT64_CONSTANT(1000000);
  point->original_size = 1000;
  point->read_size = 500;
  point->stored_size = 100;
  hf_inv_point_add(&place->inv, backup, object, point, &error);
  g_assert_no_error(error);
  if (point_id != NULL)
    replace(point_id, point->id);
  if (backup_id != NULL)
    replace(backup_id, backup->id);
}

static void test_catalogue(TestPlace *place)
{
  GError *error = NULL;
  g_autofree char *one = NULL, *again = NULL, *backup = NULL, *found = NULL;
  gint64 forgotten = 0;
  test_open(place);
  const HfInventory *inv = &place->inv;
  g_autofree char *alpha = test_host(place, "alpha");
  g_autofree char *store = test_repository(place, "store", alpha);
  g_autofree char *job = test_job(place, "nightly", store, NULL);
  add_point(place, store, job, "home", 20, &one, &backup);
  add_point(place, store, job, "home", 10, NULL, NULL);
  add_point(place, store, job, "etc", 30, NULL, NULL);
  add_point(place, store, job, "home", 20, &again, NULL);
  g_assert_cmpstr(one, ==, again);
  add_point(place, store, NULL, "home", 40, NULL, &found); /* of no job that is known */
  g_assert_cmpstr(found, !=, backup);
  add_point(place, store, NULL, "home", 41, NULL, NULL);

  g_autoptr(GPtrArray) points = hf_inv_points_of(inv, backup, NULL, &error);
  g_assert_cmpuint(points->len, ==, 3);
  const HfPointRow *oldest = g_ptr_array_index(points, 0);
  g_assert_cmpint(oldest->time, ==, 10 * G_USEC_PER_SEC);
  g_autoptr(GPtrArray) of_object = hf_inv_points_of(inv, backup, oldest->object_id, &error);
  g_assert_cmpuint(of_object->len, ==, 2);
  g_autoptr(HfBackupRow) backup_row = hf_inv_backup_get(inv, backup, &error);
  g_assert_cmpint(backup_row->created, ==, 10 * G_USEC_PER_SEC);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM backup_files"), ==, 5);
  g_assert_cmpint(test_number(place->db, "SELECT dedup_ratio * 1000 + compress_ratio FROM backup_files LIMIT 1"), ==,
                  50020);

  g_assert_true(hf_inv_point_damaged(inv, one, TRUE, &error));
  g_assert_true(hf_inv_point_lock(inv, one, 77, &error));
  g_assert_true(hf_inv_object_result(inv, oldest->object_id, TRUE, &error));
  const char *const kept[] = {"0000000000000000000000000000000a", "none", "00000000000000000000000000000014"};
  const guint periods[] = {HF_INV_PERIOD_WEEKLY | HF_INV_PERIOD_YEARLY, HF_INV_PERIOD_MONTHLY, HF_INV_PERIOD_MONTHLY};
  g_assert_true(hf_inv_points_periods(inv, store, kept, periods, 3, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM backup_files WHERE gfs = '[\"Weekly\",\"Yearly\"]'"), ==, 1);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM backup_files WHERE gfs = '[\"Monthly\"]'"), ==, 1);
  g_assert_true(hf_inv_points_periods(inv, store, kept, (const guint[]){0}, 1, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM backup_files WHERE gfs = '[\"None\"]'"), ==, 4);
  g_autoptr(HfPointRow) point = hf_inv_point_get(inv, one, &error);
  g_assert_true(point->damaged);
  g_assert_cmpint(point->locked_until, ==, 77);
  g_autoptr(HfObjectRow) object = hf_inv_object_get(inv, oldest->object_id, &error);
  g_assert_true(object->last_run_failed);
  g_assert_false(hf_inv_point_lock(inv, NOBODY, 1, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "restore point");

  g_assert_false(hf_inv_repository_delete(inv, &test_actor, store, FALSE, &error));
  test_refused(&error, HF_ERROR_EXISTS, "job");
  const char *const gone[] = {"0000000000000000000000000000001e", "none", NULL}; /* 30: the only one of etc */
  g_assert_true(hf_inv_points_forget(inv, store, gone, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM backup_objects"), ==, 1);
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM backup_files"), ==, 4);

  /* A rescan that saw one point forgets the others, and what they leave empty. */
  gint64 since = hf_db_now();
  add_point(place, store, NULL, "home", 40, NULL, NULL);
  g_assert_true(hf_inv_points_forget_unseen(inv, store, since, &forgotten, &error));
  g_assert_cmpint(forgotten, ==, 3);
  g_assert_null(hf_inv_backup_get(inv, backup, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "backup");
  g_assert_true(hf_inv_backup_delete(inv, &test_actor, found, &error));
  g_assert_no_error(error);
  g_assert_cmpint(test_number(place->db, "SELECT (SELECT COUNT(*) FROM backup_objects) + (SELECT COUNT(*) FROM "
                                         "backup_files) + (SELECT COUNT(*) FROM restore_points)"), ==, 0);
  g_assert_false(hf_inv_backup_delete(inv, &test_actor, found, &error));
  test_refused(&error, HF_ERROR_NOT_FOUND, "backup");

  /* A repository that is forgotten takes its part of the catalogue with it. */
  add_point(place, store, NULL, "home", 40, NULL, NULL);
  g_assert_true(hf_inv_job_delete(inv, &test_actor, job, &error));
  g_assert_false(hf_inv_repository_delete(inv, &test_actor, store, FALSE, &error));
  test_refused(&error, HF_ERROR_EXISTS, "backup 'nightly'");
  g_assert_true(hf_inv_repository_delete(inv, &test_actor, store, TRUE, &error));
  g_assert_cmpint(test_number(place->db, "SELECT COUNT(*) FROM restore_points"), ==, 0);
}

static void test_catalogue_refused(TestPlace *place)
{
  GError *error = NULL;
  test_open(place);
  HfBackupRow backup = {.name = (char *)"n", .repository_id = (char *)NOBODY, .platform = (char *)"x"};
  HfObjectRow object = {.name = (char *)"n", .type = (char *)"Files", .source_id = (char *)"1"};
  HfPointRow point = {.type = (char *)"Full"};
  g_assert_false(hf_inv_point_add(&place->inv, &backup, &object, &point, &error));
  test_refused(&error, HF_ERROR_USAGE, "no id of a point");
  point.point = (char *)"0000000000000000000000000000001e";
  point.type = (char *)"Half";
  g_assert_false(hf_inv_point_add(&place->inv, &backup, &object, &point, &error));
  test_refused(&error, HF_ERROR_USAGE, "type of the point");
  point.type = (char *)"Full";
  g_assert_false(hf_inv_point_add(&place->inv, &backup, &object, &point, &error)); /* no such repository */
  g_assert_error(error, HF_ERROR, HF_ERROR_BUSY);
  g_clear_error(&error);
  g_free(backup.id);
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  test_add("/server/inventory/credentials", test_credentials);
  test_add("/server/inventory/encryption-passwords", test_encryption_passwords);
  test_add("/server/inventory/hosts", test_hosts);
  test_add("/server/inventory/host-status", test_host_status);
  test_add("/server/inventory/certificates", test_certificates);
  test_add("/server/inventory/repositories", test_repositories);
  test_add("/server/inventory/writers", test_writers);
  test_add("/server/inventory/proxies", test_proxies);
  test_add("/server/inventory/traffic", test_traffic);
  test_add("/server/inventory/traffic-refused", test_traffic_refused);
  test_add("/server/inventory/jobs", test_jobs);
  test_add("/server/inventory/runs", test_runs);
  test_add("/server/inventory/catalogue", test_catalogue);
  test_add("/server/inventory/catalogue-refused", test_catalogue_refused);
  return test_run();
}
