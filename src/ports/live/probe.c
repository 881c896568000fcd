/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A probe is one attempt at one target with one hello; a target whose first hello is not answered rightly goes back to
 * the front of the line for its next one. Every stage of a probe ends at a deadline that is set when it begins. Stages
 * have one of two lengths, so that two queues, each in the order of its deadlines, hold all probes.
 */
#include "ports/live/probe.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/sys.h"
#include "ports/live/hello.h"
#include "ports/live/probe_tls.h"

#define EVENTS 256
#define POLL_MS 200 /* a cancel is seen within */
#define BANNER 120

typedef enum Stage {
  STAGE_CONNECT,
  STAGE_ANSWER, /* connected; our hello is out */
  STAGE_TLS,
  STAGE_FIRST_DATAGRAM,
  STAGE_LAST_DATAGRAM,
} Stage;

/* A target on its way through its applications. */
typedef struct Task {
  HfProbeTarget target;
  guint next;       /* the application to ask for */
  gboolean unasked; /* one of them cannot be asked: being there is enough */
} Task;

typedef struct Probe {
  Task *task;
  const HfHello *hello; /* NULL: being there is enough */
  int fd;
  Stage stage;
  gint64 began, deadline;
  gint64 taken; /* microseconds until it was connected */
  GList link;   /* in the queue of its stage */
  GQueue *queue;
  HfProbeTls *tls;
  gsize length;
  guint8 answer[HF_PROBE_MAX_ANSWER];
} Probe;

struct HfProber {
  guint timeout_ms;
  HfProbeDone done;
  gpointer user;
  GQueue waiting;          /* Task * */
  GQueue whole, half;      /* Probe *, by deadline */
  guint active, at_once;
  int epoll;
};

HfProber *hf_prober_new(guint timeout_ms, HfProbeDone done, gpointer user)
{
  HfProber *prober = g_new0(HfProber, 1);
  prober->timeout_ms = timeout_ms;
  prober->done = done;
  prober->user = user;
  prober->at_once = HF_PROBE_AT_ONCE;
  prober->epoll = -1;
  return prober;
}

void hf_prober_free(HfProber *prober)
{
  if (prober == NULL)
    return;
  g_queue_clear_full(&prober->waiting, g_free);
  g_free(prober);
}

void hf_prober_add(HfProber *prober, const HfProbeTarget *target)
{
  Task *task = g_new0(Task, 1);
  task->target = *target;
  g_queue_push_tail(&prober->waiting, task);
}

/* ---- results ---- */

static void tell(HfProber *prober, Task *task, HfProbeResult *result)
{
  prober->done(&task->target, result, prober->user);
  g_free(result->reason);
  g_free(result->banner);
  hf_probe_certificate_free(result->certificate);
  g_free(task);
}

static void end_stage(Probe *probe)
{
  g_queue_unlink(probe->queue, &probe->link);
}

static void free_probe(HfProber *prober, Probe *probe)
{
  hf_probe_tls_free(probe->tls);
  if (probe->fd >= 0)
    close(probe->fd);
  prober->active--;
  g_free(probe);
}

/* The first line of what was said, if it is one. */
static char *banner_of(const Probe *probe)
{
  gsize length = 0;
  while (length < probe->length && length < BANNER && probe->answer[length] != '\r' && probe->answer[length] != '\n' &&
         probe->answer[length] >= ' ' && probe->answer[length] < 0x7f)
    length++;
  gboolean ended = length == probe->length || length == BANNER || probe->answer[length] == '\r' ||
    probe->answer[length] == '\n';
  return length > 3 && ended ? g_strndup((const char *)probe->answer, length) : NULL;
}

/* Ends the probe and its target; takes over `reason`. */
static void finish(HfProber *prober, Probe *probe, HfProbeState state, char *reason)
{
  Task *task = probe->task;
  HfProbeResult result = { .state = state, .reason = reason };
  result.microseconds = probe->taken > 0 ? probe->taken : hf_clock_monotonic_us() - probe->began;
  if (state == HF_PROBE_OPEN && probe->hello != NULL)
    result.application = probe->hello->application;
  if (probe->tls != NULL)
    result.certificate = hf_probe_tls_certificate(probe->tls);
  if (state == HF_PROBE_WRONG || (state == HF_PROBE_OPEN && probe->hello != NULL && probe->hello->line))
    result.banner = banner_of(probe);
  end_stage(probe);
  free_probe(prober, probe);
  tell(prober, task, &result);
}

