/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/mount/state.h"

#define LOOK_US G_USEC_PER_SEC
#define TIME_CHARACTERS 19 /* of 2026-11-22T10:00:00 */

/* ---- Shared arrays. ---- */

HfShared *hf_shared_new(GPtrArray *all)
{
  HfShared *shared = g_new(HfShared, 1);
  *shared = (HfShared){ 1, all };
  return shared;
}

HfShared *hf_shared_ref(HfShared *shared)
{
  g_atomic_int_inc(&shared->references);
  return shared;
}

void hf_shared_unref(HfShared *shared)
{
  if (shared == NULL || !g_atomic_int_dec_and_test(&shared->references))
    return;
  g_ptr_array_unref(shared->all);
  g_free(shared);
}

/* ---- One point. ---- */

char *hf_folder_name(const char *name)
{
  GString *text = g_string_new(NULL);
  gboolean special = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "ids") == 0;
  for (const char *at = name; *at != '\0'; at++)
    if (*at == '/' || *at == '%' || (special && at == name))
      g_string_append_printf(text, "%%%02X", (guint)(guint8)*at);
    else
      g_string_append_c(text, *at);
  return g_string_free(text, text->len > HF_NAME_MAX);
}

static HfShownPoint *shown_point_new(HfShared *infos, const HfPointInfo *info)
{
  HfShownPoint *point = g_new0(HfShownPoint, 1);
  char digits[33];
  g_autofree char *time = hf_clock_format_local(info->point.time);
  hf_point_short_name(info, digits);
  point->references = 1;
  point->infos = infos != NULL ? hf_shared_ref(infos) : NULL;
  point->info = info;
  point->id = hf_hex(info->point.id.b, sizeof info->point.id.b);
  point->name = g_strdup_printf("%.*s (%s)", TIME_CHARACTERS, time, digits);
  if (info->details != NULL && info->known_signer && !info->future)
    point->folder = hf_folder_name(info->details->name);
  g_mutex_init(&point->lock);
  return point;
}

HfShownPoint *hf_shown_point_ref(HfShownPoint *point)
{
  g_atomic_int_inc(&point->references);
  return point;
}

void hf_shown_point_unref(HfShownPoint *point)
{
  if (point == NULL || !g_atomic_int_dec_and_test(&point->references))
    return;
  hf_tree_free(point->tree);
  hf_shared_unref(point->infos);
  g_mutex_clear(&point->lock);
  g_free(point->folder);
  g_free(point->name);
  g_free(point->id);
  g_free(point);
}

HfTree *hf_shown_point_tree(HfShownPoint *point, HfBrowser *browser, GError **error)
{
  HF_LOCK(&point->lock);
  if (point->tree == NULL)
    point->tree = hf_tree_open(browser, &point->info->point, error);
  return point->tree;
}

/* ---- All points. ---- */

HfShownPoint *hf_newest_in(const GPtrArray *points, const char *folder)
{
  for (guint i = points->len; i-- > 0;) {
    HfShownPoint *point = g_ptr_array_index(points, i);
    if (point->folder != NULL && strcmp(point->folder, folder) == 0)
      return point;
  }
  return NULL;
}

static HfShownPoint *find_id(const GPtrArray *points, const HfShortId *id)
{
  for (guint i = 0; i < points->len; i++) {
    HfShownPoint *point = g_ptr_array_index(points, i);
    if (hf_short_id_equal(&point->info->point.id, id))
      return point;
  }
  return NULL;
}

/* Points that were shown before stay the same ones. */
static GPtrArray *show_points(HfShared *infos, const HfShared *before, gboolean *fresh)
{
  GPtrArray *points = g_ptr_array_new_with_free_func((GDestroyNotify)hf_shown_point_unref);
  *fresh = FALSE;
  for (guint i = 0; i < infos->all->len; i++) {
    const HfPointInfo *info = g_ptr_array_index(infos->all, i);
    HfShownPoint *known = before != NULL ? find_id(before->all, &info->point.id) : NULL;
    *fresh = *fresh || known == NULL;
    g_ptr_array_add(points, known != NULL ? hf_shown_point_ref(known) : shown_point_new(infos, info));
  }
  return points;
}

/* A lease that was lost (the machine slept) is taken anew: what was taken away meanwhile is missed, what is there now
 * stays. */
static gboolean keep_session(HfMount *mount, GError **error)
{
  g_mutex_lock(&mount->lock);
  gboolean lost = !hf_session_check(mount->session, NULL);
  g_mutex_unlock(&mount->lock);
  if (!lost)
    return TRUE;
  HfSession *fresh = hf_session_open(mount->repo, HF_PURPOSE_READ, error);
  if (fresh == NULL)
    return FALSE;
  g_mutex_lock(&mount->lock);
  HfSession *old = mount->session;
  mount->session = fresh;
  g_mutex_unlock(&mount->lock);
  hf_session_free(old);
  return hf_index_refresh(mount->repo->index, error);
}

/* Reads the points anew. Only the first time damaged ones are warned about. */
static gboolean look(HfMount *mount, GError **error)
{
  HfRepo quiet = *mount->repo;
  gboolean fresh;
  g_mutex_lock(&mount->lock);
  gboolean first = mount->points == NULL;
  g_autoptr(HfShared) before = first ? NULL : hf_shared_ref(mount->points);
  mount->looked = hf_clock_monotonic_us();
  g_mutex_unlock(&mount->lock);
  if (!first)
    quiet.report = NULL;
  GPtrArray *loaded = keep_session(mount, error) ? hf_points_load(&quiet, NULL, error) : NULL;
  if (loaded == NULL)
    return FALSE;
  g_autoptr(HfShared) infos = hf_shared_new(loaded);
  g_autoptr(HfShared) points = hf_shared_new(show_points(infos, before, &fresh));
  if (fresh && !first && !hf_index_refresh(mount->repo->index, error))
    return FALSE;
  g_mutex_lock(&mount->lock);
  HfShared *old = mount->points;
  mount->points = g_steal_pointer(&points);
  g_mutex_unlock(&mount->lock);
  hf_shared_unref(old);
  return TRUE;
}

static gboolean is_due(HfMount *mount)
{
  HF_LOCK(&mount->lock);
  return hf_clock_monotonic_us() - mount->looked >= LOOK_US;
}

HfShared *hf_mount_points(HfMount *mount)
{
  if (is_due(mount) && g_mutex_trylock(&mount->looking)) {
    g_autoptr(GError) problem = NULL;
    if (!look(mount, &problem) && !hf_error_is(problem, HF_ERROR_CANCELLED))
      hf_mount_warn(mount, mount->top, problem);
    g_mutex_unlock(&mount->looking);
  }
  HF_LOCK(&mount->lock);
  return hf_shared_ref(mount->points);
}

gboolean hf_mount_first_look(HfMount *mount, GError **error)
{
  HF_LOCK(&mount->looking);
  return look(mount, error);
}

void hf_mount_show_one(HfMount *mount, const HfPointInfo *info)
{
  mount->points = hf_shared_new(g_ptr_array_new_with_free_func((GDestroyNotify)hf_shown_point_unref));
  g_ptr_array_add(mount->points->all, shown_point_new(NULL, info));
}
