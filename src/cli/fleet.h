/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the verbs share that speak to a server: a login in use, lists, names, tables, waiting for sessions.
 *
 * Wherever the interface wants an id, a name may be given: it must be the name of one thing exactly; else the error
 * lists those that it could be. With --json the interface's own objects are printed, one a line.
 */
#pragma once

#include "cli/cli.h"
#include "cli/logins.h"
#include "cli/password.h"

typedef struct HfFleet {
  HfCli *cli;
  HfLogin *login;
  HfRest *rest;
} HfFleet;

/* The login at options->server, or the one that was made last. `fleet` is zeroed at first; clear it in any case. */
gboolean hf_fleet_open(HfFleet *fleet, const HfOptions *options, HfCli *cli, GError **error);
/* The same with a login that is not in the file; takes it over. */
gboolean hf_fleet_open_with(HfFleet *fleet, HfLogin *login, HfCli *cli, GError **error);
void hf_fleet_clear(HfFleet *fleet);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfFleet, hf_fleet_clear)

/* ---- Asking. ---- */

/* A JSON value that is let go at the end of the scope. */
#define hf_autojson __attribute__((cleanup(hf_json_clear)))
void hf_json_clear(json_t **value);

/* An address with a query. `pairs`: names and values in turn, ended by a NULL name; values are escaped, pairs without
 * value left out. Caller frees. */