/* It does not speak what was asked for: the next application, or the end. Takes over `reason`. */
static void finish_wrong(HfProber *prober, Probe *probe, char *reason)
{
  Task *task = probe->task;
  if (task->next >= task->target.n_applications) {
    if (!task->unasked) {
      finish(prober, probe, HF_PROBE_WRONG, reason);
      return;
    }
    g_free(reason);
    probe->hello = NULL; /* it may be the one that nobody can ask for */
    finish(prober, probe, HF_PROBE_OPEN, NULL);
    return;
  }
  g_free(reason);
  end_stage(probe);
  free_probe(prober, probe);
  g_queue_push_head(&prober->waiting, task);
}

static char *seconds_text(guint milliseconds)
{
  return g_strdup_printf("%u.%u s", milliseconds / 1000, milliseconds % 1000 / 100);
}

static void finish_errno(HfProber *prober, Probe *probe, int number)
{
  switch (number) {
    case ECONNREFUSED:
      finish(prober, probe, HF_PROBE_CLOSED, NULL);
      return;
    case EPERM:
      finish(prober, probe, HF_PROBE_FILTERED, g_strdup("the firewall of this machine refuses it"));
      return;
    case EACCES:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case ETIMEDOUT:
    case ECONNRESET:
      finish(prober, probe, HF_PROBE_FILTERED, g_ascii_strdown(g_strerror(number), -1));
      return;
    default:
      finish(prober, probe, HF_PROBE_UNTRIED, g_ascii_strdown(g_strerror(number), -1));
  }
}

/* ---- stages ---- */

static void watch(HfProber *prober, Probe *probe, int operation, guint32 events)
{
  struct epoll_event event = { .events = events, .data.ptr = probe };
  epoll_ctl(prober->epoll, operation, probe->fd, &event);
}

static void begin_stage(HfProber *prober, Probe *probe, Stage stage)
{
  gboolean half = stage == STAGE_FIRST_DATAGRAM || stage == STAGE_LAST_DATAGRAM;
  gint64 length = (gint64)prober->timeout_ms * 1000;
  if (probe->queue != NULL)
    end_stage(probe);
  probe->stage = stage;
  probe->deadline = hf_clock_monotonic_us() + (half ? length / 2 : length);
  probe->queue = half ? &prober->half : &prober->whole;
  probe->link.data = probe;
  g_queue_push_tail_link(probe->queue, &probe->link);
}

static void step_tls(HfProber *prober, Probe *probe)
{
  char *reason = NULL;
  switch (hf_probe_tls_step(probe->tls, &reason)) {
    case HF_PROBE_TLS_READ:
      watch(prober, probe, EPOLL_CTL_MOD, EPOLLIN);
      break;
    case HF_PROBE_TLS_WRITE:
      watch(prober, probe, EPOLL_CTL_MOD, EPOLLOUT);
      break;
    case HF_PROBE_TLS_RIGHT:
      finish(prober, probe, HF_PROBE_OPEN, reason);
      break;
    case HF_PROBE_TLS_WRONG:
      finish_wrong(prober, probe, reason);
      break;
  }
}

static void connected(HfProber *prober, Probe *probe)
{
  int number = 0;
  socklen_t length = sizeof number;
  getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &number, &length);
  if (number != 0) {
    finish_errno(prober, probe, number);
    return;
  }
  probe->taken = MAX(hf_clock_monotonic_us() - probe->began, 1);
  if (probe->hello == NULL) {
    finish(prober, probe, HF_PROBE_OPEN, NULL);
    return;
  }
  if (probe->hello->tls) {
    begin_stage(prober, probe, STAGE_TLS);
    probe->tls = hf_probe_tls_new(probe->fd, probe->task->target.host_name);
    step_tls(prober, probe);
    return;
  }
  begin_stage(prober, probe, STAGE_ANSWER);
  watch(prober, probe, EPOLL_CTL_MOD, EPOLLIN);
  /* A fresh socket takes a few dozen bytes at once; when the other side has gone already, reading tells. */
  if (probe->hello->length > 0 && send(probe->fd, probe->hello->bytes, probe->hello->length, MSG_NOSIGNAL) < 0)
    return;
}

