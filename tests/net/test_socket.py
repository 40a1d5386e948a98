# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The socket path: connections that are joined in the kernel, and what may go wrong there.

Each test stands for something that a sockmap does and a relay does not: a queue without a limit, ends that do not
cross a redirect, segments that nobody looks at, a socket that leaves while bytes are on their way."""
import hashlib
import os
import random
import threading
import time

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually
from pairs import NAME, Joined, Pair
from segments import forge, sequences
from stream import MIB, digest
from thruway import route

BIG = os.urandom(1 << 20)


@pytest.mark.parametrize("pause", ["often", "when the router has sent all"])
def test_20_mb_and_an_end_behind_them_reach_a_slow_reader(hosts, listener, pair, pause):
    data = random.Random(2).randbytes(20 << 20)
    threading.Thread(target=lambda: pair.client.send(data).fin(), daemon=True).start()

    def often(got):
        if got % 7 == 0:
            time.sleep(0.01)

    seen = []

    def at_outq_0(_):
        """Nothing in the router's send queue is not nothing in the kernel's."""
        if len(seen) < 3:
            line = hosts.router.run("ss", "-tnH", "state", "established", "dport", listener.port).stdout.split()
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
    one, other = pair.ends(who)
    data = random.Random(3).randbytes(3 * MIB)
    one.send(data)
    eventually(lambda: one.unsent() == 0)
    one.rst()
    assert other.ending() == ("rst", data)


def test_a_connection_that_asks_once_stays_on_the_relay(hosts, run, echo):
    backend = echo(2, "one")
    daemon = run([route(NAME, backend.text())])
    for _ in range(20):
        with hosts.client.connect(ROUTER4) as client:
            client.send(hello(NAME)).fin()
            assert client.ending()[0] == "fin"
    daemon.settle(active=0, connections=20)
    assert daemon.stats()["socket_path"]["joined"] == 0


def test_a_quiet_connection_is_joined_after_a_moment(daemon, listener):
    """The backend speaks first, or nobody does."""
    pair = Pair(listener, daemon)
    eventually(lambda: pair.shown()["path"] == "socket")
    pair.backend.send(BIG)
    assert pair.client.read(len(BIG)) == BIG
    pair.client.send(BIG)
    assert pair.backend.read(len(BIG)) == BIG
    pair.close()


def test_3000_connections_at_a_time_are_joined(daemon, listener):
    pairs = [Pair(listener, daemon) for _ in range(3000)]
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


def test_nothing_stays_of_connections_that_ended(daemon, listener):
    for end in ("fin", "rst", "kill"):
        pairs = [Joined(listener, daemon) for _ in range(10)]
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


def test_lost_packets_change_nothing(hosts, daemon, listener):
    """What is sent again may overlap what was redirected."""
    rules = "table inet loss {{\n chain in {{\n type filter hook input priority 0\n {} numgen random mod 100 < 3 drop\n}}\n}}"
    for host, ports in ((hosts.client, "tcp sport 443"), (hosts.server, f"tcp dport {listener.port}")):
        host.run("nft", "-f", "-", input=rules.format(ports))
    try:
        pairs = [Joined(listener, daemon) for _ in range(6)]
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
def test_both_ends_learn_of_the_daemons_death(daemon, listener, how):
    pairs = [Joined(listener, daemon) for _ in range(3)]
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
    Joined(listener, daemon).close()


@pytest.mark.parametrize("how", ["sigterm", "sigkill"])
def test_thousands_of_idle_joined_connections_end_with_the_daemon(daemon, listener, how):
    pairs = [Pair(listener, daemon) for _ in range(3000)]
    eventually(lambda: daemon.stats()["socket_path"]["joined"] == 3000, seconds=30)
    if how == "sigterm":
        assert daemon.term() == 0
    else:
        daemon.kill()
    for pair in pairs:
        assert (pair.client.ending(), pair.backend.ending()) == (("rst", b""), ("rst", b""))
        pair.close()
    daemon.start()
    assert daemon.dump("tw_pairs") == []
    Joined(listener, daemon).close()


def test_an_idle_joined_connection_ends_and_a_busy_one_does_not(run, listener):
    listeners = [{"name": "tls", "port": 443, "timeouts": {"idle": "1s"}}]
    daemon = run([route(NAME, listener.text())], listeners)
    busy, idle = Joined(listener, daemon), Joined(listener, daemon)
    for _ in range(15):
        busy.client.send(b"still here")
        assert busy.backend.read(10) == b"still here"
        time.sleep(0.15)  # the time that passes is what is tested
    assert idle.client.ending()[1] == b"" and idle.backend.ending()[1] == b""
    assert busy.shown()["path"] == "socket"
    busy.close()


def test_paths_of_a_listener_decide(hosts, run, listener):
    listeners = [{"name": "a", "port": 443, "paths": ["relay"]}, {"name": "b", "port": 444}]
    daemon = run([route(NAME, listener.text())], listeners)
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
