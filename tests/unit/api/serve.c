/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * serve DATABASE CERTIFICATE KEY few|many: the interface over a new database, for tests that speak HTTP. Prints its port
 * and the names of its accounts ("admin", "operator", "restore", "viewer", each with the password "NAME-password"), and
 * ends when its standard input ends. ADDRESS ("": all addresses) and PORT of the environment say where it listens,
 * ACCESS_SECONDS how long tokens last, and CHANGES_MS how often a job that runs meanwhile tells its progress.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "fake.h"

static void fail(GError *error)
{
  fprintf(stderr, "serve: %s\n", error->message);
  exit(1);
}

static void add_accounts(HfAuth *auth)
{
  static const struct {
    const char *name;
    HfRole role;
  } accounts[] = { { "admin", HF_ROLE_ADMINISTRATOR },
                   { "operator", HF_ROLE_OPERATOR },
                   { "restore", HF_ROLE_RESTORE_OPERATOR },
                   { "viewer", HF_ROLE_VIEWER } };
  GError *error = NULL;
  for (guint i = 0; i < G_N_ELEMENTS(accounts); i++) {
    g_autofree char *password = g_strconcat(accounts[i].name, "-password", NULL);
    if (!hf_account_create(auth, &hf_actor_server, accounts[i].name, "", password, accounts[i].role, NULL, &error))
      fail(error);
  }
}

int main(int argc, char **argv)
{
  GError *error = NULL;
  g_autofree char *certificate = NULL, *key = NULL, *key_path = NULL;
  if (argc != 5 || !hf_crypto_init(&error))
    return 2;
  if (!g_file_get_contents(argv[2], &certificate, NULL, &error) || !g_file_get_contents(argv[3], &key, NULL, &error))
    fail(error);
  key_path = g_strconcat(argv[3], ".key", NULL);
  g_autoptr(HfSecrets) secrets = hf_secrets_open(key_path, TRUE, &error);
  g_autoptr(HfDb) db = secrets == NULL ? NULL : hf_db_open(argv[1], 8, &error);
  if (db == NULL)
    fail(error);
  HfAuthTimes times = { .access_us = 900 * G_USEC_PER_SEC, .refresh_us = 900 * G_USEC_PER_SEC,
                        .short_refresh_us = 2 * G_USEC_PER_SEC };
  const char *seconds = g_getenv("ACCESS_SECONDS");
  if (seconds != NULL)
    times.access_us = g_ascii_strtoll(seconds, NULL, 10) * G_USEC_PER_SEC;
  g_autoptr(HfAuth) auth = hf_auth_new(db, &times, 1024);
  HfInventory inventory = { db, secrets };
  HfApiActions actions;
  fake_actions(&actions, &inventory);
  add_accounts(auth);
  if (strcmp(argv[4], "many") == 0)
    fake_fill_many(&inventory, 200, 10000);
  else
    fake_fill(&inventory);
  const char *changes = g_getenv("CHANGES_MS");
  if (changes != NULL)
    fake_changes(&inventory, (guint)atoi(changes));
  const char *address = g_getenv("ADDRESS"), *port = g_getenv("PORT");
  HfApiSettings settings = { .db = db, .secrets = secrets, .auth = auth, .actions = &actions, .name = "test server",
                             .address = address == NULL ? "127.0.0.1" : *address == '\0' ? NULL : address,
                             .port = port == NULL ? 0 : atoi(port), .certificate = certificate, .key = key };
  g_autoptr(HfApi) api = hf_api_start(&settings, &error);
  if (api == NULL)
    fail(error);
  printf("%d\n", hf_api_port(api));
  fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0)
    ;
  if (changes != NULL)
    _exit(0); /* its thread goes on */
  return 0;
}
