# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Results as tables (text, Markdown), as tab-separated values and as plots (gnuplot)."""
import os
import platform
import subprocess
import time

BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"
REFERENCE = "none"
FOREIGN_SHARE = 0.05  # of the machine used by others: more spoils a sample


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    return {"kernel": platform.release(), "cores": os.cpu_count(), "processor": model,
            "date": time.strftime("%Y-%m-%d")}


def digits(value):
    """Digits behind the point so that about three are significant."""
    return 0 if value >= 100 else 1 if value >= 10 else 2


def number(value):
    return f"{value:,.{digits(abs(value))}f}"


def best_peer(results, measure):
    """The median of the best of the routers that are to be beaten; None = none was measured."""
    peers = [c["key"] for c in results["contenders"] if c["is_peer"]]
    values = [row["value"] for key, row in results["medians"][measure].items() if key in peers]
    return max(values, default=None)


def ratio(value, base):
    return f"{value / base:.2f}" if base else "–"


# --- tables: (title, heads, rows of text) --------------------------------------------------------


def summary_table(results):
    """What everybody looks at first: medians, and in brackets their share of plain forwarding."""
    heads = [""] + [f"{m['key']} {m['unit']}" for m in results["measures"]]
    rows = []
    for contender in results["contenders"]:
        row = [contender["label"]]
        for measure in results["measures"]:
            medians = results["medians"][measure["key"]]
            mine, plain = medians.get(contender["key"]), medians.get(REFERENCE)
            row.append(f"{number(mine['value'])} ({ratio(mine['value'], plain and plain['value'])})"
                       if mine else "–")
        rows.append(row)
    return "summary: medians (and × plain forwarding)", heads, rows


def measure_table(results, measure):
    """One kind of traffic: rate, ratios, latency where there is one, CPU."""
    medians = results["medians"][measure["key"]]
    plain, peer = medians.get(REFERENCE), best_peer(results, measure["key"])
    is_bulk = measure["key"] in ("down", "up")
    heads = ["", measure["unit"], "lowest – highest", "× plain", "× best of nginx, HAProxy"]
    heads += [] if is_bulk else ["p50 µs", "p99 µs"]
    heads += [f"{what} CPU {'s/GB' if is_bulk else 'µs each'}" for what in ("router", "machine", "added")]
    rows = []
    for contender in results["contenders"]:
        row = medians.get(contender["key"])
        if not row:
            continue
        cells = [contender["label"], number(row["value"]), f"{number(row['min'])} – {number(row['max'])}",
                 ratio(row["value"], plain and plain["value"]), ratio(row["value"], peer)]
        cells += [] if is_bulk else [number(row["p50"]), number(row["p99"])]
        rows.append(cells + cpu_cells(row, plain, is_bulk))
    return f"{measure['key']}: {measure['label']}", heads, rows


def cpu_cells(row, plain, is_bulk):
    """The router's processes; the machine less client and server; what is added to plain's."""
    values = [row["cpu_router"], row["cpu_rest"]] + ([row["cpu_machine"] - plain["cpu_machine"]] if plain else [])
    cells = [f"{value:.3f}" if is_bulk else f"{value * 1000:.1f}" for value in values]
    return cells if plain else cells + ["–"]


def idle_table(results):
    idle = results["idle_bytes_per_pair"]
    plain = idle.get(REFERENCE)
    heads = ["", "router's processes, PSS", "RSS", "kernel objects", "whole machine"]
    rows = []
    for contender in results["contenders"]:
        row = idle.get(contender["key"])
        if not row:
            continue
        base = plain if plain and contender["key"] != REFERENCE else {"slab": 0, "machine": 0}
        rows.append([contender["label"], f"{row['pss']:,.0f}", f"{row['rss']:,.0f}",
                     f"{row['slab'] - base['slab']:,.0f}", f"{row['machine'] - base['machine']:,.0f}"])
    title = f"bytes per idle pair, {results['options']['idle']:,} held"
    return title, heads, rows


def objects_table(results):
    o = results["objects"]
    heads = ["", "start to ready, s", "SIGHUP to in the maps, ms", "slowest, ms", "daemon's memory, MiB"]
    row = ["read and resolved", f"{o['load_s']:.2f}", f"{o['change_s'] * 1e3:.1f}", f"{o['change_max_s'] * 1e3:.1f}",
           f"{o['rss_bytes'] / 2**20:,.0f}"]
    return f"{o['routes']:,} TLSRoutes with {o['backends']} endpoints each, and a change of one", heads, [row]


