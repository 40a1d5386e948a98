# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The socket path: connections that are joined in the kernel, and what may go wrong there.

Each test stands for something that a sockmap does and a relay does not: a queue without a limit, ends that do not
cross a redirect, segments that nobody looks at, a socket that leaves while bytes are on their way."""
import hashlib
import os
import random
import socket
import struct
import threading
import time

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually, server4
from thruway import route

NAME = "app.example.com"
PORT = 9500
BIG = os.urandom(1 << 20)
MIB = 1 << 20


class Pair:
    """A client and a backend whose connection is joined."""

    def __init__(self, hosts, listener, daemon, is_joined=True):
        self.daemon, self.hello = daemon, hello(NAME)
        self.client = hosts.client.connect(ROUTER4).send(self.hello)
        self.backend = listener.accept()
        assert self.backend.read(len(self.hello)) == self.hello
        if not is_joined:
            return
        self.backend.send(b"flight")
        assert self.client.read(6) == b"flight"
        self.client.send(b"finished")
        assert self.backend.read(8) == b"finished"
        eventually(lambda: self.shown()["path"] == "socket", what="joined")

    def shown(self):
        port = self.client.sock.getsockname()[1]
        return next(c for c in self.daemon.connections() if c["client"].endswith(f":{port}"))

    def close(self):
        self.client.close()
        self.backend.close()


@pytest.fixture(name="listener")
def _listener(hosts):
    with hosts.server.listen(server4(2), PORT) as listener:
        yield listener


@pytest.fixture(name="daemon")
def _daemon(run, listener):
    del listener
    return run([route(NAME, f"{server4(2)}:{PORT}")])


@pytest.fixture(name="pair")
def _pair(hosts, daemon, listener):
    made = Pair(hosts, listener, daemon)
    yield made
    made.close()


def ejected(daemon):
    return {word: n for word, n in daemon.lookup("tw_socket", 0)["ejected"].items() if n}


def available():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))


def digest(sock, pause=lambda got: None):
    """Read to FIN: (bytes, hash)."""
    whole, got = hashlib.sha256(), 0
    while data := sock.recv(1 << 17):
        whole.update(data)
        got += len(data)
        pause(got)
    return got, whole.hexdigest()


def blast(sock, most):
    """Send until nothing more is taken for 2 s: (bytes, hash, how far MemAvailable fell)."""
    whole, sent, before = hashlib.sha256(), 0, available()
    low, block = before, random.Random(1).randbytes(MIB)
    sock.settimeout(2)
    while sent < most:
        try:
            n = sock.send(block)
        except TimeoutError:
            break
        whole.update(block[:n])
        sent += n
        low = min(low, available())
    return sent, whole.hexdigest(), before - low


@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_stalled_reader_stops_its_sender_and_costs_little_memory(pair, sender):
    from_, to = (pair.client, pair.backend) if sender == "client" else (pair.backend, pair.client)
    sent, whole, fell = blast(from_.sock, 2 << 30)
    assert sent < 100 * MIB, "the sender's window was never closed"
    assert fell < 64 * MIB, f"{fell >> 20} MiB of memory went into a queue"
    assert pair.shown()["left"] == "backlog" and ejected(pair.daemon) == {"backlog": 1}
    from_.sock.settimeout(30)
    from_.fin()
    assert digest(to.sock) == (sent, whole)
    eventually(lambda: pair.shown()["path"] == "relay")


def test_the_limit_over_all_connections_is_kept(hosts, run, listener):
    daemon = run([route(NAME, f"{server4(2)}:{PORT}")], redirect_per_connection="1GiB", redirect_total="1GiB")
    daemon.hangup({"listeners": [{"name": "tls", "port": 443}], "redirect_per_connection": "4MiB",
                   "redirect_total": "4MiB", "routes": [route(NAME, f"{server4(2)}:{PORT}")]}, wait_for="reload|load")
    pairs = [Pair(hosts, listener, daemon) for _ in range(4)]
    for pair in pairs:
        pair.client.sock.settimeout(0.5)
        try:
            for _ in range(3):  # beyond what TCP itself takes, below the limit of one
                pair.client.sock.sendall(BIG)
        except TimeoutError:
            pass
    eventually(lambda: ejected(daemon).get("total", 0) > 0)
    assert "backlog" not in ejected(daemon)
    for pair in pairs:
        pair.close()


@pytest.mark.parametrize("pause", ["often", "when the router has sent all"])
def test_20_mb_and_an_end_behind_them_reach_a_slow_reader(hosts, pair, pause):
    data = random.Random(2).randbytes(20 << 20)
    threading.Thread(target=lambda: pair.client.send(data).fin(), daemon=True).start()

    def often(got):
        if got % 7 == 0:
            time.sleep(0.01)

    seen = []

    def at_outq_0(_):
        """Nothing in the router's send queue is not nothing in the kernel's."""
        if len(seen) < 3:
            line = hosts.router.run("ss", "-tnH", "state", "established", "dport", str(PORT)).stdout.split()
            if line and line[1] == "0" and pair.daemon.lookup("tw_socket", 0)["backlog"]:
                seen.append(line)
                time.sleep(0.3)  # long enough for a router that takes this for the end

    assert digest(pair.backend.sock, often if pause == "often" else at_outq_0) == \
        (len(data), hashlib.sha256(data).hexdigest())


def test_an_end_without_bytes_does_not_harm_the_other_direction(pair):
    pair.client.fin()
    assert pair.backend.read_eof() == b""
    for _ in range(20):
        pair.backend.send(BIG)
        assert pair.client.read(len(BIG)) == BIG
    assert pair.shown()["state"] == "half-closed"
    pair.backend.fin()
    assert pair.client.ending() == ("fin", b"")
    pair.daemon.settle(active=0)


@pytest.mark.parametrize("who", ["client", "backend"])
def test_a_reset_behind_a_backlog_comes_after_its_bytes(pair, who):
    one, other = (pair.client, pair.backend) if who == "client" else (pair.backend, pair.client)
    data = random.Random(3).randbytes(3 * MIB)
    one.send(data)
    eventually(lambda: one.unsent() == 0)
    one.rst()
    assert other.ending() == ("rst", data)


def test_urgent_data_does_not_stall_the_stream(pair):
    pair.client.send(b"abc")
    pair.client.sock.send(b"U", socket.MSG_OOB)
    pair.client.send(b"def" + BIG).fin()
    assert pair.backend.read_eof() == b"abcUdef" + BIG
    assert ejected(pair.daemon) == {"urgent": 1}


def test_bulk_goes_to_splice_for_good(pair):
    total, block = 600 * MIB, random.Random(4).randbytes(MIB)

    def send():
        for _ in range(total // MIB):
            pair.client.send(block)
        pair.client.fin()

    threading.Thread(target=send, daemon=True).start()
    whole = hashlib.sha256()
    for _ in range(total // MIB):
        whole.update(block)
    assert digest(pair.backend.sock) == (total, whole.hexdigest())
    assert pair.shown()["left"] in ("bulk", "backlog") and pair.shown()["path"] == "relay"
    pair.backend.send(b"back")
    assert pair.client.read(4) == b"back"
    assert pair.shown()["path"] == "relay", "a connection that left never returns"


def test_a_connection_that_asks_once_stays_on_the_relay(hosts, run, echo):
    backend = echo(2, "one")
    daemon = run([route(NAME, backend.text())])
    for _ in range(20):
        with hosts.client.connect(ROUTER4) as client:
            client.send(hello(NAME)).fin()
            assert client.ending()[0] == "fin"
    daemon.settle(active=0, connections=20)
    assert daemon.stats()["socket_path"]["joined"] == 0


def test_a_quiet_connection_is_joined_after_a_moment(hosts, daemon, listener):
    """The backend speaks first, or nobody does."""
    pair = Pair(hosts, listener, daemon, is_joined=False)
    eventually(lambda: pair.shown()["path"] == "socket")
    pair.backend.send(BIG)
    assert pair.client.read(len(BIG)) == BIG
    pair.client.send(BIG)
    assert pair.backend.read(len(BIG)) == BIG
    pair.close()


def test_3000_connections_at_a_time_are_joined(hosts, daemon, listener):
    pairs = [Pair(hosts, listener, daemon, is_joined=False) for _ in range(3000)]
    eventually(lambda: daemon.stats()["socket_path"]["joined"] == 3000, seconds=30)
    for number, pair in enumerate(pairs):
        pair.client.send(b"%d" % number)
        pair.backend.send(b"%d!" % number)
    for number, pair in enumerate(pairs):
        assert pair.backend.read(len(b"%d" % number)) == b"%d" % number
        assert pair.client.read(len(b"%d!" % number)) == b"%d!" % number
        pair.close()
    daemon.settle(active=0, connections=3000)
    eventually(lambda: daemon.dump("tw_pairs") == [], seconds=30)


def test_nothing_stays_of_connections_that_ended(hosts, daemon, listener):
    for end in ("fin", "rst", "kill"):
        pairs = [Pair(hosts, listener, daemon) for _ in range(10)]
        assert len(daemon.dump("tw_pairs")) == 20
        for pair in pairs:
            if end == "kill":
                daemon.cli("conn", "kill", pair.shown()["id"])
            elif end == "rst":
                pair.client.rst()
        for pair in pairs:
            pair.close()
        daemon.settle(active=0)
        eventually(lambda: daemon.dump("tw_pairs") == [])
    assert daemon.lookup("tw_socket", 0)["backlog"] == 0


def test_bytes_move_both_ways_over_hundreds_of_stalls(hosts, run, listener):
    """Limits so low that connections leave in the midst of it."""
    daemon = run([route(NAME, f"{server4(2)}:{PORT}")], redirect_per_connection="128KiB")
    chance, stalls, results, threads = random.Random(5), [], [], []

    def write(sock, seed, out):
        rnd, whole, sent = random.Random(seed), hashlib.sha256(), 0
        block, total = rnd.randbytes(MIB), rnd.randint(4 * MIB, 24 * MIB)
        while sent < total:
            n = min(total - sent, rnd.randint(1, 1 << 18))
            start = rnd.randint(0, MIB - n)
            whole.update(block[start:start + n])
            sock.sendall(block[start:start + n])
            sent += n
        sock.shutdown(socket.SHUT_WR)
        out["sent"] = (sent, whole.hexdigest())

    def read(sock, seed, out):
        rnd = random.Random(seed)

        def stall(_):
            if rnd.random() < 0.2:
                stalls.append(1)
                time.sleep(rnd.random() * 0.05)

        out["got"] = digest(sock, stall)

    pairs = [Pair(hosts, listener, daemon) for _ in range(10)]
    for pair in pairs:
        for one, other in ((pair.client.sock, pair.backend.sock), (pair.backend.sock, pair.client.sock)):
            one.settimeout(60)
            results.append({})
            threads.append(threading.Thread(target=write, args=(one, chance.random(), results[-1]), daemon=True))
            threads.append(threading.Thread(target=read, args=(other, chance.random(), results[-1]), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert all(result.get("sent") == result["got"] for result in results)
    assert len(stalls) > 200 and ejected(daemon)["backlog"] > 0
    daemon.settle(active=0)
    for pair in pairs:
        pair.close()


def test_lost_packets_change_nothing(hosts, daemon, listener):
    """What is sent again may overlap what was redirected."""
    rules = "table inet loss {{\n chain in {{\n type filter hook input priority 0\n {} numgen random mod 100 < 3 drop\n}}\n}}"
    for host, ports in ((hosts.client, "tcp sport 443"), (hosts.server, f"tcp dport {PORT}")):
        host.run("nft", "-f", "-", input=rules.format(ports))
    try:
        pairs = [Pair(hosts, listener, daemon) for _ in range(6)]
        data = random.Random(6).randbytes(2 * MIB)
        whole, got = (len(data), hashlib.sha256(data).hexdigest()), []
        threads = []
        for pair in pairs:
            for one, other in ((pair.client, pair.backend), (pair.backend, pair.client)):
                one.sock.settimeout(60)
                threads.append(threading.Thread(target=lambda one=one: one.send(data).fin(), daemon=True))
                threads.append(threading.Thread(target=lambda other=other: got.append(digest(other.sock)),
                                                daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert got == [whole] * 12
    finally:
        for host in (hosts.client, hosts.server):
            host.run("nft", "delete", "table", "inet", "loss")
    daemon.settle(active=0)


TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21  # linux/tcp.h


def sequences(sock):
    """The next sequence numbers that the socket would send and receive."""
    numbers = []
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    for queue in (2, 1):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
        numbers.append(sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)
    return numbers


def forge(host, conn, seq, ack, data):
    """A segment of the connection's own client, with any numbers."""
    (src, sport), (dst, dport) = conn.sock.getsockname()[:2], conn.sock.getpeername()[:2]
    header = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack, 5 << 4, 0x18, 500, 0, 0)
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, 6, len(header) + len(data))
    padded = pseudo + header + data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:16] + struct.pack("!H", ~total & 0xFFFF) + header[18:]
    with host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(header + data, (dst, 0))


