/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/control.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/worker.h"
#include "base/error.h"
#include "base/work.h"

#define HEADER_BYTES 8u
#define SEND_SECONDS 10

struct HfControl {
  int fd;
  GMutex sending;
  guint8 header[HEADER_BYTES];
  gsize have_header;
  GByteArray *body; /* NULL until the header is whole */
  gsize have_body;
  int received_fd;
};

GByteArray *hf_body_new(void)
{
  return g_byte_array_new();
}

void hf_body_free(GByteArray *body)
{
  if (body == NULL)
    return;
  hf_wipe(body->data, body->len);
  g_byte_array_unref(body);
}

void hf_control_message_free(HfControlMessage *message)
{
  if (message == NULL)
    return;
  if (message->fd >= 0)
    close(message->fd);
  hf_body_free(message->body);
  g_free(message);
}

HfControl *hf_control_new(int fd)
{
  HfControl *control = g_new0(HfControl, 1);
  control->fd = fd;
  control->received_fd = -1;
  g_mutex_init(&control->sending);
  struct timeval patience = { .tv_sec = SEND_SECONDS };
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return control;
}

HfControl *hf_control_new_pair(int *child, GError **error)
{
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
    hf_fail_errno(error, errno, "cannot make a socket pair");
    return NULL;
  }
  *child = pair[1];
  return hf_control_new(pair[0]);
}

void hf_control_free(HfControl *control)
{
  if (control == NULL)
    return;
  close(control->fd);
  if (control->received_fd >= 0)
    close(control->received_fd);
  hf_body_free(control->body);
  g_mutex_clear(&control->sending);
  g_free(control);
}

int hf_control_fd(const HfControl *control)
{
  return control->fd;
}

void hf_control_shutdown(HfControl *control)
{
  shutdown(control->fd, SHUT_RDWR);
}

/* ---- sending ---- */

static gboolean send_header(HfControl *control, guint8 header[HEADER_BYTES], int fd, GError **error)
{
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } extra = { 0 };
  struct iovec vector = { header, HEADER_BYTES };
  struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
  if (fd >= 0) {
    message.msg_control = extra.bytes;
    message.msg_controllen = sizeof extra.bytes;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  ssize_t sent = HF_AGAIN(sendmsg(control->fd, &message, MSG_NOSIGNAL));
  if (sent == (ssize_t)HEADER_BYTES)
    return TRUE;
  return hf_fail_errno(error, sent < 0 ? errno : EPIPE, "another process of the agent does not answer");
}

static gboolean send_bytes(HfControl *control, const guint8 *bytes, gsize length, GError **error)
{
  while (length > 0) {
    ssize_t sent = HF_AGAIN(send(control->fd, bytes, length, MSG_NOSIGNAL));
    if (sent <= 0)
      return hf_fail_errno(error, errno, "another process of the agent does not answer");
    bytes += sent;
    length -= (gsize)sent;
  }
  return TRUE;
}

gboolean hf_control_send(HfControl *control, HfControlKind kind, const GByteArray *body, int fd, GError **error)
{
  guint8 header[HEADER_BYTES] = { 0 };
  gsize length = body != NULL ? body->len : 0;
  if (length > HF_CONTROL_BODY_MAX)
    return hf_fail(error, HF_ERROR_INVALID, "a message within the agent is too long");
  hf_store_u32(header, (guint32)length);
  header[4] = (guint8)kind;
  header[5] = fd >= 0;
  HF_LOCK(&control->sending);
  if (send_header(control, header, fd, error) && (length == 0 || send_bytes(control, body->data, length, error)))
    return TRUE;
  /* What follows could not be told from the rest of this one. */
  hf_control_shutdown(control);
  return FALSE;
}

