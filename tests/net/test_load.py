# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many connections, many bytes, slow and hostile clients, and changes while all that runs."""
import collections
import contextlib
import hashlib
import os
import random
import threading
import time

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually, server4
from raw import TAG_BYTES, backend_of, conn_tag
from thruway import configuration, route

NAME = "app.example.com"
PORT = 9300
MIB = 1 << 20


def pattern(seed):
    """A MiB of bytes that repeats nowhere near the size of a buffer."""
    return random.Random(seed).randbytes(MIB)


class Sender(threading.Thread):
    """Sends n MiB and counts them; .digest is of what it sent."""

    def __init__(self, conn, mib, seed):
        super().__init__(daemon=True)
        self.conn, self.mib, self.block = conn, mib, pattern(seed)
        self.sent, self.digest, self.error = 0, hashlib.sha256(), None
        self.start()

    def run(self):
        self.conn.sock.settimeout(None)  # a stalled reader may take its time
        try:
            for _ in range(self.mib):
                view = memoryview(self.block)
                while view:
                    n = self.conn.sock.send(view)
                    self.sent += n
                    view = view[n:]
                self.digest.update(self.block)
            self.conn.fin()
        except OSError as error:
            self.error = error


class Receiver(threading.Thread):
    """Reads to EOF; .digest is of what it got."""

    def __init__(self, conn):
        super().__init__(daemon=True)
        self.conn, self.got, self.digest, self.error = conn, 0, hashlib.sha256(), None
        self.start()

    def run(self):
        try:
            while data := self.conn.sock.recv(1 << 18):
                self.got += len(data)
                self.digest.update(data)
        except OSError as error:
            self.error = error


@contextlib.contextmanager
def joined(hosts, n=1, name=NAME, address=server4(2)):
    """n connections whose backend end is this test: [(client, backend)]."""
    pairs, data = [], hello(name)
    with hosts.server.listen(address, PORT) as listener:
        for _ in range(n):
            client = hosts.client.connect(ROUTER4).send(data)
            backend = listener.accept()
            assert backend.read(len(data)) == data
            pairs.append((client, backend))
        yield pairs
    for pair in pairs:
        for conn in pair:
            conn.close()


def test_100_mb_each_way_stay_whole_while_routes_change_and_sighups_arrive(hosts, run, echo):
    mine = route(NAME, f"{server4(2)}:{PORT}")
    other = echo(3, "other", port=PORT).text()
    daemon = run([mine])
    with joined(hosts) as [(client, backend)]:
        up, down = Sender(client, 100, 1), Sender(backend, 100, 2)
        at_backend, at_client = Receiver(backend), Receiver(client)
        threads, rounds = (up, down, at_backend, at_client), 0
        while rounds < 8 or any(t.is_alive() for t in threads):
            rounds += 1
            # The transfer's own route changes its backends, goes away and comes back.
            routes = [[mine], [route(NAME, other)], [route("x.example.com", other)]][rounds % 3]
            daemon.hangup(configuration(routes), r"\breloaded\b")
            daemon.cli("route", "add", f"n{rounds}.example.com", other)
            if rounds > 3:
                daemon.cli("route", "del", f"n{rounds - 3}.example.com")
            assert rounds < 2000
        for thread in threads:
            thread.join(60)
        assert [t.error for t in threads] == [None] * 4
        assert (at_backend.got, at_client.got) == (100 * MIB, 100 * MIB)
        assert at_backend.digest.digest() == up.digest.digest()
        assert at_client.digest.digest() == down.digest.digest()
    daemon.settle(active=0, refused=0)


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) * 1024


def until_stalled(senders):
    """Wait until no sender gets rid of a byte for a second."""
    before = None
    deadline = time.monotonic() + 60
    while before != (now := [s.sent for s in senders]):
        assert time.monotonic() < deadline, "the senders never stall: somebody buffers without a limit"
        before = now
        time.sleep(1)
    return sum(now)