@pytest.mark.parametrize("overlap", [1, 500, 1000])
def test_a_segment_that_overlaps_what_was_redirected_gives_each_byte_once(hosts, pair, overlap):
    data = random.Random(7).randbytes(1200)
    seq, ack = sequences(pair.client.sock)
    pair.client.send(data[:1000])
    assert pair.backend.read(1000) == data[:1000]
    forge(hosts.client, pair.client, seq + 1000 - overlap, ack, data[1000 - overlap:])
    assert pair.backend.read(200) == data[1000:]
    assert pair.backend.is_quiet(0.3)
    forge(hosts.client, pair.client, seq + 300, ack, data[300:1100])  # nothing new in it
    assert pair.backend.is_quiet(0.3)


def test_segments_out_of_order_arrive_in_order(hosts, pair):
    data = random.Random(8).randbytes(3000)
    seq, ack = sequences(pair.client.sock)
    for start, end in ((1000, 2000), (2000, 3000), (500, 1500), (0, 600)):
        forge(hosts.client, pair.client, seq + start, ack, data[start:end])
    assert pair.backend.read(3000) == data
    assert pair.backend.is_quiet(0.3)


@pytest.mark.parametrize("how", ["sigterm", "sigkill"])
def test_both_ends_learn_of_the_daemons_death(hosts, daemon, listener, how):
    pairs = [Pair(hosts, listener, daemon) for _ in range(3)]
    pairs[0].client.send(BIG * 3)  # nobody reads it
    eventually(lambda: daemon.lookup("tw_socket", 0)["backlog"] > 0)
    daemon.term() if how == "sigterm" else daemon.kill()
    for pair in pairs:
        # Not FIN: what the kernel held is lost, and must not look whole.
        assert pair.client.ending()[0] == "rst"
        assert pair.backend.ending()[0] == "rst"
        pair.close()
    daemon.start()
    assert daemon.dump("tw_pairs") == [], "what the dead daemon left is gone"
    assert daemon.stats()["socket_path"]["backlog_bytes"] == 0
    Pair(hosts, listener, daemon).close()