static void read_answer(HfProber *prober, Probe *probe)
{
  ssize_t got = HF_AGAIN(recv(probe->fd, probe->answer + probe->length, sizeof probe->answer - probe->length, 0));
  if (got < 0 && errno == EAGAIN)
    return;
  if (got < 0) {
    finish_wrong(prober, probe, g_strdup_printf("not %s: it ended the connection: %s", probe->hello->application,
                                                g_strerror(errno)));
    return;
  }
  probe->length += (gsize)got;
  HfHelloVerdict verdict = probe->hello->judge(probe->answer, probe->length);
  if (verdict == HF_HELLO_RIGHT)
    finish(prober, probe, HF_PROBE_OPEN, NULL);
  else if (verdict == HF_HELLO_WRONG || probe->length == sizeof probe->answer)
    finish_wrong(prober, probe, g_strdup_printf("not %s: it says something else", probe->hello->application));
  else if (got == 0)
    finish_wrong(prober, probe, g_strdup_printf("not %s: it hangs up", probe->hello->application));
}

static void read_datagram(HfProber *prober, Probe *probe)
{
  ssize_t got = HF_AGAIN(recv(probe->fd, probe->answer, sizeof probe->answer, 0));
  if (got < 0 && errno == EAGAIN)
    return;
  if (got < 0) {
    finish_errno(prober, probe, errno);
    return;
  }
  probe->length = (gsize)got;
  if (probe->hello == NULL || probe->hello->judge(probe->answer, probe->length) == HF_HELLO_RIGHT)
    finish(prober, probe, HF_PROBE_OPEN, NULL);
  else
    finish_wrong(prober, probe, g_strdup_printf("not %s: it says something else", probe->hello->application));
}

/* An empty datagram where nothing better is known: it is the least that makes a closed port say so. */
static void send_datagram(HfProber *prober, Probe *probe, Stage stage)
{
  const guint8 *bytes = probe->hello != NULL ? probe->hello->bytes : (const guint8 *)"";
  begin_stage(prober, probe, stage);
  if (send(probe->fd, bytes, probe->hello != NULL ? probe->hello->length : 0, MSG_NOSIGNAL) < 0)
    finish_errno(prober, probe, errno);
}

static void expire(HfProber *prober, Probe *probe)
{
  g_autofree char *time = seconds_text(prober->timeout_ms);
  switch (probe->stage) {
    case STAGE_CONNECT:
      finish(prober, probe, HF_PROBE_FILTERED, g_strdup_printf("no answer in %s", time));
      break;
    case STAGE_ANSWER:
    case STAGE_TLS:
      finish_wrong(prober, probe, g_strdup_printf("not %s: it says nothing for %s", probe->hello->application, time));
      break;
    case STAGE_FIRST_DATAGRAM:
      send_datagram(prober, probe, STAGE_LAST_DATAGRAM);
      break;
    case STAGE_LAST_DATAGRAM:
      finish(prober, probe, HF_PROBE_SILENT, g_strdup_printf("no answer in %s: open or filtered", time));
      break;
  }
}

static void handle(HfProber *prober, Probe *probe)
{
  switch (probe->stage) {
    case STAGE_CONNECT:
      connected(prober, probe);
      break;
    case STAGE_ANSWER:
      read_answer(prober, probe);
      break;
    case STAGE_TLS:
      step_tls(prober, probe);
      break;
    case STAGE_FIRST_DATAGRAM:
    case STAGE_LAST_DATAGRAM:
      read_datagram(prober, probe);
      break;
  }
}

/* ---- beginning ---- */

static socklen_t fill_address(const HfProbeTarget *target, struct sockaddr_storage *storage)
{
  memset(storage, 0, sizeof *storage);
  if (target->address.family == AF_INET) {
    struct sockaddr_in *plain = (struct sockaddr_in *)storage;
    plain->sin_family = AF_INET;
    plain->sin_port = htons(target->port);
    memcpy(&plain->sin_addr, target->address.bytes, 4);
    return sizeof *plain;
  }
  struct sockaddr_in6 *wide = (struct sockaddr_in6 *)storage;
  wide->sin6_family = AF_INET6;
  wide->sin6_port = htons(target->port);
  memcpy(&wide->sin6_addr, target->address.bytes, 16);
  return sizeof *wide;
}

