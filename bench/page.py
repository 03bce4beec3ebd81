#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""page.py <results.json> <page.md>: write what was measured between the marks of a page.

A mark is a comment of its own line, "<!-- figures: io/echo sched/* -->" for these benchmarks, or
"<!-- machine -->", "<!-- targets -->", "<!-- other figures -->"; it ends with "<!-- end -->".
Charts are looked for in a directory beside the page, named like it, where bench/charts.py put them.
"""

import fnmatch
import json
import os
import re
import sys

NAMES = {"bide": "Bide", "raw": "epoll by hand", "fcontext": "`jump_fcontext`, one way"}
UNITS = {"s": "s", "ns": "ns", "us": "\u00b5s", "bytes": "bytes"}
NO_FIGURES = ("bench", "quick", "title", "by", "targets", "met", "peers", "rounds", "pairs",
              "slice_s")


def number(value):
    if value is None:
        return "\u2013"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def is_spread(value):
    return isinstance(value, dict) and set(value) == {"median", "min", "max"}


def median(value):
    return value["median"] if is_spread(value) else value


def cell(value):
    """A median, with the least and the most where they differ from it."""
    if not is_spread(value):
        return number(value)
    least, most = number(value["min"]), number(value["max"])
    return number(value["median"]) + (f" ({least} to {most})" if least != most else "")


def table(heading, rows, others="---:"):
    """The first column is text, the others are numbers."""
    rows = [heading, ["---"] + [others] * (len(heading) - 1), *rows]
    return ["| " + " | ".join(row) + " |" for row in rows] + [""]


def folded(summary, lines):
    return [f"<details><summary>{summary}</summary>", "", *lines, "</details>", ""]


def servers(records):
    """A series of contests: each record is one server in one of them."""
    units = {"per_s": "requests/s", "per_s_to_raw": "to epoll", "cpu_us": "CPU, \u00b5s",
             "p50_us": "p50, \u00b5s", "p99_us": "p99, \u00b5s", "p999_us": "p99.9, \u00b5s",
             "idle_bytes": "idle, bytes"}
    shown = [key for key in units if any(median(record.get(key)) for record in records)]
    records = sorted(records, key=lambda record: (
        record["connections"], -(median(record.get(shown[0])) or 0) if shown else 0))
    rows = []
    for record in records:
        mark = "**" * (record["server"] == "bide")
        rows.append([mark + record["name"] + mark, number(record["connections"])] +
                    [cell(record.get(key)) if key in ("per_s", "per_s_to_raw")
                     else number(median(record.get(key))) for key in shown])
    heading = ["", "connections", *(units[key] for key in shown)]
    return folded(records[0].get("title", records[0]["bench"]) + ": all figures",
                  table(heading, rows))


def peers(record):
    """<work>_<unit> is ours, <work>_<peer>_<unit> another's, <work>_to_<peer> the ratio."""
    names = {key: name or key for key, name in record["peers"].items()}
    others = [key for key in ("fcontext", *names)]
    last, works, used = others[-1], [], set()
    for key in record:
        work, _, unit = key.rpartition("_")
        if work and f"{work}_{last}_{unit}" in record:
            works.append((work, unit))
    heading = ["", *(f"{work}{',' * (unit in UNITS)} {UNITS.get(unit, unit)}".replace("_", " ")
                     for work, unit in works)]
    rows = [["**Bide**"] + [cell(record[f"{work}_{unit}"]) for work, unit in works]]
    used.update(f"{work}_{unit}" for work, unit in works)
    for other in others:
        row = [names.get(other, NAMES.get(other, other))]
        for work, unit in works:
            key, ratio = f"{work}_{other}_{unit}", f"{work}_to_{other}"
            used.update((key, ratio))
            words = cell(record.get(key))
            if median(record.get(ratio)) is not None:
                words += f"; ours to it {number(median(record[ratio]))}"
            row.append(words)
        if any(word != number(None) for word in row[1:]):
            rows.append(row)
    rest = {key: value for key, value in record.items() if key not in used}
    return folded(f"{record.get('title', record['bench'])}: all figures",
                  table(heading, rows) + numbers(rest))


