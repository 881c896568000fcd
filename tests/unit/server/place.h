/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Databases for tests: each test runs on a new SQLite file and on a new database of a real PostgreSQL server, which is
 * started once for the program. Where the server's package is missing its tests are skipped and say so.
 */
#pragma once

#include <glib.h>

#include "base/error.h"
#include "server/inventory/inventory.h"

typedef struct TestPlace {
  char *where;  /* for hf_db_open */
  char *folder; /* of its own; deleted afterwards */
  gboolean postgresql;
  /* Opened by test_open. */
  HfDb *db;
  HfSecrets *secrets;
  HfInventory inv;
} TestPlace;

typedef void (*TestFunc)(TestPlace *place);
/* Adds PATH/sqlite and PATH/postgresql. */
void test_add(const char *path, TestFunc func);
/* Runs what was added and stops the server. */
int test_run(void);

/* Opens the database and what seals secrets beside it. */
void test_open(TestPlace *place);
void test_close(TestPlace *place);
/* The one number that a query gives. */
gint64 test_number(HfDb *db, const char *sql);
/* The one text that a query gives; caller frees. */
char *test_text(HfDb *db, const char *sql);
/* Statements without values, in one transaction. */
void test_exec(HfDb *db, const char *sql);
/* Stops or starts the PostgreSQL server. */
void test_postgresql_stop(void);
void test_postgresql_start(void);

/* A host, a repository on it, a job: ids that the caller frees. */
char *test_host(TestPlace *place, const char *name);
char *test_repository(TestPlace *place, const char *name, const char *host_id);
char *test_job(TestPlace *place, const char *name, const char *repository_id, const char *schedule);
extern const HfActor test_actor;

/* Asserts that the error has the code and that its message holds the text; clears it. */
void test_refused(GError **error, HfErrorCode code, const char *holds);
