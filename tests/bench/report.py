# SPDX-License-Identifier: GPL-3.0-or-later
"""Medians, ratios and the tables that go into docs/benchmarks.md."""

import datetime
import os
import statistics

UNITS = {  # field: (scale, unit, digits)
    "wall": (1, "s", 2), "cpu": (1, "s", 2), "stored": (1e6, "MB", 1), "whole": (1e6, "MB", 1),
    "added": (1e6, "MB", 2), "freed": (1e6, "MB freed", 1), "anon": (1 << 20, "MiB", 0),
    "rss": (1 << 20, "MiB", 0), "read_bytes": (1e6, "MB", 2), "cold": (1, "reads/s cold", 0), "warm": (1, "reads/s warm", 0),
    "bytes_per_blob": (1, "bytes a blob", 2),
    "reads_per_run": (1, "page reads a run", 2), "runs": (1, "runs", 0), "lookups_per_second": (1, "look-ups/s", 0)}
TOOLS = ("restic", "borg", "holdfast")
MEMORY_LIMIT_MIB = 96
QUIET_SHARE = 0.1  # of the machine's processor time; when others take more, the figures of a row are marked


def show(field, value):
    scale, unit, digits = UNITS[field]
    return f"{value / scale:,.{digits}f} {unit}"


def medians(samples):
    """{contender: {field: median}} of {contender: [sample]}."""
    return {contender: {field: statistics.median(sample[field] for sample in runs) for field in runs[0]}
            for contender, runs in samples.items() if runs}


def _cell(row, contender, values):
    if contender not in values:
        return "-"
    return ", ".join(show(field, values[contender][field]) for field in row.shows if field in values[contender])


def _limit(check):
    return f"{'>=' if check.least else '<='} {check.limit:.4g} {check.unit}".strip()


def _verdicts(row, values):
    """What each check of a row came to, as text; "-" when Holdfast did not run."""
    texts = []
    for check in row.checks:
        try:
            value = check.value(values)
        except KeyError:
            continue
        text = f"{check.label} {value:.4g} {check.unit}".strip()
        if check.beside:
            text += f" (processor time {check.beside(values):.3g} x)"
        texts.append(text if check.reached(value) else f"**missed**: {text}")
    return "; ".join(texts) or "-"


def summary(rows, results):
    """The table of the rows: one column per tool, the limits, and what Holdfast had to reach."""
    lines = ["| work | restic | borg | limits | Holdfast | must reach | came to |", "| --- " * 7 + "|"]
    for row in rows:
        values = medians(results[row.id]["samples"])
        limits = [f"{name}: {_cell(row, name, values)}" for name in row.contenders
                  if name in values and not name.startswith(TOOLS)]
        goals = "; ".join(f"{check.label} {_limit(check)}" for check in row.checks)
        lines.append(f"| {row.title} | {_cell(row, 'restic', values)} | {_cell(row, 'borg', values)} "
                     f"| {'; '.join(limits) or '-'} | {_cell(row, 'holdfast', values)} | {goals} "
                     f"| {_verdicts(row, values)} |")
    return lines + _memory_line(rows, results)


def _memory_line(rows, results):
    """Peak anonymous memory over all rows but those of the million files, which have a limit of their own."""
    peaks = {}
    for row in rows:
        if row.dataset in ("kernel", "image"):
            for name, values in medians(results[row.id]["samples"]).items():
                if name in TOOLS and "anon" in values:
                    peaks[name] = max(peaks.get(name, 0), values["anon"])
    if not peaks:
        return []
    cells = {name: show("anon", peaks[name]) if name in peaks else "-" for name in TOOLS}
    verdict = "-"
    if "holdfast" in peaks:
        missed = peaks["holdfast"] > MEMORY_LIMIT_MIB << 20
        verdict = f"{'**missed**: ' if missed else ''}{show('anon', peaks['holdfast'])}"
    return [f"| peak memory (anonymous) of the kernel and image rows | {cells['restic']} | {cells['borg']} | - "
            f"| {cells['holdfast']} | <= {MEMORY_LIMIT_MIB} MiB | {verdict} |"]


def _others(value):
    """Share of the machine that everything else had while a contender ran."""
    return value["others"] / (value["elapsed"] * len(os.sched_getaffinity(0)))


def details(rows, results):
    """One line per row and contender, all figures; repository sizes without and with parity and mirrors."""
    lines = ["| row | contender | runs | wall (least to most) | user+sys | others | peak anonymous | repository "
             "| with parity |", "| --- " * 9 + "|"]
    for row in rows:
        samples = results[row.id]["samples"]
        for name, value in medians(samples).items():
            if "wall" not in value:
                continue
            walls = [sample["wall"] for sample in samples[name]]
            sizes = [show(each, value[each]) if each in value else "-" for each in ("stored", "whole")]
            lines.append(f"| {row.id} | {name} | {len(walls)} | {value['wall']:.2f} s ({min(walls):.2f}-"
                         f"{max(walls):.2f}) | {show('cpu', value['cpu'])} | {_others(value):.0%} "
                         f"| {show('anon', value['anon'])} "
                         f"| {sizes[0]} | {sizes[1]} |")
    return lines


def notes(rows, results):
    lines = []
    noisy = [row.id for row in rows if any("others" in value and _others(value) > QUIET_SHARE for value
                                           in medians(results[row.id]["samples"]).values())]
    if noisy:
        lines.append(f"- Other programs took more than {QUIET_SHARE:.0%} of the machine during {', '.join(noisy)}: "
                     "compare processor times there, not wall times.")
    for row in rows:
        values = medians(results[row.id]["samples"])
        if "holdfast-password" in values and "holdfast" in values:
            cost = values["holdfast-password"]["wall"] - values["holdfast"]["wall"]
            lines.append(f"- {row.id}: with a password instead of a key file {cost:+.2f} s.")
        lines += [f"- {row.id}: {name} ended with warnings" for name, value in values.items() if value.get("warnings")]
        lines += [f"- {row.id}: {name} failed: {text}" for name, text in results[row.id]["errors"].items()]
    return lines


def machine():
    def lines_of(path):
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    model = next((line.split(":")[1].strip() for line in lines_of("/proc/cpuinfo") if line.startswith("model name")),
                 os.uname().machine)
    memory = int(lines_of("/proc/meminfo")[0].split()[1]) / (1 << 20)
    return {"date": datetime.date.today().isoformat(), "cpu": model, "cores": len(os.sched_getaffinity(0)),
            "memory_gib": round(memory, 1), "kernel": os.uname().release}


def markdown(rows, results, about):
    head = [f"Measured on {about['date']}: {about['cores']} cores of {about['cpu']}, {about['memory_gib']} GiB, Linux "
            f"{about['kernel']}; " + ", ".join(about["versions"].values())
            + f"; kernel tree {about['kernel_tree']}. Medians; repositories and outputs in memory, sources in "
            f"{about['sources']}.", ""]
    foot = notes(rows, results)
    return "\n".join(head + summary(rows, results) + [""] + details(rows, results)
                     + ([""] + foot if foot else [])) + "\n"
