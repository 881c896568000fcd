/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a database driver gives to db.c. Only the folder includes this. A connection is used by one thread at a time. */
#pragma once

#include "server/db/db.h"

typedef struct HfDbDriver HfDbDriver;

/* Drivers put these first into structs of their own. */
typedef struct HfDbConnection {
  const HfDbDriver *driver;
} HfDbConnection;
struct HfDbRows {
  const HfDbDriver *driver;
  gboolean failed;
};

/* How the last failed statement of a connection failed. */
typedef enum HfDbTrouble {
  HF_DB_TROUBLE_NONE,
  HF_DB_TROUBLE_AGAIN, /* another program was in the way: the whole transaction may be tried again */
  HF_DB_TROUBLE_LOST,  /* the connection is gone: everything since BEGIN is undone, but for a COMMIT under way */
} HfDbTrouble;

struct HfDbDriver {
  HfDbKind kind;
  const char *begin_write;
  const char *begin_migration; /* keeps other programs out until COMMIT */
  /* Opens, and makes what is missing. A connection that is not `writer` refuses to change anything. `*version` (may be
   * NULL) is what the database calls itself; caller frees. */
  HfDbConnection *(*connect)(const char *where, gboolean writer, char **version, GError **error);
  void (*disconnect)(HfDbConnection *connection);
  HfDbTrouble (*trouble)(HfDbConnection *connection);
  /* A transaction that sees one state and changes nothing. Both may put off talking to the database: what goes wrong in
   * beginning is then told by the first query, what goes wrong in ending by the next beginning. */
  gboolean (*begin_read)(HfDbConnection *connection, GError **error);
  gboolean (*end_read)(HfDbConnection *connection);
  /* Names what a reading transaction sees: equal names, equal content. The connection's, until its end_read; NULL when
   * it cannot be told. `states_shared`: the names mean the same on all connections. */
  const char *(*state)(HfDbConnection *connection);
  gboolean states_shared;
  /* Several statements without values or rows. */
  gboolean (*script)(HfDbConnection *connection, const char *sql, GError **error);
  /* A migration, whose types are put into the database's own words. */
  gboolean (*migrate)(HfDbConnection *connection, const char *sql, GError **error);
  /* `values` hold valid UTF-8 only. */
  HfDbRows *(*query)(HfDbConnection *connection, const char *sql, const HfDbValue *values, gsize n_values,
                     GError **error);
  gboolean (*exec)(HfDbConnection *connection, const char *sql, const HfDbValue *values, gsize n_values,
                   gint64 *changed, GError **error);
  gboolean (*next)(HfDbRows *rows, GError **error);
  void (*rows_free)(HfDbRows *rows);
  guint (*columns)(HfDbRows *rows);
  const char *(*column_name)(HfDbRows *rows, guint column);
  int (*kind_of)(HfDbRows *rows, guint column); /* HF_DB_KIND_* */
  gint64 (*integer)(HfDbRows *rows, guint column);
  const char *(*text)(HfDbRows *rows, guint column);
  gconstpointer (*blob)(HfDbRows *rows, guint column, gsize *size);
};
extern const HfDbDriver hf_db_sqlite, hf_db_postgresql;

/* Migrations, made from migrations/ at build time: in order, numbered from 1 without gaps. */
typedef struct HfDbMigration {
  guint number;
  const char *name, *sql;
} HfDbMigration;
extern const HfDbMigration hf_db_migrations[];
extern const guint hf_db_n_migrations;

/* Runs those of `migrations` that are missing; `*schema` is the newest then. */
gboolean hf_db_migrate(HfDbConnection *connection, const HfDbMigration *migrations, guint n_migrations, guint *schema,
                       GError **error);

/* "a = ? AND b = ?" -> "a = $1 AND b = $2". Leaves '...' and "..." alone; caller frees. */
char *hf_db_number_values(const char *sql);
/* BLOB -> BYTEA, TEXT -> TEXT COLLATE "C", as whole words outside of '...' and comments; caller frees. */
char *hf_db_postgresql_types(const char *sql);

/* A statement in one line, cut to 80 characters, for messages; caller frees. */
char *hf_db_short_sql(const char *sql);

/* A copy of an SQLite database (hf_db_backup). */
gboolean hf_db_sqlite_backup(const char *where, const char *path, GError **error);
