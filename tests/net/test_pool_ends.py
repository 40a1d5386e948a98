# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pools of warm sockets: how what goes through them ends, and that nothing stays."""
import os
import random
import select
import signal
import socket
import threading
import time

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually
from pairs import NAME
from pools import n_warm, path, pooled, warm
from stream import MIB

BIG = os.urandom(300000)


def test_the_backends_reset_and_the_clients_reset_are_passed_on(hosts, run, listener):
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    for end in ("backend", "client"):
        backend = listener.accept()
        eventually(lambda: n_warm(daemon))
        data = hello(NAME)
        client = hosts.client.connect(ROUTER4).send(data)
        assert backend.read(len(data)) == data
        (backend if end == "backend" else client).rst()
        assert (client if end == "backend" else backend).ending() == ("rst", b"")
    daemon.settle(active=0)


def test_connections_refused_at_accept_leave_nothing(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend, pool=1)], limits={"connections": 1})
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        assert client.read(3 + len(data)) == b"one" + data
        for _ in range(20):
            try:
                with hosts.client.connect(ROUTER4) as other:
                    assert other.ending()[1] == b""
            except ConnectionError:
                pass  # the reset was faster than connect(2)
        eventually(lambda: daemon.refusals()["limit"] == 20)
        assert len(daemon.dump("tw_pairs")) <= 4


def served_and_refused(hosts, n):
    """n connections that are open at a time: those that a Quiet tagged "one" serves, how many were reset."""
    clients, served, refused = [], [], 0
    for _ in range(n):
        try:
            clients.append(hosts.client.connect(ROUTER4).send(hello(NAME)))
        except ConnectionError:
            refused += 1  # faster than connect(2) or send(2)
    for client in clients:
        try:
            assert client.read(3) == b"one"
            served.append(client)
        except ConnectionError:
            refused += 1
            client.close()
    return served, refused


def test_connections_without_a_descriptor_leave_nothing(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)], workers=1)
    warm(daemon, backend, 4)
    daemon.leave_descriptors(20)
    served, refused = served_and_refused(hosts, 100)
    assert served and refused > 20
    for client in served:
        client.close()
    daemon.settle(active=0, waiting=0, accepted=100)
    assert daemon.refusals()["internal"] == refused
    warm(daemon, backend, 4)
    eventually(lambda: len(daemon.dump("tw_pairs")) == 4, what="pairs of warm sockets alone")


