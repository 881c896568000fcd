/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/sockets.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/sys.h"
#include "ports/topology/textfile.h"

#define MAX_BYTES (64u << 20)
#define TCP_LISTENING 10 /* states as the kernel numbers them */
#define UDP_UNCONNECTED 7

static void clear_socket(gpointer pointer)
{
  HfSocket *found = pointer;
  g_free(found->program);
}

static int compare(gconstpointer a, gconstpointer b)
{
  const HfSocket *left = a, *right = b;
  if (left->transport != right->transport)
    return left->transport < right->transport ? -1 : 1;
  if (left->port != right->port)
    return left->port < right->port ? -1 : 1;
  return hf_topology_address_compare(&left->address, &right->address);
}

static GArray *new_array(void)
{
  GArray *sockets = g_array_new(FALSE, TRUE, sizeof(HfSocket));
  g_array_set_clear_func(sockets, clear_socket);
  return sockets;
}

/* Words of 32 bits in the order of the machine that wrote them, as hexadecimal digits. */
static gboolean read_address(const char *digits, gsize length, HfTopologyAddress *address)
{
  gboolean any = TRUE;
  *address = (HfTopologyAddress){ .family = length == 8 ? AF_INET : AF_INET6 };
  for (gsize i = 0; i < length / 8; i++) {
    guint32 word = 0;
    for (gsize j = 0; j < 8; j++) {
      int digit = g_ascii_xdigit_value(digits[i * 8 + j]);
      if (digit < 0)
        return FALSE;
      word = word << 4 | (guint32)digit;
    }
    memcpy(address->bytes + i * 4, &word, sizeof word);
    any = any && word == 0;
  }
  address->prefix = any ? 0 : (guint)length * 4;
  return TRUE;
}

/* An IPv4 address in the clothes of IPv6 (::ffff:10.0.0.1) is what it is. */
static void undress(HfTopologyAddress *address)
{
  static const guint8 clothes[12] = { [10] = 0xff, [11] = 0xff };
  if (address->family != AF_INET6 || memcmp(address->bytes, clothes, sizeof clothes) != 0)
    return;
  HfTopologyAddress plain = { .family = AF_INET, .prefix = 32 };
  memcpy(plain.bytes, address->bytes + sizeof clothes, 4);
  *address = plain;
}

/* "  0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  UID  0 INODE ..." */
static gboolean read_line(const char *line, guint transport, gsize digits, GArray *sockets)
{
  char local[40];
  guint port, peer_port, state, uid;
  unsigned long long inode;
  HfSocket found = { .transport = transport };
  if (sscanf(line, " %*d: %39[0-9A-Fa-f]:%4x %*39[0-9A-Fa-f]:%4x %2x %*x:%*x %*x:%*x %*x %u %*d %llu", local, &port,
             &peer_port, &state, &uid, &inode) != 6 ||
      strlen(local) != digits || !read_address(local, digits, &found.address))
    return FALSE;
  if (state != (transport == HF_PORT_TCP ? TCP_LISTENING : UDP_UNCONNECTED) || port == 0)
    return TRUE;
  found.port = (guint16)port;
  found.uid = uid;
  found.inode = inode;
  found.both = found.address.family == AF_INET6 && found.address.prefix == 0;
  undress(&found.address);
  g_array_append_val(sockets, found);
  return TRUE;
}

typedef struct Table {
  const char *name;
  guint transport;
  gsize digits; /* of an address */
} Table;

static const Table tables[] = {
  { "tcp", HF_PORT_TCP, 8 },
  { "tcp6", HF_PORT_TCP, 32 },
  { "udp", HF_PORT_UDP, 8 },
  { "udp6", HF_PORT_UDP, 32 },
};

