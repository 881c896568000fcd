/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Migrations: each is run once, in a transaction of its own that also notes it in the table `migrations`; so that a
 * crash leaves the database at one of the numbered states. Two programs that start at once wait for each other.
 */
#include "base/error.h"
#include "server/db/driver.h"

static gboolean newest(HfDbConnection *connection, gint64 *number, GError **error)
{
  const HfDbDriver *driver = connection->driver;
  HfDbRows *rows = driver->query(connection, "SELECT COALESCE(MAX(number), 0) FROM migrations", NULL, 0, error);
  if (rows == NULL)
    return FALSE;
  gboolean found = driver->next(rows, error);
  *number = found ? driver->integer(rows, 0) : 0;
  driver->rows_free(rows);
  return found;
}

/* One step inside the transaction: `*more` when it did something. */
static gboolean step(HfDbConnection *connection, const HfDbMigration *migrations, guint n_migrations, guint *schema,
                     gboolean *more, GError **error)
{
  const HfDbDriver *driver = connection->driver;
  gint64 number = 0;
  *more = FALSE;
  if (!driver->migrate(connection, "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, "
                                   "name TEXT NOT NULL, applied BIGINT NOT NULL)", error) ||
      !newest(connection, &number, error))
    return FALSE;
  if (number > n_migrations)
    return hf_fail(error, HF_ERROR_FORMAT, "the database has schema %" G_GINT64_FORMAT ", this program knows %u; start "
                   "the newer program that wrote it", number, n_migrations);
  *schema = (guint)number;
  if (number == n_migrations)
    return TRUE;
  const HfDbMigration *migration = &migrations[number];
  if (!driver->migrate(connection, migration->sql, error) ||
      !driver->exec(connection, "INSERT INTO migrations (number, name, applied) VALUES (?, ?, ?)",
                    HF_DB_VALUES(HF_DB_INT(migration->number), HF_DB_TEXT(migration->name), HF_DB_INT(hf_db_now())),
                    NULL, error)) {
    g_prefix_error(error, "migration %u (%s): ", migration->number, migration->name);
    return FALSE;
  }
  *schema = migration->number;
  *more = TRUE;
  return TRUE;
}

gboolean hf_db_migrate(HfDbConnection *connection, const HfDbMigration *migrations, guint n_migrations, guint *schema,
                       GError **error)
{
  const HfDbDriver *driver = connection->driver;
  for (gboolean more = TRUE; more;) {
    if (!driver->script(connection, driver->begin_migration, error))
      return FALSE;
    if (!step(connection, migrations, n_migrations, schema, &more, error)) {
      driver->script(connection, "ROLLBACK", NULL);
      return FALSE;
    }
    if (!driver->script(connection, "COMMIT", error))
      return FALSE;
  }
  return TRUE;
}
