/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The database of the server: SQLite by default, PostgreSQL by a connection string; one interface over both.
 *
 *   g_autoptr(HfDbLink) link = hf_db_read(db, error);
 *   g_autoptr(HfDbRows) rows = link == NULL ? NULL : hf_db_query(link, "SELECT id, name FROM hosts WHERE status = ?",
 *                                                     HF_DB_VALUES(HF_DB_TEXT("Available")), error);
 *   while (rows != NULL && hf_db_next(rows, error))
 *     use(hf_db_text(rows, 0), hf_db_text(rows, 1));
 *
 * SQL is the common subset of both (docs/database.md): '?' stands for a value (never inside '...'), the only number is
 * BIGINT, aggregates other than COUNT are CAST to BIGINT, text is compared byte by byte and LOWER and LIKE after LOWER
 * know ASCII only.
 *
 * INVARIANTS
 * 1. One writer at a time in this program: hf_db_write takes it in turn. Readers never wait for it.
 * 2. A reader sees one state of the database from its first query until it is given back, and cannot change anything.
 * 3. Work is in the database as a whole or not at all; when hf_db_write returned TRUE it is on the disk.
 *
 * Threads: HfDb from any thread. A link, and the rows that came from it, belong to the thread that took it.
 */
#pragma once

#include <glib.h>

typedef struct HfDb HfDb;
typedef struct HfDbLink HfDbLink; /* one connection, inside a transaction */
typedef struct HfDbRows HfDbRows;

typedef enum HfDbKind { HF_DB_SQLITE, HF_DB_POSTGRESQL } HfDbKind;

/* `where`: a file ("/var/lib/holdfast/server.db"; made with mode 0600 when missing) or "postgresql://..." (also
 * "postgres://", libpq's form; a password belongs into a pgpass file). Migrations are run first: HF_ERROR_FORMAT when
 * the database is newer than this program, which leaves it untouched. `readers`: at most so many reading links at a
 * time (1..64), who comes later waits. */
HfDb *hf_db_open(const char *where, guint readers, GError **error);
/* All links must have been given back. NULL is allowed. */
void hf_db_close(HfDb *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfDb, hf_db_close)

HfDbKind hf_db_kind(HfDb *db);
/* "SQLite 3.40.1", "PostgreSQL 15.18"; the HfDb's. */
const char *hf_db_version(HfDb *db);
/* The number of the newest migration that was run: the version of the schema. */
guint hf_db_schema(HfDb *db);

/* ---- Reading. Waits for a free link; give it back soon. ---- */
HfDbLink *hf_db_read(HfDb *db, GError **error);
/* Gives a link of hf_db_read back. NULL is allowed. Its rows must have been freed. */
void hf_db_release(HfDbLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfDbLink, hf_db_release)

/* ---- Writing. ---- */
/* Runs `work` in a transaction: commits when it returns TRUE, else rolls back. `work` may be run again from its start
 * when another program was in the way (serialization) or the connection was lost before the commit: what it does
 * besides the database must bear that. It must not call hf_db_write. */
typedef gboolean (*HfDbWork)(HfDbLink *link, gpointer user, GError **error);
gboolean hf_db_write(HfDb *db, HfDbWork work, gpointer user, GError **error);

/* ---- Values and statements (of both kinds of link). ---- */
typedef struct HfDbValue {
  enum { HF_DB_KIND_NULL, HF_DB_KIND_INT, HF_DB_KIND_TEXT, HF_DB_KIND_BLOB } kind;
  gint64 number;       /* of an INT */
  gconstpointer bytes; /* of TEXT (ends with 0) and BLOB; borrowed until the call returns */
  gsize length;        /* of a BLOB */
} HfDbValue;
#define HF_DB_INT(value) ((HfDbValue){ .kind = HF_DB_KIND_INT, .number = (value) })
/* A NULL pointer is the value NULL, for BLOB as well. */
#define HF_DB_TEXT(value) (hf_db_text_value(value))
#define HF_DB_BLOB(data, size) (hf_db_blob_value((data), (size)))
#define HF_DB_BYTES(gbytes) (hf_db_bytes_value(gbytes)) /* a GBytes or NULL */
#define HF_DB_NULL ((HfDbValue){ .kind = HF_DB_KIND_NULL })
HfDbValue hf_db_text_value(const char *text);
HfDbValue hf_db_blob_value(gconstpointer data, gsize size);
HfDbValue hf_db_bytes_value(GBytes *bytes);
/* The two arguments `values, n_values`. For none: HF_DB_NONE. */
#define HF_DB_VALUES(...) (const HfDbValue[]){ __VA_ARGS__ }, G_N_ELEMENTS(((const HfDbValue[]){ __VA_ARGS__ }))
#define HF_DB_NONE NULL, 0

