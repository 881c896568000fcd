/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/face.h"

#include "agent/setup.h"
#include "base/clock.h"
#include "base/error.h"

#define FIRST_PAUSE_MS 250u /* after the second quick death; then twice as long each time */
#define PAUSE_MAX_MS 30000u
#define STEADY_US (5 * G_TIME_SPAN_SECOND)
#define STOP_SECONDS 5u

struct HfFace {
  HfKeeper *keeper;
  const char *role;
  const HfFaceOps *ops;
  HfChild *child;
  gboolean wanted, ready;
  guint port, starts, timer;
  guint deaths, pause; /* quick ones in a row; milliseconds before the next start */
  gint64 started;
};

static void start(HfFace *face);

static gboolean on_timer(gpointer user)
{
  HfFace *face = user;
  face->timer = 0;
  start(face);
  return G_SOURCE_REMOVE;
}

/* Who was killed once comes back at once; a role that cannot live (its port is taken) must not keep the machine
 * busy. */
static void start_later(HfFace *face)
{
  gboolean steady = hf_clock_monotonic_us() - face->started > STEADY_US;
  face->deaths = steady ? 0 : face->deaths + 1;
  face->pause = face->deaths < 2 ? 0 : face->pause == 0 ? FIRST_PAUSE_MS : MIN(face->pause * 2, PAUSE_MAX_MS);
  face->timer = g_timeout_add(face->pause, on_timer, face);
}

static void on_message(HfChild *child G_GNUC_UNUSED, HfControlMessage *message, gpointer user)
{
  HfFace *face = user;
  if (message->kind != HF_CONTROL_READY) {
    face->ops->message(face->keeper, message);
    return;
  }
  HfReader reader = hf_reader(message->body->data, message->body->len);
  face->port = hf_get_u16(&reader);
  if (!face->ready) {
    hf_keeper_note(face->keeper, "role '%s' listens on port %u", face->role, face->port);
    if (face->ops->ready != NULL)
      face->ops->ready(face->keeper);
  }
  face->ready = TRUE;
  hf_keeper_write_status(face->keeper);
}

static void on_ended(HfChild *child, const char *how, gpointer user)
{
  HfFace *face = user;
  hf_child_free(child);
  face->child = NULL;
  face->ready = FALSE;
  face->ops->gone(face->keeper);
  hf_keeper_note(face->keeper, "role '%s' ended (%s)", face->role, how);
  if (face->wanted && !face->keeper->ending)
    start_later(face);
  hf_keeper_write_status(face->keeper);
}

static const HfChildOps child_ops = { on_message, on_ended };

static void start(HfFace *face)
{
  g_autoptr(GError) error = NULL;
  face->started = hf_clock_monotonic_us();
  face->starts++;
  face->child = hf_child_start(face->keeper->program, face->role, &child_ops, face, &error);
  if (face->child != NULL) {
    hf_face_setup(face);
    return;
  }
  hf_keeper_note(face->keeper, "role '%s' does not start: %s", face->role, error->message);
  start_later(face);
}

HfFace *hf_face_new(HfKeeper *keeper, const char *role, const HfFaceOps *ops)
{
  HfFace *face = g_new0(HfFace, 1);
  *face = (HfFace){ .keeper = keeper, .role = role, .ops = ops, .wanted = TRUE };
  start(face);
  return face;
}

void hf_face_free(HfFace *face)
{
  if (face == NULL)
    return;
  if (face->timer != 0)
    g_source_remove(face->timer);
  hf_child_free(face->child);
  g_free(face);
}

gboolean hf_face_ready(const HfFace *face)
{
  return face != NULL && face->ready;
}

gboolean hf_face_send(HfFace *face, HfControlKind kind, const GByteArray *body, int fd)
{
  return face != NULL && face->child != NULL && hf_child_send(face->child, kind, body, fd);
}

void hf_face_setup(HfFace *face)
{
  if (face == NULL || face->child == NULL)
    return;
  g_autoptr(HfBody) body = hf_body_new();
  hf_face_setup_put(body, face->keeper->settings, face->keeper->identity, (const char *const *)face->keeper->revoked);
  hf_child_send(face->child, HF_CONTROL_SETUP, body, -1);
}

void hf_face_act(HfFace *face, HfInstallerRoleAct act)
{
  face->wanted = act != HF_INSTALLER_ROLE_ACT_STOP;
  face->deaths = face->pause = 0;
  if (face->child != NULL && act != HF_INSTALLER_ROLE_ACT_START) {
    hf_child_stop(face->child, STOP_SECONDS);
  } else if (face->child == NULL && face->wanted) {
    if (face->timer != 0)
      g_source_remove(face->timer);
    face->timer = 0;
    start(face);
  }
}

void hf_face_describe(const HfFace *face, HfInstallerRole *role)
{
  role->name = g_strdup(face->role);
  role->running = face->ready;
  role->wanted = face->wanted;
  role->pid = face->child != NULL ? (guint32)hf_child_pid(face->child) : 0;
  role->starts = face->starts;
  role->port = face->ready ? face->port : 0;
}