void hf_control_send_line(HfControl *control, gboolean warning, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid(text, -1);
  gsize length = strlen(valid);
  if (length > HF_TASK_LINE_MAX) {
    const char *end = g_utf8_find_prev_char(valid, valid + HF_TASK_LINE_MAX - 3);
    length = end != NULL ? (gsize)(end - valid) : 0;
    memcpy(valid + length, "...", 4);
  }
  g_autoptr(HfBody) body = hf_body_new();
  hf_put_u8(body, (guint8)warning);
  hf_put_text(body, valid);
  hf_control_send(control, HF_CONTROL_LINE, body, -1, NULL);
}

/* ---- receiving ---- */

static void keep_fds(HfControl *control, struct msghdr *message)
{
  for (struct cmsghdr *rights = CMSG_FIRSTHDR(message); rights != NULL; rights = CMSG_NXTHDR(message, rights)) {
    if (rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
      continue;
    gsize count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (gsize i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
      if (control->received_fd < 0)
        control->received_fd = fd;
      else
        close(fd);
    }
  }
}

/* Reads up to `length` bytes: their number, 0 at the end, -1 with errno. */
static ssize_t receive(HfControl *control, guint8 *bytes, gsize length, int flags)
{
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(4 * sizeof(int))];
  } extra;
  struct iovec vector = { bytes, length };
  struct msghdr message = {
    .msg_iov = &vector, .msg_iovlen = 1, .msg_control = extra.bytes, .msg_controllen = sizeof extra.bytes
  };
  ssize_t got = HF_AGAIN(recvmsg(control->fd, &message, flags | MSG_CMSG_CLOEXEC));
  if (got > 0)
    keep_fds(control, &message);
  return got;
}

static gboolean header_is_sound(const HfControl *control)
{
  return hf_load_u32(control->header) <= HF_CONTROL_BODY_MAX && control->header[5] <= HF_CONTROL_FDS &&
         hf_load_u16(control->header + 6) == 0;
}

static HfControlMessage *take_message(HfControl *control)
{
  HfControlMessage *message = g_new0(HfControlMessage, 1);
  message->kind = (HfControlKind)control->header[4];
  message->body = g_steal_pointer(&control->body);
  message->fd = -1;
  if (control->header[5] == 1)
    message->fd = hf_steal_fd(&control->received_fd);
  control->have_header = control->have_body = 0;
  return message;
}

static HfControlState ended(ssize_t got, GError **error)
{
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return HF_CONTROL_MORE;
  if (got < 0 && errno != ECONNRESET)
    hf_fail_errno(error, errno, "cannot hear another process of the agent");
  return HF_CONTROL_END;
}

static HfControlState step(HfControl *control, int flags, HfControlMessage **message, GError **error)
{
  if (control->have_header < HEADER_BYTES) {
    ssize_t got = receive(control, control->header + control->have_header, HEADER_BYTES - control->have_header, flags);
    if (got <= 0)
      return ended(got, error);
    control->have_header += (gsize)got;
    if (control->have_header < HEADER_BYTES)
      return step(control, flags, message, error);
    if (!header_is_sound(control)) {
      hf_fail(error, HF_ERROR_INVALID, "another process of the agent sends nonsense");
      return HF_CONTROL_END;
    }
    control->body = hf_body_new();
    g_byte_array_set_size(control->body, hf_load_u32(control->header));
  }
  while (control->have_body < control->body->len) {
    ssize_t got = receive(control, control->body->data + control->have_body, control->body->len - control->have_body,
                          flags);
    if (got <= 0)
      return ended(got, error);
    control->have_body += (gsize)got;
  }
  *message = take_message(control);
  return HF_CONTROL_MESSAGE;
}

HfControlState hf_control_poll(HfControl *control, HfControlMessage **message, GError **error)
{
  return step(control, MSG_DONTWAIT, message, error);
}

HfControlMessage *hf_control_receive(HfControl *control, GError **error)
{
  HfControlMessage *message = NULL;
  HfControlState state;
  do
    state = step(control, 0, &message, error);
  while (state == HF_CONTROL_MORE);
  return state == HF_CONTROL_MESSAGE ? message : NULL;
}