/* Statements are prepared once a link and kept: `sql` should not hold values. A failed statement spoils its
 * transaction: return FALSE from `work`. Errors: HF_ERROR_EXISTS for a broken UNIQUE, HF_ERROR_BUSY for a broken
 * REFERENCES, HF_ERROR_NO_SPACE, HF_ERROR_DAMAGED, HF_ERROR_IO when the connection is lost, else HF_ERROR_FAILED. */
HfDbRows *hf_db_query(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, GError **error);
/* For statements without rows. `changed`: how many rows it changed; may be NULL. */
gboolean hf_db_exec(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, gint64 *changed,
                    GError **error);
/* The first column of the first row; FALSE with HF_ERROR_NOT_FOUND when there is no row. NULL reads as 0. */
gboolean hf_db_query_int(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, gint64 *value,
                         GError **error);

/* ---- What costs much to ask and is asked again and again. ---- */
/* What was remembered for `key` (hf_db_key, or any other bytes) by any link while the database was in the state that
 * this reader sees; NULL: nothing. It is never stale: the database itself names its state (PostgreSQL's snapshot,
 * SQLite's data_version), whoever changed it. `value` must follow from the content of the database and the key alone.
 * Only readers. At most 32 MiB are kept, and nothing when it is larger than 2 MiB. */
GBytes *hf_db_recall(HfDbLink *link, GBytes *key);
void hf_db_remember(HfDbLink *link, GBytes *key, GBytes *value);
GBytes *hf_db_key(const char *sql, const HfDbValue *values, gsize n_values);
/* hf_db_query_int by way of these. */
gboolean hf_db_count(HfDbLink *link, const char *sql, const HfDbValue *values, gsize n_values, gint64 *number,
                     GError **error);

/* The next row. FALSE at the end, or with the error set (give one that is NULL, or look at hf_db_failed). */
gboolean hf_db_next(HfDbRows *rows, GError **error);
/* TRUE when the last hf_db_next ended by an error. */
gboolean hf_db_failed(HfDbRows *rows);
void hf_db_rows_free(HfDbRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfDbRows, hf_db_rows_free)

/* Columns of the current row, from 0. Text and bytes live until the next hf_db_next or the end of the rows. */
guint hf_db_columns(HfDbRows *rows);
const char *hf_db_column_name(HfDbRows *rows, guint column);
/* HF_DB_KIND_NULL, INT, TEXT or BLOB. */
int hf_db_kind_of(HfDbRows *rows, guint column);
gboolean hf_db_is_null(HfDbRows *rows, guint column);
gint64 hf_db_int(HfDbRows *rows, guint column);       /* 0 for NULL */
const char *hf_db_text(HfDbRows *rows, guint column); /* NULL for NULL */
gconstpointer hf_db_blob(HfDbRows *rows, guint column, gsize *size); /* NULL for NULL and for no bytes */

/* ---- Small things that everybody needs. ---- */
/* A new UUID (random, version 4), lower case; caller frees. */
char *hf_db_new_id(void);
/* TRUE for the text form of a UUID. */
gboolean hf_db_id_valid(const char *id);
/* Now, as the database keeps times: microseconds since 1970 UTC (base/clock.h). */
gint64 hf_db_now(void);
/* The next number of a counter ("usn", "order"), inside hf_db_write. -1 on error. */
gint64 hf_db_count_up(HfDbLink *link, const char *counter, GError **error);
/* Settings. hf_db_setting gives NULL without an error when it was never set; caller frees. */
char *hf_db_setting(HfDbLink *link, const char *name, GError **error);
gboolean hf_db_set_setting(HfDbLink *link, const char *name, const char *value, GError **error);
/* A copy of the whole database as one SQLite file while work goes on; HF_ERROR_UNSUPPORTED on PostgreSQL, which has
 * tools of its own. `path` must not exist. */
gboolean hf_db_backup(HfDb *db, const char *path, GError **error);
