# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The daemon under test and what looks at it: the CLI with -j, and bpftool on the pinned maps."""
import itertools
import json
import os
import shutil
import signal
import subprocess

from hosts import PREFIX, eventually

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
THRUWAYD, THRUWAY = f"{BUILD}/thruwayd", f"{BUILD}/thruway"
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
REASONS = ("unknown_name", "no_sni", "not_tls", "malformed", "too_big", "hello_timeout", "hello_closed",
           "refused_name", "no_backend", "backend_failed", "client_gone", "aborted", "limit", "internal")
INSTANCES = itertools.count(1)


def route(names, *backends, **more):
    """One route of a configuration. A backend: "ADDRESS:PORT" or (that, weight)."""
    pairs = [b if isinstance(b, tuple) else (b, 1) for b in backends]
    listed = [{"address": address, "weight": weight} for address, weight in pairs]
    made = {"hostnames": [names] if isinstance(names, str) else list(names), **more}
    return {**made, "backends": listed} if listed else made


def configuration(routes, listeners=None, **top):
    """A configuration as a dict; JSON is YAML."""
    return {"listeners": listeners or [{"name": "tls", "port": 443}], "routes": routes, **top}


class Thruwayd:
    """One instance: its file, its process, its pins; everything goes with close()."""

    def __init__(self, hosts, folder, config, args=()):
        self.hosts, self.folder, self.args = hosts, folder, args
        self.instance = f"{PREFIX}{os.getpid()}i{next(INSTANCES)}"
        self.pins, self.run_dir = f"/sys/fs/bpf/{self.instance}", f"/run/{self.instance}"
        self.file = f"{folder}/{self.instance}.yaml"
        self.log = f"{folder}/{self.instance}.log"
        self.process = None
        self.write(config)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def write(self, config):
        text = config if isinstance(config, str) else json.dumps(config, indent=1)
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)
        return self

    def start(self, wait=True, argv=()):
        command = [*argv, THRUWAYD, "-c", self.file, "--instance", self.instance, *self.args]
        after = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.process = self.hosts.router.start(*command, log=self.log)
        if wait:
            self.process.wait_for(r"\bready\b", after=after)
        return self

    @property
    def pid(self):
        return self.process.pid

    def term(self):
        """SIGTERM; the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait()

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    def hangup(self, config=None, wait_for=None):
        """SIGHUP, after writing a new configuration; wait for a line of the log."""
        if config is not None:
            self.write(config)
        after = self.process.mark()
        self.process.signal(signal.SIGHUP)
        if wait_for:
            self.process.wait_for(wait_for, after=after)

    def stand_still(self):
        """SIGSTOP, when it has taken effect."""
        self.process.signal(signal.SIGSTOP)
        tasks = f"/proc/{self.pid}/task"
        eventually(lambda: all(open(f"{tasks}/{task}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] == "T"
                               for task in os.listdir(tasks)), what="all threads stopped")

    def leave_descriptors(self, n):
        """It may open n more files than it has open now."""
        most = len(os.listdir(f"/proc/{self.pid}/fd")) + n
        subprocess.run(["prlimit", f"--pid={self.pid}", f"--nofile={most}:"], check=True)

    def cli(self, *args, check=True, argv=(), **kwargs):
        return self.hosts.router.run(*argv, THRUWAY, "--instance", self.instance, *args,
                                     check=check, **kwargs)

    def json(self, *args, **kwargs):
        return json.loads(self.cli("-j", *args, **kwargs).stdout)

    def routes(self):
        return {r["name"]: r for r in self.json("route", "show")}

    def listeners(self):
        return {r["name"]: r for r in self.json("listener", "show")}

    def backends(self):
        return {b["address"]: b for b in self.json("backend", "show")}

    def connections(self):
        return self.json("conn", "show")

    def stats(self):
        return self.json("stats")

    def refusals(self):
        return self.stats()["totals"]["refusals"]

    def ejected(self):
        """How many connections left the socket path, by why."""
        return {why: n for why, n in self.stats()["socket_path"]["ejected"].items() if n}

    def bpftool(self, verb, name, *args):
        done = subprocess.run([BPFTOOL, "-j", "map", verb, "pinned", f"{self.pins}/{name}", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120)
        assert done.returncode == 0, f"bpftool {verb} {name}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def lookup(self, name, number):
        """The BTF-typed value of an array's entry, by bpftool."""
        key = [f"0x{byte:02x}" for byte in int(number).to_bytes(4, "little")]
        found = self.bpftool("lookup", name, "key", *key)
        return found["formatted"]["value"]

    def dump(self, name):
        """[(key, value)] of a map, BTF-typed, by bpftool."""
        return [(e["formatted"]["key"], e["formatted"]["value"])
                for e in self.bpftool("dump", name) if "formatted" in e]

    def pinned_refusals(self, listener="tls", number=None):
        number = number or self.listeners()[listener]["id"]
        return self.lookup("tw_listener_stats", number)["refused"]

    def settle(self, **counts):
        """Wait until the totals of `stats` have these values (active=0, connections=7 ..)."""
        eventually(lambda: counts.items() <= self.stats()["totals"].items(), what=f"totals {counts}")

    def close(self):
        if self.process:
            self.process.stop()
        for path in (self.pins, self.run_dir):
            shutil.rmtree(path, ignore_errors=True)
