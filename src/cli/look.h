/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the verbs that look into points share: ls, find, diff, cat. */
#pragma once

#include "cli/open.h"
#include "engine/browse/browse.h"
#include "repo/session.h"

/* A repository opened for looking; a session keeps collection from taking away what is looked at. */
typedef struct HfLook {
  HfRepo *repo;
  HfSession *session;
  GPtrArray *points; /* of HfPointInfo*, oldest first */
  HfBlobCache *cache;
  HfBrowser *browser;
} HfLook;

/* `look` is zeroed at first; clear it in any case. */
gboolean hf_look_open(HfCli *cli, const HfOptions *options, HfLook *look, GError **error);
void hf_look_clear(HfLook *look);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfLook, hf_look_clear)
/* The tree of POINT. */
HfTree *hf_look_tree(HfLook *look, const char *point, GError **error);
/* At the end of a listing: HF_ERROR_DAMAGED when something could not be read; it was warned about. */
gboolean hf_look_whole(guint64 damaged, GError **error);

/* "file", "folder", "symlink", "disk", ... Static. */
const char *hf_look_type(const HfTreeNode *node);
/* "drwxr-xr-x"; "?" everywhere for a folder that was not saved itself. */
void hf_look_mode(const HfTreeNode *node, char out[11]);
/* "2026-11-22 10:00:00" in local time; empty for what has no time. */
void hf_look_time(const HfTreeNode *node, char out[32]);
/* User and group by name where this machine knows them, else by number. */
char *hf_look_user(guint32 uid);
char *hf_look_group(guint32 gid);
/* NUL-terminated; caller frees. */
char *hf_look_target(const HfTreeNode *node);
