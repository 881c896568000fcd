/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All messages of spec/messages, and how to fill any of them by its table. */
#pragma once

#include "net/message.h"

typedef struct MessageService {
  const char *name;
  guint version, oldest;
  const HfMessageKind *const *kinds;          /* ended by NULL */
  const char *(*method_name)(guint number);   /* NULL: it has no methods */
} MessageService;

extern const MessageService message_services[]; /* ended by a NULL name */

/* One value of everything, two in lists, the same each time and different from field to field. `message` must be zeros;
 * hf_message_clear frees what is put into it. */
void message_fill(const HfMessageKind *kind, gpointer message);
