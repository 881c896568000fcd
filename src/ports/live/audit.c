/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ports/live/audit.h"

#include <string.h>
#include <sys/socket.h>

#include "ports/live/audit_make.h"

/* Programs that ask over UDP get ports of the upper half, where Linux chooses them; they look like services. */
#define CLIENT_PORTS_FROM (G_MAXUINT16 / 2 + 1)

void hf_audit_add(HfAudit *audit, const HfAuditFinding *finding)
{
  g_array_append_val(audit->findings, *finding);
}

/* ---- what listens ---- */

static gboolean is_loopback(const HfTopologyAddress *address)
{
  static const guint8 loopback6[16] = { [15] = 1 };
  if (address->prefix == 0)
    return FALSE;
  return address->family == AF_INET ? address->bytes[0] == 127 : memcmp(address->bytes, loopback6, 16) == 0;
}

/* What is planned to come in, each port once for all peers. */
static GArray *planned_ports(const HfFirewall *firewall)
{
  GArray *ports = g_array_new(FALSE, FALSE, sizeof(HfFirewallPorts));
  for (guint i = 0; i < firewall->n_elements; i++) {
    const HfFirewallElement *element = &firewall->elements[i];
    const HfFirewallPorts one = { element->direction, element->transport, element->first, element->last,
                                  element->reason };
    if (element->direction == HF_PLAN_IN)
      g_array_append_val(ports, one);
  }
  for (guint i = 0; i < firewall->n_sets; i++)
    for (guint j = 0; j < firewall->sets[i].n_ports; j++)
      if (firewall->sets[i].ports[j].direction == HF_PLAN_IN)
        g_array_append_val(ports, firewall->sets[i].ports[j]);
  return ports;
}

static void look_for_strays(HfAudit *audit, const GArray *planned, const GArray *sockets)
{
  for (guint i = 0; i < sockets->len; i++) {
    const HfSocket *found = &g_array_index(sockets, HfSocket, i);
    gboolean expected = is_loopback(&found->address) ||
      (found->transport == HF_PORT_UDP && found->port >= CLIENT_PORTS_FROM);
    for (guint j = 0; !expected && j < planned->len; j++) {
      const HfFirewallPorts *ports = &g_array_index(planned, HfFirewallPorts, j);
      expected = ports->transport == found->transport && ports->first <= found->port && found->port <= ports->last;
    }
    if (expected)
      continue;
    HfAuditFinding finding = { .kind = HF_AUDIT_STRAY, .direction = HF_PLAN_IN, .transport = found->transport,
                               .first = found->port, .last = found->port, .socket = found };
    hf_audit_add(audit, &finding);
  }
}

static gboolean listens(const GArray *sockets, const HfFirewallPorts *ports)
{
  for (guint i = 0; i < sockets->len; i++) {
    const HfSocket *found = &g_array_index(sockets, HfSocket, i);
    if (found->transport == ports->transport && found->port == ports->first && !is_loopback(&found->address))
      return TRUE;
  }
  return FALSE;
}

static gboolean told_before(const GArray *planned, guint place)
{
  const HfFirewallPorts *ports = &g_array_index(planned, HfFirewallPorts, place);
  for (guint i = 0; i < place; i++) {
    const HfFirewallPorts *other = &g_array_index(planned, HfFirewallPorts, i);
    if (other->transport == ports->transport && other->first == ports->first && other->last == ports->last &&
        !other->reason->fallback && !other->reason->optional)
      return TRUE;
  }
  return FALSE;
}

/* Services that must be there all the time: of ranges the ports are opened when they are needed. */
static void look_for_services(HfAudit *audit, const GArray *planned, const GArray *sockets)
{
  for (guint i = 0; i < planned->len; i++) {
    const HfFirewallPorts *ports = &g_array_index(planned, HfFirewallPorts, i);
    if (ports->first != ports->last || ports->reason->fallback || ports->reason->optional || told_before(planned, i) ||
        listens(sockets, ports))
      continue;
    HfAuditFinding finding = { .kind = HF_AUDIT_NO_SERVICE, .direction = HF_PLAN_IN, .transport = ports->transport,
                               .first = ports->first, .last = ports->last, .reason = ports->reason };
    hf_audit_add(audit, &finding);
  }
}

/* ---- all ---- */

static int compare(gconstpointer a, gconstpointer b)
{
  const HfAuditFinding *left = a, *right = b;
  const guint64 keys[][2] = { { left->kind, right->kind },
                              { left->direction, right->direction },
                              { left->transport, right->transport },
                              { left->first, right->first },
                              { left->last, right->last },
                              { (guint)left->peer.family, (guint)right->peer.family } };
  for (guint i = 0; i < G_N_ELEMENTS(keys); i++)
    if (keys[i][0] != keys[i][1])
      return keys[i][0] < keys[i][1] ? -1 : 1;
  int order = memcmp(left->peer.first, right->peer.first, sizeof left->peer.first);
  return order != 0 ? order : g_strcmp0(left->place, right->place);
}

HfAudit *hf_audit_new(const HfFirewall *firewall, const HfNftRuleset *ruleset, const GArray *sockets)
{
  HfAudit *audit = g_new0(HfAudit, 1);
  audit->findings = g_array_new(FALSE, FALSE, sizeof(HfAuditFinding));
  audit->whole = TRUE;
  if (ruleset != NULL)
    hf_audit_rules(audit, firewall, ruleset);
  if (sockets != NULL) {
    g_autoptr(GArray) planned = planned_ports(firewall);
    look_for_strays(audit, planned, sockets);
    look_for_services(audit, planned, sockets);
  }
  g_array_sort(audit->findings, compare);
  for (guint i = 0; i < audit->findings->len; i++)
    audit->counts[g_array_index(audit->findings, HfAuditFinding, i).kind]++;
  return audit;
}

void hf_audit_free(HfAudit *audit)
{
  if (audit == NULL)
    return;
  g_array_unref(audit->findings);
  g_free(audit);
}

const char *hf_audit_kind_text(HfAuditKind kind)
{
  static const char *const texts[] = { "missing", "surplus", "unsure", "unused", "stray", "no-service" };
  return texts[kind];
}
