# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Three hosts in network namespaces joined by veth, and the processes that run in them.

    client 10.77.1.2 ---- 10.77.1.1 router 10.77.2.1 ---- 10.77.2.2 .. 10.77.2.9 server
      fd77:1::2              fd77:1::1     fd77:2::1          fd77:2::2 .. fd77:2::9

Names carry the pid of the test run: what a run left that was killed is removed by the next one.
Processes are entered with nsenter (not ip netns exec, which hides /sys/fs/bpf), die with the test
run, and are ended by their pid. Sockets of the test itself are made inside a namespace by
Host.socket(), so that scripted clients and servers need no processes of their own.
"""
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from raw import Conn, Listener

NETNS = "/run/netns"
PREFIX = "twn"
CLIENT4 = "10.77.1.2"
ROUTER4, ROUTER6 = "10.77.1.1", "fd77:1::1"
CLIENT_NET = "10.77.100"
SERVERS = range(2, 10)
SILENT4 = "10.77.2.200"  # in the servers' net, but nobody has it
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def server4(n):
    return f"10.77.2.{n}"


def server6(n):
    return f"fd77:2::{n}"


def eventually(claim, seconds=10, what="it"):
    """Wait until claim() is true and return its value; an assertion that looks again."""
    end = time.monotonic() + seconds
    while True:
        value = claim()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s (last: {value!r})"
        time.sleep(0.02)


def setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A program that runs while a test does; its output (both streams) goes to a file."""

    def __init__(self, argv, log, **kwargs):
        self.argv, self.log = argv, str(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT,
                                          stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                                          preexec_fn=die_with_parent, **kwargs)
        self.pid = self.popen.pid

    def output(self, after=0):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            file.seek(after)
            return file.read()

    def mark(self):
        """A position in the output, for wait_for(after=...)."""
        return os.path.getsize(self.log)

    def wait_for(self, pattern, seconds=15, after=0):
        """Wait for a line of output; fails at once when the program ends without it."""
        def seen():
            match = re.search(pattern, self.output(after), re.M)
            assert match or self.popen.poll() is None, \
                f"{self.argv[-3:]} ended ({self.popen.returncode}) without {pattern!r}:\n{self.output()}"
            return match
        return eventually(seen, seconds, f"{pattern!r} in {self.log}")

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=15):
        return self.popen.wait(seconds)

    def stop(self):
        """End it now, whatever it does."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^VmRSS:\s+(\d+)", file.read(), re.M).group(1)) * 1024


class Host:
    """One network namespace."""

    def __init__(self, name):
        self.name, self.path = name, f"{NETNS}/{name}"

    def argv(self, *command):
        return ["nsenter", f"--net={self.path}", "--", *map(str, command)]

    def run(self, *command, check=True, timeout=60, **kwargs):
        """Run to the end; both outputs as text."""
        kwargs.setdefault("stdin", subprocess.DEVNULL) if "input" not in kwargs else None
        done = subprocess.run(self.argv(*command), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=timeout, check=False, **kwargs)
        assert not check or done.returncode == 0, \
            f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def start(self, *command, log, **kwargs):
        return Process(self.argv(*command), log, **kwargs)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, proto=0):
        """A socket of this process that lives in this namespace."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(self.path, "rb") as there:
            setns(there.fileno())
            try:
                return socket.socket(family, kind, proto)
            finally:
                setns(home.fileno())

    def connect(self, address, port=443, source=None):
        """An open connection from this host, as a raw.Conn."""
        sock = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        if source:
            sock.bind((source, 0))
        sock.settimeout(20)
        sock.connect((address, port))
        return Conn(sock)

    def listen(self, address, port=8443):
        """A listening socket on this host, as a raw.Listener."""
        sock = self.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(4096)
        return Listener(sock)


def ip(*args):
    subprocess.run(["ip", *map(str, args)], check=True, stdin=subprocess.DEVNULL)


def remove_leftovers():
    """What test runs left that were killed: namespaces, pins, control sockets."""
    for folder in (NETNS, "/sys/fs/bpf", "/run"):
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            match = re.fullmatch(PREFIX + r"(\d+)([crs]|i\d+)", name)
            if not match or os.path.exists(f"/proc/{match.group(1)}"):
                continue
            if folder == NETNS:
                ip("netns", "del", name)
            else:
                shutil.rmtree(f"{folder}/{name}", ignore_errors=True)


class Hosts:
    """client, router and server, up and joined."""

    def __init__(self):
        remove_leftovers()
        names = [f"{PREFIX}{os.getpid()}{letter}" for letter in "crs"]
        self.client, self.router, self.server = self.all = [Host(name) for name in names]
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self):
        for host in self.all:
            ip("netns", "add", host.name)
            ip("-n", host.name, "link", "set", "lo", "up")
            # Thousands of connections a second from one address: ports come back soon enough.
            for key, value in (("net.ipv4.ip_local_port_range", "2048 65000"),
                               ("net.ipv4.tcp_max_syn_backlog", "8192"),
                               ("net.core.somaxconn", "8192")):
                host.run("sysctl", "-qw", f"{key}={value}")
        self.router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for left, right, net, lasts in ((self.client, self.router, 1, [2]),
                                        (self.server, self.router, 2, SERVERS)):
            device = f"to{net}"
            ip("link", "add", "eth0", "netns", left.name, "type", "veth",
               "peer", "name", device, "netns", right.name)
            for last in lasts:
                ip("-n", left.name, "addr", "add", f"10.77.{net}.{last}/24", "dev", "eth0")
                ip("-n", left.name, "addr", "add", f"fd77:{net}::{last}/64", "dev", "eth0", "nodad")
            ip("-n", right.name, "addr", "add", f"10.77.{net}.1/24", "dev", device)
            ip("-n", right.name, "addr", "add", f"fd77:{net}::1/64", "dev", device, "nodad")
            ip("-n", left.name, "link", "set", "eth0", "up")
            ip("-n", right.name, "link", "set", device, "up")
            ip("-n", left.name, "route", "add", "default", "via", f"10.77.{net}.1")
            ip("-n", left.name, "-6", "route", "add", "default", "via", f"fd77:{net}::1")
        # A whole net of further client addresses, to be used as connect(source=...).
        ip("-n", self.client.name, "route", "add", "local", f"{CLIENT_NET}.0/24", "dev", "lo")
        ip("-n", self.router.name, "route", "add", f"{CLIENT_NET}.0/24", "via", CLIENT4)

    def close(self):
        for host in self.all:
            if os.path.exists(host.path):
                ip("netns", "del", host.name)
