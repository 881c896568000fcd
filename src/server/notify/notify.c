/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two threads. Mails go through the table `events`, so that a restart loses none once its thread has seen it;
 * events for syslog wait in memory only.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/work.h"
#include "server/inventory/sessions.h"
#include "server/notify/state.h"

#define MAILS_WAIT 256
#define EVENTS_WAIT 4096
#define LOOK_US (30 * G_USEC_PER_SEC)
#define LONGEST_PAUSE (30 * G_USEC_PER_SEC)

/* Minutes until the next try, after the first, second... failure; then it is given up. */
static const gint64 pauses[] = {1, 5, 15, 60};

/* What waits: a session to tell about, or a message. */
typedef struct Item {
  char *session_id, *message;
} Item;

static void item_free(gpointer user)
{
  Item *item = user;
  g_free(item->session_id);
  g_free(item->message);
  g_free(item);
}

typedef struct Channel {
  HfNotify *notify;
  GThread *thread;
  GQueue items; /* Item* */
  guint most;
  gboolean reload, done;
  gint64 sent, failed, dropped;
  HfNotifySettings *settings; /* of the thread */
} Channel;

struct HfNotify {
  HfDb *db;
  HfSecrets *secrets;
  char *name;
  gint64 minute_us;
  GMutex mutex; /* guards what follows, but for the threads' settings */
  GCond changed;
  gboolean closing;
  gint stop; /* atomic: end at once */
  Channel mail, syslog;
};

/* ---- the queues ---- */

static void push(Channel *channel, Item *item)
{
  HF_LOCK(&channel->notify->mutex);
  g_queue_push_tail(&channel->items, item);
  if (channel->items.length > channel->most) { /* invariant 1 */
    item_free(g_queue_pop_head(&channel->items));
    channel->dropped++;
  }
  g_cond_broadcast(&channel->notify->changed);
}

/* The next item; NULL when there is none until `until`, or when all ends. */
static Item *pop(Channel *channel, gint64 until)
{
  HfNotify *notify = channel->notify;
  HF_LOCK(&notify->mutex);
  while (channel->items.length == 0 && !notify->closing && !channel->reload)
    if (!g_cond_wait_until(&notify->changed, &notify->mutex, until))
      break;
  return g_queue_pop_head(&channel->items);
}

static gboolean ending(Channel *channel)
{
  HF_LOCK(&channel->notify->mutex);
  return channel->notify->closing;
}

static gboolean stopped(Channel *channel)
{
  return g_atomic_int_get(&channel->notify->stop) != 0;
}

static void count(Channel *channel, gint64 *counter)
{
  HF_LOCK(&channel->notify->mutex);
  ++*counter;
}

/* Reads the settings again when they were saved. TRUE when they may have changed. */
static gboolean refresh(Channel *channel)
{
  g_mutex_lock(&channel->notify->mutex);
  gboolean reload = channel->reload;
  channel->reload = FALSE;
  g_mutex_unlock(&channel->notify->mutex);
  HfNotifySettings *settings = reload ? hf_notify_settings_load(channel->notify->db, NULL) : NULL;
  if (settings == NULL)
    return FALSE;
  hf_notify_settings_free(channel->settings);
  channel->settings = settings;
  return TRUE;
}

static void finished(Channel *channel)
{
  HF_LOCK(&channel->notify->mutex);
  channel->done = TRUE;
  g_cond_broadcast(&channel->notify->changed);
}

/* ---- mail ---- */

typedef struct Waiting {
  char *id, *session_id;
  gint64 attempts;
  HfMail *mail;
} Waiting;

static void waiting_free(gpointer user)
{
  Waiting *waiting = user;
  g_free(waiting->id);
  g_free(waiting->session_id);
  hf_mail_free(waiting->mail);
  g_free(waiting);
}

typedef struct EventWork {
  const char *id, *session_id, *body;
  gint64 attempts, not_before;
} EventWork;

static gboolean insert_event(HfDbLink *link, gpointer user, GError **error)
{
  const EventWork *work = user;
  g_autofree char *id = hf_db_new_id();
  gint64 now = hf_db_now();
  return hf_db_exec(link, "INSERT INTO events (id, channel, time, attempts, not_before, session_id, body) "
                          "VALUES (?, 'mail', ?, 0, ?, ?, ?)",
                    HF_DB_VALUES(HF_DB_TEXT(id), HF_DB_INT(now), HF_DB_INT(now), HF_DB_TEXT(work->session_id),
                                 HF_DB_TEXT(work->body)), NULL, error);
}

