# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is refused is told so at once, before any byte of a backend, and counted by its reason: in
`thruway stats` and, alike, in the pinned map that bpftool reads."""
import contextlib

import clienthello
import pytest
from clienthello import hello
from hosts import ROUTER4, ROUTER6, eventually, server4
from raw import backend_of
from thruway import route

NAME = "app.example.com"
ALERT = bytes.fromhex("15 0301 0002 02 70")
TOO_BIG = hello(NAME, size=17000, name_last=True, piece=1000)
HTTP = b"GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"

REFUSED = [
    ("unknown_name", "an unknown name", hello("other.example.com")),
    ("no_sni", "no server name", hello(None)),
    ("no_sni", "a hello without extensions", clienthello.records(clienthello.message(None))),
    ("not_tls", "plain HTTP", HTTP),
    ("not_tls", "an SSH banner", SSH),
    ("not_tls", "an alert record", bytes.fromhex("15030100020100")),
    ("too_big", "a hello of more than 16 KiB", TOO_BIG),
    ("refused_name", "a name refused on purpose", hello("no.example.com")),
    ("no_backend", "a route whose backends have weight 0", hello("zero.example.com")),
    ("backend_failed", "backends that refuse", hello("dead.example.com")),
] + [("malformed", what, data) for what, data in clienthello.malformed()]


def routes(backend):
    return [route(NAME, backend), route("no.example.com", refuse=True),
            route("zero.example.com", (backend, 0)),
            route("dead.example.com", f"{server4(9)}:1", f"{server4(9)}:2")]


@contextlib.contextmanager
def counts(daemon, reason, times=1, listener="tls"):
    """Exactly this reason moves, by that many, by the CLI and in the map."""
    number = daemon.listeners()[listener]["id"]
    before, pinned = daemon.refusals(), daemon.pinned_refusals(number=number)
    yield
    for now, then in ((daemon.refusals, before), (lambda: daemon.pinned_refusals(number=number), pinned)):
        eventually(lambda n=now, t=then: n()[reason] == t[reason] + times, what=f"counting {reason}")
        assert {**now(), reason: 0} == {**then, reason: 0}


def all_at_once(conn, data):
    """Send what goes; a reset may come while sending."""
    with contextlib.suppress(ConnectionError):
        conn.send(data)
    return conn


@pytest.mark.parametrize("reason, what, data", REFUSED, ids=[w.replace(" ", "_") for _, w, _ in REFUSED])
def test_a_refusal_is_a_reset_without_a_byte_and_has_its_counter(hosts, run, echo, reason, what, data):
    backend = echo(2)
    daemon = run(routes(backend.text()))
    for address in (ROUTER4, ROUTER6):
        with counts(daemon, reason):
            with hosts.client.connect(address) as client:
                assert all_at_once(client, data).ending() == ("rst", b""), what
    assert backend.accepted == 0


@pytest.mark.parametrize("reason, data", [("unknown_name", hello("other.example.com")),
                                          ("no_sni", hello(None)),
                                          ("refused_name", hello("no.example.com"))])
def test_on_refuse_alert_says_unrecognized_name_and_then_fin(hosts, run, echo, reason, data):
    daemon = run(routes(echo(2).text()), [{"name": "tls", "port": 443, "on_refuse": "alert"}])
    with counts(daemon, reason):
        with hosts.client.connect(ROUTER4) as client:
            ending, said = client.send(data).ending()
    assert ending == "fin"
    assert (said[0], said[3:]) == (ALERT[0], ALERT[3:]), said.hex()


def test_openssl_reads_the_alert(hosts, run, echo):
    run(routes(echo(2).text()), [{"name": "tls", "port": 443, "on_refuse": "alert"}])
    done = hosts.client.run("openssl", "s_client", "-connect", f"{ROUTER4}:443",
                            "-servername", "other.example.com", check=False)
    assert "unrecognized name" in done.stderr


def test_on_refuse_drop_says_nothing_at_all(hosts, run, echo):
    daemon = run(routes(echo(2).text()), [{"name": "tls", "port": 443, "on_refuse": "drop"}])
    with counts(daemon, "unknown_name"):
        with hosts.client.connect(ROUTER4) as client:
            client.send(hello("other.example.com"))
            assert client.is_quiet(1.5)
    assert daemon.stats()["totals"]["connections"] == 0


def test_fallback_backends_take_what_would_be_refused(hosts, run, echo):
    """no_sni, unknown_name and not_tls each to their own; SSH clients say their banner first."""
    named, nameless, strange, plain = (echo(n, t) for n, t in
                                       ((2, "named"), (3, "nosni"), (4, "unknown"), (5, "plain")))
    daemon = run([route(NAME, named.text()), route("no.example.com", refuse=True)],
                 [{"name": "tls", "port": 443, "no_sni": nameless.text(),
                   "unknown_name": strange.text(), "not_tls": plain.text()}])
    for data, tag in ((hello(NAME), "named"), (hello(None), "nosni"), (hello("x.org"), "unknown"),
                      (SSH, "plain"), (HTTP, "plain")):
        with hosts.client.connect(ROUTER4) as client:
            client.send(data)
            assert client.read(8).decode().strip() == tag
            assert client.read(len(data)) == data
    # A name that is refused on purpose and a hello that lies have no fallback.
    for data in (hello("no.example.com"), clienthello.malformed()[0][1]):
        assert backend_of(hosts.client, ROUTER4, data) == "rst"
    daemon.settle(connections=5, refused=2)


def test_a_hello_that_does_not_come_in_time_is_reset_and_never_goes_to_the_default(hosts, run, echo):
    backend = echo(2)
    daemon = run([route("*", backend.text())],
                 [{"name": "tls", "port": 443, "timeouts": {"hello": "750ms"},
                   "no_sni": backend.text(), "unknown_name": backend.text(), "not_tls": backend.text()}])
    with counts(daemon, "hello_timeout", 3):
        with hosts.client.connect(ROUTER4) as silent, hosts.client.connect(ROUTER4) as half, \
                hosts.client.connect(ROUTER4) as slow:
            half.send(hello(NAME)[:40])
            data = hello(NAME, name_last=True)
            for at in range(40):  # a byte now and then does not buy more time
                slow.send(data[at:at + 1])
                if not slow.is_quiet(0.1):
                    break
            assert at < 39
            assert [c.ending() for c in (silent, half, slow)] == [("rst", b"")] * 3
    assert backend.accepted == 0


def test_a_client_that_goes_before_its_hello_is_whole_is_counted(hosts, run, echo):
    backend = echo(2)
    daemon = run([route("*", backend.text())])
    with counts(daemon, "hello_closed", 3):
        with hosts.client.connect(ROUTER4) as client:
            client.send(hello(NAME)[:60]).fin()
            assert client.ending()[1] == b""
        hosts.client.connect(ROUTER4).close()
        hosts.client.connect(ROUTER4).send(hello(NAME)[:10]).rst()
    assert backend.accepted == 0


def test_a_limit_on_connections_refuses_the_one_too_many_and_recovers(hosts, run, echo):
    daemon = run([route("*", echo(2, "echo").text())], limits={"connections": 8})
    held = []
    for _ in range(8):
        held.append(hosts.client.connect(ROUTER4).send(hello(NAME)))
        held[-1].read(8)
    with counts(daemon, "limit"):
        assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "rst"
    held.pop().close()
    daemon.settle(active=7)
    assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "echo"
    for client in held:
        client.close()


def test_waiting_counts_the_clients_without_a_hello(hosts, run, echo):
    daemon = run([route(NAME, echo(2).text())])
    waiting = [hosts.client.connect(ROUTER4).send(hello(NAME)[:20]) for _ in range(20)]
    daemon.settle(waiting=20)
    for client in waiting:
        client.close()
    daemon.settle(waiting=0)
