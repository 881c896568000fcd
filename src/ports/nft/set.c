/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sets and verdict maps of nftables. */
#include "ports/nft/model.h"

#include <string.h>

void hf_nft_action_clear(HfNftAction *action)
{
  g_clear_pointer(&action->target, g_free);
}

static void clear_element(gpointer pointer)
{
  HfNftElement *element = pointer;
  hf_nft_action_clear(&element->action);
  g_free(element->comment);
}

HfNftSet *hf_nft_set_new(guint n_fields)
{
  HfNftSet *set = g_new0(HfNftSet, 1);
  set->n_fields = n_fields;
  set->elements = g_array_new(FALSE, TRUE, sizeof(HfNftElement));
  g_array_set_clear_func(set->elements, clear_element);
  set->reach = g_array_new(FALSE, FALSE, sizeof(HfNftSpan));
  return set;
}

void hf_nft_set_free(HfNftSet *set)
{
  if (set == NULL)
    return;
  g_array_unref(set->elements);
  g_array_unref(set->reach);
  g_free(set->place);
  g_free(set);
}

gboolean hf_nft_action_read(const json_t *statement, HfNftAction *action)
{
  static const struct {
    const char *name;
    HfNftKind kind;
  } kinds[] = {
    { "accept", HF_NFT_TO_ACCEPT }, { "drop", HF_NFT_TO_DROP },   { "reject", HF_NFT_TO_DROP },
    { "return", HF_NFT_TO_RETURN }, { "jump", HF_NFT_TO_JUMP },   { "goto", HF_NFT_TO_GOTO },
    { "queue", HF_NFT_TO_UNKNOWN }, { "continue", HF_NFT_NO_VERDICT },
  };
  for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
    const json_t *value = json_object_get(statement, kinds[i].name);
    if (value == NULL)
      continue;
    action->kind = kinds[i].kind;
    action->target = g_strdup(json_string_value(json_object_get(value, "target")));
    return TRUE;
  }
  return FALSE;
}

static gboolean read_value(HfNftSet *set, const json_t *value, const HfNftClass *classes, HfNftElement *element)
{
  const json_t *parts = json_object_get(value, "concat");
  if (set->n_fields == 1 && parts == NULL)
    return hf_nft_span(value, classes[0], &element->spans[0]);
  if (json_is_string(value) && g_str_equal(json_string_value(value), "*")) {
    for (guint i = 0; i < set->n_fields; i++)
      hf_nft_any_span(&element->spans[i]);
    return TRUE;
  }
  if (json_array_size(parts) != set->n_fields)
    return FALSE;
  for (guint i = 0; i < set->n_fields; i++)
    if (!hf_nft_span(json_array_get(parts, i), classes[i], &element->spans[i]))
      return FALSE;
  return TRUE;
}

static void read_member(HfNftSet *set, const json_t *member, const HfNftClass *classes, gboolean map)
{
  HfNftElement element = { 0 };
  const json_t *value = map ? json_array_get(member, 0) : member;
  const json_t *outer = json_object_get(value, "elem");
  if (outer != NULL) {
    const json_t *counter = json_object_get(outer, "counter");
    element.comment = g_strdup(json_string_value(json_object_get(outer, "comment")));
    element.counted = counter != NULL;
    element.packets = (guint64)json_integer_value(json_object_get(counter, "packets"));
    value = json_object_get(outer, "val");
  }
  if (read_value(set, value, classes, &element) &&
      (!map || hf_nft_action_read(json_array_get(member, 1), &element.action))) {
    g_array_append_val(set->elements, element);
    return;
  }
  clear_element(&element);
  set->odd = TRUE;
}

void hf_nft_set_read(HfNftSet *set, const json_t *members, const HfNftClass *classes, gboolean map)
{
  if (!json_is_array(members)) {
    read_member(set, members, classes, map);
    return;
  }
  for (gsize i = 0; i < json_array_size(members); i++)
    read_member(set, json_array_get(members, i), classes, map);
}

void hf_nft_set_add(HfNftSet *set, const HfNftSpan *span)
{
  HfNftElement element = { 0 };
  element.spans[0] = *span;
  g_array_append_val(set->elements, element);
}

static int compare_first(gconstpointer a, gconstpointer b)
{
  return memcmp(((const HfNftElement *)a)->spans[0].first, ((const HfNftElement *)b)->spans[0].first, 16);
}

void hf_nft_set_finish(HfNftSet *set)
{
  HfNftSpan reach = { 0 };
  g_array_sort(set->elements, compare_first);
  g_array_set_size(set->reach, 0);
  for (guint i = 0; i < set->elements->len; i++) {
    const HfNftSpan *span = &g_array_index(set->elements, HfNftElement, i).spans[0];
    if (memcmp(span->last, reach.last, 16) > 0)
      memcpy(reach.last, span->last, 16);
    g_array_append_val(set->reach, reach);
  }
}

void hf_nft_set_near(const HfNftSet *set, const HfNftSpan *span, guint *from, guint *to)
{
  guint low = 0, high = set->elements->len;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (memcmp(g_array_index(set->reach, HfNftSpan, middle).last, span->first, 16) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *from = low;
  high = set->elements->len;
  while (low < high) {
    guint middle = low + (high - low) / 2;
    if (memcmp(g_array_index(set->elements, HfNftElement, middle).spans[0].first, span->last, 16) <= 0)
      low = middle + 1;
    else
      high = middle;
  }
  *to = low;
}
