# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""CPU time and memory, read from /proc. What each number means is told in README.md."""
import glob
import os

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = 1 / os.sysconf("SC_CLK_TCK")


def processes():
    """(pid, parent, session, CPU seconds with those of its reaped children) of each process."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # after the name: 0 state, 1 parent, 2 group, 3 session, 11-14 utime stime cutime cstime
        yield int(pid), int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])) * TICK


def machine_busy():
    """Seconds that the processors were not idle (nor taken by a hypervisor), all added up."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) * TICK


class Cpu:
    """A look at the clocks; the difference of two says who used what in between."""

    def __init__(self, router_session, server_session):
        self.busy = machine_busy()
        self.router = self.server = self.foreign = 0.0
        for pid, parent, session, seconds in processes():
            if session == router_session and session:
                self.router += seconds
            elif session == server_session:
                self.server += seconds
            elif pid not in (2, os.getpid()) and parent not in (2, os.getpid()):
                self.foreign += seconds  # neither ours nor a kernel thread

    def since(self, before, client_seconds):
        foreign = max(0.0, self.foreign - before.foreign)
        machine = self.busy - before.busy - foreign
        server = self.server - before.server
        return {"cpu_router_s": self.router - before.router,
                "cpu_rest_s": max(0.0, machine - client_seconds - server),
                "cpu_machine_s": machine, "cpu_foreign_s": foreign}


def shrink_slabs():
    """Have the kernel give back the free objects that it keeps for later, so that both are exact:
    the count of those in use (on-CPU free ones count as used) and the memory that is available."""
    for shrink in glob.glob("/sys/kernel/slab/*/shrink"):
        try:
            with open(shrink, "w") as order:
                order.write("1")
        except OSError:
            pass  # a cache that went away


def slab_bytes():
    """Kernel objects in use, by size; without those that reading /proc itself makes."""
    with open("/proc/slabinfo") as info:
        rows = [line.split() for line in info.readlines()[2:]]
    return sum(int(row[1]) * int(row[3]) for row in rows if row[0] != "proc_inode_cache")


def available_bytes():
    """MemAvailable, with the free pages on the processors' own lists, which it does not count."""
    with open("/proc/meminfo") as info:
        available = next(int(line.split()[1]) * 1024 for line in info if line.startswith("MemAvailable:"))
    with open("/proc/zoneinfo") as info:
        return available + sum(int(line.split()[1]) for line in info if "count:" in line) * PAGE


def process_bytes(router_session):
    """(PSS, RSS) of the processes of a session."""
    pss = rss = 0
    for pid, _, session, _ in processes():
        if not router_session or session != router_session:
            continue
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            values = {words[0]: int(words[1]) for words in map(str.split, rollup) if words[-1] == "kB"}
        pss += values["Pss:"] * 1024
        rss += values["Rss:"] * 1024
    return pss, rss


class Memory:
    def __init__(self, router_session):
        self.pss, self.rss = process_bytes(router_session)
        self.slab = slab_bytes()
        self.available = available_bytes()

    def since(self, before, pairs):
        """Bytes per pair, not yet less plain forwarding's."""
        return {"pss": (self.pss - before.pss) / pairs, "rss": (self.rss - before.rss) / pairs,
                "slab": (self.slab - before.slab) / pairs,
                "machine": (before.available - self.available) / pairs}
