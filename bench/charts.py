#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""charts.py <results.json> <directory>: draw what `./dev bench` measured, as SVG.

Bars put ours beside the others, with a whisker from the least to the most of all rounds, cut where
the chart ends; a bar that is far beyond all others is cut, with a gap. Lines follow the number of
connections or tasks. Scales that are logarithmic say so.
"""

import html
import json
import math
import os
import re
import sys

WIDTH, NAMES, ROW, TOP, FAR = 920, 180, 26, 84, 25
NAMES_OF = {"bide": "Bide", "raw": "epoll by hand", "fcontext": "jump_fcontext, one way",
            "c": "C alone"}
HUES = ["#d97706", "#0d9488", "#db2777", "#7c3aed", "#65a30d", "#dc2626", "#0891b2", "#a16207"]
UNITS = {"per_s": ("requests/s", "more is better"), "p99_us": ("p99, \u00b5s", "less is better"),
         "cpu_us": ("server CPU a request, \u00b5s", "less is better")}
WORK_UNITS = {"ns": ", ns", "us": ", \u00b5s", "bytes": ", bytes"}
STYLE = """text { font: 13px system-ui, sans-serif; fill: #1f2937 } .name-ours { font-weight: 600 }
.title { font-size: 16px; font-weight: 600 } .small { font-size: 11px; fill: #6b7280 }
.value { paint-order: stroke; stroke: #fff; stroke-width: 3 } .back { fill: #fff }
.grid { stroke: #e5e7eb } .whisker { stroke: #1f2937; stroke-width: 1.5 }
.ours { fill: #2563eb; stroke: #2563eb } .yardstick { fill: #6b7280; stroke: #6b7280 }
.peer { fill: #b6bfcc } polyline { fill: none !important; stroke-width: 1.8 }
polyline.ours { stroke-width: 3.5 } polyline.yardstick { stroke-dasharray: 6 4 }
@media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .small { fill: #9ca3af }
.value { stroke: #111827 } .back { fill: #111827 } .grid { stroke: #374151 }
.whisker { stroke: #f3f4f6 } .ours { fill: #3b82f6; stroke: #3b82f6 } .yardstick { fill: #8b95a5 }
.peer { fill: #4b5563 } }"""


def kind_of(key):
    return "ours" if key.startswith("bide") else "yardstick" if key in NAMES_OF else "peer"


def medians(figures):
    """Of those that were measured."""
    return {key: spread["median"] for key, spread in figures.items()
            if isinstance(spread, dict) and spread.get("median") is not None}


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def text(x, y, words, kind="", anchor="start"):
    place = f'x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"'
    return f"<text {place}>{html.escape(words)}</text>"


def line(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


class Scale:
    """From values to pixels: logarithmic where the most is FAR times the least."""

    def __init__(self, values, begin, end):
        least, most = min(values), max(values)
        self.begin, self.end, self.is_log = begin, end, 0 < least * FAR < most
        decade = 10.0 ** math.floor(math.log10(least if self.is_log else most or 1))
        if self.is_log:
            self.low, self.high = decade, most * 1.1
            self.ticks = [decade * 10 ** i for i in range(math.ceil(math.log10(most / decade)))]
        else:
            self.low, self.high = 0.0, (most or 1) * 1.05
            step = decade * next(part for part in (1, 0.5, 0.2) if self.high / decade >= 3 * part)
            self.ticks = [step * i for i in range(int(self.high / step) + 1)]

    def __call__(self, value):
        part = value / self.high
        if self.is_log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.begin + part * (self.end - self.begin)


def save(name, title, height, parts):
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
             f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
             f'<rect class="back" width="{WIDTH}" height="{height}" rx="8"/>',
             text(20, 30, title, "title"), *parts, "</svg>\n"]
    os.makedirs(sys.argv[2], exist_ok=True)
    with open(f"{sys.argv[2]}/{name.replace('/', '_')}.svg", "w", encoding="utf-8") as file:
        file.write("\n".join(parts))


def without_outlier(values):
    """Of bars: one that alone would make the scale logarithmic is cut instead."""
    rest = sorted(values)[:-1]
    is_far = len(rest) > 2 and max(values) > FAR * rest[0] and rest[-1] <= FAR * rest[0]
    return rest if is_far else values


def axis(scale, bottom):
    """Numbers below the lines of a scale, each n-th where there is no room for all."""
    words = {tick: short_number(tick) for tick in scale.ticks}
    apart = scale(scale.ticks[-1]) - scale(scale.ticks[-2]) if len(words) > 1 else WIDTH
    each = math.ceil((7 * max(map(len, words.values())) + 12) / apart)
    return [text(scale(tick), bottom + 16, words[tick], "small", "middle")
            for tick in scale.ticks[::each]]


def short_number(value):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.10g}{letter}"
    return f"{value:.10g}"


def draw_bars(name, title, names, panels):
    """names: {key: name}, the rows; panels: [(what, which way is better, {key: spread})]."""
    panels = [panel for panel in panels if len(medians(panel[2])) > 1]
    if not panels:
        return
    rows = [key for key in names if any(key in medians(panel[2]) for panel in panels)]
    first, sign = medians(panels[0][2]), -1 if panels[0][1].startswith("more") else 1
    rows.sort(key=lambda key: (key != "bide", key not in NAMES_OF, key not in first,
                               sign * first.get(key, 0)))
    width, bottom = (WIDTH - NAMES - 20) / len(panels), TOP + ROW * len(rows)
    parts = [text(NAMES - 8, TOP + ROW * i + 17, names[key], "name-" + kind_of(key), "end")
             for i, key in enumerate(rows)]
    for i, (what, hint, figures) in enumerate(panels):
        left = NAMES + width * i
        scale = Scale(without_outlier(medians(figures).values()), left, left + width - 76)
        parts += [text(left, TOP - 26, what),
                  text(left, TOP - 10, hint + ", log scale" * scale.is_log, "small"),
                  *(line("grid", scale(tick), TOP, scale(tick), bottom) for tick in scale.ticks),
                  *axis(scale, bottom)]
        for j, key in enumerate(rows):
            y = TOP + ROW * j
            if key not in medians(figures):
                parts.append(text(left + 4, y + 17, "\u2013", "small"))
                continue
            least, median, most = (figures[key][word] for word in ("min", "median", "max"))
            end, cut = min(scale(median), left + width - 70), min(scale(most), left + width - 66)
            is_cut = scale(median) > end
            parts += [f'<rect class="{kind_of(key)}" x="{left:.1f}" y="{y + 4}" rx="2" '
                      f'width="{max(end - left, 1):.1f}" height="{ROW - 8}"/>',
                      f'<rect class="back" x="{end - 14:.1f}" y="{y}" width="4" height="{ROW}"/>'
                      if is_cut else line("whisker", scale(least), y + ROW / 2, cut, y + ROW / 2),
                      text(max(end, cut) + 5, y + 17, number(median), "small value")]
    save(name, title, bottom + 32, parts)


def draw_lines(name, title, what, names, lines):  # lines: {key: {x: spread}}
    lines = {key: medians(points) for key, points in lines.items() if len(medians(points)) > 1}
    places = sorted({x for points in lines.values() for x in points})
    if len(places) < 3:
        return
    left, right, bottom, hues, labels = 80, WIDTH - 210, 400, iter(HUES * 4), []
    at = {x: left + (right - left) * i / (len(places) - 1) for i, x in enumerate(places)}
    scale = Scale([y for points in lines.values() for y in points.values()], bottom, TOP)
    parts = [text(20, 52, what + ", log scale" * scale.is_log, "small")]
    for tick in scale.ticks:
        parts += [line("grid", left, scale(tick), right, scale(tick)),
                  text(left - 8, scale(tick) + 4, f"{tick:,.10g}", "small", "end")]
    parts += [text(at[x], bottom + 20, f"{x:,}", "small", "middle") for x in places]
    for key in sorted(lines, key=lambda key: key == "bide"):  # ours last, so on top
        kind, points = kind_of(key), sorted(lines[key].items())
        hue = next(hues) if kind == "peer" else ""
        style = f'style="stroke: {hue}; fill: {hue}"' if hue else f'class="{kind}"'
        dots = " ".join(f"{at[x]:.1f},{scale(y):.1f}" for x, y in points)
        parts += [f'<polyline points="{dots}" {style}/>']
        labels.append([scale(points[-1][1]), key, style])
    labels.sort()
    for above, label in zip(labels, labels[1:]):
        label[0] = max(label[0], above[0] + 18)
    for y, key, style in labels:
        y -= max(0, labels[-1][0] - bottom)
        parts += [f'<rect x="{right + 12}" y="{y - 5:.1f}" width="12" height="10" {style}/>',
                  text(right + 30, y + 4, names.get(key, key), "name-" + kind_of(key))]
    save(name, title, bottom + 40, parts)


def chart_servers(name, records):
    """A series of contests: each record is one server in one of them."""
    names = {record["server"]: record["name"] for record in records}
    places = sorted({record["connections"] for record in records})
    shown, title = 100 if 100 in places else places[0], records[0]["title"]
    there = [record for record in records if record["connections"] == shown]
    bars = {figure: {record["server"]: record.get(figure) for record in there}
            for figure in (*UNITS, "idle_bytes")}
    draw_bars(name, f"{title}, {shown} connections", names,
              [(*unit, bars[figure]) for figure, unit in UNITS.items()])
    draw_bars(name + "_idle", "Memory of an idle connection", names,
              [("bytes", "less is better", bars["idle_bytes"])])
    for figure, unit in UNITS.items():
        lines = {key: {record["connections"]: record.get(figure) for record in records
                       if record["server"] == key} for key in names}
        draw_lines(f"{name}_{figure}", title, ", ".join(unit) + ", by connections", names, lines)


def chart_peers(record):
    """<work>_<unit> is ours, <work>_<peer>_<unit> each other one's."""
    bench, others = record["bench"], ["fcontext", *record["peers"]]
    names = {**NAMES_OF, **{key: name or key for key, name in record["peers"].items()}}
    works = [(*key.rsplit("_", 1), key) for key in record
             if "_" in key and f"_{others[-1]}_".join(key.rsplit("_", 1)) in record]
    draw_bars(bench, record.get("title", bench), names, [
        (work.replace("_", " ") + WORK_UNITS.get(unit, " " + unit), "less is better",
         {"bide": record[ours], **{key: record.get(f"{work}_{key}_{unit}") for key in others}})
        for work, unit, ours in works[:3]])


def chart_among(record):
    """As in chart_peers, of works that differ in a number of tasks alone: yield_100_ns, by it."""
    bench, names, lines = record["bench"], {**NAMES_OF}, {}
    for key in record:
        if found := re.fullmatch(r"(\w+)_(\d+)_to_(\w+)", key):
            work, tasks, peer = found[1], int(found[2]), found[3]
            if peer not in record["peers"]:
                continue
            names[peer] = record["peers"][peer] or peer
            lines.setdefault("bide", {})[tasks] = record[f"{work}_{tasks}_ns"]
            lines.setdefault("fcontext", {})[tasks] = record.get("fcontext_ns")
            lines.setdefault(peer, {})[tasks] = record[f"{work}_{tasks}_{peer}_ns"]
    what = "ns, by the number of ready tasks, less is better"
    draw_lines(f"{bench}_peers", record["title"], what, names, lines)


def chart_fresh(record):
    """<figure>_<unit> is ours, <figure>_<peer>_<unit> each other one's."""
    units = {"s": "s", "bytes": "bytes each", "cpu_s": "CPU seconds"}
    words = {"tasks": "tasks that sleep", "callbacks": "timers, no tasks"}
    bench, title, panels = record["bench"], record["title"], {}
    names = {**NAMES_OF, **{key: name or key for key, name in record["peers"].items()}}
    count = record.get("tasks", record.get("timers", 0))
    for key, figure in record.items():
        found = re.fullmatch(r"([a-z]+)_(s|bytes|cpu_s)", key)
        if found and isinstance(figure, dict):
            what, unit = found.groups()
            panels[what] = (f"{words.get(what, what)}, {units[unit]}", "less is better", {
                **{peer: record.get(f"{what}_{peer}_{unit}") for peer in names}, "bide": figure})
    if "callbacks" in panels:  # which has contenders of its own
        for what, panel in panels.items():
            draw_bars(f"{bench}_{what}", f"{title}, {count:,.0f}", names, [panel])
    else:
        draw_bars(bench, f"{title}, {count:,.0f}", names, list(panels.values()))


def chart_numbers(record):
    """Figures whose keys differ in a number alone, as in yield_100_ns; a lone name is ours."""
    bench, charts = record["bench"], {}
    by = f", by {record['by']}" if "by" in record else ""
    for key, figure in record.items():
        if found := re.fullmatch(r"(\w+?)_(\d+)_(ns|per_s|cpu_us|p99_us)", key):
            charts.setdefault(found[3], {}).setdefault(found[1], {})[int(found[2])] = figure
    for unit, lines in charts.items():
        lines = lines if len(lines) > 1 else {"bide": lines.popitem()[1]}
        what = ", ".join(UNITS.get(unit, (unit, "less is better"))) + by
        draw_lines(f"{bench}_{unit}", record.get("title", bench), what, NAMES_OF, lines)


CHARTS = {"sched/yield": chart_among, "sched/sleep": chart_fresh,
          "sched/timers_second": chart_fresh}


def main():
    series = {}
    for record in json.load(open(sys.argv[1], encoding="utf-8"))["figures"]:
        if "server" in record:
            series.setdefault(f"{record['bench']}_{record['series']}", []).append(record)
        else:
            chart = chart_peers if "peers" in record else chart_numbers
            CHARTS.get(record["bench"], chart)(record)
    for name, records in series.items():
        chart_servers(name, records)


main()
