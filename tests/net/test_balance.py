# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Several backends of one route: shares, least_conn, source, retries, drain."""
import collections

import pytest
from clienthello import hello
from hosts import CLIENT_NET, ROUTER4, SILENT4, server4
from raw import Conn, backend_of, conn_tag
from thruway import route

NAME = "app.example.com"


@pytest.fixture(name="three")
def _three(echo):
    return [echo(n, tag, port=9100) for n, tag in ((2, "a"), (3, "b"), (4, "c"))]


def ask(hosts, times=1, **options):
    """How often each backend served."""
    return collections.Counter(backend_of(hosts.client, ROUTER4, hello(NAME), **options)
                               for _ in range(times))


def held(hosts, times):
    """Open connections: [(tag, Conn)]."""
    made = []
    for _ in range(times):
        conn: Conn = hosts.client.connect(ROUTER4).send(hello(NAME))
        made.append((conn_tag(conn), conn))
    return made


def test_weights_are_kept_exactly(hosts, run, three):
    a, b, c = (backend.text() for backend in three)
    run([route(NAME, (a, 5), (b, 2), (c, 1))])
    assert ask(hosts, 80) == {"a": 50, "b": 20, "c": 10}


def test_large_weights_with_a_common_divisor_are_kept_exactly(hosts, run, three):
    a, b, _ = (backend.text() for backend in three)
    run([route(NAME, (a, 900000), (b, 300000))])
    assert ask(hosts, 40) == {"a": 30, "b": 10}


def test_weight_0_takes_no_connection(hosts, run, three):
    a, b, c = (backend.text() for backend in three)
    run([route(NAME, (a, 1), (b, 0), (c, 1))])
    assert ask(hosts, 30) == {"a": 15, "c": 15}


def test_equal_weights_take_turns(hosts, run, three):
    run([route(NAME, *(backend.text() for backend in three))])
    assert ask(hosts, 30) == {"a": 10, "b": 10, "c": 10}


def test_least_conn_prefers_the_backend_with_fewer_open_connections(hosts, run, three):
    a, b, _ = (backend.text() for backend in three)
    daemon = run([route(NAME, a, b, balance="least_conn")])
    first = held(hosts, 60)
    count = collections.Counter(tag for tag, _ in first)
    assert abs(count["a"] - count["b"]) <= 20, count
    for tag, conn in first:
        if tag == "a":
            conn.close()
    daemon.settle(active=count["b"])
    # By turns it would be half of them; with one that may be picked twice, three quarters.
    then = held(hosts, count["b"])
    assert sum(tag == "a" for tag, _ in then) >= 0.6 * count["b"]
    for _, conn in first + then:
        conn.close()


def test_source_keeps_a_client_with_its_backend_and_spreads_clients(hosts, run, three):
    texts = [backend.text() for backend in three]
    daemon = run([route(NAME, *texts, balance="source")])
    clients = [f"{CLIENT_NET}.{n}" for n in range(1, 61)]
    first = {c: backend_of(hosts.client, ROUTER4, hello(NAME), source=c) for c in clients}
    again = {c: backend_of(hosts.client, ROUTER4, hello(NAME), source=c) for c in clients}
    assert first == again
    assert all(count >= 6 for count in collections.Counter(first.values()).values())
    assert set(first.values()) == {"a", "b", "c"}

    daemon.cli("apply", "-f", "-", input=daemon_config(NAME, texts[:2]))
    without_c = {c: backend_of(hosts.client, ROUTER4, hello(NAME), source=c) for c in clients}
    assert {c: b for c, b in without_c.items() if first[c] != "c"} == \
        {c: b for c, b in first.items() if b != "c"}
    assert {b for c, b in without_c.items() if first[c] == "c"} == {"a", "b"}


def daemon_config(name, backends):
    listed = ", ".join(f'"{b}"' for b in backends)
    return (f"listeners: [{{name: tls, port: 443}}]\n"
            f"routes: [{{hostnames: [{name}], balance: source, backends: [{listed}]}}]\n")


@pytest.mark.parametrize("balance", ["weighted", "least_conn", "source"])
def test_a_backend_that_refuses_is_passed_over_without_losing_a_byte(hosts, run, three, balance):
    dead = f"{server4(9)}:1"
    daemon = run([route(NAME, dead, three[0].text(), balance=balance)])
    data = hello(NAME, post_quantum=True)
    for n in range(1, 21):
        with hosts.client.connect(ROUTER4, source=f"{CLIENT_NET}.{n}") as client:
            client.send(data + b"early data")
            assert conn_tag(client) == "a"
            assert client.read(len(data) + 10) == data + b"early data"
    daemon.settle(connections=20, refused=0, active=0)
    stats = daemon.backends()[dead]["stats"]
    assert (stats["connections"], stats["active"]) == (0, 0)
    assert 0 < stats["connect_failures"] <= 20
    number = daemon.backends()[dead]["id"]
    assert daemon.lookup("tw_backend_stats", number)["connect_failures"] == stats["connect_failures"]


def test_a_silent_backend_costs_the_connect_timeout_and_then_the_next_serves(hosts, run, three):
    daemon = run([route(NAME, (f"{SILENT4}:8443", 1), three[0].text(), timeouts={"connect": "400ms"})])
    assert ask(hosts, 4) == {"a": 4}
    daemon.settle(connections=4, connect_failures=2)


def test_tries_are_bounded_and_then_the_client_is_refused(hosts, run):
    dead = [f"{server4(9)}:{port}" for port in range(1, 7)]
    daemon = run([route(NAME, *dead, tries=4), route("one.example.com", *dead, tries=1)])
    assert ask(hosts) == {"rst": 1}
    daemon.settle(connect_failures=4, refused=1)
    assert backend_of(hosts.client, ROUTER4, hello("one.example.com")) == "rst"
    daemon.settle(connect_failures=5, refused=2)
    assert daemon.refusals()["backend_failed"] == 2


def test_a_backend_that_comes_back_is_used_again(hosts, run, echo, three):
    run([route(NAME, three[0].text(), f"{server4(5)}:9100")])
    assert ask(hosts, 4) == {"a": 4}
    echo(5, "back", port=9100)
    assert ask(hosts, 10)["back"] == 5


def test_drain_moves_new_connections_away_and_leaves_the_open_ones(hosts, run, three):
    a, b = three[0].text(), three[1].text()
    daemon = run([route(NAME, a, b)])
    open_on_a = next(conn for tag, conn in held(hosts, 2) if tag == "a")
    assert daemon.json("backend", "drain", a)["drained"] is True
    assert ask(hosts, 10) == {"b": 10}
    open_on_a.read(len(hello(NAME)))
    open_on_a.send(b"still here")
    assert open_on_a.read(10) == b"still here"
    assert daemon.backends()[a]["drained"] is True
    said = daemon.json("route", "explain", NAME)[0]
    assert {x["address"]: x["drained"] for x in said["backends"]} == {a: True, b: False}

    daemon.term()
    daemon.start()
    assert ask(hosts, 6) == {"b": 6}, "drain lasts over a restart"
    daemon.cli("backend", "drain", b)
    assert ask(hosts) == {"rst": 1}
    assert daemon.refusals()["no_backend"] == 1
    daemon.cli("backend", "undrain", a)
    assert ask(hosts, 4) == {"a": 4}
    assert daemon.cli("backend", "drain", "192.0.2.9:1", check=False).returncode == 1
