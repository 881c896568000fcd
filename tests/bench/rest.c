/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * rest PORT CLIENTS ROUNDS: how long the lists of the interface take while CLIENTS ask at once. Each client has a
 * connection that is kept, asks for a page of 100 rows, reads it, and asks again; ROUNDS times for each list. Two lines
 * a list: its path when it begins; path, median and 95th percentile in milliseconds, answers a second, bytes of an answer.
 */
#include <curl/curl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const lists[] = {
  "/api/v1/sessions?limit=100",
  "/api/v1/taskSessions?limit=100",
  "/api/v1/jobs?limit=100",
  "/api/v1/jobs/states?limit=100",
  "/api/v1/backups?limit=100",
  "/api/v1/backupObjects?limit=100",
  "/api/v1/restorePoints?limit=100",
  "/api/v1/backupInfrastructure/managedServers?limit=100",
  "/api/v1/backupInfrastructure/repositories?limit=100",
  "/api/v1/backupInfrastructure/repositories/states?limit=100",
  "/api/v1/holdfast/audit?limit=100",
  "/api/v1/sessions?limit=100&resultFilter=Failed&orderColumn=EndTime",
};

static int port;
static guint rounds;
static const char *path;
static char token[128];
static gsize bytes;

typedef struct Client {
  CURL *curl;
  struct curl_slist *headers;
  GString *answer;
  gint64 *times; /* microseconds of each round */
} Client;

static size_t take(char *data, size_t size, size_t n, void *to)
{
  g_string_append_len(to, data, (gssize)(size * n));
  return size * n;
}

static void client_open(Client *client)
{
  g_autofree char *authorization = g_strdup_printf("Authorization: Bearer %s", token);
  client->curl = curl_easy_init();
  client->answer = g_string_new(NULL);
  client->headers = curl_slist_append(NULL, authorization);
  client->times = g_new(gint64, rounds);
  curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, client->headers);
  curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYPEER, 0L);
  curl_easy_setopt(client->curl, CURLOPT_SSL_VERIFYHOST, 0L);
  curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, client->answer);
  curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
}

static void ask(Client *client, const char *where, const char *form)
{
  long status = 0;
  g_autofree char *url = g_strdup_printf("https://127.0.0.1:%d%s", port, where);
  g_string_truncate(client->answer, 0);
  curl_easy_setopt(client->curl, CURLOPT_URL, url);
  if (form != NULL)
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, form);
  CURLcode result = curl_easy_perform(client->curl);
  curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
  if (result == CURLE_OK && status == 200)
    return;
  fprintf(stderr, "rest: %s: %s, status %ld: %.200s\n", where, curl_easy_strerror(result), status, client->answer->str);
  exit(1);
}

static gpointer work(gpointer data)
{
  Client *client = data;
  for (guint i = 0; i < rounds; i++) {
    gint64 begun = g_get_monotonic_time();
    ask(client, path, NULL);
    client->times[i] = g_get_monotonic_time() - begun;
  }
  return NULL;
}

static int compare(const void *a, const void *b)
{
  gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
  return (x > y) - (x < y);
}

static void measure(Client *clients, guint n)
{
  g_autofree GThread **threads = g_new(GThread *, n);
  g_autofree gint64 *times = g_new(gint64, n * rounds);
  puts(path);
  fflush(stdout);
  gint64 begun = g_get_monotonic_time();
  for (guint i = 0; i < n; i++)
    threads[i] = g_thread_new("client", work, &clients[i]);
  for (guint i = 0; i < n; i++)
    g_thread_join(threads[i]);
  double seconds = (double)(g_get_monotonic_time() - begun) / 1e6;
  for (guint i = 0; i < n; i++)
    memcpy(times + i * rounds, clients[i].times, rounds * sizeof *times);
  qsort(times, n * rounds, sizeof *times, compare);
  bytes = clients[0].answer->len;
  guint middle = n * rounds / 2, late = n * rounds * 95 / 100;
  printf("{\"list\": \"%s\", \"median_ms\": %.1f, \"p95_ms\": %.1f, \"per_second\": %.0f, \"bytes\": %zu}\n", path,
         (double)times[middle] / 1e3, (double)times[late] / 1e3, (double)n * rounds / seconds,
         bytes);
  fflush(stdout);
}

static void login(void)
{
  Client client;
  client_open(&client);
  ask(&client, "/api/oauth2/token", "grant_type=password&username=admin&password=admin-password");
  const char *at = strstr(client.answer->str, "\"access_token\":\"");
  if (at == NULL || sscanf(at + 16, "%127[^\"]", token) != 1)
    exit(1);
}

int main(int argc, char **argv)
{
  if (argc != 4)
    return 2;
  port = atoi(argv[1]);
  guint n = (guint)atoi(argv[2]);
  rounds = (guint)atoi(argv[3]);
  curl_global_init(CURL_GLOBAL_ALL);
  login();
  g_autofree Client *clients = g_new(Client, n);
  for (guint i = 0; i < n; i++)
    client_open(&clients[i]);
  path = "/api/v1/serverTime"; /* handshakes are over before anything is measured */
  for (guint i = 0; i < n; i++)
    ask(&clients[i], path, NULL);
  for (guint i = 0; i < G_N_ELEMENTS(lists); i++) {
    path = lists[i];
    measure(clients, n);
  }
  return 0;
}