def test_a_large_pool_leaves_files_for_the_connections_that_are_promised(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run.prepared([pooled(NAME, backend, pool=512)], workers=1).start(argv=["prlimit", "--nofile=1024:1024"])
    promised = daemon.json("status")["max_connections"]
    served, refused = served_and_refused(hosts, promised + 20)
    assert (len(served), refused) == (promised, 20)
    assert {why: n for why, n in daemon.refusals().items() if n} == {"limit": 20}
    for client in served:
        client.close()
    daemon.settle(active=0, waiting=0)


def test_a_reset_right_behind_the_hello_reaches_the_backend_as_a_reset(hosts, run, listener):
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    for _ in range(15):
        backend = listener.accept()
        eventually(lambda: n_warm(daemon))
        client = hosts.client.connect(ROUTER4).send(hello(NAME))
        client.rst()
        assert backend.ending()[0] == "rst"


@pytest.fixture(name="joined_unheard")
def _joined_unheard(hosts, run, listener):
    """Client, backend and daemon: the kernel has joined the two, the daemon stands still and has not heard of it."""
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    backend, data = listener.accept(), hello(NAME)
    eventually(lambda: n_warm(daemon))
    client = hosts.client.connect(ROUTER4)
    daemon.settle(waiting=1)
    daemon.process.signal(signal.SIGSTOP)
    client.send(data)
    assert backend.read(len(data)) == data
    yield client, backend, daemon
    daemon.process.signal(signal.SIGCONT)
    client.close()
    backend.close()


@pytest.mark.parametrize("end", ["rst", "fin"])
@pytest.mark.parametrize("answer", ["none", "before the end", "behind the end"])
def test_an_end_that_comes_before_the_daemon_hears_of_the_join_is_passed_on(hosts, joined_unheard, answer, end):
    client, backend, daemon = joined_unheard
    if answer == "before the end":
        backend.send(b"answer")
        assert client.read(6) == b"answer"
    if end == "rst":
        client.rst()
        eventually(lambda: not hosts.router.run("ss", "-tnH", "state", "established", "sport", 443).stdout)
    else:
        client.fin()
        eventually(lambda: client.unsent() == 0, what="FIN acknowledged")
    if answer == "behind the end":
        backend.send(b"answer")
        eventually(lambda: backend.unsent() == 0)
    daemon.process.signal(signal.SIGCONT)
    assert backend.ending() == (end, b"")
    if end == "fin":
        backend.fin()
        assert client.ending() == ("fin", b"answer" if answer == "behind the end" else b"")
    daemon.settle(active=0, waiting=0)


def say_in_pieces(client, backend, data):
    """A hello in two pieces: joining the two is left to the daemon."""
    client.send(data[:5])
    assert client.is_quiet(0.01)
    client.send(data[5:])
    assert backend.read(len(data)) == data


@pytest.mark.usefixtures("small_buffers")
def test_bytes_that_the_relay_sends_while_a_connection_is_joined_do_not_bring_its_end_forward(hosts, run, listener):
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    backend, data = listener.accept(), hello(NAME)
    first, tail = random.Random(1).randbytes(MIB), random.Random(2).randbytes(MIB)
    eventually(lambda: n_warm(daemon))
    with hosts.client.connect(ROUTER4) as client:
        say_in_pieces(client, backend, data)
        daemon.process.signal(signal.SIGSTOP)
        try:
            assert client.is_quiet(0.1)
            # This wakes it first: it joins them before it looks at what the client has sent.
            backend.send(b"answer")
            eventually(lambda: backend.unsent() == 0)
            sender = threading.Thread(target=client.send, args=(first,), daemon=True)
            sender.start()
            eventually(lambda: any(value["passed"] > len(data) + 50000 for _, value in daemon.dump("tw_pairs")))
        finally:
            daemon.process.signal(signal.SIGCONT)
        assert backend.read(len(first)) == first
        sender.join()

        def is_redirected():
            for one, other in ((client, backend), (backend, client)):
                one.send(b"!")
                assert other.read(1) == b"!"
            return any(v["redirected"] and v["direction"] == 0 for _, v in daemon.dump("tw_pairs"))

        assert client.read(6) == b"answer"

        eventually(is_redirected)
        client.send(tail).fin()
        got = bytearray()
        while data := backend.sock.recv(1 << 13):
            got += data
            time.sleep(0.004)  # slowly: an end that comes too early overtakes what waits in the kernel
        assert got == tail, f"{len(got)} of {len(tail)} bytes before FIN"
    backend.close()


@pytest.mark.usefixtures("small_buffers")
def test_what_was_passed_to_the_daemon_does_not_wait_behind_what_the_kernel_redirects_to_its_sender(
        hosts, run, listener):
    """Neither end reads at first; the client, which has sent more than the daemon has read, never does."""
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    backend, data, body = listener.accept(), hello(NAME), random.Random(1).randbytes(MIB)
    eventually(lambda: n_warm(daemon))
    client = hosts.client.connect(ROUTER4)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    say_in_pieces(client, backend, data)
    daemon.process.signal(signal.SIGSTOP)
    try:
        assert client.is_quiet(0.1)
        # This wakes it first: it joins them before it looks at what the client has sent.
        backend.send(b"answer")
        eventually(lambda: backend.unsent() == 0)
        threading.Thread(target=lambda: client.send(body).fin(), daemon=True).start()
        eventually(lambda: any(value["passed"] > len(data) + 50000 for _, value in daemon.dump("tw_pairs")))
    finally:
        daemon.process.signal(signal.SIGCONT)
    down = threading.Thread(target=backend.send, args=(bytes(2 * MIB),), daemon=True)
    down.start()


    def moved():
        return client.unsent(), backend.unsent(), daemon.connections()[0]["bytes_to_client"]

    before = []

    def is_still():
        before.append(moved())
        time.sleep(0.3)
        return before[-1] == moved() and before[-1][-1] > 100000

    eventually(is_still)
    assert backend.read_eof() == body
    threading.Thread(target=client.ending, daemon=True).start()
    down.join()
    backend.close()
    daemon.settle(active=0)


def with_bytes(listener):
    """The next connection that says something; others are warm, or have ended."""
    made = []

    def said():
        if select.select([listener.sock], [], [], 0)[0]:
            made.append(listener.accept())
        return [conn for conn in made if not conn.is_quiet(0) and conn.sock.recv(1, socket.MSG_PEEK)]

    return eventually(said, what="a connection with bytes")[0]


@pytest.mark.parametrize("miss", [False, True], ids=["hit", "miss"])
def test_a_connection_that_the_daemon_joins_later_gets_into_the_kernel_both_ways(hosts, run, listener, miss):
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    backend, data = listener.accept(), hello(NAME)
    eventually(lambda: n_warm(daemon))
    if miss:
        daemon.stand_still()
    with hosts.client.connect(ROUTER4) as client:
        client.send(data[:5])
        assert client.is_quiet(0.01)
        client.send(data[5:])
        if miss:
            backend.rst()
            daemon.process.signal(signal.SIGCONT)
            backend = with_bytes(listener)
        assert backend.read(len(data)) == data

        def is_in_kernel():
            for one, other in ((client, backend), (backend, client)):
                one.send(b"ping")
                assert other.read(4) == b"ping"
            return sum(value["redirected"] > 0 for _, value in daemon.dump("tw_pairs")) == 2

        eventually(is_in_kernel)
        client.send(BIG)
        assert backend.read(len(BIG)) == BIG
        backend.send(BIG).fin()
        assert client.read_eof() == BIG
        client.fin()
        assert backend.ending() == ("fin", b"")
    assert path(daemon)["pool_misses"] == miss
    daemon.settle(active=0)


def test_a_killed_daemons_warm_sockets_end_and_the_next_one_fills_its_pool(hosts, run, quiet):
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend, pool=64)])
    warm(daemon, backend, 64)
    daemon.kill()
    eventually(lambda: not backend.socks, what="end of the warm connections")
    daemon.start()
    warm(daemon, backend, 64)
    assert len(daemon.dump("tw_pairs")) == 64, "what the dead daemon left is gone"
    data = hello(NAME)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        assert client.read(3 + len(data)) == b"one" + data
    assert path(daemon)["pool_hits"] == 1


def test_idle_warm_sockets_are_replaced_before_their_backend_ends_them(run, quiet):
    """After 20 s, each for another one: the pool stays full, and none of them counts as dead."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)])
    warm(daemon, backend, 4)
    first = set(backend.socks)
    eventually(lambda: not first & backend.socks and n_warm(daemon) == 4, seconds=40, what="four new ones")
    assert len(daemon.dump("tw_pairs")) == 4 and path(daemon)["pool_dead"] == 0


def test_an_end_does_not_overtake_bytes_that_found_no_room_in_their_socket(hosts, run, quiet):
    """The kernel says that a stream has ended while some of it is on its way to where the daemon can read it."""
    backend = quiet(2, "one")
    daemon = run([pooled(NAME, backend)], workers=1)
    warm(daemon, backend, 4)
    data, body = hello(NAME), random.Random(3).randbytes(300000)
    for _ in range(80):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data[:100])
            assert client.is_quiet(0.005)
            client.send(data[100:])  # in two pieces, joining the two is left to the daemon
            assert client.read(3 + len(data)) == b"one" + data
            client.send(body).fin()
            how, got = client.ending()
            assert (how, len(got)) == ("fin", len(body)) and got == body
