# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How connections end: what one end does, the other end sees; no end is invented."""
import os
import socket
import threading

import pytest
from clienthello import hello
from hosts import ROUTER4, ROUTER6, eventually, server4, server6
from pairs import NAME, Pair
from thruway import route

PORT = 9200
BIG = os.urandom(1 << 20)


def pair_of(listener, daemon, client=None):
    made = Pair(listener, daemon, client)
    if daemon.json("status")["paths"][0] == "socket":
        eventually(lambda: {c["path"] for c in daemon.connections()} == {"socket"}, what="joined")
    return made


@pytest.fixture(name="listener", params=["ipv4", "ipv6"])
def _listener(hosts, request):
    with hosts.server.listen(server4(2) if request.param == "ipv4" else server6(2), PORT) as listener:
        yield listener


@pytest.fixture(name="daemon", params=["socket", "relay"])
def _daemon(run, listener, request):
    """On the socket path each pair is joined in the kernel before its end is made."""
    return run([route(NAME, listener.text())],
               paths=["socket", "relay"] if request.param == "socket" else ["relay"])


@pytest.fixture(name="pair")
def _pair(hosts, daemon, listener):
    address = ROUTER6 if listener.sock.family == socket.AF_INET6 else ROUTER4
    made = pair_of(listener, daemon, hosts.client.connect(address))
    yield made
    made.close()


