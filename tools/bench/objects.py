# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How long many Gateway API objects take to load, and a change of one of them to be in the maps."""
import json
import os
import signal
import statistics
import subprocess
import time

from hosts import Failure, Program, inside

PORT = 8020
STARTS, CHANGES = 3, 15
GATEWAY = """apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  gatewayClassName: any
  listeners:
  - {name: tls, port: %d, protocol: TLS, tls: {mode: Passthrough}}
"""
ROUTE = """---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: r%(i)d}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [h%(i)d.example.com]
  rules: [{backendRefs: [{name: s%(i)d, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: s%(i)d}
spec: {ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s%(i)d-1, labels: {kubernetes.io/service-name: s%(i)d}}
addressType: IPv4
ports: [{port: 8443}]
endpoints:
"""


def manifests(routes, backends):
    """The objects' text; each route has endpoints of its own, in 10.0.0.0/8."""
    parts = [GATEWAY % PORT]
    for i in range(routes):
        parts.append(ROUTE % {"i": i})
        parts += [f"- addresses: [10.{n >> 16 & 127}.{n >> 8 & 255}.{n & 255}]\n"
                  for n in range(i * backends, (i + 1) * backends)]
    return "".join(parts)


class Objects:
    def __init__(self, net, folder, build, routes, backends):
        self.net, self.build, self.routes, self.backends = net, build, routes, backends
        self.file = os.path.join(folder, "objects.yaml")
        self.log = os.path.join(folder, "objects.log")
        self.instance = f"{net.router}-objects"
        self.text = manifests(routes, backends)

    def write(self, text):
        with open(self.file, "w", encoding="ascii") as file:
            file.write(text)

    def wait_for(self, program, word, already=0):
        """The daemon's next line with @word."""
        deadline = time.monotonic() + 60
        while True:
            with open(self.log, errors="replace") as log:
                if log.read().count(word) > already:
                    return
            if program.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"thruwayd does not say '{word}'\n{program.tail()}")
            time.sleep(0.0005)

    def cli(self, *words):
        done = subprocess.run([*inside(self.net.router), f"{self.build}/thruway", "--instance", self.instance,
                               *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Failure(f"thruway {' '.join(words)}: {done.stdout.decode().strip()}")
        return done.stdout.decode()

    def start(self):
        begin = time.monotonic()
        program = Program(self.net.router, [f"{self.build}/thruwayd", "-c", self.file, "--instance",
                                            self.instance], self.log)
        self.wait_for(program, "ready")
        return program, time.monotonic() - begin

    def stop(self, program):
        program.stop()
        self.cli("down")

    def change(self, program, number):
        """Another endpoint for a route in the middle; seconds until the daemon has done it."""
        address = f"10.200.0.{number + 1}"
        middle = self.backends * (self.routes // 2)
        old = f"- addresses: [10.{middle >> 16 & 127}.{middle >> 8 & 255}.{middle & 255}]\n"
        self.write(self.text.replace(old, f"- addresses: [{address}]\n"))
        begin = time.monotonic()
        program.process.send_signal(signal.SIGHUP)
        self.wait_for(program, "reloaded", number)
        took = time.monotonic() - begin
        if not any(b["address"] == f"{address}:8443" for b in json.loads(self.cli("-j", "backend", "show"))):
            raise Failure(f"{address} is not in the maps after 'reloaded'")
        return took

    def measure(self):
        """Medians in seconds, and the daemon's memory in bytes."""
        self.write(self.text)
        starts = []
        for i in range(STARTS):
            program, took = self.start()
            try:
                starts.append(took)
                if i == STARTS - 1:
                    changes = [self.change(program, n) for n in range(CHANGES)]
                    with open(f"/proc/{program.process.pid}/status", encoding="ascii") as status:
                        rss = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS"))
            finally:
                self.stop(program)
        return {"routes": self.routes, "backends": self.backends, "load_s": statistics.median(starts),
                "change_s": statistics.median(changes), "change_max_s": max(changes), "rss_bytes": rss}
