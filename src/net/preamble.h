/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What goes first over a data connection, inside TLS (docs/protocol.md): who calls shows the ticket, who was called
 * answers.
 *
 *   caller   "HFT1", token (32), port (2): the channel port that this connection stands for when it came by the
 * transport
 *            port, which is given back then; else 0; 0 (2)
 *   called   length (4), body: 0, or 1 and an error code and message (hf_put_error)
 */
#pragma once

#include "format/cursor.h"
#include "net/channel.h"

/* What the caller sends, and hearing what the called says: for who has more to send at once. */
void hf_preamble_put(GByteArray *out, const guint8 token[32], guint16 port);
gboolean hf_preamble_hear(HfChannel *channel, GError **error);
/* Both. */
gboolean hf_preamble_show(HfChannel *channel, const guint8 token[32], guint16 port, GError **error);
gboolean hf_preamble_read(HfChannel *channel, guint8 token[32], guint16 *port, GError **error);
gboolean hf_preamble_answer(HfChannel *channel, const GError *refusal, GError **error);

/* Puts and gets an error: code and message; no error is a zero byte. */
void hf_put_error(GByteArray *body, const GError *error);
/* FALSE with `error` set to what was put, or that it is malformed. TRUE: no error was put. */
gboolean hf_get_error(HfReader *reader, GError **error);
