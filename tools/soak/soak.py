#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Churn for a long time, and then nothing may be left: `make soak` (SECONDS=3600).

Short connections, round trips and bulk run side by side through one daemon, with a pool and without, over the
socket path; meanwhile the configuration is loaded again. Each round the daemon's memory, files and entries in the
maps are printed, when nothing is open. It fails if a byte was wrong, a counter does not add up, or something has
grown from the second round to the last.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))

# pylint: disable=wrong-import-position
from hosts import PREFIX, ROUTER_OUT, SERVER, Failure, Hosts, Program, inside  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
PORT, SERVER_PORT = 8011, 8443
ROUND_SECONDS = 20
LOADS = (["conn", "--connections", "32", "--hello", "517"], ["conn", "--connections", "16", "--hello", "1800"],
         ["pingpong", "--connections", "64"], ["bulk-down", "--connections", "4"], ["bulk-up", "--connections", "4"])
GROWTH = 1.2  # what may be noise
SLACK_KIB = 4096


class Soak:
    def __init__(self, net, folder):
        self.net, self.folder = net, folder
        self.instance = f"{PREFIX}{os.getpid()}-soak"
        self.config = os.path.join(folder, "soak.yaml")
        self.daemon = None

    def write(self, pool):
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump({"listeners": [{"name": "tls", "address": ROUTER_OUT, "port": PORT}],
                       "routes": [{"hostnames": ["app.example.com"],
                                   "backends": [{"address": f"{SERVER}:{SERVER_PORT}", "pool": pool}]}]}, file)

    def cli(self, *words):
        done = subprocess.run([*inside(self.net.router), f"{BUILD}/thruway", "--instance", self.instance, "-j", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
        if done.returncode:
            raise Failure(f"thruway {' '.join(words)}: {done.stdout.decode()}{done.stderr.decode()}")
        return json.loads(done.stdout)

    def reload(self, pool):
        self.write(pool)
        os.kill(self.daemon.process.pid, signal.SIGHUP)

    def start(self):
        self.write(0)
        self.daemon = Program(self.net.router, [f"{BUILD}/thruwayd", "-c", self.config, "--instance", self.instance],
                              os.path.join(self.folder, "daemon.log"))
        self.daemon.wait_listening(PORT)

    def load(self, words, seconds):
        return subprocess.Popen([*inside(self.net.client), f"{BUILD}/load", *words, "--address", ROUTER_OUT, "--port",
                                 str(PORT), "--seconds", str(seconds), "--verify-all"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def churn(self, number):
        """All loads at once; pools come and go."""
        clients = [self.load(words, ROUND_SECONDS) for words in LOADS]
        deadline = time.monotonic() + ROUND_SECONDS
        turn = 0
        while time.monotonic() < deadline:
            time.sleep(2)
            turn += 1
            self.reload((0, 16, 4, 64)[(turn + number) % 4])
        done = 0
        for words, client in zip(LOADS, clients):
            out, errors = client.communicate(timeout=60)
            if client.returncode:
                raise Failure(f"{' '.join(words)}: {errors.decode()}{out.decode()}")
            done += json.loads(out).get("done", 0)
        self.reload(0)
        return done

    def settle(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            totals = self.cli("stats")["totals"]
            if not totals["active"] and not totals["waiting"]:
                return totals
            time.sleep(0.1)
        raise Failure(f"connections stay: {totals}")

    def state(self):
        pid = self.daemon.process.pid
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        pairs = json.loads(subprocess.run(["bpftool", "-j", "map", "dump", "pinned",
                                           f"/sys/fs/bpf/{self.instance}/tw_pairs"], stdout=subprocess.PIPE,
                                          check=True).stdout)
        states = [pair["formatted"]["value"]["state"] for pair in pairs]
        return {"rss_kib": rss, "files": len(os.listdir(f"/proc/{pid}/fd")), "pairs": states}

    def round(self, number):
        done = self.churn(number)
        totals = self.settle()
        refused = sum(totals["refusals"].values())
        if totals["accepted"] != totals["connections"] + refused:
            raise Failure(f"accepted {totals['accepted']} is not connections {totals['connections']} + {refused}")
        deadline = time.monotonic() + 10
        while (state := self.state())["pairs"] and time.monotonic() < deadline:
            time.sleep(0.1)
        path = self.cli("stats")["socket_path"]
        print(f"round {number}: {done:,} done, {totals['connections']:,} connections, {refused} refused; "
              f"{path['joined']:,} joined, {path['pool_hits']:,} pooled, ejected {path['ejected']}, "
              f"dropped {path['dropped']}; {state}", flush=True)
        if state["pairs"] or path["backlog_bytes"]:
            raise Failure(f"left behind: pairs in states {state['pairs']}, {path['backlog_bytes']} bytes of backlog")
        return state

    def stop(self):
        if self.daemon:
            self.daemon.stop()
        subprocess.run([*inside(self.net.router), f"{BUILD}/thruway", "--instance", self.instance, "down"],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def run(seconds):
    with Hosts() as net, tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        server = Program(net.server, [f"{BUILD}/load", "server", "--address", SERVER, "--port", str(SERVER_PORT)],
                         os.path.join(folder, "server.log"))
        soak = Soak(net, folder)
        try:
            server.wait_listening(SERVER_PORT)
            soak.start()
            deadline, number, first = time.monotonic() + seconds, 0, None
            while number < 3 or time.monotonic() < deadline:
                number += 1
                state = soak.round(number)
                first = state if number == 2 else first
            for what, slack in (("rss_kib", SLACK_KIB), ("files", 8)):
                if state[what] > first[what] * GROWTH + slack:
                    raise Failure(f"{what} has grown from {first[what]} to {state[what]}")
        finally:
            soak.stop()
            server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=3600)
    try:
        run(parser.parse_args().seconds)
    except Failure as failure:
        print(f"soak: {failure}", file=sys.stderr)
        return 1
    print("soak: nothing was lost, and nothing stayed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