def send_in_background(conn, data):
    thread = threading.Thread(target=conn.send, args=(data,), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("sender", ["client", "backend"])
def test_an_urgent_byte_arrives_in_its_place(pair, sender):
    one, other = pair.ends(sender)
    one.send(b"abc")
    one.sock.send(b"U", socket.MSG_OOB)
    one.send(b"def" + BIG).fin()
    assert other.read_eof() == b"abcUdef" + BIG


def test_after_the_clients_fin_the_backend_can_still_answer(pair):
    pair.client.send(b"question").fin()
    assert pair.backend.read_eof() == b"question"
    sending = send_in_background(pair.backend, BIG)
    assert pair.client.read(len(BIG)) == BIG
    sending.join()
    pair.backend.fin()
    assert pair.client.ending() == ("fin", b"")
    pair.daemon.settle(active=0, connections=1)


def test_after_the_backends_fin_the_client_can_still_send(pair):
    pair.backend.send(b"greeting").fin()
    assert pair.client.read_eof() == b"greeting"
    sending = send_in_background(pair.client, BIG)
    assert pair.backend.read(len(BIG)) == BIG
    sending.join()
    pair.client.fin()
    assert pair.backend.ending() == ("fin", b"")
    pair.daemon.settle(active=0, connections=1)


def test_a_half_closed_connection_stays_open_and_is_shown_as_such(pair):
    pair.client.fin()
    assert pair.backend.read_eof() == b""
    eventually(lambda: [c["state"] for c in pair.daemon.connections()] == ["half-closed"])
    assert pair.client.is_quiet(0.5)
    pair.backend.send(b"x")
    assert pair.client.read(1) == b"x"


def test_fin_right_behind_the_hello_in_one_segment_is_kept(hosts, daemon, listener):
    data = hello(NAME)
    watch = hosts.client.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    with watch, hosts.client.connect(ROUTER4) as client:
        client.send_with_fin(data)
        with listener.accept() as backend:
            assert backend.read_eof() == data
            backend.send(b"answer").close()
        assert client.ending() == ("fin", b"answer")
        watch.settimeout(1)
        frames = iter(lambda: watch.recv(65536), None)
        # Ethernet 14, IPv4 20; TCP flags at 13 of its header: one segment had FIN and the hello.
        assert any(data in frame and frame[14 + 20 + 13] & 1 for frame in frames)
    daemon.settle(active=0, connections=1)


def test_the_clients_reset_reaches_the_backend_as_a_reset(pair):
    pair.client.rst()
    assert pair.backend.ending() == ("rst", b"")
    pair.daemon.settle(active=0)


def test_the_backends_reset_reaches_the_client_as_a_reset(pair):
    pair.backend.rst()
    assert pair.client.ending() == ("rst", b"")
    pair.daemon.settle(active=0)


def test_bytes_before_the_clients_reset_arrive_and_then_the_reset(pair):
    pair.client.send(BIG[:100000])
    eventually(lambda: pair.client.unsent() == 0)
    pair.client.rst()
    assert pair.backend.ending() == ("rst", BIG[:100000])


def test_bytes_before_the_backends_reset_arrive_and_then_the_reset(pair):
    pair.backend.send(BIG[:100000])
    eventually(lambda: pair.backend.unsent() == 0)
    pair.backend.rst()
    assert pair.client.ending() == ("rst", BIG[:100000])


def test_a_reset_after_a_half_close_is_still_a_reset(pair):
    pair.client.fin()
    assert pair.backend.read_eof() == b""
    pair.backend.rst()
    assert pair.client.ending() == ("rst", b"")


def test_the_clients_reset_after_the_backends_fin_is_still_a_reset(pair):
    pair.backend.fin()
    assert pair.client.read_eof() == b""
    pair.client.rst()
    with pytest.raises(ConnectionError):
        assert pair.backend.read_eof() is None
    pair.daemon.settle(active=0)


def test_closing_with_unread_bytes_is_a_reset_for_the_other_end(pair):
    """What the kernel does at the client (RFC 1122 4.2.2.13) crosses the router."""
    pair.backend.send(b"unread")
    eventually(lambda: pair.client.sock.recv(6, socket.MSG_PEEK) == b"unread")
    pair.client.close()
    assert pair.backend.ending()[0] == "rst"


def test_a_backend_that_resets_at_once_is_seen_as_a_reset(hosts, daemon, listener):
    with hosts.client.connect(ROUTER4) as client:
        client.send(hello(NAME))
        listener.accept().rst()
        assert client.ending() == ("rst", b"")
    daemon.settle(active=0)


def test_a_backend_that_closes_without_a_word_is_seen_as_fin(hosts, daemon, listener):
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        with listener.accept() as backend:
            assert backend.read(len(data)) == data
        assert client.ending() == ("fin", b"")
    daemon.settle(active=0)


def test_conn_kill_resets_both_ends_of_this_connection_alone(pair, listener):
    other = pair_of(listener, pair.daemon)
    shown = pair.daemon.connections()
    assert len(shown) == 2
    mine = next(c for c in shown if int(c["client"].rpartition(":")[2]) == pair.client.sock.getsockname()[1])
    assert pair.daemon.json("conn", "kill", mine["id"])["killed"] == 1
    assert (pair.client.ending(), pair.backend.ending()) == (("rst", b""), ("rst", b""))
    other.client.send(b"alive")
    assert other.backend.read(5) == b"alive"
    assert pair.daemon.json("conn", "kill", "--all")["killed"] == 1
    assert other.client.ending() == ("rst", b"")
    assert pair.daemon.connections() == []


def timed(hosts, run, **timeouts):
    with hosts.server.listen(server4(2), PORT) as listener:
        log = f"{run.folder}/access.log"
        daemon = run([route(NAME, listener.text())],
                     [{"name": "tls", "port": 443, "timeouts": timeouts}], access_log=log)
        return pair_of(listener, daemon), log


def reason_in(log):
    def found():
        with open(log, encoding="ascii") as file:
            return file.read()
    return eventually(found, what="an access log line").split("reason=")[1].split()[0]


def test_an_idle_connection_ends_after_the_idle_timeout_and_traffic_keeps_it(hosts, run):
    pair, log = timed(hosts, run, idle="1s")
    for _ in range(5):
        assert pair.client.is_quiet(0.4)
        pair.backend.send(b".")
        assert pair.client.read(1) == b"."
    assert pair.client.ending()[1] == b""
    assert pair.backend.ending()[1] == b""
    assert reason_in(log) == "idle_timeout"


def test_a_half_closed_connection_ends_after_its_own_timeout(hosts, run):
    pair, log = timed(hosts, run, half_closed="700ms")
    assert pair.client.is_quiet(1.2), "an open connection is not touched by it"
    pair.client.fin()
    assert pair.backend.read_eof() == b""
    assert pair.client.ending()[1] == b""
    assert reason_in(log) == "half_closed"


def test_keepalive_watches_both_legs_of_a_quiet_connection(hosts, run):
    with hosts.server.listen(server4(2), PORT) as listener:
        daemon = run([route(NAME, listener.text())], keepalive="1s")
        pair = pair_of(listener, daemon)
        sockets = lambda: hosts.router.run("ss", "-tnoH", "state", "established").stdout
        eventually(lambda: sockets().count("timer:(keepalive") == 2, what="two keepalive timers")
        pair.backend.send(b"alive")
        assert pair.client.read(5) == b"alive"