char *hf_fleet_query(const char *path, const char *const *pairs);
#define HF_QUERY(path, ...) hf_fleet_query(path, (const char *const[]){ __VA_ARGS__, NULL })
/* printf for addresses: every argument is a text (%s) and is escaped. Caller frees. */
char *hf_fleet_path(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* One request with the login's token, which is renewed where it has ended. `body` is taken over, NULL for none.
 * `answer` (NULL: not wanted) gets the answer, an empty object when there was none; the caller's. A refusal is an error
 * in the server's words. */
gboolean hf_fleet_ask(HfFleet *fleet, const char *method, const char *path, json_t *body, json_t **answer,
                      GError **error);
json_t *hf_fleet_get(HfFleet *fleet, const char *path, GError **error);

/* Every row of a list, page by page, `most` at most (0: all). FALSE from `func` ends it with its error. */
typedef gboolean (*HfFleetRowFunc)(json_t *row, gpointer user, GError **error);
gboolean hf_fleet_each(HfFleet *fleet, const char *path, guint most, HfFleetRowFunc func, gpointer user,
                       GError **error);
/* The same as one array; NULL with an error. */
json_t *hf_fleet_list(HfFleet *fleet, const char *path, guint most, GError **error);

/* ---- Names. ---- */

/* A kind of things. */
typedef struct HfFleetKind {
  const char *word;   /* "job" */
  const char *list;   /* address of their list */
  const char *filter; /* its filter by name */
  const char *name;   /* field that holds the name */
  const char *more;   /* field that tells two of one name apart, or NULL */
  const char *verb;   /* what lists them: "job list" */
} HfFleetKind;

extern const HfFleetKind hf_fleet_host, hf_fleet_repository, hf_fleet_job, hf_fleet_credential, hf_fleet_proxy,
  hf_fleet_account;

/* TRUE for a UUID. */
gboolean hf_fleet_is_id(const char *text);
/* TRUE when `id` (may be NULL) begins with `text`, which has four digits or more. */
gboolean hf_fleet_is_start_of(const char *text, const char *id);
/* The row of the list that has this name, this id, or an id that begins so; the caller's. */
json_t *hf_fleet_find(HfFleet *fleet, const HfFleetKind *kind, const char *name, GError **error);
/* HF_ERROR_INVALID unless the row has an id: what stands there becomes part of addresses. */
gboolean hf_fleet_has_id(HfFleet *fleet, json_t *row, GError **error);
/* Its id alone; caller frees. */
char *hf_fleet_id(HfFleet *fleet, const HfFleetKind *kind, const char *name, GError **error);

/* ---- Showing. ---- */

typedef enum HfCellKind {
  HF_CELL_TEXT,
  HF_CELL_ID,   /* the first digits */
  HF_CELL_TIME, /* local */
  HF_CELL_NUMBER,
  HF_CELL_SIZE, /* of bytes */
  HF_CELL_GIB,  /* of 2^30 bytes */
  HF_CELL_FLAG, /* "yes" or nothing */
  HF_CELL_LIST, /* texts, with blanks between */
  HF_CELL_JSON, /* as it is */
} HfCellKind;

typedef struct HfFleetColumn {
  HfColumn head;
  const char *path; /* "a.b" in the row */
  HfCellKind kind;
} HfFleetColumn;

/* Text of a value; caller frees. */
char *hf_fleet_cell(json_t *row, const char *path, HfCellKind kind);
/* A table of rows (an array), or with --json each row as it is; `none` is said when there is none. */
void hf_fleet_print_rows(HfCli *cli, json_t *rows, const HfFleetColumn *columns, guint n_columns, const char *none);
/* Asks for a list and prints it. */
gboolean hf_fleet_print_list(HfFleet *fleet, const char *path, guint most, const HfFleetColumn *columns,
                             guint n_columns, const char *none, GError **error);
/* One thing: a line for each column that has a value, or with --json the object. */
void hf_fleet_print_object(HfCli *cli, json_t *object, const HfFleetColumn *columns, guint n_columns);

/* As text only: what a list of states says of one thing besides. */
gboolean hf_fleet_print_state(HfFleet *fleet, const char *list, const char *id, const HfFleetColumn *columns,
                              guint n_columns, GError **error);
/* The first moment of what people write ("2026-11-22", "2026-11-22T10:00") as the interface wants it; caller frees. */
gboolean hf_fleet_since(const char *text, char **time, GError **error);
/* "removed job 'x'", or with --json an object with the id. TRUE always. */
gboolean hf_fleet_done(HfCli *cli, const char *done, const HfFleetKind *kind, const char *name, const char *id);

/* ---- Questions. ---- */

/* The first line of `file` ("-": standard input), else asked for on the terminal. `password` is empty at first and is
 * wiped by the caller. */
gboolean hf_fleet_password(HfCli *cli, const char *file, const char *prompt, const char *hint, gboolean confirm,
                           HfBuffer *password, GError **error);
/* The whole of a small file of secrets ("-": standard input) as JSON text. */
json_t *hf_fleet_secret_file(const char *file, GError **error);
/* TRUE when "yes" was typed on the terminal. HF_ERROR_USAGE with the words of `refusal` where there is no terminal, or
 * nobody is asked because of --json; HF_ERROR_CANCELLED for another answer. */
gboolean hf_fleet_confirm(HfCli *cli, const char *question, const char *refusal, GError **error);

/* ---- Sessions. ---- */

/* Follows a session to its end: its log to standard output, progress to standard error. A session that ended with
 * warnings is a warning, one that failed an error. */
gboolean hf_fleet_follow(HfFleet *fleet, const char *session_id, GError **error);
/* What a verb that started `session` (a SessionModel or TaskModel) does then: follows it, or says its id. */
gboolean hf_fleet_started(HfFleet *fleet, json_t *session, gboolean follow, GError **error);

/* The point that `text` means: the first digits of an id, or NAME[@TIME] (the newest of that host or point's name at or
 * before TIME); `job` (may be NULL) chooses where a host has points of several jobs. The row; the caller's. */
json_t *hf_fleet_point(HfFleet *fleet, const char *text, const char *job, GError **error);
/* Opens a point to look into it; the mount's id, caller frees. */
char *hf_fleet_mount(HfFleet *fleet, const char *point_id, const char *reason, GError **error);
void hf_fleet_unmount(HfFleet *fleet, const char *mount_id);

/* restore without -r (cli/restore.c decides). */
gboolean hf_fleet_restore(const HfOptions *options, HfCli *cli, GError **error);
