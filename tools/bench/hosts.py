# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Three hosts in network namespaces, client - router - server, and the programs that run on them.

Everything made here is known by name or process id and removed by it. A run that was killed leaves
namespaces named after its process id; the next run removes them.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

PREFIX = "twb"
CLIENT, ROUTER_OUT = "10.77.1.2", "10.77.1.1"  # the client's network
SERVER, ROUTER_IN = "10.77.2.2", "10.77.2.1"  # the server's network
LOCAL = "127.0.0.1"
START_SECONDS = 15


class Failure(Exception):
    """Something that should run does not; text for the user."""


def ip(*words):
    done = subprocess.run(["ip", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise Failure(f"ip {' '.join(words)}: {done.stdout.decode().strip()}")
    return done.stdout.decode()


def remove_leftovers():
    """What runs that are no more left: processes in their namespaces, these, folders and pins."""
    for pattern in (f"/run/netns/{PREFIX}*", f"{tempfile.gettempdir()}/{PREFIX}*", f"/sys/fs/bpf/{PREFIX}*"):
        for path in glob.glob(pattern):
            name = os.path.basename(path)
            owner = re.fullmatch(PREFIX + r"(\d+)([crs]|-.*)", name)
            if not owner or os.path.exists(f"/proc/{owner.group(1)}"):
                continue
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
                continue
            for pid in ip("netns", "pids", name).split():
                os.kill(int(pid), signal.SIGKILL)
            ip("netns", "del", name)


class Hosts:
    """with Hosts() as hosts: ... – the namespaces exist, are joined and route."""

    def __init__(self):
        self.client, self.router, self.server = (f"{PREFIX}{os.getpid()}{c}" for c in "crs")

    def __enter__(self):
        remove_leftovers()
        try:
            for name in (self.client, self.router, self.server):
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            self._join(self.client, CLIENT, "client0", ROUTER_OUT)
            self._join(self.server, SERVER, "server0", ROUTER_IN)
            self._sysctl(self.router, "net.ipv4.ip_forward", "1")
            for name in (self.client, self.router):
                # Those who connect need ports enough; listeners here are below 10000.
                self._sysctl(name, "net.ipv4.ip_local_port_range", "10000 65535")
                self._sysctl(name, "net.ipv4.tcp_tw_reuse", "1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in (self.client, self.router, self.server):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)

    def _join(self, host, address, device, gateway):
        ip("link", "add", "eth0", "netns", host, "type", "veth", "peer", "name", device, "netns", self.router)
        for name, dev, addr in ((host, "eth0", address), (self.router, device, gateway)):
            ip("-n", name, "addr", "add", f"{addr}/24", "dev", dev)
            ip("-n", name, "link", "set", dev, "up")
        ip("-n", host, "route", "add", "default", "via", gateway)

    def _sysctl(self, host, key, value):
        done = subprocess.run([*inside(host), "sysctl", "-q", "-w", f"{key}={value}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise Failure(f"sysctl {key}={value}: {done.stdout.decode().strip()}")


def inside(host):
    """Words that run a command on a host. Not `ip netns exec`: that hides /sys/fs/bpf."""
    return ["nsenter", f"--net=/run/netns/{host}", "--"]


class Program:
    """A program on a host, in a session of its own, with its output in a file."""

    def __init__(self, host, words, log):
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen([*inside(host), *words], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def wait_listening(self, port):
        deadline = time.monotonic() + START_SECONDS
        while not self._listens(port):
            if self.process.poll() is not None:
                raise Failure(f"it ended at once with status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise Failure(f"it does not listen on port {port} after {START_SECONDS} s")
            time.sleep(0.02)

    def _listens(self, port):
        try:
            lines = [line for name in ("tcp", "tcp6")
                     for line in open(f"/proc/{self.process.pid}/net/{name}").readlines()[1:]]
        except FileNotFoundError:
            return False
        # columns: sl, local address, remote address, state (0A: LISTEN)
        return any(f[1].endswith(f":{port:04X}") and f[3] == "0A" for f in map(str.split, lines))

    def tail(self, lines=20):
        with open(self.log, errors="replace") as log:
            return "".join(f"    {line}" for line in log.readlines()[-lines:])

    def stop(self):
        for sig, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.process.pid, sig)
                self.process.wait(seconds)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
        self.process.poll()
