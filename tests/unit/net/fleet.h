/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small fleet for tests: an authority, and members with certificates of it. */
#pragma once

#include "base/error.h"
#include "net/tls.h"

#define UUID_SERVER "00000000-0000-4000-8000-000000000001"
#define UUID_SOURCE "00000000-0000-4000-8000-000000000002"
#define UUID_KEEPER "00000000-0000-4000-8000-000000000003"

typedef struct Authority {
  char *certificate, *key;
} Authority;

typedef struct Member {
  char *certificate, *key;
} Member;

/* Every failure here ends the test. */
Authority authority_new(const char *name);
void authority_clear(Authority *authority);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Authority, authority_clear)

/* `roles` is one role or NULL. */
Member member_new(const Authority *authority, HfPeerKind kind, const char *uuid, const char *role);
Member member_of_grant(const Authority *authority, const HfPkiGrant *grant);
void member_clear(Member *member);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Member, member_clear)

HfTlsIdentity *member_identity(const Authority *authority, const Member *member);

/* Two connected sockets of 127.0.0.1. */
void tcp_pair(int *a, int *b);

/* One side of a connection, on a thread of its own. */
typedef struct Side {
  HfTlsIdentity *identity;
  HfTlsExpect expect;
  const char *token;
  int fd;
  int timeout_ms; /* 0: 20 seconds */
  gboolean either, by_token;
  HfChannel *channel;
  HfPeer *peer;
  GError *error;
  GThread *thread;
} Side;
void side_accept(Side *side); /* starts; side_join waits */
void side_connect(Side *side); /* at once, on this thread */
void side_join(Side *side);
void side_clear(Side *side);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

/* Both channels of a TLS connection between two new members, for tests of what is above. */
void tls_pair(HfChannel **client, HfChannel **server);

#define assert_error(error, number, part) assert_error_at(error, number, part, __FILE__, __LINE__)
void assert_error_at(const GError *error, int code, const char *part, const char *file, int line);
