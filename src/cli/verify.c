/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/verify/rehearse.h"
#include "engine/verify/verify.h"

#include "base/error.h"
#include "cli/open.h"

#define AFFECTED_SHOWN 50u
#define CERTAIN_FRAMES 5000u /* 0.99 to this power is nothing */

static void print_affected(HfCli *cli, const HfVerifyResult *result)
{
  for (guint i = 0; i < result->affected->len; i++) {
    const HfAffected *affected = result->affected->pdata[i];
    g_autofree char *id = hf_hex(affected->point.b, sizeof affected->point.b);
    g_autofree char *path = hf_printable(affected->path, -1);
    if (i < AFFECTED_SHOWN)
      hf_output_text(cli->output, "damaged: %.8s %s\n", id, path);
    else if (i == AFFECTED_SHOWN)
      hf_output_text(cli->output, "... and %u more; --json lists them all\n", result->affected->len - AFFECTED_SHOWN);
    hf_line_begin(cli->output);
    hf_line_text(cli->output, "type", "affected");
    hf_line_text(cli->output, "point", id);
    hf_line_name(cli->output, "path", affected->path);
    hf_line_end(cli->output);
  }
}

/* How likely is it, in per cent, that so many frames chosen at random show damage of one frame in a hundred? */
static double confidence(guint64 frames)
{
  double unseen = 1;
  for (guint64 i = 0; i < MIN(frames, CERTAIN_FRAMES); i++)
    unseen *= 0.99;
  return 100 * (1 - unseen);
}

static void print_sample(HfCli *cli, const HfVerifyResult *result, guint sample, json_t *summary)
{
  double sure = confidence(result->frames);
  if (sample >= 100)
    return;
  hf_output_note(cli->output, "this was a sample of %u %%: were one frame in a hundred damaged, it would have found "
                 "that with a likelihood of %.1f %%\n", sample, sure);
  json_object_set_new(summary, "sample", json_integer((json_int_t)sample));
  json_object_set_new(summary, "confidence", json_real(sure));
}

static void print_result(HfCli *cli, const HfVerifyResult *result, guint sample)
{
  g_autofree char *bytes = hf_format_size(result->bytes);
  hf_output_note(cli->output, "looked at %" G_GUINT64_FORMAT " objects; %" G_GUINT64_FORMAT " packs, %" G_GUINT64_FORMAT
                 " frames, %" G_GUINT64_FORMAT " blobs, %s\n", result->objects, result->packs, result->frames,
                 result->blobs, bytes);
  hf_output_note(cli->output,
                 "damaged: %" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT " packs, %" G_GUINT64_FORMAT
                 " small objects and indexes, %" G_GUINT64_FORMAT
                 " parities and mirrors; missing blobs: %" G_GUINT64_FORMAT "\n",
                 result->bad_frames, result->bad_packs, result->bad_objects, result->bad_parity, result->missing_blobs);
  print_affected(cli, result);
  json_t *summary =
    json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "type", "summary", "objects",
              (json_int_t)result->objects, "packs", (json_int_t)result->packs, "frames", (json_int_t)result->frames,
              "blobs", (json_int_t)result->blobs, "bytes", (json_int_t)result->bytes, "bad_objects",
              (json_int_t)result->bad_objects, "bad_parity", (json_int_t)result->bad_parity, "bad_packs",
              (json_int_t)result->bad_packs, "bad_frames", (json_int_t)result->bad_frames, "transient",
              (json_int_t)result->transient, "missing_blobs", (json_int_t)result->missing_blobs, "unknown_signers",
              (json_int_t)result->unknown_signers, "affected", (int)result->affected->len);
  print_sample(cli, result, sample, summary);
  hf_output_document(cli->output, summary);
}

static GPtrArray *chosen_points(const HfOptions *options, GPtrArray *points, GError **error)
{
  g_autoptr(GPtrArray) chosen = g_ptr_array_new();
  for (guint i = 0; options->points[i]; i++) {
    HfPointInfo *info = hf_points_resolve(points, options->points[i], error);
    if (!info)
      return NULL;
    g_ptr_array_add(chosen, info);
  }
  return g_steal_pointer(&chosen);
}

static gboolean rehearse(HfCli *cli, HfRepo *repo, const GPtrArray *points, GError **error)
{
  HfRehearseResult result;
  if (!hf_rehearse(repo, points, NULL, &result, error))
    return FALSE;
  g_autofree char *bytes = hf_format_size(result.bytes);
  hf_output_note(cli->output, "restored and compared %" G_GUINT64_FORMAT " points: %" G_GUINT64_FORMAT " entries, %s; %"
                 G_GUINT64_FORMAT " differ\n", result.points, result.files, bytes, result.different);
  hf_output_document(cli->output,
                     json_pack("{s:s, s:I, s:I, s:I, s:I}", "type", "rehearsal", "points", (json_int_t)result.points,
                               "files", (json_int_t)result.files, "bytes", (json_int_t)result.bytes, "different",
                               (json_int_t)result.different));
  return result.different == 0 || hf_fail(error, HF_ERROR_DAMAGED, "what was restored differs from what was backed up");
}

gboolean hf_verb_verify(const HfOptions *options, HfCli *cli, GError **error)
{
  g_auto(HfVerifyResult) result = { 0 };
  gboolean keys = !options->stored || options->points[0];
  g_autoptr(HfRepo) repo = hf_cli_open_repository(cli, options, keys, error);
  g_autoptr(GPtrArray) points = repo ? hf_points_load(repo, NULL, error) : NULL;
  g_autoptr(GPtrArray) chosen = points ? chosen_points(options, points, error) : NULL;
  if (!chosen)
    return FALSE;
  HfVerifyOptions verify = { .content = !options->stored, .sample = (guint)options->sample,
                             .points = chosen->len ? chosen : NULL };
  if (!hf_verify(repo, &verify, &result, error))
    return FALSE;
  print_result(cli, &result, verify.sample);
  if (!hf_verify_result_good(&result))
    return hf_fail(error, HF_ERROR_DAMAGED, "the repository is damaged; 'holdfast repair' mends what can be mended");
  return !options->restore || rehearse(cli, repo, chosen->len ? chosen : points, error);
}
