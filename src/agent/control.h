/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the keeper and its children talk: messages with file descriptors over a socket pair. A message is a kind, a body
 * (format/cursor.h) and up to HF_CONTROL_FDS descriptors.
 *
 *   offset size
 *        0    4  length of the body, at most HF_CONTROL_BODY_MAX
 *        4    1  kind
 *        5    1  number of descriptors, which come with the header
 *        6    2  0
 *        8       body
 *
 * The keeper never trusts a face: it reads without waiting (hf_control_poll), gives up a child that does not take what
 * it is sent within 10 seconds, and closes descriptors that nobody asked for. Bodies are wiped.
 *
 * Threads: sending from any thread; receiving from one thread at a time.
 */
#pragma once

#include <glib.h>

#include "base/sys.h"
#include "format/cursor.h"
#include "net/preamble.h"

#define HF_CONTROL_FD 3 /* where a child finds its end */
#define HF_CONTROL_FDS 1u
#define HF_CONTROL_BODY_MAX (3u << 20)

/* Who sends what. K: the keeper, F: a face, I: the installer face, T: the transport face, W: a worker, S: who runs the
 * scripts of a task. */
typedef enum HfControlKind {
  HF_CONTROL_SETUP = 1,      /* K to F: addresses, ports, identity; again when they change */
  HF_CONTROL_READY,          /* F to K: it listens */
  HF_CONTROL_CONNECTION,     /* I to K: a server is there; one descriptor, the RPC connection */
  HF_CONTROL_TICKET,         /* K to T: let this ticket in, open channel ports */
  HF_CONTROL_TICKET_OPEN,    /* T to K: the ports that were opened for it, or why not */
  HF_CONTROL_TICKET_CLOSE,   /* K to T: end the ticket and its connections */
  HF_CONTROL_DIAL,           /* K to T: call a far host and join this descriptor to it */
  HF_CONTROL_AWAIT,          /* K to T: join this descriptor to who shows the ticket */
  HF_CONTROL_JOINED,         /* T to K: it was joined, or why not; and a line for the task's log, or an empty one.
                              * K to W: link N was joined, or why not */
  HF_CONTROL_PARTED,         /* T to K: a link has ended: bytes over the wire */
  HF_CONTROL_TASK,           /* K to W: what to do */
  HF_CONTROL_CANCEL,         /* K to W, K to S */
  HF_CONTROL_LINK,           /* W to K: open link N. K to W: its near end (one descriptor); HF_CONTROL_JOINED follows */
  HF_CONTROL_PROGRESS,       /* W to K */
  HF_CONTROL_LINE,           /* W to K, S to K: log line or warning */
  HF_CONTROL_RESULT,         /* W to K: the end of the task. S to K: the end of the scripts */
  HF_CONTROL_SCRIPTS,        /* W to K: run the scripts before the task. K to W: they ran, or why not. K to S: do it */
  HF_CONTROL_RATE,           /* K to W: bytes a second from now on */
  HF_CONTROL_REPOSITORIES,   /* K to T: what this host served so far: look for sessions that were left behind there */
  HF_CONTROL_HOLD,           /* T to K: make files of a repository immutable (agent/hold.h) */
  HF_CONTROL_HELD,           /* K to T: they are, or why not */
} HfControlKind;

typedef struct HfControlMessage {
  HfControlKind kind;
  GByteArray *body; /* never NULL */
  int fd;           /* -1: none */
} HfControlMessage;

/* Closes the descriptor that is still there, wipes the body. */
void hf_control_message_free(HfControlMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfControlMessage, hf_control_message_free)

typedef struct HfControl HfControl;

/* Makes both ends: one as HfControl, the other as a descriptor (close-on-exec) for a child. */
HfControl *hf_control_new_pair(int *child, GError **error);
/* Takes over `fd`. */
HfControl *hf_control_new(int fd);
void hf_control_free(HfControl *control);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfControl, hf_control_free)
int hf_control_fd(const HfControl *control);
/* Ends both directions: who waits for a message wakes up. */
void hf_control_shutdown(HfControl *control);

/* `body` may be NULL for an empty one; `fd` (or -1) stays the caller's. HF_ERROR_IO when the other end is gone or does
 * not read. */
gboolean hf_control_send(HfControl *control, HfControlKind kind, const GByteArray *body, int fd, GError **error);
/* HF_CONTROL_LINE with any text: made valid, cut at HF_TASK_LINE_MAX. One that cannot be sent is lost. */
void hf_control_send_line(HfControl *control, gboolean warning, const char *text);

/* Waits for a message. NULL without an error when the other end has closed. */
HfControlMessage *hf_control_receive(HfControl *control, GError **error);

typedef enum HfControlState {
  HF_CONTROL_MORE,    /* nothing whole is there yet */
  HF_CONTROL_MESSAGE, /* *message is the caller's */
  HF_CONTROL_END,     /* closed, or broken with *error set */
} HfControlState;
/* Takes what is there without waiting; to be called until it says MORE or END. */
HfControlState hf_control_poll(HfControl *control, HfControlMessage **message, GError **error);

/* A body that is wiped when it is freed. */
GByteArray *hf_body_new(void);
void hf_body_free(GByteArray *body);
typedef GByteArray HfBody;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfBody, hf_body_free)