static gboolean delay_event(HfDbLink *link, gpointer user, GError **error)
{
  const EventWork *work = user;
  return hf_db_exec(link, "UPDATE events SET attempts = ?, not_before = ? WHERE id = ?",
                    HF_DB_VALUES(HF_DB_INT(work->attempts), HF_DB_INT(work->not_before), HF_DB_TEXT(work->id)), NULL,
                    error);
}

static gboolean delete_event(HfDbLink *link, gpointer user, GError **error)
{
  const EventWork *work = user;
  return hf_db_exec(link, "DELETE FROM events WHERE id = ?", HF_DB_VALUES(HF_DB_TEXT(work->id)), NULL, error);
}

static void store_mail(Channel *channel, const char *session_id)
{
  HfDb *db = channel->notify->db;
  if (!channel->settings->mail.enabled)
    return;
  g_autoptr(GError) problem = NULL;
  g_autoptr(HfMail) mail = hf_mail_of_session(db, &channel->settings->mail, session_id, &problem);
  if (mail == NULL) {
    if (problem != NULL)
      count(channel, &channel->failed);
    return;
  }
  json_t *json = json_pack("{s:s, s:s}", "subject", mail->subject, "body", mail->body);
  char *body = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
  EventWork work = {.session_id = session_id, .body = body};
  if (body == NULL || !hf_db_write(db, insert_event, &work, NULL))
    count(channel, &channel->failed);
  free(body);
  json_decref(json);
}

/* Mails whose time has come, oldest first; `*next` is when the next one after them is due. */
static GPtrArray *due_mails(HfDb *db, gint64 *next)
{
  g_autoptr(GPtrArray) mails = g_ptr_array_new_with_free_func(waiting_free);
  g_autoptr(HfDbLink) link = hf_db_read(db, NULL);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT id, session_id, attempts, not_before, body FROM events "
                                       "WHERE channel = 'mail' ORDER BY not_before, time LIMIT 50", HF_DB_NONE, NULL);
  gint64 now = hf_db_now();
  while (rows != NULL && hf_db_next(rows, NULL)) {
    if (hf_db_int(rows, 3) > now) {
      *next = hf_db_int(rows, 3);
      break;
    }
    json_t *json = json_loads(hf_db_text(rows, 4), 0, NULL);
    Waiting *waiting = g_new0(Waiting, 1);
    waiting->id = g_strdup(hf_db_text(rows, 0));
    waiting->session_id = g_strdup(hf_db_text(rows, 1));
    waiting->attempts = hf_db_int(rows, 2);
    waiting->mail = g_new0(HfMail, 1);
    waiting->mail->subject = g_strdup(json_string_value(json_object_get(json, "subject")));
    waiting->mail->body = g_strdup(json_string_value(json_object_get(json, "body")));
    json_decref(json);
    g_ptr_array_add(mails, waiting);
  }
  return g_steal_pointer(&mails);
}

static char *mail_password(HfNotify *notify, const HfMailSettings *settings, GError **error)
{
  if (settings->sealed_password == NULL)
    return g_strdup("");
  return hf_secrets_unseal(notify->secrets, "settings.mail", "password", settings->sealed_password, NULL, error);
}

static gboolean send_mail(HfNotify *notify, const HfMailSettings *settings, const HfMail *mail, gint *stop,
                          GError **error)
{
  g_autoptr(HfSecret) password = mail_password(notify, settings, error);
  return password != NULL && hf_mail_send(settings, password, notify->name, mail, stop, error);
}

static void give_up(HfNotify *notify, const Waiting *waiting, const GError *problem)
{
  HfInventory inv = {notify->db, notify->secrets};
  HfAudit line = {.action = "mail", .object_kind = "sessions",
                  .object_id = waiting->session_id != NULL ? waiting->session_id : "",
                  .object_name = waiting->mail->subject, .refused = problem};
  if (waiting->session_id != NULL)
    hf_inv_log(&inv, waiting->session_id, HF_LINE_WARNING, "the mail about this session was given up",
               problem != NULL ? problem->message : "",
               NULL, NULL);
  hf_audit_note(notify->db, &hf_actor_server, &line, NULL);
}

static void deliver(Channel *channel, const Waiting *waiting)
{
  HfNotify *notify = channel->notify;
  g_autoptr(GError) problem = NULL;
  EventWork work = {.id = waiting->id, .attempts = waiting->attempts + 1};
  if (send_mail(notify, &channel->settings->mail, waiting->mail, &notify->stop, &problem)) {
    count(channel, &channel->sent);
    hf_db_write(notify->db, delete_event, &work, NULL);
    return;
  }
  if (stopped(channel))
    return; /* it was not the mail server's fault */
  count(channel, &channel->failed);
  if (work.attempts > (gint64)G_N_ELEMENTS(pauses)) {
    give_up(notify, waiting, problem);
    hf_db_write(notify->db, delete_event, &work, NULL);
    return;
  }
  work.not_before = hf_db_now() + pauses[work.attempts - 1] * notify->minute_us;
  hf_db_write(notify->db, delay_event, &work, NULL);
}