/* The hello to try now; NULL when none is left. */
static const HfHello *next_hello(Task *task)
{
  while (task->next < task->target.n_applications) {
    const HfHello *hello = hf_hello_find(task->target.applications[task->next++], task->target.transport);
    if (hello != NULL)
      return hello;
    task->unasked = TRUE;
  }
  return NULL;
}

/* FALSE: there are no more sockets now, and the task is back in the line. */
static gboolean begin(HfProber *prober, Task *task)
{
  gboolean tcp = task->target.transport == HF_PORT_TCP;
  struct sockaddr_storage storage;
  guint before = task->next;
  socklen_t length = fill_address(&task->target, &storage);
  int fd = socket(task->target.address.family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 && prober->active > 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
    task->next = before;
    g_queue_push_head(&prober->waiting, task);
    prober->at_once = prober->active;
    return FALSE;
  }
  Probe *probe = g_new0(Probe, 1);
  probe->task = task;
  probe->hello = next_hello(task);
  probe->fd = fd;
  probe->began = hf_clock_monotonic_us();
  prober->active++;
  begin_stage(prober, probe, STAGE_CONNECT);
  int number = fd < 0 ? errno : 0;
  if (fd >= 0 && connect(fd, (struct sockaddr *)&storage, length) < 0 && errno != EINPROGRESS)
    number = errno;
  if (number != 0) {
    finish_errno(prober, probe, number);
    return TRUE;
  }
  watch(prober, probe, EPOLL_CTL_ADD, tcp ? EPOLLOUT : EPOLLIN);
  if (!tcp)
    send_datagram(prober, probe, STAGE_FIRST_DATAGRAM);
  return TRUE;
}

static void expire_queue(HfProber *prober, GQueue *queue, gint64 now)
{
  while (queue->head != NULL && ((Probe *)queue->head->data)->deadline <= now)
    expire(prober, queue->head->data);
}

/* Milliseconds until the next deadline, at most POLL_MS. */
static int wait_ms(const HfProber *prober)
{
  gint64 now = hf_clock_monotonic_us(), next = now + POLL_MS * 1000;
  const GQueue *queues[] = { &prober->whole, &prober->half };
  for (guint i = 0; i < G_N_ELEMENTS(queues); i++)
    if (queues[i]->head != NULL)
      next = MIN(next, ((const Probe *)queues[i]->head->data)->deadline);
  return (int)((MAX(next - now, 0) + 999) / 1000);
}

static void turn(HfProber *prober)
{
  struct epoll_event events[EVENTS];
  while (prober->waiting.length > 0 && prober->active < prober->at_once)
    if (!begin(prober, g_queue_pop_head(&prober->waiting)))
      break;
  int n = prober->active > 0 ? epoll_wait(prober->epoll, events, EVENTS, wait_ms(prober)) : 0;
  for (int i = 0; i < n; i++)
    handle(prober, events[i].data.ptr);
  gint64 now = hf_clock_monotonic_us();
  expire_queue(prober, &prober->whole, now);
  expire_queue(prober, &prober->half, now);
}

static void give_up(HfProber *prober)
{
  GQueue *queues[] = { &prober->whole, &prober->half };
  for (guint i = 0; i < G_N_ELEMENTS(queues); i++)
    while (queues[i]->head != NULL)
      finish(prober, queues[i]->head->data, HF_PROBE_UNTRIED, g_strdup("cancelled"));
  Task *task;
  while ((task = g_queue_pop_head(&prober->waiting)) != NULL) {
    HfProbeResult result = { .state = HF_PROBE_UNTRIED, .reason = g_strdup("cancelled") };
    tell(prober, task, &result);
  }
}

gboolean hf_prober_run(HfProber *prober, HfCancel *cancel, GError **error)
{
  gboolean going = TRUE;
  hf_raise_file_limit();
  prober->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (prober->epoll < 0)
    return hf_fail_errno(error, errno, "cannot watch sockets");
  while (going && (prober->waiting.length > 0 || prober->active > 0)) {
    going = !hf_cancelled(cancel, error);
    if (going)
      turn(prober);
  }
  if (!going)
    give_up(prober);
  close(prober->epoll);
  prober->epoll = -1;
  return going;
}

const char *hf_probe_state_text(HfProbeState state)
{
  static const char *const texts[] = { "untried", "open", "closed", "filtered", "silent", "wrong" };
  return texts[state];
}
