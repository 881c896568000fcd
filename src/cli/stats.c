/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/open.h"
#include "repo/points.h"

typedef struct Sizes {
  guint64 data, meta, parity, index, other, objects;
} Sizes;

static gboolean add_size(const char *name, guint64 size, gpointer user, GError **error)
{
  Sizes *sizes = user;
  (void)error;
  sizes->objects++;
  if (g_str_has_prefix(name, "data/"))
    sizes->data += size;
  else if (g_str_has_prefix(name, "meta/"))
    sizes->meta += size;
  else if (g_str_has_prefix(name, "parity/") || g_str_has_prefix(name, "mirror/"))
    sizes->parity += size;
  else if (g_str_has_prefix(name, "index/"))
    sizes->index += size;
  else
    sizes->other += size;
  return TRUE;
}

static void print_size(HfCli *cli, const char *what, guint64 bytes)
{
  g_autofree char *size = hf_format_size(bytes);
  hf_output_text(cli->output, "%-24s %12s\n", what, size);
}

static void print_stats(const HfOptions *options, HfCli *cli, HfRepo *repo, const GPtrArray *points, const Sizes *sizes)
{
  guint64 logical = 0, blobs = hf_index_entries(repo->index);
  for (guint i = 0; i < points->len; i++) {
    const HfPointInfo *info = points->pdata[i];
    logical += info->details ? info->details->bytes : 0;
  }
  g_autofree char *fingerprint = hf_hex(repo->fingerprint.b, sizeof repo->fingerprint.b);
  guint64 stored = sizes->data + sizes->meta + sizes->parity + sizes->index + sizes->other;
  hf_output_text(cli->output, "repository '%s', fingerprint %s\n", options->repository, fingerprint);
  hf_output_text(cli->output, "%-24s %12u\n%-24s %12" G_GUINT64_FORMAT "\n%-24s %12" G_GUINT64_FORMAT "\n", "points",
                 points->len, "blobs", blobs, "objects", sizes->objects);
  print_size(cli, "data of all points", logical);
  print_size(cli, "stored, all told", stored);
  print_size(cli, "  data packs", sizes->data);
  print_size(cli, "  metadata packs", sizes->meta);
  print_size(cli, "  parity and mirrors", sizes->parity);
  print_size(cli, "  index", sizes->index);
  print_size(cli, "  keys, points, reserve", sizes->other);
  hf_output_document(cli->output,
                     json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "repository",
                               options->repository, "fingerprint", fingerprint, "points", (int)points->len, "blobs",
                               (json_int_t)blobs, "objects", (json_int_t)sizes->objects, "bytes", (json_int_t)logical,
                               "stored_bytes", (json_int_t)stored, "data_bytes", (json_int_t)sizes->data,
                               "metadata_bytes", (json_int_t)sizes->meta, "parity_bytes", (json_int_t)sizes->parity,
                               "index_bytes", (json_int_t)sizes->index, "other_bytes", (json_int_t)sizes->other,
                               "index_runs", (int)hf_index_runs(repo->index)));
}

gboolean hf_verb_stats(const HfOptions *options, HfCli *cli, GError **error)
{
  Sizes sizes = { 0 };
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, TRUE, error);
  if (!repo || !hf_repo_load_index(repo, error) || !hf_store_list(repo->store, "", add_size, &sizes, error))
    return FALSE;
  g_autoptr(GPtrArray) points = hf_points_load(repo, NULL, error);
  if (!points)
    return FALSE;
  print_stats(options, cli, repo, points, &sizes);
  return TRUE;
}