static gpointer run_mail(gpointer user)
{
  Channel *channel = user;
  gint64 until = 0;
  for (gboolean last = FALSE; !last && !stopped(channel);) {
    Item *item = pop(channel, until);
    refresh(channel);
    if (item != NULL) {
      store_mail(channel, item->session_id);
      item_free(item);
      until = 0;
      continue;
    }
    last = ending(channel);
    gint64 next = G_MAXINT64;
    g_autoptr(GPtrArray) mails = channel->settings->mail.enabled ? due_mails(channel->notify->db, &next) : NULL;
    for (guint i = 0; mails != NULL && i < mails->len && !stopped(channel); i++)
      deliver(channel, g_ptr_array_index(mails, i));
    gint64 wait = MAX(next - hf_db_now(), 0);
    until = g_get_monotonic_time() + (mails != NULL && mails->len > 0 ? 0 : MIN(wait, LOOK_US));
  }
  finished(channel);
  return NULL;
}

/* ---- syslog ---- */

static char *session_message(HfDb *db, const char *session_id)
{
  g_autoptr(HfDbLink) link = hf_db_read(db, NULL);
  g_autoptr(HfDbRows) rows =
      link == NULL ? NULL
                   : hf_db_query(link, "SELECT name, type, result, message, job_id FROM sessions WHERE id = ?",
                                 HF_DB_VALUES(HF_DB_TEXT(session_id)), NULL);
  if (rows == NULL || !hf_db_next(rows, NULL))
    return NULL;
  const char *result = hf_db_text(rows, 2);
  HfSeverity severity = strcmp(result, HF_RESULT_FAILED) == 0    ? HF_SEVERITY_ERROR
                        : strcmp(result, HF_RESULT_WARNING) == 0 ? HF_SEVERITY_WARNING
                                                                 : HF_SEVERITY_INFO;
  const char *job = hf_db_is_null(rows, 4) ? "" : hf_db_text(rows, 4);
  const char *const pairs[] = {"session", session_id, "job", job, "type", hf_db_text(rows, 1), "result", result, NULL};
  const char *message = hf_db_text(rows, 3);
  g_autofree char *text = g_strdup_printf("'%s' ended: %s%s%s", hf_db_text(rows, 0), result,
                                          *message != '\0' ? ": " : "",
                                          message);
  return hf_syslog_message(severity, hf_db_now(), "session-ended", pairs, text);
}

/* Sends one message, over a new connection where there is none; NULL `*link` afterwards when it did not go. */
static gboolean send_event(Channel *channel, HfSyslogLink **link, const char *message)
{
  if (*link == NULL)
    *link = hf_syslog_connect(&channel->settings->syslog, NULL);
  if (*link != NULL && hf_syslog_send(*link, message, NULL)) {
    count(channel, &channel->sent);
    return TRUE;
  }
  g_clear_pointer(link, hf_syslog_close);
  count(channel, &channel->failed);
  return FALSE;
}

/* Back to the front of the queue, unless it has filled up meanwhile. */
static void unpop(Channel *channel, Item *item)
{
  HF_LOCK(&channel->notify->mutex);
  if (channel->items.length < channel->most) {
    g_queue_push_head(&channel->items, item);
    return;
  }
  item_free(item);
  channel->dropped++;
}

/* Until the pause is over, settings change or all ends. */
static void rest(Channel *channel, gint64 pause)
{
  HfNotify *notify = channel->notify;
  gint64 until = g_get_monotonic_time() + pause;
  HF_LOCK(&notify->mutex);
  while (!notify->closing && !channel->reload && g_cond_wait_until(&notify->changed, &notify->mutex, until))
    ;
}

static gpointer run_syslog(gpointer user)
{
  Channel *channel = user;
  HfSyslogLink *link = NULL;
  gint64 pause = 0;
  while (!stopped(channel)) {
    Item *item = pop(channel, g_get_monotonic_time() + LOOK_US);
    if (refresh(channel))
      g_clear_pointer(&link, hf_syslog_close);
    if (item == NULL && ending(channel))
      break;
    if (item == NULL)
      continue;
    if (item->message == NULL)
      item->message = session_message(channel->notify->db, item->session_id);
    if (!channel->settings->syslog.enabled || item->message == NULL) {
      item_free(item);
    } else if (send_event(channel, &link, item->message)) {
      item_free(item);
      pause = 0;
    } else {
      unpop(channel, item);
      if (ending(channel))
        break;
      pause = CLAMP(pause * 2, G_USEC_PER_SEC, LONGEST_PAUSE);
      rest(channel, pause);
    }
  }
  hf_syslog_close(link);
  finished(channel);
  return NULL;
}

