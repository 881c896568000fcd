/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/check.h"

#include <arpa/inet.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fleet.h"

/* All of them are addresses of the loopback, in a network namespace of our own. */
#define OWN "10.44.0.1"
#define PEER "10.44.0.2"
#define OWN6 "2001:db8:44::1"

static void see(const HfCheckResult *result, gpointer user)
{
  GPtrArray *lines = user;
  g_autofree char *address = result->address != NULL ? hf_topology_address_text(result->address) : g_strdup("-");
  g_ptr_array_add(lines, g_strdup_printf("%s %s %s %u %s%s", result->node->name, address,
                                         result->flow->transport == HF_PORT_TCP ? "tcp" : "udp", result->port,
                                         hf_probe_state_text(result->probe->state), result->good ? "" : " bad"));
}

static int compare(gconstpointer a, gconstpointer b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is found from host `from`; caller frees. */
static char *check(const char *text, const char *from, const HfCheckOptions *options, HfCheckSummary *summary)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(Fleet) fleet = fleet_plan(text);
  g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
  g_assert_true(hf_check_run(fleet->plan, fleet_node(fleet, from), options, NULL, NULL, see, lines, summary, &error));
  g_assert_no_error(error);
  g_ptr_array_sort(lines, compare);
  g_ptr_array_add(lines, NULL);
  return g_strjoinv("; ", (char **)lines->pdata);
}

/* Ports are free in a network of our own. */
static int listener(guint16 port)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  g_assert_cmpint(inet_pton(AF_INET, PEER, &address.sin_addr), ==, 1);
  g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
  g_assert_cmpint(listen(fd, 64), ==, 0);
  return fd;
}

static const HfCheckOptions usual = { .timeout_ms = 500, .limit = 100000, .scan = 1024 };

static const char repository[] = "[host srv]\naddress = " OWN "\nroles = backup-server\nos = linux\n"
                                 "[host repo]\naddress = " PEER "\nroles = backup-repository\nos = linux\n";

static void test_states(void)
{
  int fd = listener(6162), inner = listener(2777);
  HfCheckSummary summary;
  g_autofree char *found = check(repository, "srv", &usual, &summary);
  g_assert_cmpstr(found, ==,
                  "repo " PEER " tcp 22 closed bad; repo " PEER " tcp 2500 closed; repo " PEER " tcp 2777 open; repo " PEER
                  " tcp 3300 closed; repo " PEER " tcp 6160 closed bad; repo " PEER " tcp 6162 open");
  g_assert_cmpuint(summary.tried, ==, 801 + 3);
  g_assert_cmpuint(summary.scanned, ==, 798);
  g_assert_cmpuint(summary.left, ==, 0);
  g_assert_cmpuint(summary.bad, ==, 2);
  g_assert_cmpuint(summary.results[HF_PROBE_OPEN], ==, 2);
  close(fd);
  close(inner);
}

static void test_options(void)
{
  HfCheckSummary summary;
  HfCheckOptions options = usual;
  options.paths = TRUE;
  g_autofree char *paths = check(repository, "srv", &options, &summary);
  g_assert_null(strstr(paths, "bad"));
  g_assert_cmpuint(summary.bad, ==, 0);
  options.scan = 800;
  g_autofree char *ends = check(repository, "srv", &options, &summary);
  g_assert_cmpuint(summary.tried, ==, 5);
  options.limit = 2;
  g_autofree char *few = check(repository, "srv", &options, &summary);
  g_assert_cmpuint(summary.tried, ==, 2);
  g_assert_cmpuint(summary.left, ==, 3);
}

/* What has no single address is named, and not tried; a name that nobody has is. */
static void test_addresses(void)
{
  static const char text[] =
    "[host srv]\naddress = " OWN ", " OWN6 "\nroles = backup-server\nappliance = yes\n"
    "[external mail]\nname = localhost\nroles = smtp-server\n"
    "[external logs]\naddress = 10.45.0.0/24\nroles = syslog-server\n"
    "[external up]\nroles = update-repository\nnames repository.veeam.com = *.invalid, no-such-host.invalid\n";
  HfCheckSummary summary;
  HfCheckOptions options = usual;
  options.timeout_ms = 3000;
  g_autofree char *found = check(text, "srv", &options, &summary);
  g_assert_nonnull(strstr(found, "logs 10.45.0.0/24 tcp 514 untried;"));
  g_assert_nonnull(strstr(found, "mail 127.0.0.1 tcp 25 "));
  g_assert_nonnull(strstr(found, "up - tcp 443 untried;"));
  g_assert_nonnull(strstr(found, "up - tcp 443 untried bad"));
}

static void test_self(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(HfTopology) own = fleet_read("[external x]\naddress = " PEER "\nroles = dns-server\n"
                                         "[host a]\naddress = " OWN6 "\nroles = backup-proxy\n"
                                         "[host b]\naddress = 10.255.255.254\nroles = backup-proxy\n");
  const HfTopologyNode *host = hf_check_self(own, &error);
  g_assert_no_error(error);
  g_assert_cmpstr(host->name, ==, "a");
  g_assert_true(hf_check_is_self(host));
  g_assert_false(hf_check_is_self(hf_topology_node(own, "b")));
  g_autoptr(HfTopology) none = fleet_read("[host b]\naddress = 10.255.255.254\nroles = backup-proxy\n");
  g_assert_null(hf_check_self(none, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_NOT_FOUND));
  g_clear_error(&error);
  g_autoptr(HfTopology) two = fleet_read("[host a]\naddress = " OWN6 "\nroles = backup-proxy\n"
                                         "[host b]\naddress = " OWN "\nroles = backup-proxy\n");
  g_assert_null(hf_check_self(two, &error));
  g_assert_true(hf_error_is(error, HF_ERROR_USAGE));
  g_assert_nonnull(strstr(error->message, "both 'a' and 'b'"));
}

static void test_cancelled(void)
{
  g_autoptr(GError) error = NULL;
  g_autoptr(Fleet) fleet = fleet_plan(repository);
  g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
  HfCheckSummary summary;
  HfCancel cancel = { 0 };
  hf_cancel_set(&cancel);
  g_assert_false(hf_check_run(fleet->plan, fleet_node(fleet, "srv"), &usual, NULL, &cancel, see, lines, &summary,
                              &error));
  g_assert_true(hf_error_is(error, HF_ERROR_CANCELLED));
  g_assert_cmpuint(summary.results[HF_PROBE_UNTRIED], ==, lines->len);
}

/* FALSE: this system does not let us have a network of our own. */
static gboolean enter_network(void)
{
  int flags = geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWNET | CLONE_NEWUSER;
  return unshare(flags) == 0 &&
    system("ip link set lo up && ip address add " OWN "/32 dev lo && ip address add " PEER "/32 dev lo && "
           "ip address add " OWN6 "/128 dev lo") == 0;
}

int main(int argc, char **argv)
{
  g_test_init(&argc, &argv, NULL);
  if (!enter_network()) {
    g_print("1..0 # SKIP no network namespace of our own\n");
    return 0;
  }
  g_test_add_func("/check/states", test_states);
  g_test_add_func("/check/options", test_options);
  g_test_add_func("/check/addresses", test_addresses);
  g_test_add_func("/check/self", test_self);
  g_test_add_func("/check/cancelled", test_cancelled);
  return g_test_run();
}
