/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A long link between two network namespaces: longlink NAME PID DELAY_MS LOSS_PERMILLE
 * Makes a TUN device NAME here and one in the network namespace of process PID, and carries packets between them, each
 * DELAY_MS after it came, some of them never. (The kernel of many test machines has no delaying queue.) Prints "ready"
 * when both are there; addresses, routes and rate limits are given to the devices by who starts it. Ends with its
 * standard input.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 65536u
#define WAITING_MAX 65536u /* packets under way, each way */

typedef struct Packet {
  int64_t due; /* monotonic microseconds */
  size_t length;
  uint8_t *bytes;
} Packet;

typedef struct Line {
  int from, to;
  Packet *packets; /* a ring */
  unsigned first, count;
} Line;

static int64_t now_us(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void die(const char *what)
{
  perror(what);
  exit(1);
}

static int open_tun(const char *name)
{
  struct ifreq request;
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
    die("longlink: cannot make the device");
  return fd;
}

static void enter(const char *path)
{
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
    die(path);
  close(fd);
}

/* Takes all packets that are there. */
static void take(Line *line, int64_t delay_us, int loss_permille)
{
  static uint8_t bytes[PACKET_MAX];
  for (;;) {
    ssize_t got = read(line->from, bytes, sizeof bytes);
    if (got <= 0)
      return;
    if (rand() % 1000 < loss_permille || line->count == WAITING_MAX)
      continue;
    Packet *packet = &line->packets[(line->first + line->count++) % WAITING_MAX];
    packet->due = now_us() + delay_us;
    packet->length = (size_t)got;
    packet->bytes = malloc(packet->length);
    if (packet->bytes == NULL)
      die("longlink");
    memcpy(packet->bytes, bytes, packet->length);
  }
}

/* Gives what is due; returns when the next will be, or -1. */
static int64_t give(Line *line)
{
  while (line->count > 0) {
    Packet *packet = &line->packets[line->first];
    if (packet->due > now_us())
      return packet->due;
    if (write(line->to, packet->bytes, packet->length) < 0 && errno == EAGAIN)
      return now_us() + 100;
    free(packet->bytes);
    line->first = (line->first + 1) % WAITING_MAX;
    line->count--;
  }
  return -1;
}

static void carry(Line lines[2], int64_t delay_us, int loss_permille)
{
  struct pollfd waits[3] = { { .fd = lines[0].from, .events = POLLIN },
                             { .fd = lines[1].from, .events = POLLIN },
                             { .fd = 0, .events = POLLIN } };
  char byte;
  for (;;) {
    int64_t next[2] = { give(&lines[0]), give(&lines[1]) };
    int64_t due = next[0] < 0 ? next[1] : next[1] < 0 || next[0] < next[1] ? next[0] : next[1];
    int64_t left = due < 0 ? -1 : due - now_us();
    struct timespec timeout = { left / 1000000, left % 1000000 * 1000 };
    if (left < 0 && due >= 0)
      timeout = (struct timespec){ 0, 0 };
    if (ppoll(waits, 3, due < 0 ? NULL : &timeout, NULL) < 0 && errno != EINTR)
      die("longlink: poll");
    if (waits[2].revents != 0 && read(0, &byte, 1) <= 0)
      return;
    take(&lines[0], delay_us, loss_permille);
    take(&lines[1], delay_us, loss_permille);
  }
}

int main(int argc, char **argv)
{
  char path[64];
  if (argc != 5) {
    fprintf(stderr, "usage: longlink NAME PID DELAY_MS LOSS_PERMILLE\n");
    return 2;
  }
  int here = open_tun(argv[1]);
  snprintf(path, sizeof path, "/proc/%d/ns/net", atoi(argv[2]));
  enter(path);
  int there = open_tun(argv[1]);
  Line lines[2] = { { .from = here, .to = there }, { .from = there, .to = here } };
  for (int i = 0; i < 2; i++) {
    lines[i].packets = calloc(WAITING_MAX, sizeof(Packet));
    if (lines[i].packets == NULL)
      die("longlink");
  }
  printf("ready\n");
  fflush(stdout);
  carry(lines, (int64_t)atoi(argv[3]) * 1000, atoi(argv[4]));
  return 0;
}
