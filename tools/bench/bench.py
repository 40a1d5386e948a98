#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Measure thruway against nginx, HAProxy, sniproxy and plain IP forwarding (see README.md).

Root, Linux, nothing else running. Progress goes to stderr, tables (or --json) to stdout; a complete
run also writes docs/benchmark.md and docs/benchmark/. Exit 1 when a contender failed to serve.
"""
import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import meters
import report
from contenders import FILES, SERVER_PORT, all_contenders
from hosts import LOCAL, PREFIX, SERVER, Failure, Hosts, Program, inside
from objects import Objects

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
WARM_UP_SECONDS = 0.3
REPEATS = 2  # of a sample that others disturbed; a quarter of all samples in all
SETTLED_BYTES, SETTLE_SECONDS = 64 << 10, 5


class Measure:
    """One kind of traffic. value(result) is what is compared; per(result): what CPU is divided by."""

    def __init__(self, key, label, unit, words, value, per):
        self.key, self.label, self.unit, self.words = key, label, unit, words
        self.value, self.per = value, per


def gbit(result):
    return result["bytes_per_second"] * 8 / 1e9


def gigabytes(result):
    return result["bytes"] / 1e9


def rate(result):
    return result["per_second"]


def thousands(result):
    return result["done"] / 1e3


MEASURES = [
    Measure("down", "bulk down, 8 flows", "Gbit/s", ["bulk-down", "--connections", "8"], gbit, gigabytes),
    Measure("up", "bulk up, 8 flows", "Gbit/s", ["bulk-up", "--connections", "8"], gbit, gigabytes),
    Measure("rr1", "64 bytes there and back, 1 connection", "round trips/s",
            ["pingpong", "--connections", "1"], rate, thousands),
    Measure("rr16", "64 bytes there and back, 16 connections", "round trips/s",
            ["pingpong", "--connections", "16"], rate, thousands),
    Measure("conn517", "new connections, hello of 517 bytes", "connections/s",
            ["conn", "--connections", "64", "--hello", "517"], rate, thousands),
    Measure("conn1", "new connections one after the other, hello of 517 bytes", "connections/s",
            ["conn", "--connections", "1", "--hello", "517"], rate, thousands),
    Measure("conn1800", "new connections, hello of 1,800 bytes", "connections/s",
            ["conn", "--connections", "64", "--hello", "1800"], rate, thousands),
]
IDLE = "idle"
OBJECTS = "objects"
ROUTES, BACKENDS = 10000, 5


def settle():
    """Wait until the kernel has freed what it frees with delay: sockets, by RCU."""
    last, deadline = 0, time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        meters.shrink_slabs()
        now = meters.slab_bytes()
        if abs(now - last) < SETTLED_BYTES:
            return
        last = now
        time.sleep(0.3)


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, options, net, folder):
        self.options, self.net, self.folder = options, net, folder
        self.load = os.path.join(BUILD, "load")
        self.servers = {}  # by whether they are on the router's host
        self.contenders = [c for c in all_contenders() if c.key in options.contenders]
        self.started = list(self.contenders)
        self.measures = [m for m in MEASURES if m.key in options.only]
        self.samples = []  # one dict for each measurement
        self.idle = {}  # key -> bytes per pair
        self.objects = None  # what objects.py measured
        self.failed = {}  # key -> why
        self.busy_before = 0.0
        self.repeats_left = len(self.contenders) * len(self.measures) * options.rounds // 4

    def client_words(self, contender, words):
        return [*inside(self.net.router if contender.is_local else self.net.client), self.load, *words, "--address", contender.address,
                "--port", str(contender.port)]

    def fail(self, contender, what):
        """Tell, and go on without it: the run then ends with status 1."""
        self.failed[contender.key] = what
        self.contenders.remove(contender)
        say(f"FAILED {contender.label}: {what}")

    def each(self, what, action):
        """action(contender) for each; those for which it fails leave the run."""
        for contender in list(self.contenders):
            try:
                action(contender)
            except (Failure, OSError, subprocess.TimeoutExpired) as failure:
                self.fail(contender, f"{what}: {failure}\n{contender.tail()}".rstrip())

    # --- the life of a run -----------------------------------------------------------------------

    def run(self):
        for host, address, is_local in ((self.net.server, SERVER, False), (self.net.router, LOCAL, True)):
            self.servers[is_local] = Program(host, [self.load, "server", "--address", address, "--port",
                                                    str(SERVER_PORT)],
                                             os.path.join(self.folder, f"server-{address}.log"))
        try:
            for server in self.servers.values():
                try:
                    server.wait_listening(SERVER_PORT)
                except Failure as failure:
                    raise Failure(f"load server: {failure}\n{server.tail()}") from None
            self.each("start", lambda c: c.start(self.net, self.folder))
            self.each("first connection", lambda c: self.client(c, ["pingpong"], WARM_UP_SECONDS))
            self.look_around()
            if OBJECTS in self.options.only:
                self.measure_objects()
            if IDLE in self.options.only:
                # First of all: later, processes would reuse what earlier traffic made them allocate.
                self.each("idle connections", self.measure_idle)
            self.each("warm-up, every byte compared", self.warm_up)
            for number in range(1, self.options.rounds + 1):
                for measure in self.measures:
                    self.each(measure.label, lambda c: self.measure(number, measure, c))
        finally:
            for contender in self.started:
                contender.stop()
            for server in self.servers.values():
                server.stop()

    def look_around(self):
        """How busy the machine is while it should be idle."""
        before, start = meters.machine_busy(), time.monotonic()
        time.sleep(1)
        self.busy_before = (meters.machine_busy() - before) / (time.monotonic() - start) / os.cpu_count()
        if self.busy_before > report.FOREIGN_SHARE:
            say(f"warning: the machine is {self.busy_before:.0%} busy with other things; "
                "do not conclude from this run")

    def warm_up(self, contender):
        for measure in self.measures:
            self.client(contender, [*measure.words, "--verify-all"], WARM_UP_SECONDS)
        say(f"warm-up {contender.label}: every byte right")

    # --- one measurement ---------------------------------------------------------------------

    def client(self, contender, words, seconds):
        """Run the load client; its result, with the CPU seconds that it used itself."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(self.client_words(contender, [*words, "--seconds", str(seconds)]),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=seconds + 30, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise Failure(f"{' '.join(words)}: {done.stderr.decode().strip()} {done.stdout.decode().strip()}")
        result = json.loads(done.stdout)
        result["cpu_client_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return result

    def clocks(self, contender):
        return meters.Cpu(contender.session(), self.servers[contender.is_local].process.pid)

    def measure(self, number, measure, contender):
        """Take a sample; again, while that is within the budget, if others disturbed it."""
        sample = self.sample(number, measure, contender)
        for _ in range(REPEATS):
            if sample["foreign_share"] <= report.FOREIGN_SHARE or not self.repeats_left:
                break
            self.repeats_left -= 1
            again = self.sample(number, measure, contender)
            sample = min(sample, again, key=lambda s: s["foreign_share"])
        self.samples.append(sample)

    def sample(self, number, measure, contender):
        before, start = self.clocks(contender), time.monotonic()
        result = self.client(contender, measure.words, self.options.seconds)
        cpu = self.clocks(contender).since(before, result["cpu_client_s"])
        foreign = cpu["cpu_foreign_s"] / (time.monotonic() - start) / os.cpu_count()
        value = measure.value(result)
        say(f"round {number}/{self.options.rounds}  {measure.label:40} {contender.label:26} "
            f"{report.number(value):>9} {measure.unit}"
            f"{f'  ({foreign:.0%} of the machine used by others)' if foreign > report.FOREIGN_SHARE else ''}")
        return {"round": number, "measure": measure.key, "contender": contender.key, "value": value,
                "unit": measure.unit, "foreign_share": foreign, "per": measure.per(result), **cpu,
                **result["latency_us"]}

    def measure_idle(self, contender):
        pairs = self.options.idle
        settle()
        before = meters.Memory(contender.session())
        client = subprocess.Popen(self.client_words(contender, ["idle", "--connections", str(pairs)]),
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            held = client.stdout.readline()
            if held:
                settle()
                self.idle[contender.key] = meters.Memory(contender.session()).since(before, pairs)
            _, errors = client.communicate(timeout=60)
        finally:
            client.kill()
            client.wait()
        if not held or client.returncode:
            raise Failure(f"{pairs:,} idle connections: {errors.decode().strip()}")
        say(f"idle     {pairs:,} connections held, then used    {contender.label}")

    def measure_objects(self):
        objects = Objects(self.net, self.folder, BUILD, ROUTES, BACKENDS).measure()
        self.objects = objects
        say(f"objects  {ROUTES:,} TLSRoutes with {BACKENDS} endpoints each: started in {objects['load_s']:.2f} s, "
            f"one changed in {objects['change_s'] * 1e3:.1f} ms")

    # --- results --------------------------------------------------------------------------------

    def results(self):
        """All that the report needs, as plain data (what --json prints)."""
        return {
            "machine": report.machine(), "options": vars(self.options), "busy_before": self.busy_before,
            "measures": [{"key": m.key, "label": m.label, "unit": m.unit} for m in self.measures],
            "contenders": [{"key": c.key, "label": c.label, "is_peer": c.is_peer} for c in self.contenders],
            "samples": self.samples, "medians": self.medians(), "idle_bytes_per_pair": self.idle,
            "objects": self.objects, "failed": self.failed,
        }

    def medians(self):
        """measure -> contender -> medians over the rounds, and the spread of the value."""
        all_of = {}
        for measure in self.measures:
            of = all_of[measure.key] = {}
            for contender in self.contenders:
                mine = [s for s in self.samples
                        if (s["measure"], s["contender"]) == (measure.key, contender.key)]
                if mine:
                    of[contender.key] = median_of(mine)
        return all_of


def median_of(samples):
    def median(value):
        return statistics.median(map(value, samples))

    values = [s["value"] for s in samples]
    row = {key: median(lambda s: s[key]) for key in ("value", "p50", "p99")}
    row["min"], row["max"] = min(values), max(values)
    for key in ("router", "rest", "machine"):  # seconds a GB, or microseconds a connection
        row[f"cpu_{key}"] = median(lambda s: s[f"cpu_{key}_s"] / s["per"])
    return row


def stop_on_signal(number, _frame):
    raise SystemExit(128 + number)


def chosen(words, known):
    """The values of a comma-separated option; argparse tells which are known."""
    keys = words.split(",")
    unknown = [k for k in keys if k not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"'{unknown[0]}' is none of {', '.join(known)}")
    return keys


def options_from(arguments):
    measures = [m.key for m in MEASURES] + [IDLE, OBJECTS]
    contenders = [c.key for c in all_contenders()]
    parser = argparse.ArgumentParser(prog="bench.py", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short samples, under 3 minutes")
    parser.add_argument("--only", type=lambda w: chosen(w, measures), default=measures, metavar="MEASURE,..",
                        help=", ".join(measures))
    parser.add_argument("--contenders", type=lambda w: chosen(w, contenders), default=contenders,
                        metavar="KEY,..", help=", ".join(contenders))
    parser.add_argument("--rounds", type=int, default=3, help="medians are of so many (default 3)")
    parser.add_argument("--seconds", type=float, help="length of a sample (default 3; quick 0.5)")
    parser.add_argument("--idle", type=int, help="idle connections held (default 4000; quick 1000)")
    parser.add_argument("--out", help="write benchmark.md and benchmark/ there, also from a partial run")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON")
    options = parser.parse_args(arguments)
    options.seconds = options.seconds or (0.5 if options.quick else 3)
    options.idle = options.idle or (1000 if options.quick else 4000)
    idle_max = FILES // 4
    if not (1 <= options.rounds <= 99 and 0.1 <= options.seconds <= 600 and 1 <= options.idle <= idle_max):
        parser.error(f"--rounds is 1..99, --seconds 0.1..600, --idle 1..{idle_max} (a quarter of ulimit -n)")
    is_whole = not options.quick and options.only == measures and options.contenders == contenders
    if is_whole and not options.out:
        options.out = os.path.join(ROOT, "docs")
    return options


def main(arguments):
    options = options_from(arguments)
    if os.geteuid() != 0:
        sys.exit("bench: needs root: it makes network namespaces")
    if not os.path.exists(os.path.join(BUILD, "load")):
        sys.exit(f"bench: {BUILD}/load is not built: `make bench` does, or say BUILD=its folder")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))  # all that is started inherits it
    signal.signal(signal.SIGTERM, stop_on_signal)
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder, Hosts() as net:
            os.chmod(folder, 0o755)  # workers that gave up root look into it
            bench = Bench(options, net, folder)
            bench.run()
    except KeyboardInterrupt:
        sys.exit("bench: interrupted; everything it made is removed")
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    results = bench.results()
    results["took_seconds"] = time.monotonic() - start
    print(json.dumps(results, indent=2) if options.json else report.text(results))
    for key, why in bench.failed.items():
        say(f"FAILED {key}: {why.splitlines()[0]} (its log: above)")
    if options.out and not bench.failed:
        say("written: " + ", ".join(report.write(results, options.out)))
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
