# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pools of warm sockets: hellos that the kernel hands to a backend that is connected already."""
import collections
import os
import socket
import ssl

import pytest
from clienthello import hello
from hosts import ROUTER4, ROUTER6, eventually
from pairs import NAME
from pools import n_warm, path, pooled, warm
from segments import forge, sequences
from thruway import route

BIG = os.urandom(300000)


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_a_hello_goes_to_a_warm_socket_and_the_connection_is_joined(hosts, run, quiet, ipv6):
    backend = quiet(2, "one", ipv6)
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    data = hello(NAME)
    with hosts.client.connect(ROUTER6 if ipv6 else ROUTER4) as client:
        client.send(data)
        assert client.read(3 + len(data)) == b"one" + data
        shown = eventually(lambda: [c for c in daemon.connections() if c["path"] == "socket"])
        assert shown[0]["pooled"] and shown[0]["sni"] == NAME and shown[0]["route"] == NAME
        client.send(BIG).fin()
        assert client.ending() == ("fin", BIG)
    daemon.settle(active=0, connections=1, waiting=0)
    assert path(daemon)["pool_hits"] == 1 and path(daemon)["pool_misses"] == 0
    assert daemon.backends()[backend.text()]["pool"] == 4
    text = daemon.cli("stats").stdout
    assert "socket path  1 joined" in text and "pools        1 hits, 0 misses" in text
    assert daemon.lookup("tw_socket", 0)["pool_hits"] == 1
    stats = daemon.routes()[NAME]["stats"]
    assert stats["paths"]["socket"]["connections"] == 1
    assert stats["paths"]["socket"]["bytes_to_backend"] == len(data) + len(BIG)


def test_the_hello_that_comes_before_the_daemon_accepts_is_read_as_well(hosts, run, quiet):
    """The daemon is stopped while client, hello and end come."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    data = hello(NAME)
    daemon.process.signal(19)
    try:
        with hosts.client.connect(ROUTER4) as client:
            client.send(data).fin()
            daemon.process.signal(18)
            assert client.ending() == ("fin", b"one" + data)
    finally:
        daemon.process.signal(18)
    daemon.settle(active=0, connections=1)


@pytest.mark.parametrize("cuts", [(1,), (5,), (100,), (50, 51, 52, 200)], ids=str)
def test_a_hello_in_pieces_waits_for_its_rest(hosts, run, quiet, cuts):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start, end in zip((0, *cuts), (*cuts, len(data))):
            client.send(data[start:end])
            assert client.is_quiet(0.02) or end == len(data)
        assert client.read(3 + len(data)) == b"one" + data
        for _ in range(5):
            client.send(b"ping")
            assert client.read(4) == b"ping"
        eventually(lambda: [c["path"] for c in daemon.connections()] == ["socket"])
        client.send(BIG).fin()
        assert client.ending() == ("fin", BIG)
    daemon.settle(active=0, connections=1)


@pytest.mark.parametrize("size", [1800, 4000, 12000])
@pytest.mark.parametrize("piece", [16384, 300], ids=["one-record", "many-records"])
def test_long_hellos_and_many_records_arrive_whole(hosts, run, quiet, size, piece):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    data = hello(NAME, size=size, post_quantum=True, name_last=True, piece=piece)
    for _ in range(4):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data + b"early")
            assert client.read(3 + len(data) + 5) == b"one" + data + b"early"
            client.send(b"more").fin()
            assert client.ending() == ("fin", b"more")
    daemon.settle(active=0, connections=4)


def test_a_hello_that_was_sent_from_a_file_is_read(hosts, run, quiet, tmp_path):
    """Its bytes are pages of the file: none stands where a program could look at it without asking for it."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    data = hello(NAME)
    (tmp_path / "hello").write_bytes(data)
    with hosts.client.connect(ROUTER4) as client, open(tmp_path / "hello", "rb") as file:
        client.sock.sendfile(file)
        assert client.read(3 + len(data)) == b"one" + data
    assert path(daemon)["pool_hits"] == 1


