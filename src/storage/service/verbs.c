/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Verbs that run where the data lie. */
#include <string.h>

#include "base/error.h"
#include "storage/service/private.h"

static HfRpc *connection(HfStore *store)
{
  return ((HfServiceStore *)store)->connections->pdata[0];
}

gboolean hf_service_forget(HfStore *store, const GArray *points, guint *forgotten, GError **error)
{
  g_auto(HfVaultForget) request = { 0 };
  g_auto(HfVaultForgotten) reply = { 0 };
  for (guint i = 0; i < points->len; i++)
    hf_vault_forget_add_points(&request, &g_array_index(points, HfShortId, i));
  if (!hf_vault_call_forget(connection(store), &request, &reply, -1, error))
    return FALSE;
  *forgotten = reply.points;
  return TRUE;
}

static gboolean take_note(GBytes *piece, HfReport *report, guint64 *done, GError **error)
{
  g_auto(HfVaultNote) note = { 0 };
  if (!hf_vault_note_decode(piece, &note, error))
    return FALSE;
  if (note.warning != NULL)
    hf_report_warning(report, NULL, "%s", note.warning);
  if (note.total > 0)
    hf_report_total(report, 0, note.total);
  if (note.done > *done)
    hf_report_add(report, 0, note.done - *done, 0);
  *done = MAX(*done, note.done);
  return TRUE;
}

/* A call that tells notes while it works. */
static GBytes *run_verb(HfStore *store, guint method, GBytes *request, HfReport *report, GError **error)
{
  guint64 done = 0;
  gboolean end = FALSE;
  g_autoptr(HfCall) call = request == NULL ? NULL : hf_rpc_begin(connection(store), method, request, error);
  if (call == NULL)
    return NULL;
  while (!end) {
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if ((piece == NULL && !end) || (piece != NULL && !take_note(piece, report, &done, error)))
      return NULL;
  }
  return hf_call_finish(call, error);
}

gboolean hf_service_prune(HfStore *store, gboolean dry_run, HfReport *report, HfServicePruned *result, GError **error)
{
  g_auto(HfVaultPrune) prune = { .dry_run = dry_run };
  g_auto(HfVaultPruned) pruned = { 0 };
  g_autoptr(GBytes) request = hf_vault_prune_encode(&prune, error);
  g_autoptr(GBytes) reply = run_verb(store, HF_VAULT_METHOD_PRUNE, request, report, error);
  if (reply == NULL || !hf_vault_pruned_decode(reply, &pruned, error))
    return FALSE;
  *result = (HfServicePruned){ pruned.packs, pruned.bytes, pruned.swept_packs, pruned.swept_bytes,
                               pruned.waiting_packs, pruned.waiting_bytes, pruned.rewritten_bytes,
                               pruned.other_at_work, pruned.held_packs, pruned.held_bytes };
  return TRUE;
}

gboolean hf_service_verify(HfStore *store, guint sample, HfReport *report, HfServiceVerified *result, GError **error)
{
  g_auto(HfVaultVerify) verify = { .sample = sample };
  g_auto(HfVaultVerified) verified = { 0 };
  g_autoptr(GBytes) request = hf_vault_verify_encode(&verify, error);
  g_autoptr(GBytes) reply = run_verb(store, HF_VAULT_METHOD_VERIFY, request, report, error);
  if (reply == NULL || !hf_vault_verified_decode(reply, &verified, error))
    return FALSE;
  *result = (HfServiceVerified){ verified.objects, verified.frames, verified.bytes, verified.bad_objects,
                                 verified.bad_parity, verified.bad_packs, verified.bad_frames,
                                 verified.missing_blobs, verified.good };
  return TRUE;
}

GArray *hf_service_slots(HfStore *store, guint32 domain, GError **error)
{
  g_auto(HfVaultSlots) ask = { .domain = domain };
  g_autoptr(GArray) slots = g_array_new(FALSE, FALSE, sizeof(HfSessionSlot));
  g_autoptr(GBytes) request = hf_vault_slots_encode(&ask, error);
  g_autoptr(HfCall) call =
    request == NULL ? NULL : hf_rpc_begin(connection(store), HF_VAULT_METHOD_SLOTS, request, error);
  gboolean end = call == NULL;
  while (!end) {
    gsize length = 0;
    g_autoptr(GBytes) piece = hf_call_receive(call, &end, error);
    if (piece == NULL && !end)
      return NULL;
    const guint8 *bytes = piece == NULL ? NULL : g_bytes_get_data(piece, &length);
    for (gsize at = 0; at + HF_SESSION_SLOT_BYTES <= length; at += HF_SESSION_SLOT_BYTES) {
      HfSessionSlot slot;
      if (hf_session_slot_decode(bytes + at, &slot))
        g_array_append_val(slots, slot);
    }
  }
  g_autoptr(GBytes) reply = call == NULL ? NULL : hf_call_finish(call, error);
  return reply == NULL ? NULL : g_steal_pointer(&slots);
}