@pytest.mark.parametrize("stalled", ["client", "backend"])
def test_a_stalled_reader_holds_its_sender_back_and_gets_every_byte_later(hosts, run, stalled):
    n, mib = 4, 100
    daemon = run([route(NAME, f"{server4(2)}:{PORT}")])
    with joined(hosts, n) as pairs:
        ends = [(b, c) if stalled == "client" else (c, b) for c, b in pairs]
        rss, available = daemon.process.rss_bytes(), available_bytes()
        senders = [Sender(source, mib, i) for i, (source, _) in enumerate(ends)]
        in_flight = until_stalled(senders)
        # What four sockets hold in their buffers, far from the 400 MiB that wait to be sent.
        assert in_flight < n * 40 * MIB, in_flight
        assert daemon.process.rss_bytes() - rss < 8 * MIB
        # The machine is not ours alone: one calm look is enough.
        eventually(lambda: available - available_bytes() < n * 40 * MIB + 64 * MIB, 30,
                   "memory that is not used up")
        # An open connection next to the stalled ones is not held up.
        assert len(daemon.connections()) == n
        receivers = [Receiver(sink) for _, sink in ends]
        for sender, receiver in zip(senders, receivers):
            sender.join(60)
            receiver.join(60)
            assert (sender.error, receiver.error) == (None, None)
            assert (receiver.got, receiver.digest.digest()) == (mib * MIB, sender.digest.digest())


def test_2000_connections_at_a_time_are_all_served(hosts, run, echo):
    backend = echo(2, "echo")
    daemon = run([route(NAME, backend.text())])
    data, clients = hello(NAME), []
    for _ in range(2000):
        clients.append(hosts.client.connect(ROUTER4).send(data))
    for client in clients:
        assert conn_tag(client) == "echo"
        assert client.read(len(data)) == data
    daemon.settle(active=2000, connections=2000, waiting=0)
    assert len(daemon.connections()) == 2000
    for number, client in enumerate(clients):
        client.send(b"%08d" % number)
    for number, client in enumerate(clients):
        assert client.read(8) == b"%08d" % number
    for client in clients:
        client.fin()
    for client in clients:
        assert client.ending() == ("fin", b"")
        client.close()
    daemon.settle(active=0, refused=0, bytes_to_backend=2000 * (len(data) + 8),
                  bytes_to_client=2000 * (TAG_BYTES + len(data) + 8))


def test_an_idle_connection_costs_the_daemon_less_than_a_kib(hosts, run, echo):
    daemon = run([route(NAME, echo(2, "echo").text())])
    data = hello(NAME)

    def opened(n):
        made = [hosts.client.connect(ROUTER4).send(data) for _ in range(n)]
        for client in made:
            client.read(TAG_BYTES + len(data))
        return made

    clients = opened(200)  # what the first ones cost once stays out of the measure
    before = daemon.process.rss_bytes()
    clients += opened(2000)
    assert daemon.process.rss_bytes() - before < 2000 * 1024
    for client in clients:
        client.close()
    daemon.settle(active=0)


