# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""One line per connection, served or refused, in text or JSON; network bytes are escaped."""
import json
import re

import pytest
from clienthello import hello
from hosts import CLIENT4, ROUTER4, eventually, server4
from raw import backend_of
from thruway import configuration, route

NAME = "app.example.com"
EVIL = b'h2 route=other backend=x reason=y\n"},z=\x1b[31m\xff'


def lines_of(path, n):
    def found():
        with open(path, "rb") as file:
            text = file.read()
        return text if text.count(b"\n") >= n else None
    text = eventually(found, what=f"{n} lines in {path}")
    assert text.count(b"\n") == n and text.isascii() and text.replace(b"\n", b"").decode().isprintable()
    return text.decode().splitlines()


def fields(line):
    """key=value after the time."""
    time, _, rest = line.partition(" ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    return dict(pair.split("=", 1) for pair in rest.split(" "))


def one_of_each(hosts, log):
    """A served connection, and when its line is there a refused one."""
    data = hello("App.Example.COM", ["h2", "http/1.1"])
    with hosts.client.connect(ROUTER4) as client:
        client.send(data).fin()
        assert len(client.read_eof()) == 8 + len(data)
    lines_of(log, 1)
    assert backend_of(hosts.client, ROUTER4, hello("unknown.example.com")) == "rst"
    return len(data)


def expected(size):
    return ({"listener": "tls", "sni": NAME, "route": "app", "backend": f"{server4(2)}:9000",
             "path": "relay", "reason": "closed"}, size)


def test_text_lines_say_who_where_how_much_and_why(hosts, run, echo):
    log = f"{run.folder}/access.log"
    run([route(NAME, echo(2).text(), name="app")], access_log=log)
    size = one_of_each(hosts, log)
    served, refused = (fields(line) for line in lines_of(log, 2))
    assert served.items() >= expected(size)[0].items()
    assert (served["to_backend"], served["to_client"]) == (str(size), str(8 + size))
    assert served["alpn"] == "h2,http/1.1"
    assert served["client"].startswith(f"{CLIENT4}:")
    assert (refused["sni"], refused["reason"], refused["route"], refused["backend"]) == \
        ("unknown.example.com", "unknown_name", "-", "-")


def test_json_lines_are_one_object_each(hosts, run, echo):
    log = f"{run.folder}/access.log"
    run([route(NAME, echo(2).text(), name="app")], access_log={"target": log, "format": "json"})
    size = one_of_each(hosts, log)
    served, refused = (json.loads(line) for line in lines_of(log, 2))
    assert served.items() >= expected(size)[0].items()
    assert (served["bytes_to_backend"], served["bytes_to_client"]) == (size, 8 + size)
    assert served["alpn"] == ["h2", "http/1.1"]
    assert isinstance(served["duration_ms"], int)
    assert served["client"].startswith(f"{CLIENT4}:")
    assert (refused["sni"], refused["reason"], refused["route"]) == \
        ("unknown.example.com", "unknown_name", None)


@pytest.mark.parametrize("form", ["text", "json"])
def test_hostile_bytes_from_the_network_forge_nothing(hosts, run, echo, form):
    log = f"{run.folder}/access.log"
    run([route(NAME, echo(2, "echo").text(), name="app")], access_log={"target": log, "format": form})
    assert backend_of(hosts.client, ROUTER4, hello(NAME, [EVIL, "h2"])) == "echo"
    lines_of(log, 1)
    backend_of(hosts.client, ROUTER4, hello(b'x" route=a\n.example.com'))
    first, second = lines_of(log, 2)
    if form == "text":
        assert (fields(first)["route"], fields(first)["sni"]) == ("app", NAME)
        assert [first.count(f" {key}=") for key in ("route", "backend", "reason")] == [1, 1, 1]
        assert fields(second)["route"] == "-"
    else:
        assert (json.loads(first)["route"], json.loads(first)["sni"]) == ("app", NAME)
        assert len(json.loads(first)["alpn"]) == 2
        assert json.loads(second)["route"] is None


def test_the_log_is_off_by_default_and_a_reload_turns_it_on_and_reopens_it(hosts, run, echo):
    log, moved = run.folder / "access.log", run.folder / "access.log.1"
    routes = [route(NAME, echo(2, "echo").text())]
    daemon = run(routes)
    assert backend_of(hosts.client, ROUTER4, hello(NAME)) == "echo"
    daemon.settle(connections=1, active=0)
    assert not log.exists()
    daemon.hangup(configuration(routes, access_log=str(log)), r"\breloaded\b")
    backend_of(hosts.client, ROUTER4, hello(NAME))
    lines_of(log, 1)
    log.rename(moved)
    daemon.hangup(wait_for=r"\breloaded\b")
    backend_of(hosts.client, ROUTER4, hello(NAME))
    lines_of(log, 1)
    lines_of(moved, 1)


def test_the_log_can_go_to_stdout(hosts, run, echo):
    daemon = run([route(NAME, echo(2, "echo").text(), name="app")], access_log="stdout")
    backend_of(hosts.client, ROUTER4, hello(NAME))
    daemon.process.wait_for(r"^\S+Z client=\S+ .*\broute=app\b.*\breason=\w+")
