# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The file owns its routes, the command line its own: neither holds the other up."""
import os

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually
from raw import backend_of, conn_tag
from thruway import configuration, route

NAME, OTHER = "app.example.com", "b.example.com"


def ask(hosts, name):
    return backend_of(hosts.client, ROUTER4, hello(name))


@pytest.fixture(name="two")
def _two(echo):
    return echo(2, "file", port=9400), echo(3, "cli", port=9400)


def change(daemon, way, config):
    """Put @config in force by SIGHUP or by apply."""
    if way == "sighup":
        daemon.hangup(config, r"\breloaded\b")
    else:
        daemon.cli("apply", "-f", daemon.write(config).file)


@pytest.mark.parametrize("way", ["sighup", "apply"])
def test_the_file_may_take_a_name_of_the_cli_and_give_it_back(hosts, run, two, way):
    first = configuration([route(NAME, two[0].text())])
    daemon = run(first["routes"])
    daemon.cli("route", "add", OTHER, two[1].text())
    assert ask(hosts, OTHER) == "cli"
    change(daemon, way, configuration([route([NAME, OTHER], two[0].text())]))
    assert ask(hosts, OTHER) == "file"
    change(daemon, way, first)
    assert ask(hosts, OTHER) == "cli"


def test_a_route_of_the_cli_without_its_listener_is_no_hostage(hosts, run, two):
    both = [{"name": "tls", "port": 443}, {"name": "side", "port": 444}]
    daemon = run([route(NAME, two[0].text())], both)
    daemon.cli("route", "add", OTHER, two[1].text(), "--listener", "side")
    daemon.hangup(configuration([route(NAME, two[0].text())], both[:1]), r"\breloaded\b")
    assert ask(hosts, NAME) == "file"
    daemon.cli("route", "add", "c.example.com", two[1].text())
    assert ask(hosts, "c.example.com") == "cli"
    daemon.hangup(configuration([route(NAME, two[0].text())], both), r"\breloaded\b")
    assert backend_of(hosts.client, ROUTER4, hello(OTHER), port=444) == "cli"


def test_one_conflict_does_not_refuse_the_next_route_add(hosts, run, two):
    daemon = run([route(NAME, two[0].text())])
    daemon.cli("route", "add", OTHER, two[1].text())
    daemon.hangup(configuration([route([NAME, OTHER], two[0].text())]), r"\breloaded\b")
    daemon.term()
    daemon.start()
    daemon.cli("route", "add", "c.example.com", two[1].text())
    assert (ask(hosts, "c.example.com"), ask(hosts, OTHER)) == ("cli", "file")
    done = daemon.cli("route", "add", OTHER, two[0].text(), check=False)
    assert done.returncode == 1 and OTHER in done.stderr


def test_one_conflict_inside_the_file_does_not_refuse_route_add(hosts, run, two):
    file = two[0].text()
    mine = {"name": "mine", "port": 443, "hostname": NAME}
    both = [{**route("*.example.com", file), "name": "first"},
            {**route("*.example.com", file), "name": "second", "listeners": ["mine"]}]
    daemon = run(both, [mine, {"name": "rest", "port": 443}])
    with open(daemon.log, encoding="utf-8") as log:
        assert "already taken" in log.read()
    daemon.cli("route", "add", "c.example.org", two[1].text())
    assert ask(hosts, "c.example.org") == "cli"
    daemon.cli("route", "add", NAME, two[1].text(), "--listener", "mine")
    assert ask(hosts, NAME) == "cli"
    done = daemon.cli("route", "add", "*.example.com", two[1].text(), check=False)
    assert done.returncode == 1 and "*.example.com" in done.stderr


def test_a_route_of_the_cli_that_would_loop_goes_when_its_backend_becomes_a_listener(hosts, run, two):
    daemon = run([route(NAME, two[0].text())])
    daemon.cli("route", "add", "loop.example.com", "127.0.0.1:7555")
    looped = configuration([route(NAME, two[0].text())],
                           [{"name": "tls", "port": 443}, {"name": "inner", "port": 7555}])
    daemon.hangup(looped, r"\breloaded\b")
    assert ask(hosts, "loop.example.com") == "rst"
    assert list(daemon.routes()) == [NAME]
    assert daemon.stats()["totals"]["accepted"] == 1, "no connection came back"
    done = daemon.cli("route", "add", "loop.example.com", "127.0.0.1:7555", check=False)
    assert done.returncode == 1 and "loop" in done.stderr


def test_totals_do_not_go_back_when_a_route_goes(hosts, run, two):
    daemon = run([route(NAME, two[0].text())])
    daemon.cli("route", "add", OTHER, two[1].text())
    with hosts.client.connect(ROUTER4, 443) as conn:
        conn.send(hello(OTHER))
        assert conn_tag(conn) == "cli"
        eventually(lambda: daemon.stats()["totals"]["active"] == 1, what="one active")
        before = daemon.stats()["totals"]
        daemon.cli("route", "del", OTHER)
        assert daemon.stats()["totals"] == before
        assert len(daemon.connections()) == 1
    daemon.settle(active=0, connections=1)


def test_the_daemon_keeps_only_the_capabilities_that_it_needs(run, two):
    daemon = run([route(NAME, two[0].text())])
    needed = {1: "DAC_OVERRIDE", 10: "NET_BIND_SERVICE", 12: "NET_ADMIN", 24: "SYS_RESOURCE",
              38: "PERFMON", 39: "BPF"}
    expected = sum(1 << bit for bit in needed)
    for task in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{task}/status", encoding="ascii") as file:
            effective = next(line for line in file if line.startswith("CapEff:"))
        assert int(effective.split()[1], 16) & ~expected == 0, task