/* "==> /proc/net/tcp6 <==", with any folder; NULL for other lines. */
static const Table *table_of(char *line)
{
  if (strlen(line) < 9 || !g_str_has_prefix(line, "==> ") || !g_str_has_suffix(line, " <=="))
    return NULL;
  g_autofree char *path = g_strndup(line + 4, strlen(line) - 8);
  const char *slash = strrchr(path, '/');
  for (guint i = 0; i < G_N_ELEMENTS(tables); i++)
    if (g_str_equal(slash != NULL ? slash + 1 : path, tables[i].name))
      return &tables[i];
  return NULL;
}

GArray *hf_sockets_parse(const char *text, gsize length, const char *name, GError **error)
{
  g_autoptr(GArray) sockets = new_array();
  g_autofree char *copy = g_strndup(text, length);
  g_auto(GStrv) lines = g_strsplit(copy, "\n", -1);
  const Table *table = NULL;
  for (guint i = 0; lines[i] != NULL; i++) {
    const Table *next = table_of(lines[i]);
    if (next != NULL)
      table = next;
    else if (g_str_has_prefix(g_strchug(lines[i]), "sl ") || lines[i][0] == '\0')
      continue;
    else if (table == NULL || !read_line(lines[i], table->transport, table->digits, sockets)) {
      hf_fail(error, HF_ERROR_INVALID,
              "'%s', line %u is no line of a table of sockets; make the file with 'tail -n +1 /proc/net/tcp "
              "/proc/net/tcp6 /proc/net/udp /proc/net/udp6'", name, i + 1);
      return NULL;
    }
  }
  g_array_sort(sockets, compare);
  return g_steal_pointer(&sockets);
}

GArray *hf_sockets_load(const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;
  return hf_text_load(path, MAX_BYTES, &text, &length, error) ? hf_sockets_parse(text, length, path, error) : NULL;
}

/* ---- who listens ---- */

/* Adds inode to name of the program for each socket of a process. */
static void add_process(const char *pid, GHashTable *programs)
{
  g_autofree char *folder = g_strdup_printf("/proc/%s/fd", pid), *comm = g_strdup_printf("/proc/%s/comm", pid);
  g_autofree char *program = NULL;
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  const char *entry;
  while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL) {
    g_autofree char *path = g_build_filename(folder, entry, NULL), *target = g_file_read_link(path, NULL);
    guint64 inode;
    if (target == NULL || sscanf(target, "socket:[%" G_GUINT64_FORMAT "]", &inode) != 1)
      continue;
    if (program == NULL && !g_file_get_contents(comm, &program, NULL, NULL))
      return;
    g_hash_table_insert(programs, g_memdup2(&inode, sizeof inode), g_strdup(g_strchomp(program)));
  }
}

static void name_programs(GArray *sockets)
{
  g_autoptr(GHashTable) programs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
  g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
  const char *entry;
  while (dir != NULL && (entry = g_dir_read_name(dir)) != NULL)
    if (g_ascii_isdigit(entry[0]))
      add_process(entry, programs);
  for (guint i = 0; i < sockets->len; i++) {
    HfSocket *found = &g_array_index(sockets, HfSocket, i);
    found->program = g_strdup(g_hash_table_lookup(programs, &found->inode));
  }
}

GArray *hf_sockets_live(GError **error)
{
  g_autoptr(GString) text = g_string_new(NULL);
  for (guint i = 0; i < G_N_ELEMENTS(tables); i++) {
    g_autofree char *path = g_strdup_printf("/proc/net/%s", tables[i].name), *table = NULL;
    gsize length;
    /* A kernel without IPv6 has no tables of it. */
    if (tables[i].digits > 8 && access(path, F_OK) != 0)
      continue;
    if (!hf_text_load(path, MAX_BYTES, &table, &length, error))
      return NULL;
    g_string_append_printf(text, "==> %s <==\n%s\n", path, table);
  }
  GArray *sockets = hf_sockets_parse(text->str, text->len, "/proc/net", error);
  if (sockets != NULL)
    name_programs(sockets);
  return sockets;
}
