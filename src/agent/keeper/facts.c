/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "agent/keeper/facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#define ADDRESSES_MAX 64u

static char *os_info(const char *key)
{
  char *text = g_get_os_info(key);
  return text != NULL ? text : g_strdup("");
}

/* Link-local addresses mean nothing to another host. */
static gboolean is_of_use(const struct ifaddrs *entry)
{
  if (entry->ifa_addr == NULL || (entry->ifa_flags & IFF_LOOPBACK) != 0)
    return FALSE;
  if (entry->ifa_addr->sa_family == AF_INET)
    return TRUE;
  return entry->ifa_addr->sa_family == AF_INET6 &&
         !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)entry->ifa_addr)->sin6_addr);
}

static void add_address(HfInstallerWelcome *welcome, const struct sockaddr *address)
{
  char text[INET6_ADDRSTRLEN];
  const void *bytes = address->sa_family == AF_INET
                        ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
                        : (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
  if (inet_ntop(address->sa_family, bytes, text, sizeof text) != NULL)
    hf_installer_welcome_add_addresses(welcome, text);
}

static void add_addresses(HfInstallerWelcome *welcome)
{
  struct ifaddrs *all;
  if (getifaddrs(&all) < 0)
    return;
  for (const struct ifaddrs *entry = all; entry != NULL; entry = entry->ifa_next)
    if (is_of_use(entry) && welcome->n_addresses < ADDRESSES_MAX)
      add_address(welcome, entry->ifa_addr);
  freeifaddrs(all);
}

void hf_facts_fill(HfInstallerWelcome *welcome)
{
  struct sysinfo info = { 0 };
  struct utsname name = { 0 };
  sysinfo(&info);
  uname(&name);
  welcome->os_name = os_info(G_OS_INFO_KEY_NAME);
  welcome->os_version = os_info(G_OS_INFO_KEY_VERSION_ID);
  welcome->kernel = g_strdup(name.release);
  welcome->architecture = g_strdup(name.machine);
  welcome->processors = g_get_num_processors();
  welcome->memory = (guint64)info.totalram * info.mem_unit;
  add_addresses(welcome);
}