/* ---- the whole ---- */

static void channel_start(HfNotify *notify, Channel *channel, guint most, const char *name, GThreadFunc run)
{
  channel->notify = notify;
  channel->most = most;
  g_queue_init(&channel->items);
  channel->thread = g_thread_new(name, run, channel);
}

static void channel_clear(Channel *channel)
{
  g_thread_join(channel->thread);
  g_queue_clear_full(&channel->items, item_free);
  hf_notify_settings_free(channel->settings);
}

HfNotify *hf_notify_new(HfDb *db, HfSecrets *secrets, const char *name, GError **error)
{
  HfNotifySettings *settings[] = {hf_notify_settings_load(db, error), NULL};
  settings[1] = settings[0] == NULL ? NULL : hf_notify_settings_load(db, error);
  if (settings[1] == NULL) {
    hf_notify_settings_free(settings[0]);
    return NULL;
  }
  HfNotify *notify = g_new0(HfNotify, 1);
  notify->db = db;
  notify->secrets = secrets;
  notify->name = g_strdup(name);
  notify->minute_us = 60 * G_USEC_PER_SEC;
  g_mutex_init(&notify->mutex);
  g_cond_init(&notify->changed);
  notify->mail.settings = settings[0];
  notify->syslog.settings = settings[1];
  channel_start(notify, &notify->mail, MAILS_WAIT, "mail", run_mail);
  channel_start(notify, &notify->syslog, EVENTS_WAIT, "syslog", run_syslog);
  return notify;
}

void hf_notify_free(HfNotify *notify)
{
  if (notify == NULL)
    return;
  gint64 until = g_get_monotonic_time() + G_USEC_PER_SEC;
  g_mutex_lock(&notify->mutex);
  notify->closing = TRUE;
  g_cond_broadcast(&notify->changed);
  while (!(notify->mail.done && notify->syslog.done) && g_cond_wait_until(&notify->changed, &notify->mutex, until))
    ;
  g_atomic_int_set(&notify->stop, 1);
  g_mutex_unlock(&notify->mutex);
  channel_clear(&notify->mail);
  channel_clear(&notify->syslog);
  g_mutex_clear(&notify->mutex);
  g_cond_clear(&notify->changed);
  g_free(notify->name);
  g_free(notify);
}

void hf_notify_changed(HfNotify *notify)
{
  HF_LOCK(&notify->mutex);
  notify->mail.reload = notify->syslog.reload = TRUE;
  g_cond_broadcast(&notify->changed);
}

void hf_notify_hurry(HfNotify *notify, gint64 minute_us)
{
  HF_LOCK(&notify->mutex);
  notify->minute_us = minute_us;
}

HfNotifyCounts hf_notify_counts(HfNotify *notify)
{
  HF_LOCK(&notify->mutex);
  return (HfNotifyCounts){notify->mail.sent, notify->mail.failed, notify->mail.dropped,
                          notify->syslog.sent, notify->syslog.failed, notify->syslog.dropped};
}

void hf_notify_session(HfNotify *notify, const char *session_id)
{
  Channel *const channels[] = {&notify->mail, &notify->syslog};
  for (gsize i = 0; i < G_N_ELEMENTS(channels); i++) {
    Item *item = g_new0(Item, 1);
    item->session_id = g_strdup(session_id);
    push(channels[i], item);
  }
}

void hf_notify_event(HfNotify *notify, HfSeverity severity, const char *id, const char *const *pairs,
                     const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  Item *item = g_new0(Item, 1);
  item->message = hf_syslog_message(severity, hf_db_now(), id, pairs, text);
  push(&notify->syslog, item);
}

gboolean hf_notify_test_mail(HfNotify *notify, GError **error)
{
  g_autoptr(HfNotifySettings) settings = hf_notify_settings_load(notify->db, error);
  if (settings == NULL)
    return FALSE;
  if (!settings->mail.enabled)
    return hf_fail(error, HF_ERROR_USAGE, "mail is not enabled; save its settings first");
  HfMail mail = {(char *)"Test of Holdfast's mail", (char *)"This mail shows that results of jobs will arrive here.\n"};
  return send_mail(notify, &settings->mail, &mail, NULL, error);
}
