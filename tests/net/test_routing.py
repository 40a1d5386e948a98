# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Names reach their backends: real clients and servers, IPv4 and IPv6 on both sides, listeners."""
import socket
import ssl

import pytest
import real
from clienthello import hello
from hosts import ROUTER4, ROUTER6, server4
from raw import PATIENCE, backend_of
from thruway import route


@pytest.fixture(name="guide")
def _guide(run, web):
    """The usual routes to the real backends."""
    return run([
        route("app.example.com", web["app"]),
        route("six.example.com", web["app6"]),
        route("*.example.com", web["wild"]),
        route("*.deep.example.com", web["deep"]),
        route("*", web["default"]),
        route(["no.example.com", "*.no.example.com"], refuse=True),
    ])


CLIENTS = {
    "curl": real.curl,
    "openssl_tls1_2": lambda host, name, address: real.openssl(host, name, address, "-tls1_2"),
    "openssl_tls1_3": lambda host, name, address: real.openssl(host, name, address, "-tls1_3"),
    "gnutls": real.gnutls,
    "python_tls1_2": lambda host, name, address: real.python(
        host.connect(address), name, version=ssl.TLSVersion.TLSv1_2),
    "python_tls1_3": lambda host, name, address: real.python(
        host.connect(address), name, version=ssl.TLSVersion.TLSv1_3),
}


@pytest.mark.usefixtures("guide")
@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_reaches_its_backend_over_ipv4_and_ipv6(hosts, client):
    for address in (ROUTER4, ROUTER6):
        for name in ("app.example.com", "six.example.com"):
            answer = CLIENTS[client](hosts.client, name, address)
            assert answer.certificate == "app.example.com"
            assert "hello from app.example.com" in answer.body


@pytest.mark.usefixtures("guide")
@pytest.mark.parametrize("name, backend", [
    ("app.example.com", "app.example.com"),
    ("APP.Example.COM", "app.example.com"),
    ("app.example.com.", "app.example.com"),
    ("other.example.com", "wild.example.com"),
    ("two.labels.example.com", "wild.example.com"),
    ("x.deep.example.com", "deep.example.com"),
    ("y.x.deep.example.com", "deep.example.com"),
    ("deep.example.com", "wild.example.com"),
    ("x.app.example.com", "wild.example.com"),
    ("example.com", "default.example.com"),
    ("badexample.com", "default.example.com"),
    ("example.org", "default.example.com"),
])
def test_exact_comes_before_longest_wildcard_before_default(hosts, name, backend):
    # Python's ssl strips no dot and keeps the case, so that the router sees the name as written.
    with hosts.client.connect(ROUTER4) as conn:
        assert real.python(conn, name).certificate == backend


def test_a_trailing_dot_and_case_are_ignored_on_the_wire(hosts, run, echo):
    run([route("App.Example.com.", echo(2, "app").text())])
    for name in ("app.example.com", "APP.EXAMPLE.COM", "app.example.com.", "aPP.eXAMPLE.com."):
        assert backend_of(hosts.client, ROUTER4, hello(name)) == "app", name
    assert backend_of(hosts.client, ROUTER4, hello("app.example.com..")) == "rst"


def test_a_refused_name_does_not_fall_through_to_a_wildcard_or_the_default(hosts, guide):
    for name in ("no.example.com", "x.no.example.com"):
        assert backend_of(hosts.client, ROUTER4, hello(name)) == "rst"
    assert guide.refusals()["refused_name"] == 2


def test_a_name_of_253_bytes_is_routed(hosts, run, echo):
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    labels = ".".join(["x"] * 127)
    assert len(longest) == len(labels) == 253
    run([route(longest, echo(2, "long").text()), route(labels, echo(3, "labels").text())])
    assert backend_of(hosts.client, ROUTER4, hello(longest)) == "long"
    assert backend_of(hosts.client, ROUTER4, hello(labels)) == "labels"


def test_alpn_picks_the_route_in_the_clients_order(hosts, run, echo):
    run([route("a.example.com", echo(2, "h2").text(), name="two", alpn=["h2"]),
         route("a.example.com", echo(3, "one").text(), name="one", alpn=["http/1.1", "http/1.0"]),
         route("a.example.com", echo(4, "any").text(), name="any"),
         route("b.example.com", echo(5, "only").text(), name="only", alpn=["h2"])])
    ask = lambda name, protocols: backend_of(hosts.client, ROUTER4, hello(name, protocols))
    assert ask("a.example.com", ["h2", "http/1.1"]) == "h2"
    assert ask("a.example.com", ["http/1.1", "h2"]) == "one"
    assert ask("a.example.com", ["unheard-of", "http/1.0", "h2"]) == "one"
    assert ask("a.example.com", ["unheard-of"]) == "any"
    assert ask("a.example.com", []) == "any"
    assert ask("b.example.com", ["h2"]) == "only"
    assert ask("b.example.com", ["http/1.1"]) == "rst"