def test_3000_half_hellos_do_not_keep_a_good_client_waiting(hosts, run, echo):
    daemon = run([route(NAME, echo(2, "echo").text())],
                 [{"name": "tls", "port": 443, "timeouts": {"hello": "30s"}}])
    data = hello(NAME, post_quantum=True, name_last=True)
    assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "echo"
    rss = daemon.process.rss_bytes()
    half = [hosts.client.connect(ROUTER4).send(data[:n % 1200]) for n in range(3000)]
    daemon.settle(waiting=3000)
    took = []
    for round_ in range(20):
        for conn in half[round_::20]:  # and each goes on a little
            conn.send(b"\0" if round_ % 2 else data[-1:])
        start = time.monotonic()
        assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "echo"
        took.append(time.monotonic() - start)
    assert sorted(took)[len(took) // 2] < 0.5, took
    assert daemon.process.rss_bytes() - rss < 3000 * 1024, "a waiting client has no buffer of its own"
    for conn in half:
        conn.close()
    daemon.settle(waiting=0, active=0)


def test_3000_half_hellos_are_reset_when_their_time_is_over(hosts, run, echo):
    daemon = run([route(NAME, echo(2, "echo").text())],
                 [{"name": "tls", "port": 443, "timeouts": {"hello": "4s"}}])
    half = [hosts.client.connect(ROUTER4).send(hello(NAME)[:50]) for _ in range(3000)]
    assert {conn.ending() for conn in half} == {("rst", b"")}
    daemon.settle(waiting=0)
    assert daemon.refusals()["hello_timeout"] == 3000
    assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "echo"


class Load:
    """Threads that open connections to one name all the time and count who served them."""

    def __init__(self, hosts, name, threads=3):
        self.hosts, self.hello, self.stop = hosts, hello(name), threading.Event()
        self.seen, self.lock = collections.Counter(), threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stop.is_set():
            try:
                tag = backend_of(self.hosts.client, ROUTER4, self.hello)
            except (OSError, AssertionError) as error:
                tag = repr(error)
            with self.lock:
                self.seen[tag] += 1

    def total(self):
        with self.lock:
            return sum(self.seen.values())

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return dict(self.seen)


def test_a_route_added_or_removed_under_load_takes_effect_on_the_next_connection(hosts, run, echo):
    steady, new = echo(2, "steady"), echo(3, "new")
    daemon = run([route("steady.example.com", steady.text())])
    load = Load(hosts, "steady.example.com")
    held_hello = hello("steady.example.com")
    held = hosts.client.connect(ROUTER4).send(held_hello)
    held.read(TAG_BYTES + len(held_hello))
    ask = lambda: backend_of(hosts.client, ROUTER4, hello(NAME))
    for _ in range(30):
        assert ask() == "rst"
        daemon.cli("route", "add", NAME, new.text())
        assert ask() == "new"
        kept = hosts.client.connect(ROUTER4).send(hello(NAME))
        assert conn_tag(kept) == "new"
        daemon.cli("route", "del", NAME)
        assert ask() == "rst"
        kept.read(len(hello(NAME)))
        kept.send(b"goes on")
        assert kept.read(7) == b"goes on"
        kept.close()
    eventually(lambda: load.total() > 100)
    seen = load.end()
    assert set(seen) == {"steady"}, seen
    held.send(b"untouched")
    assert held.read(9) == b"untouched"
    held.close()


def test_a_route_that_changes_backends_under_load_never_misses(hosts, run, echo):
    """Each connection sees the old route or the new one: none is refused, none goes elsewhere."""
    one, two = echo(2, "one"), echo(3, "two")
    other = echo(4, "wrong")
    base = [route(f"n{i}.example.com", other.text()) for i in range(50)]
    daemon = run([*base, route(NAME, one.text())])
    load = Load(hosts, NAME)
    for turn in range(30):
        backends = [[one], [two], [one, two]][turn % 3]
        daemon.hangup(configuration([*base, route(NAME, *(b.text() for b in backends))]), r"\breloaded\b")
    eventually(lambda: load.total() > 100)
    assert set(load.end()) <= {"one", "two"}
    daemon.settle(refused=0, active=0)


def test_the_daemon_holds_no_more_descriptors_after_the_load_than_before(hosts, run, echo):
    daemon = run([route(NAME, echo(2, "echo").text())])
    assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "echo"
    daemon.settle(active=0)
    count = lambda: len(os.listdir(f"/proc/{daemon.pid}/fd"))
    before = count()
    for n in range(600):
        with hosts.client.connect(ROUTER4) as client:
            kind = n % 4
            client.send(hello(NAME if kind else "other.example.com")[:None if kind < 3 else 50])
            if kind == 1:
                client.rst()
    daemon.settle(active=0, waiting=0)
    # Spare pipes may be kept, but a bounded number of them.
    eventually(lambda: count() - before <= 40, what=f"back to {before} descriptors")