def test_a_hello_is_read_wherever_it_is_cut_in_two(hosts, run, quiet):
    """Whether the pieces come one by one or together is left to the kernel."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend, pool=16)])
    warm(daemon, backend, 16)
    data = hello(NAME)
    for cut in range(1, len(data)):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data[:cut]).send(data[cut:] + b"more").fin()
            assert client.ending() == ("fin", b"one" + data + b"more"), f"cut at {cut}"
    daemon.settle(active=0, connections=len(data) - 1)


@pytest.mark.parametrize("how", ["pool", "paths"])
def test_a_hello_of_which_a_part_came_before_the_pool_went_is_read_whole(hosts, run, quiet, how):
    """That part waits in a socket that the kernel looks at no more: bytes must not be left behind there."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data[:100])
        eventually(lambda: any(value["passed"] == 100 for _, value in daemon.dump("tw_pairs")))
        listener = {"name": "tls", "port": 443, **({"paths": ["relay"]} if how == "paths" else {})}
        daemon.hangup({"listeners": [listener], "routes": [pooled(NAME, backend, pool=4 if how == "paths" else 0)]},
                      wait_for="reload|load")
        client.send(data[100:])
        assert client.read(3 + len(data)) == b"one" + data
        client.send(b"more").fin()
        assert client.ending() == ("fin", b"more")
    daemon.settle(active=0, connections=1)


def test_what_is_refused_is_refused_as_without_a_pool(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    for data, reason in ((hello("no.example.com"), "unknown_name"), (hello(None), "no_sni"),
                         (b"GET / HTTP/1.0\r\n\r\n", "not_tls")):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data)
            assert client.ending() == ("rst", b"")
        eventually(lambda reason=reason: daemon.refusals()[reason] == 1)
    with hosts.client.connect(ROUTER4) as client:
        client.send(hello(NAME)[:50]).fin()
        assert client.ending()[1] == b""
    eventually(lambda: daemon.refusals()["hello_closed"] == 1)
    daemon.settle(active=0, connections=0, waiting=0, accepted=4)


def test_a_warm_backends_urgent_byte_arrives_in_its_place(hosts, run, listener):
    run([pooled(NAME, listener, pool=1)], workers=1, paths=["relay"])
    backend, data = listener.accept(), hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        assert backend.read(len(data)) == data
        backend.send(b"abc")
        backend.sock.send(b"U", socket.MSG_OOB)
        backend.send(b"def").fin()
        assert client.ending() == ("fin", b"abcUdef")


def test_an_empty_pool_is_a_miss_and_no_obstacle(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend, pool=1)])
    warm(daemon, backend, 1)
    data = hello(NAME)
    clients = [hosts.client.connect(ROUTER4) for _ in range(12)]
    for client in clients:
        client.send(data)
    for client in clients:
        assert client.read(3 + len(data)) == b"one" + data
    assert path(daemon)["pool_hits"] + path(daemon)["pool_misses"] == 12
    for client in clients:
        client.send(b"again")
        assert client.read(5) == b"again"
        client.fin()
        assert client.ending() == ("fin", b"")
        client.close()
    daemon.settle(active=0, connections=12)


@pytest.mark.parametrize("with_rst", [False, True], ids=["fin", "rst"])
def test_a_warm_socket_that_died_is_never_handed_out(hosts, run, quiet, with_rst):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    data = hello(NAME)
    for _ in range(5):
        warm(daemon, backend, 4)
        backend.drop_all(with_rst)
        for _ in range(4):
            with hosts.client.connect(ROUTER4) as client:
                client.send(data)
                assert client.read(3 + len(data)) == b"one" + data
                client.fin()
                assert client.ending() == ("fin", b"")
    daemon.settle(active=0, connections=20)
    assert path(daemon)["pool_dead"] > 0


def test_the_pool_is_filled_again_when_the_backend_comes_back(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    backend.close()
    eventually(lambda: not n_warm(daemon))
    again = quiet(2, "two")
    warm(daemon, again, 4)
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        assert client.read(3 + len(data)) == b"two" + data


def test_a_backend_that_speaks_first_is_served_and_its_warm_sockets_are_given_up(hosts, run, echo):
    """It has said what it had to say when no client was there to hear it."""
    backend = echo(3, "first", port=9301)
    daemon = run([pooled(NAME, backend)])
    data = hello(NAME)
    for _ in range(3):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data)
            assert client.read(8 + len(data)) == b"   first" + data
    eventually(lambda: path(daemon)["pool_dead"] > 0)


