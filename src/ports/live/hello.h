/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How to ask a port what it speaks: for each application protocol a hello to send, and a judgement of the answer. Pure:
 * bytes in, bytes out. Answers come from anybody: every judgement is total over arbitrary bytes.
 */
#pragma once

#include <glib.h>

typedef enum HfHelloVerdict {
  HF_HELLO_MORE,  /* right so far: more bytes are needed to tell */
  HF_HELLO_RIGHT, /* it speaks the protocol */
  HF_HELLO_WRONG, /* it does not */
} HfHelloVerdict;

typedef struct HfHello {
  const char *application;
  gboolean tls; /* a TLS handshake is the question, and its end the answer: the rest stands for nothing then */
  /* What to send once connected, or as a datagram. Length 0 with TCP: the other side speaks first. */
  const guint8 *bytes;
  gsize length;
  HfHelloVerdict (*judge)(const guint8 *answer, gsize length);
  gboolean line; /* the answer begins with a line of text that is worth showing */
} HfHello;

/* The hello for an application over HF_PORT_TCP or HF_PORT_UDP; NULL when it cannot be asked there. Static. */
const HfHello *hf_hello_find(const char *application, guint transport);