def test_a_real_alpn_offer_is_answered_by_the_backend_that_was_chosen(hosts, run, web):
    run([route("a.example.com", web["app"], name="two", alpn=["h2"]),
         route("a.example.com", web["wild"], name="one")])
    assert real.openssl(hosts.client, "a.example.com", ROUTER4, "-alpn",
                        "h2,http/1.1").certificate == "app.example.com"
    assert real.openssl(hosts.client, "a.example.com", ROUTER4, "-alpn",
                        "http/1.1").certificate == "wild.example.com"


def test_listeners_on_one_port_are_isolated_by_their_hostnames(hosts, run, echo):
    """The narrower listener owns its names, also those that only the broader one has routes for."""
    run([route("app.narrow.example.com", echo(2, "narrow").text(), listeners=["narrow"], name="n"),
         route("*.example.com", echo(3, "broad").text(), listeners=["broad"], name="b"),
         route("*", echo(4, "all").text(), listeners=["all"], name="d")],
        listeners=[{"name": "narrow", "port": 443, "hostname": "*.narrow.example.com"},
                   {"name": "broad", "port": 443, "hostname": "*.example.com"},
                   {"name": "all", "port": 443}])
    ask = lambda name: backend_of(hosts.client, ROUTER4, hello(name))
    assert ask("app.narrow.example.com") == "narrow"
    assert ask("other.narrow.example.com") == "rst"
    assert ask("narrow.example.com") == "broad"
    assert ask("app.example.com") == "broad"
    assert ask("example.com") == "all"


def test_listeners_on_two_ports_and_addresses_have_their_own_routes(hosts, run, echo):
    run([route("a.example.com", echo(2, "one").text(), listeners=["one"], name="r1"),
         route("a.example.com", echo(3, "two").text(), listeners=["two"], name="r2"),
         route("both.example.com", echo(4, "both").text())],
        listeners=[{"name": "one", "port": 443, "address": ROUTER4},
                   {"name": "two", "port": 8443, "address": ROUTER6}])
    assert backend_of(hosts.client, ROUTER4, hello("a.example.com")) == "one"
    assert backend_of(hosts.client, ROUTER6, hello("a.example.com"), 8443) == "two"
    assert backend_of(hosts.client, ROUTER4, hello("both.example.com")) == "both"
    assert backend_of(hosts.client, ROUTER6, hello("both.example.com"), 8443) == "both"
    for address, port in ((ROUTER6, 443), (ROUTER4, 8443)):
        with pytest.raises(ConnectionRefusedError):
            hosts.client.connect(address, port)


def test_a_unix_socket_is_a_backend(hosts, run, tmp_path):
    path = str(tmp_path / "app.sock")
    message = hello("u.example.com")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.settimeout(PATIENCE)
        run([route("u.example.com", f"unix:{path}")])
        with hosts.client.connect(ROUTER4) as client:
            client.send(message)
            server = listening.accept()[0]
            assert server.recv(65536) == message
            server.sendall(b"from a unix socket")
            server.close()
            assert client.ending() == ("fin", b"from a unix socket")


def test_explain_names_the_backend_that_the_connection_then_reaches(hosts, guide, web):
    for name, match, matched, backend in (
            ("app.example.com", "exact", "app.example.com", "app"),
            ("q.example.com", "wildcard", "*.example.com", "wild"),
            ("example.org", "default", "*", "default")):
        said = guide.json("route", "explain", name, "--port", "443")[0]
        assert (said["match"], said["matched"], said["reason"]) == (match, matched, "ok")
        assert said["backend"] == web[backend]
        with hosts.client.connect(ROUTER4) as conn:
            assert real.python(conn, name).certificate.startswith(backend)
    said = guide.json("route", "explain", "no.example.com")[0]
    assert (said["reason"], said["backend"]) == ("refused_name", None)


def test_a_hundred_names_of_one_route_share_its_counters(hosts, run, echo):
    backend = echo(2, "many")
    names = [f"n{i}.example.com" for i in range(100)]
    daemon = run([route(names, backend.text(), name="many")])
    for name in names[::10]:
        assert backend_of(hosts.client, ROUTER4, hello(name)) == "many"
    daemon.settle(connections=10, active=0)
    assert daemon.routes()["many"]["stats"]["connections"] == 10
    number = daemon.routes()["many"]["id"]
    assert daemon.lookup("tw_route_stats", number)["relay"]["connections"] == 10
    assert daemon.backends()[f"{server4(2)}:9000"]["stats"]["connections"] == 10