def test_an_idle_joined_connection_ends_and_a_busy_one_does_not(hosts, run, listener):
    listeners = [{"name": "tls", "port": 443, "timeouts": {"idle": "1s"}}]
    daemon = run([route(NAME, f"{server4(2)}:{PORT}")], listeners)
    busy, idle = Pair(hosts, listener, daemon), Pair(hosts, listener, daemon)
    for _ in range(15):
        busy.client.send(b"still here")
        assert busy.backend.read(10) == b"still here"
        time.sleep(0.15)  # the time that passes is what is tested
    assert idle.client.ending()[1] == b"" and idle.backend.ending()[1] == b""
    assert busy.shown()["path"] == "socket"
    busy.close()


def test_paths_of_a_listener_decide(hosts, run, listener):
    listeners = [{"name": "a", "port": 443, "paths": ["relay"]}, {"name": "b", "port": 444}]
    daemon = run([route(NAME, f"{server4(2)}:{PORT}")], listeners)
    for port, path in ((443, "relay"), (444, "socket")):
        with hosts.client.connect(ROUTER4, port) as client:
            client.send(hello(NAME))
            backend = listener.accept()
            backend.read(len(hello(NAME)))
            backend.send(b"x")
            client.read(1)
            client.send(b"y")
            assert backend.read(1) == b"y"
            backend.send(b"z")
            assert client.read(1) == b"z"
            eventually(lambda path=path: [c["path"] for c in daemon.connections()] == [path])
        backend.close()
        daemon.settle(active=0)
