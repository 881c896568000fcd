/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Orders: what makes the keeper act. The face that hands them over is not trusted with them.
 *
 * INVARIANTS: an order is taken only when
 * 1. its signature is by the key of the server certificate that enrolment pinned, over exactly these bytes;
 * 2. it names this host;
 * 3. its number is higher than that of every order taken before, also before a restart: the number is on the disk
 *    before the order is carried out;
 * 4. its end time has not passed, by this host's clock.
 *
 * Threads: any.
 */
#pragma once

#include "agent/state.h"
#include "net/messages/installer.h"

#define HF_ORDER_LABEL "holdfast order 1"

typedef struct HfOrderBook HfOrderBook;

/* `folder` is the state folder. */
HfOrderBook *hf_order_book_new(const char *folder, GError **error);
void hf_order_book_free(HfOrderBook *book);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfOrderBook, hf_order_book_free)
/* The number of the last order that was taken; 0: none. */
guint64 hf_order_book_last(HfOrderBook *book);

/* Checks an order at `now` (ns since 1970) and takes it: `order` must be zeros and is cleared by the caller. FALSE with
 * HF_ERROR_REFUSED that says what is wrong, or that the number could not be written. */
gboolean hf_order_take(HfOrderBook *book, const HfMembership *identity, gint64 now, const HfInstallerSignedOrder *given,
                       HfInstallerOrder *order, GError **error);
