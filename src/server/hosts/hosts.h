/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The server's end of every managed host: one standing connection each, over which orders go down and events come back.
 *
 * INVARIANTS
 * 1. A host that was added is called until it is removed: again after 1 second, then after twice as long each time, 30
 *    seconds at most.
 * 2. Versions are checked before every session; a host whose version does not fit is told about and called no more
 *    often
 *    than the others.
 * 3. Orders to one host go one after the other, by rising numbers.
 * 4. An event is said to be taken only after `told` has taken it: one may come twice, none is left out.
 *
 * Threads: all functions may be called from any thread. The functions of HfHostsOps are called from the threads of the
 * hosts, one at a time for each host, and may call everything here but hf_hosts_remove and hf_hosts_free.
 */
#pragma once

#include "net/channel.h"
#include "net/messages/enroll.h"
#include "net/messages/installer.h"
#include "server/hosts/identity.h"
#include "server/jobs/hosts.h"

typedef struct HfHosts HfHosts;

typedef struct HfHostsOps {
  gpointer user;
  /* The host answers, or not any more: `message` says why (NULL while it answers). */
  void (*status)(gpointer user, const char *host, gboolean available, const char *message);
  /* The same again, though nothing changed (hf_hosts_tell_again): what of it could not be kept is kept now. */
  void (*still)(gpointer user, const char *host, gboolean available, const char *message);
  /* What it said about itself at the beginning of a session. */
  void (*facts)(gpointer user, const char *host, const HfInstallerWelcome *welcome);
  /* FALSE: it could not be kept; it comes again in the next session. Must bear to see the same event twice. */
  gboolean (*told)(gpointer user, const char *host, const HfInstallerEvent *event);
  /* A certificate was issued (enrolment, renewal): PEM. FALSE: it is not handed out. */
  gboolean (*issued)(gpointer user, const char *host, const char *certificate, GError **error);
  /* The id of the host that this machine is already, or NULL; caller frees. */
  char *(*known)(gpointer user, const HfId *machine);
  /* What the host is, by roles of the port catalogue (ended by NULL, static), or NULL while nobody knows. */
  const char *const *(*roles)(gpointer user, const char *host);
} HfHostsOps;

/* `identity` is copied, `ops` too. Members of ops may be NULL. NULL with an error when the identity is not sound. */
HfHosts *hf_hosts_new(const HfServerIdentity *identity, const HfHostsOps *ops, GError **error);
/* Breaks off all sessions, calls and connections that are being made, and lets no new ones begin: who waits for a host
 * goes on at once, with an error. For a server that ends, before hf_hosts_free. Does not wait. */
void hf_hosts_break(HfHosts *hosts);
/* Ends all sessions and waits for their threads. */
void hf_hosts_free(HfHosts *hosts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HfHosts, hf_hosts_free)
/* Other certificates for connections (hf_server_identity_renew). Sessions that stand go on. */
gboolean hf_hosts_set_identity(HfHosts *hosts, const HfServerIdentity *identity, GError **error);

/* Starts calling a host; does nothing for one that is called already at that place, else calls it there. `port` 0: the
 * installer port of the catalogue. */
void hf_hosts_add(HfHosts *hosts, const char *host, const char *name, const char *address, guint16 port);
void hf_hosts_remove(HfHosts *hosts, const char *host);
/* Calls ops.still for each host that was reached or missed once. To be called a few times a minute, never by ops. */
void hf_hosts_tell_again(HfHosts *hosts);
/* Calls it now, if it waits. */
void hf_hosts_nudge(HfHosts *hosts, const char *host);
/* TRUE when it answers, waiting for that up to `timeout_ms`; FALSE with HF_ERROR_IO that names it and why. One that is
 * away already is called at once, and that time counts; it is given 10 seconds in any case. */
gboolean hf_hosts_wait(HfHosts *hosts, const char *host, int timeout_ms, GError **error);

/* Serials that are void from now on, ended by NULL: for this server and, when they answer, for every host. */
void hf_hosts_set_revoked(HfHosts *hosts, const char *const *serials);
/* Renews the certificates of hosts for which that is due (HF_PKI_RENEW_DAYS): to be called now and then. `all`: of
 * every host that answers. The number that was renewed. */
guint hf_hosts_renew(HfHosts *hosts, gboolean all);

/* ---- Calls to one host. HF_ERROR_IO when it does not answer, HF_ERROR_NOT_FOUND when it was not added. ---- */
/* Signs and sends an order; `body` NULL: none. The answer of the act (never NULL but on error). */
GBytes *hf_hosts_order(HfHosts *hosts, const char *host, HfInstallerAct act, GBytes *body, GError **error);
gboolean hf_hosts_status(HfHosts *hosts, const char *host, HfInstallerStatus *status, GError **error);
gboolean hf_hosts_run(HfHosts *hosts, const char *host, const HfInstallerTaskOrder *order,
                      HfInstallerTaskStarted *started,
                      GError **error);