def tables(results):
    if results["measures"]:
        yield summary_table(results)
    for measure in results["measures"]:
        yield measure_table(results, measure)
    if results["idle_bytes_per_pair"]:
        yield idle_table(results)
    if results["objects"]:
        yield objects_table(results)


def conditions(results):
    m, o = results["machine"], results["options"]
    spoiled = sum(s["foreign_share"] > FOREIGN_SHARE for s in results["samples"])
    text = (f"{m['date']}, Linux {m['kernel']}, {m['cores']} cores ({m['processor']}); {o['rounds']} alternating "
            f"rounds of {o['seconds']:g} s, medians; the run took {results['took_seconds'] / 60:.1f} minutes. "
            f"Before it the machine was {results['busy_before']:.0%} busy; ")
    if spoiled:
        return text + (f"in {spoiled} of {len(results['samples'])} samples others used more than "
                       f"{FOREIGN_SHARE:.0%} of it: do not conclude from this run.")
    return text + f"in no sample did others use more than {FOREIGN_SHARE:.0%} of it."


def text(results):
    """For a terminal: columns aligned."""
    out = [conditions(results)]
    for title, heads, rows in tables(results):
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        out += ["", f"== {title}"]
        for row in [heads, *rows]:
            out.append("  ".join([row[0].ljust(widths[0])] +
                                 [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]).rstrip())
    return "\n".join(out)


def markdown(results):
    out = [conditions(results), "", "![rates relative to plain IP forwarding](benchmark/rates.svg)"]
    for title, heads, rows in tables(results):
        out += ["", f"### {title[0].upper()}{title[1:]}", "", "| " + " | ".join(heads) + " |",
                "| --- |" + " ---: |" * (len(heads) - 1)]
        out += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(out)


# --- files ---------------------------------------------------------------------------------------


def write(results, out):
    """Write all below @out; returns the paths. Of benchmark.md only the part between the marks."""
    folder = os.path.join(out, "benchmark")
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(out, "benchmark.md"), os.path.join(folder, "samples.tsv"),
             os.path.join(folder, "idle.tsv"), os.path.join(folder, "rates.svg")]
    write_markdown(results, paths[0])
    write_samples(results, paths[1])
    write_idle(results, paths[2])
    plot_rates(results, paths[3])
    return paths


def write_markdown(results, path):
    before, after = "# Benchmark\n\n", "\n"
    if os.path.exists(path):
        with open(path) as old:
            whole = old.read()
        if BEGIN in whole and END in whole:
            before, after = whole.split(BEGIN)[0], whole.split(END)[1]
    with open(path, "w") as new:
        new.write(f"{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}")


def write_samples(results, path):
    keys = ["round", "measure", "contender", "value", "unit", "p50", "p99", "max", "per", "cpu_router_s",
            "cpu_rest_s", "cpu_machine_s", "foreign_share"]
    with open(path, "w") as tsv:
        tsv.write("\t".join(keys) + "\n")
        for sample in results["samples"]:
            cells = (sample[key] for key in keys)
            tsv.write("\t".join(f"{c:.6g}" if isinstance(c, float) else str(c) for c in cells) + "\n")


def write_idle(results, path):
    with open(path, "w") as tsv:
        tsv.write("contender\tpss\trss\tslab\tmachine\n")
        for key, row in results["idle_bytes_per_pair"].items():
            tsv.write("\t".join([key] + [f"{row[c]:.0f}" for c in ("pss", "rss", "slab", "machine")]) + "\n")


def plot_rates(results, path):
    """A group of bars for each measure, a bar for each contender; plain forwarding is 1."""
    contenders = [c for c in results["contenders"] if c["key"] != REFERENCE]
    lines = ["\t".join(["measure"] + [c["label"] for c in contenders])]
    for measure in results["measures"]:
        medians = results["medians"][measure["key"]]
        plain = medians.get(REFERENCE, {}).get("value")
        cells = [f"{medians[c['key']]['value'] / plain:.4f}" if plain and c["key"] in medians else "NaN"
                 for c in contenders]
        lines.append("\t".join([measure["key"]] + cells))
    data = "\n".join(lines)
    script = f"""set terminal svg size 1000,460 font "sans,12" background "white"
set output "{path}"
set datafile separator "\\t"
set title "Rates relative to plain IP forwarding (higher is better)"
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.85 border -1
set boxwidth 0.9
set yrange [0:1 < *]
set grid ytics
set key below
set arrow from graph 0, first 1 to graph 1, first 1 nohead dashtype 2
$rates << EOD
{data}
EOD
plot for [i=2:{len(contenders) + 1}] $rates using i:xtic(1) title columnheader(i)
"""
    subprocess.run(["gnuplot"], input=script.encode(), check=True)
