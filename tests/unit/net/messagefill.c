/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "messagefill.h"

#include <string.h>

#include "net/messages/enroll.h"
#include "net/messages/installer.h"
#include "net/messages/vault.h"
#include "net/messages/work.h"

const MessageService message_services[] = {
  { "enroll", HF_ENROLL_VERSION, HF_ENROLL_OLDEST, hf_enroll_kinds, hf_enroll_method_name },
  { "installer", HF_INSTALLER_VERSION, HF_INSTALLER_OLDEST, hf_installer_kinds, hf_installer_method_name },
  { "vault", HF_VAULT_VERSION, HF_VAULT_OLDEST, hf_vault_kinds, hf_vault_method_name },
  { "work", HF_WORK_VERSION, HF_WORK_OLDEST, hf_work_kinds, NULL },
  { NULL, 0, 0, NULL, NULL },
};

static void fill(const HfMessageKind *kind, gpointer message, guint *count);

static gpointer member(gpointer message, gsize offset)
{
  return (guint8 *)message + offset;
}

static void fill_value(const HfMessageField *field, gpointer value, guint *count)
{
  guint number = ++*count;
  g_autofree char *text = g_strdup_printf("t%u", number);
  gsize length = MIN(strlen(text), field->max);
  switch (field->type) {
  case HF_MESSAGE_U8:
    *(guint8 *)value = (guint8)number;
    break;
  case HF_MESSAGE_U16:
    *(guint16 *)value = (guint16)(0x4000 + number);
    break;
  case HF_MESSAGE_U32:
    *(guint32 *)value = 0x1000000 + number;
    break;
  case HF_MESSAGE_U64:
    *(guint64 *)value = G_GUINT64_CONSTANT(0x100000000000000) + number;
    break;
  case HF_MESSAGE_I64:
    *(gint64 *)value = -(gint64)number * 1000;
    break;
  case HF_MESSAGE_BOOL:
    *(gboolean *)value = TRUE;
    break;
  case HF_MESSAGE_TEXT:
    *(char **)value = g_strndup(text, length);
    break;
  case HF_MESSAGE_BYTES:
    *(GBytes **)value = g_bytes_new(text, length);
    break;
  case HF_MESSAGE_ID16:
    memset(value, (int)number, sizeof(HfShortId));
    break;
  case HF_MESSAGE_ID32:
    memset(value, (int)number, sizeof(HfId));
    break;
  case HF_MESSAGE_ENUM:
    *(guint32 *)value = field->values[field->n_values > 1 ? 1 : 0];
    break;
  case HF_MESSAGE_STRUCT:
    fill(field->of, value, count);
    break;
  }
}

static gsize value_size(const HfMessageField *field)
{
  switch (field->type) {
  case HF_MESSAGE_U8:
    return 1;
  case HF_MESSAGE_U16:
    return 2;
  case HF_MESSAGE_U32:
  case HF_MESSAGE_BOOL:
  case HF_MESSAGE_ENUM:
    return 4;
  case HF_MESSAGE_ID16:
    return sizeof(HfShortId);
  case HF_MESSAGE_ID32:
    return sizeof(HfId);
  case HF_MESSAGE_STRUCT:
    return field->of->size;
  default:
    return 8;
  }
}

static void fill_list(const HfMessageField *field, gpointer message, guint *count)
{
  guint8 **items = member(message, field->offset);
  guint *length = member(message, field->beside);
  gsize size = value_size(field);
  while (*length < MIN(2, field->list)) {
    hf_message_grow(items, length, size);
    fill_value(field, *items + (*length - 1) * size, count);
  }
}

static void fill(const HfMessageKind *kind, gpointer message, guint *count)
{
  for (guint i = 0; i < kind->count; i++) {
    const HfMessageField *field = &kind->fields[i];
    gboolean optional = (field->flags & HF_MESSAGE_OPTIONAL) != 0;
    gpointer value = member(message, field->offset);
    if ((field->flags & HF_MESSAGE_LIST) != 0) {
      fill_list(field, message, count);
      continue;
    }
    if (optional && field->type == HF_MESSAGE_STRUCT)
      value = *(gpointer *)value = g_malloc0(field->of->size);
    else if (optional && field->type != HF_MESSAGE_TEXT && field->type != HF_MESSAGE_BYTES)
      *(gboolean *)member(message, field->beside) = TRUE;
    fill_value(field, value, count);
  }
}

void message_fill(const HfMessageKind *kind, gpointer message)
{
  guint count = 0;
  fill(kind, message, &count);
}