gboolean hf_hosts_cancel(HfHosts *hosts, const char *host, const char *task, GError **error);
/* Bytes a second on the wire that a task may have from now on, both ways together; 0: no limit. HF_ERROR_NOT_FOUND when
 * the host does not know the task. */
gboolean hf_hosts_set_rate(HfHosts *hosts, const char *host, const char *task, guint64 rate, GError **error);
gboolean hf_hosts_role(HfHosts *hosts, const char *host, const char *role, HfInstallerRoleAct act, GError **error);
/* Makes the host leave this server. It is removed here as well. */
gboolean hf_hosts_forget(HfHosts *hosts, const char *host, GError **error);
/* Runs a task and waits for its result, at most `timeout_ms`; `result` must be zeros and is cleared by the caller. The
 * events of the task go to `told` all the same. FALSE with the task's error when it failed. */
gboolean hf_hosts_do(HfHosts *hosts, const char *host, const HfInstallerTaskOrder *order, int timeout_ms,
                     HfInstallerResult *result, GError **error);
/* What is in a folder of the host. */
gboolean hf_hosts_list(HfHosts *hosts, const char *host, const HfInstallerListTask *task, HfInstallerList *list,
                       GError **error);
/* Fetches the logs of the host as a tar file `path`, over a channel port (rows "Data to and from ..., logs
 * included"). */
gboolean hf_hosts_collect_logs(HfHosts *hosts, const char *host, gint64 since, const char *path, GError **error);
/* Sends the file `path` and has it installed; returns when the host has it whole. */
gboolean hf_hosts_upgrade(HfHosts *hosts, const char *host, const char *path, const char *program, gboolean package,
                          GError **error);
/* Connects this server to the transport role of the host and shows `token`: the transport port first where it is not 0,
 * then the channel port where that is not 0. */
HfChannel *hf_hosts_connect(HfHosts *hosts, const char *host, const HfId *token, guint16 transport_port,
                            guint16 channel_port, GError **error);

/* Fills in what the job runner asks of hosts. */
void hf_hosts_for_jobs(HfHosts *hosts, HfJobHosts *table);

/* ---- Enrolment. ---- */
typedef struct HfEnrollWish {
  const char *address;
  guint16 port;        /* installer port; 0: that of the catalogue */
  const char *token;
  const char *replaces; /* id of the host that this machine is already, when it is to be enrolled again; else NULL */
  guint wait_seconds;  /* for the host to listen; 0: try once */
} HfEnrollWish;
typedef struct HfEnrolled {
  char *host;          /* id */
  char *name;          /* its own name */
  char *program;
  char *certificate;   /* PEM */
  HfId machine;
  guint16 transport_port;
  char *ssh_host_key;  /* by SSH: the fingerprint that was pinned, else NULL */
} HfEnrolled;
void hf_enrolled_clear(HfEnrolled *enrolled);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(HfEnrolled, hf_enrolled_clear)
/* `enrolled` must be zeros. HF_ERROR_EXISTS that names the host when `known` knows the machine and `replaces` is not
 * it. The host is not added yet. */
gboolean hf_hosts_enroll(HfHosts *hosts, const HfEnrollWish *wish, HfEnrolled *enrolled, GError **error);

typedef struct HfSshWish {
  const char *address;
  guint16 port;              /* 0: that of the catalogue */
  const char *user;
  const char *host_key;      /* fingerprint as hf_ssh_host_key gives it: any other key is refused */
  const char *password;      /* or NULL */
  const char *private_key;   /* or NULL: text of an OpenSSH or PEM key, with its passphrase or NULL */
  const char *passphrase;
  gboolean sudo;             /* needed unless `user` is root; sudo gets `password` */
  const char *package;       /* a Debian package here, which is copied and installed there */
  const char *program;       /* or the program here, which is copied to `target`; or neither: it is there already */
  const char *target;        /* path of the program there; NULL: /usr/bin/holdfast-agent */
  const char *const *places; /* options for the program ("--state", DIR...), ended by NULL; NULL: none */
  guint16 installer_port;    /* 0: that of the catalogue */
  const char *replaces;
} HfSshWish;
/* Asks a host for its SSH key: "SHA256:...", to be shown and pinned. Caller frees. */
char *hf_ssh_host_key(const char *address, guint16 port, GError **error);
/* Copies, installs, runs the enrolment there with a token of its own making, and starts the agent. */
gboolean hf_hosts_enroll_ssh(HfHosts *hosts, const HfSshWish *wish, HfEnrolled *enrolled, GError **error);