def flat(prefix, value):
    """(name, value) for each number or spread below."""
    if is_spread(value) or not isinstance(value, (dict, list)):
        return [(prefix, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return [pair for key, part in pairs for pair in flat(f"{prefix} {key}".strip(), part)]


def numbers(record):
    rows = [[name.replace("_", " "), cell(value)]
            for key, part in record.items() if key not in NO_FIGURES
            for name, value in flat(key, part)
            # Ratios of something to itself.
            if not (is_spread(value) and value["min"] == value["max"] == 1)]
    return table(["figure", "median (least to most)"], rows) if rows else []


def charts(page, bench, benches):
    """Those whose names begin with this benchmark's, and with no longer one's."""
    folder = os.path.splitext(page)[0]
    owner = {}
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        fitting = [name for name in benches if re.match(
            re.escape(name.replace("/", "_")) + r"(_|\.svg$)", file)]
        owner[file] = max(fitting, key=len, default="")
    lines = []
    for file in (file for file, name in owner.items() if name == bench):
        with open(os.path.join(folder, file), encoding="utf-8") as svg:
            title = re.search("<title>(.*?)</title>", svg.read())
        words = title[1] if title else bench
        lines += [f"![{words}]({os.path.basename(folder)}/{file})", ""]
    return lines


def section(page, records, bench, benches):
    lines, series = charts(page, bench, benches), {}
    for record in records:
        if record["bench"] == bench and "server" in record:
            series.setdefault(record["series"], []).append(record)
    for contests in series.values():
        lines += servers(contests)
    for record in records:
        if record["bench"] != bench or "server" in record:
            continue
        if "peers" in record:
            lines += peers(record)
        else:
            title = record.get("title", bench)
            family = " ".join(number(record[key]) for key in ("family", "bytes") if key in record)
            lines += folded(f"{title}{', ' * bool(family)}{family}: all figures", numbers(record))
    return lines


def machine_table(machine):
    commit = machine.get("commit") or "unknown"
    if machine.get("dirty"):
        commit += ", with changes"
    seconds = machine.get("seconds", 0)
    took = f"{seconds} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    kernel = str(machine.get("kernel")).split("-", maxsplit=1)[0]
    rows = {"Processor": f"{machine.get('processor') or machine.get('architecture')}, "
                         f"{machine.get('cores')} cores",
            "Memory": f"{machine.get('memory_mib', 0) / 1024:.0f} GiB",
            "System": f"{machine.get('system')}, {kernel}, {machine.get('libc')}",
            "Compiler": machine.get("compiler"),
            "Build": f"{machine.get('build')}, {machine.get('flags')}; benchmarks and peers -O2",
            "Context switch": machine.get("context"),
            "Commit": commit,
            "Date": f"{machine.get('date')}, took {took}"
                    + "; a quick run, for show only" * bool(machine.get("quick"))}
    return table(["", ""], [[key, str(value)] for key, value in rows.items()], "---")


def targets_table(records):
    rows = []
    for record in records:
        for target in record.get("targets", []):
            limit = "at most " + number(target["at_most"]) if "at_most" in target \
                else "at least " + number(target.get("at_least"))
            verdict = {True: "met", False: "**missed**"}.get(target.get("met"), "not measured")
            rows.append([record["bench"], target["figure"].replace("_", " "), limit,
                         number(target["value"]), verdict])
    heading = ["benchmark", "figure", "aimed at", "measured", ""]
    return table(heading, rows) if rows else []


def main():
    results, page = sys.argv[1:]
    with open(results, encoding="utf-8") as file:
        measured = json.load(file)
    records, machine = measured["figures"], measured["machine"]
    benches = list(dict.fromkeys(record["bench"] for record in records))
    with open(page, encoding="utf-8") as file:
        lines = file.read().splitlines()

    chosen = {}  # {mark: benches}, each bench at the first mark that fits
    for mark in (line for line in lines if line.startswith("<!-- figures: ")):
        chosen[mark] = [bench for pattern in mark[14:-4].split()
                        for bench in fnmatch.filter(benches, pattern)
                        if not any(bench in others for others in chosen.values())]
    chosen["<!-- other figures -->"] = [
        bench for bench in benches if not any(bench in others for others in chosen.values())]
    out, skipping = [], False
    for line in lines:
        if line == "<!-- end -->":
            skipping = False
        if not skipping:
            out.append(line)
        new = None
        if line == "<!-- machine -->":
            new = machine_table(machine)
        elif line == "<!-- targets -->":
            new = targets_table(records)
        elif line in chosen:
            new = [row for bench in chosen[line] for row in section(page, records, bench, benches)]
            if line == "<!-- other figures -->" and new:
                new = ["## Anything else", "", *new]
        if new is not None:
            out += ["", *new] if new else []
            skipping = True
    if skipping:
        sys.exit(f"{page}: a mark without <!-- end -->")
    with open(page, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


main()
