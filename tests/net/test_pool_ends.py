# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Pools of warm sockets: how what goes through them ends, and that nothing stays."""
from clienthello import hello
from hosts import ROUTER4, eventually
from pairs import NAME
from pools import n_warm, pooled


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


def test_a_reset_right_behind_the_hello_reaches_the_backend_as_a_reset(hosts, run, listener):
    daemon = run([pooled(NAME, listener, pool=1)], workers=1)
    for _ in range(15):
        backend = listener.accept()
        eventually(lambda: n_warm(daemon))
        client = hosts.client.connect(ROUTER4).send(hello(NAME))
        client.rst()
        assert backend.ending()[0] == "rst"
