/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/hello.h"

#include <string.h>

#include "ports/catalogue/catalogue.h"

/* ---- judgements ---- */

/* Right as soon as all of `start` is there, wrong at the first byte that differs. */
static HfHelloVerdict starts_with(const guint8 *answer, gsize length, const char *start, gsize n)
{
  if (memcmp(answer, start, MIN(length, n)) != 0)
    return HF_HELLO_WRONG;
  return length < n ? HF_HELLO_MORE : HF_HELLO_RIGHT;
}

static HfHelloVerdict judge_ssh(const guint8 *answer, gsize length)
{
  return starts_with(answer, length, "SSH-", 4);
}

static HfHelloVerdict judge_220(const guint8 *answer, gsize length)
{
  return starts_with(answer, length, "220", 3);
}

static HfHelloVerdict judge_http(const guint8 *answer, gsize length)
{
  return starts_with(answer, length, "HTTP/", 5);
}

/* The answer to SSLRequest is one letter; an old server answers with a message, E for error and its length. */
static HfHelloVerdict judge_postgresql(const guint8 *answer, gsize length)
{
  if (length == 0)
    return HF_HELLO_MORE;
  if (length == 1 && (answer[0] == 'S' || answer[0] == 'N'))
    return HF_HELLO_RIGHT;
  if (answer[0] != 'E')
    return HF_HELLO_WRONG;
  return length < 5 ? HF_HELLO_MORE : answer[1] == 0 && answer[2] == 0 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* The reply (1) with our transaction. Over TCP the mark of a record stands in front. */
static HfHelloVerdict judge_rpc(const guint8 *answer, gsize length)
{
  return length < 8 ? HF_HELLO_MORE : starts_with(answer, length, "hold\0\0\0\1", 8);
}

static HfHelloVerdict judge_rpc_record(const guint8 *answer, gsize length)
{
  return length < 12 ? HF_HELLO_MORE : judge_rpc(answer + 4, length - 4);
}

/* NetBIOS session message, then a header of SMB 2, or of SMB 1 where nothing newer is spoken. */
static HfHelloVerdict judge_smb(const guint8 *answer, gsize length)
{
  if (length < 8)
    return length > 0 && answer[0] != 0 ? HF_HELLO_WRONG : HF_HELLO_MORE;
  return answer[0] == 0 && (answer[4] == 0xfe || answer[4] == 0xff) && memcmp(answer + 5, "SMB", 3) == 0
    ? HF_HELLO_RIGHT
    : HF_HELLO_WRONG;
}

/* A sequence with message 1 and the response to a bind (0x61), whatever it says. */
static HfHelloVerdict judge_ldap(const guint8 *answer, gsize length)
{
  if (length < 1)
    return HF_HELLO_MORE;
  if (answer[0] != 0x30)
    return HF_HELLO_WRONG;
  if (length < 2)
    return HF_HELLO_MORE;
  gsize at = 2 + (answer[1] > 0x80 ? answer[1] - 0x80u : 0u);
  if (at > 6)
    return HF_HELLO_WRONG;
  if (length < at + 4)
    return HF_HELLO_MORE;
  return memcmp(answer + at, "\2\1\1\x61", 4) == 0 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* Our id, and the bit that says answer. */
static HfHelloVerdict judge_dns(const guint8 *answer, gsize length)
{
  if (length < 3)
    return HF_HELLO_MORE;
  return memcmp(answer, "hf", 2) == 0 && (answer[2] & 0x80) != 0 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

static HfHelloVerdict judge_dns_record(const guint8 *answer, gsize length)
{
  return length < 5 ? HF_HELLO_MORE : judge_dns(answer + 2, length - 2);
}

/* Mode 4 (server) in a packet of the right size. */
static HfHelloVerdict judge_ntp(const guint8 *answer, gsize length)
{
  return length >= 48 && (answer[0] & 7) == 4 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* Response to a login (0x23), or the target rejects it (0x3f). */
static HfHelloVerdict judge_iscsi(const guint8 *answer, gsize length)
{
  if (length == 0)
    return HF_HELLO_MORE;
  return (answer[0] & 0x3f) == 0x23 || (answer[0] & 0x3f) == 0x3f ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* The server speaks first: a record with a request (0) NOTIFY_CONNECTED (0x502). */
static HfHelloVerdict judge_ndmp(const guint8 *answer, gsize length)
{
  if (length < 20)
    return HF_HELLO_MORE;
  return memcmp(answer + 12, "\0\0\0\0\0\0\5\2", 8) == 0 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* TPKT, then a connection confirm. */
static HfHelloVerdict judge_rdp(const guint8 *answer, gsize length)
{
  if (length < 6)
    return HF_HELLO_MORE;
  return answer[0] == 3 && answer[1] == 0 && (answer[5] & 0xf0) == 0xd0 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* A tabular response. */
static HfHelloVerdict judge_mssql(const guint8 *answer, gsize length)
{
  if (length < 1)
    return HF_HELLO_MORE;
  return answer[0] == 4 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

static HfHelloVerdict judge_mssql_browser(const guint8 *answer, gsize length)
{
  if (length < 1)
    return HF_HELLO_MORE;
  return answer[0] == 5 ? HF_HELLO_RIGHT : HF_HELLO_WRONG;
}

/* ---- what is said ---- */

#define TEXT(literal) (const guint8 *)(literal), sizeof(literal) - 1

/* Calls of remote procedure 0, which does nothing, of a program: "hold" is the transaction; no credentials. */
#define RPC(program, version) \
  "hold\0\0\0\0\0\0\0\2" program "\0\0\0" version "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define RPC_RECORD(program, version) "\x80\0\0\x28" RPC(program, version)
#define PORTMAP "\0\1\x86\xa0"
#define NFS "\0\1\x86\xa3"
#define MOUNT "\0\1\x86\xa5"
#define LOCKS "\0\1\x86\xb5"
#define STATUS "\0\1\x86\xb8"
#define RPC_PAIR(application, program, version) \
  { HF_PORT_TCP, { application, FALSE, TEXT(RPC_RECORD(program, version)), judge_rpc_record, FALSE } }, \
    { HF_PORT_UDP, { application, FALSE, TEXT(RPC(program, version)), judge_rpc, FALSE } }

/* Who serves the root, without recursion. */
#define DNS_QUESTION "hf\0\0\0\1\0\0\0\0\0\0\0\0\2\0\1"

/* NEGOTIATE of SMB 2 with dialects 2.0.2, 2.1, 3.0 and 3.0.2. */
#define SMB_NEGOTIATE \
  "\0\0\0\x6c\xfeSMB\x40\0\0\0\0\0\0\0\0\0\1\0" \
  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
  "\x24\0\4\0\1\0\0\0\0\0\0\0holdfast-greets!\0\0\0\0\0\0\0\0\2\2\x10\2\0\3\2\3"

/* An anonymous bind of version 3, message 1. */
#define LDAP_BIND "\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0"

#define NTP_QUESTION \
  "\x23\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

/* A login for discovery, with the name of an initiator that nobody has. */
#define ISCSI_TEXT "InitiatorName=iqn.2026-11.invalid:check\0SessionType=Discovery\0\0\0"
#define ISCSI_LOGIN \
  "\x43\x87\0\0\0\0\0\x3e\x80\0\0\0\0\1\0\0\0\0\0\1" \
  "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" ISCSI_TEXT

/* A connection request without a cookie. */
#define RDP_REQUEST "\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"

/* A prelogin with a version only. */
#define MSSQL_PRELOGIN "\x12\1\0\x14\0\0\1\0\0\0\6\0\6\xff\0\0\0\0\0\0"

static const struct {
  guint transport;
  HfHello hello;
} hellos[] = {
  { HF_PORT_TCP, { "dns", FALSE, TEXT("\0\x11" DNS_QUESTION), judge_dns_record, FALSE } },
  { HF_PORT_UDP, { "dns", FALSE, TEXT(DNS_QUESTION), judge_dns, FALSE } },
  { HF_PORT_TCP, { "ftp", FALSE, NULL, 0, judge_220, TRUE } },
  { HF_PORT_TCP, { "global-catalog", FALSE, TEXT(LDAP_BIND), judge_ldap, FALSE } },
  { HF_PORT_TCP, { "http", FALSE, TEXT("HEAD / HTTP/1.0\r\n\r\n"), judge_http, TRUE } },
  { HF_PORT_TCP, { "https", TRUE, NULL, 0, NULL, FALSE } },
  { HF_PORT_TCP, { "iscsi", FALSE, TEXT(ISCSI_LOGIN), judge_iscsi, FALSE } },
  { HF_PORT_TCP, { "kmip", TRUE, NULL, 0, NULL, FALSE } },
  { HF_PORT_TCP, { "ldap", FALSE, TEXT(LDAP_BIND), judge_ldap, FALSE } },
  { HF_PORT_TCP, { "ldaps", TRUE, NULL, 0, NULL, FALSE } },
  RPC_PAIR("lockd", LOCKS, "\4"),
  RPC_PAIR("mountd", MOUNT, "\3"),
  { HF_PORT_TCP, { "mssql", FALSE, TEXT(MSSQL_PRELOGIN), judge_mssql, FALSE } },
  { HF_PORT_UDP, { "mssql-browser", FALSE, TEXT("\3"), judge_mssql_browser, FALSE } },
  { HF_PORT_TCP, { "ndmp", FALSE, NULL, 0, judge_ndmp, FALSE } },
  RPC_PAIR("nfs", NFS, "\3"),
  { HF_PORT_UDP, { "ntp", FALSE, TEXT(NTP_QUESTION), judge_ntp, FALSE } },
  { HF_PORT_TCP, { "nts-ke", TRUE, NULL, 0, NULL, FALSE } },
  RPC_PAIR("portmap", PORTMAP, "\2"),
  { HF_PORT_TCP, { "postgresql", FALSE, TEXT("\0\0\0\x08\x04\xd2\x16\x2f"), judge_postgresql, FALSE } },
  { HF_PORT_TCP, { "rdp", FALSE, TEXT(RDP_REQUEST), judge_rdp, FALSE } },
  { HF_PORT_TCP, { "smb", FALSE, TEXT(SMB_NEGOTIATE), judge_smb, FALSE } },
  { HF_PORT_TCP, { "smtp", FALSE, NULL, 0, judge_220, TRUE } },
  { HF_PORT_TCP, { "ssh", FALSE, NULL, 0, judge_ssh, TRUE } },
  RPC_PAIR("statd", STATUS, "\1"),
  { HF_PORT_TCP, { "submission", FALSE, NULL, 0, judge_220, TRUE } },
  { HF_PORT_TCP, { "syslog-tls", TRUE, NULL, 0, NULL, FALSE } },
};

const HfHello *hf_hello_find(const char *application, guint transport)
{
  for (guint i = 0; application != NULL && i < G_N_ELEMENTS(hellos); i++)
    if (hellos[i].transport == transport && g_str_equal(hellos[i].hello.application, application))
      return &hellos[i].hello;
  return NULL;
}
