/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A repository in a temporary folder, whose objects a test may spoil, and a store around it that calls the test before
 * and after each operation: there it fails, or does what another process could do at that moment. */
#pragma once

#include "repo/repo.h"
#include "repo/session.h"

typedef struct Lab {
  char *folder;
  GPtrArray *warnings, *items; /* char*: what `report` was told */
  GMutex mutex;
  HfReport *report;
} Lab;

Lab *lab_new(void);
void lab_free(Lab *lab);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lab, lab_free)
/* TRUE when a warning, or item, holds `text`. */
gboolean lab_warned(Lab *lab, const char *text);
gboolean lab_noted(Lab *lab, const char *text);
void lab_forget_report(Lab *lab);

/* ---- Stores. ---- */
HfStore *lab_store(Lab *lab);
typedef enum HookOp { HOOK_PUT, HOOK_GET, HOOK_SIZE, HOOK_LIST, HOOK_REMOVE } HookOp;
/* Called before, and after those that succeeded. A code other than 0 makes the call fail with it. */
typedef int (*Hook)(gboolean before, HookOp op, const char *name, gpointer user);
HfStore *lab_hooked(Lab *lab, Hook hook, gpointer user);

/* ---- Repositories. ---- */
extern const HfUnlock lab_no_key;
HfUnlock lab_text(HfUnlockKind kind, const char *text);
/* A repository without encryption. */
Lab *lab_with_repo(void);
/* Makes a repository in the lab's folder; the caller frees what is returned. */
char *lab_init(Lab *lab, const HfUnlock *unlock);
/* Opens over `store` (NULL: a plain one); asserts that it works. */
HfRepo *lab_open(Lab *lab, HfStore *store, const HfUnlock *unlock);
HfRepo *lab_open_full(Lab *lab);
HfRepo *lab_open_read_only(Lab *lab);

/* ---- Objects as files. ---- */
gboolean lab_has(Lab *lab, const char *name);
GPtrArray *lab_names(Lab *lab, const char *prefix);
/* Number `at` of the names below prefix. */
char *lab_name(Lab *lab, const char *prefix, guint at);
void lab_drop(Lab *lab, const char *name);
void lab_drop_all(Lab *lab, const char *prefix);
void lab_flip(Lab *lab, const char *name, gsize offset);
void lab_cut(Lab *lab, const char *name, gsize length);
void lab_put(Lab *lab, const char *name, const void *bytes, gsize length);
void lab_put_triple(Lab *lab, const char *base, GBytes *record);
GBytes *lab_get(Lab *lab, const char *name);
/* A copy of all bytes of all objects: for "changed nothing". */
char *lab_digest(Lab *lab);

/* ---- Points. ---- */
/* Commits a point of `name`; returns its id. */
HfShortId lab_commit(HfRepo *repo, const char *name);
gboolean lab_try_commit(HfSession *session, HfRepo *repo, const char *name, HfShortId *id, GError **error);
HfPointDetails *lab_details(const char *name);
void lab_fill(HfPoint *point, HfRepo *repo);

/* ---- Faults: the `strike`-th call fails; counts all. ---- */
typedef struct Fault {
  guint strike; /* 0: none */
  guint calls;
  int code;
  gboolean after; /* it fails although it was done */
  gboolean persist;
} Fault;
int fault_hook(gboolean before, HookOp op, const char *name, gpointer fault);