def test_shares_are_exact_with_hits_and_misses(hosts, run, quiet):
    one, two = quiet(2, "one"), quiet(3, "two")
    spec = route(NAME)
    spec["backends"] = [{"address": one.text(), "weight": 3, "pool": 2},
                        {"address": two.text(), "weight": 1}]
    daemon = run([spec])
    warm(daemon, one, 2)
    data = hello(NAME)
    seen = collections.Counter()
    for _ in range(40):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data)
            seen[client.read(3)] += 1
    assert seen == {b"one": 30, b"two": 10}


def test_draining_and_a_new_configuration_close_warm_sockets(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    daemon.cli("backend", "drain", backend.text())
    eventually(lambda: not backend.socks, what="no warm socket of a drained backend")
    daemon.cli("backend", "undrain", backend.text())
    warm(daemon, backend, 4)
    daemon.hangup({"listeners": [{"name": "tls", "port": 443}], "routes": [pooled(NAME, backend, pool=1)]},
                  wait_for="reload|load")
    daemon.hangup({"listeners": [{"name": "tls", "port": 443}], "routes": [route(NAME, backend.text())]},
                  wait_for="reload|load")
    eventually(lambda: not backend.socks, what="no warm socket without a pool")
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        assert client.read(3 + len(data)) == b"one" + data


@pytest.mark.parametrize("paths", [["socket", "relay"], ["relay"]], ids=["socket", "relay"])
def test_a_pool_that_is_made_smaller_lets_go_of_its_sockets(hosts, run, quiet, paths):
    """Now: the files that they take are promised to connections."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend, pool=40)], paths=paths)
    eventually(lambda: len(backend.socks) == 40)
    daemon.hangup({"listeners": [{"name": "tls", "port": 443}], "paths": paths,
                   "routes": [pooled(NAME, backend, pool=4)]}, wait_for="reload|load")
    eventually(lambda: len(backend.socks) == 4)
    data = hello(NAME)
    for _ in range(20):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data)
            assert client.read(3 + len(data)) == b"one" + data
    assert path(daemon)["pool_dead"] == 0


def test_without_the_socket_path_warm_sockets_are_used_all_the_same(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)], paths=["relay"])
    eventually(lambda: len(backend.socks) == 4)
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        assert client.read(3 + len(data)) == b"one" + data
        assert [(c["path"], c["pooled"]) for c in daemon.connections()] == [("relay", True)]
    assert path(daemon)["pool_hits"] == 1


def test_real_tls_through_a_pool(hosts, run, web):
    daemon = run([{"hostnames": [NAME], "backends": [{"address": web["app"], "pool": 4}]}])
    eventually(lambda: n_warm(daemon) == 4)
    context = ssl._create_unverified_context()  # pylint: disable=protected-access
    for _ in range(30):
        with hosts.client.connect(ROUTER4) as client:
            tls = context.wrap_socket(client.sock, server_hostname=NAME)
            tls.sendall(f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
            answer = b""
            while data := tls.recv(65536):
                answer += data
            assert b"app.example.com" in answer
            tls.close()
    daemon.settle(active=0, connections=30)
    assert path(daemon)["pool_hits"] > 0


def test_a_retransmission_over_bytes_that_wait_to_be_read_is_read_once(hosts, run, listener):
    """The hello's first piece was passed to the daemon, which only looks at it until the rest is there."""
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    eventually(lambda: n_warm(daemon))
    backend, data = listener.accept(), hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        seq, ack = sequences(client.sock)
        client.send(data[:100])
        eventually(lambda: any(v["passed"] == 100 for _, v in daemon.dump("tw_pairs")))
        forge(hosts.client, client, seq + 50, ack, data[50:])
        assert backend.read(len(data)) == data
        assert backend.is_quiet(0.2)
