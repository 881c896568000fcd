/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The repository service: the side of the transport role that stands before a repository's folder and does what
 * docs/fleet.md 3 keeps where the data lies.
 */
#pragma once

#include <glib.h>

#include "agent/ticket.h"
#include "agent/worker.h"
#include "base/work.h"
#include "net/channel.h"

/*
 * Serves one connection until its other end closes it, `cancel` is set or something fails. The transport role calls it
 * on a thread of its own, after the certificate and the ticket were found right: `ticket` is of kind REPOSITORY, stays
 * the caller's and is valid until this returns. `channel` stays the caller's, who closes it afterwards. `peer` is the
 * uuid of the certificate. Several connections of one ticket are served at a time, each by a call of its own.
 * FALSE with an error that is logged; a peer that closes in order is TRUE.
 */
gboolean hf_vault_serve(HfChannel *channel, const HfTicket *ticket, const char *peer, HfCancel *cancel, GError **error);

/*
 * For a service that begins: fences and clears away the sessions in a repository of this host whose holders are gone,
 * as all are that came through the service before it. The folder is not kept open, and one that cannot be used (not
 * mounted, gone) is passed over. Takes up to 75 seconds where other programs are, or were, at work on the folder;
 * `cancel` ends that. Any thread.
 */
void hf_vault_take_over(const char *repository, HfCancel *cancel);

/* Before anything is served: `ask` makes files of locked points immutable (agent/vault/holder.h). */
void hf_vault_hold_by(HfHoldFunc ask);
