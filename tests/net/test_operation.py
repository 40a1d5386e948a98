# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What an operator does: start, stop, crash, reload, apply, wrong calls, down."""
import json
import os
import re
import socket
import subprocess

import pytest
from clienthello import hello
from hosts import ROUTER4, eventually, server4
from raw import backend_of, conn_tag
from thruway import BPFTOOL, configuration, route

NAME = "app.example.com"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


def ask(hosts, name=NAME):
    return backend_of(hosts.client, ROUTER4, hello(name))


@pytest.fixture(name="two")
def _two(echo):
    return echo(2, "file", port=9400), echo(3, "cli", port=9400)


@pytest.fixture(name="daemon")
def _daemon(run, two):
    return run([route(NAME, two[0].text())])


# --- what lasts ------------------------------------------------------------------------------

@pytest.mark.parametrize("ending", ["sigterm", "sigkill", "sighup", "apply"])
def test_routes_of_the_cli_last(hosts, daemon, two, ending):
    daemon.cli("route", "add", "cli.example.com", two[1].text(), f"{server4(9)}:1,weight=0",
               "--balance", "source")
    daemon.cli("route", "add", "no.example.com", "--refuse")
    assert (ask(hosts), ask(hosts, "cli.example.com"), ask(hosts, "no.example.com")) == \
        ("file", "cli", "rst")
    before = daemon.routes()
    daemon.settle(connections=2, active=0, refused=1)
    if ending == "sighup":
        daemon.hangup(wait_for=r"\breloaded\b")
    elif ending == "apply":
        daemon.cli("apply", "-f", daemon.file)
    else:
        assert daemon.term() == 0 if ending == "sigterm" else daemon.kill() is None
        daemon.start()
    after = daemon.routes()
    assert after == before, "routes, ids and counters are the same"
    assert (after["cli.example.com"]["owner"], after[NAME]["owner"]) == ("cli", "file")
    assert (ask(hosts), ask(hosts, "cli.example.com"), ask(hosts, "no.example.com")) == \
        ("file", "cli", "rst")


def test_the_file_owns_its_routes_and_a_reload_never_touches_the_clis(hosts, daemon, two):
    daemon.cli("route", "add", "cli.example.com", two[1].text())
    daemon.hangup(configuration([route("new.example.com", two[0].text())]), r"\breloaded\b")
    assert (ask(hosts), ask(hosts, "new.example.com"), ask(hosts, "cli.example.com")) == \
        ("rst", "file", "cli")
    assert sorted(daemon.routes()) == ["cli.example.com", "new.example.com"]
    done = daemon.cli("route", "del", "new.example.com", check=False)
    assert done.returncode == 1 and done.stderr
    assert ask(hosts, "new.example.com") == "file"
    assert daemon.json("route", "del", "cli.example.com")["deleted"] == 1
    assert daemon.cli("route", "del", "cli.example.com", check=False).returncode == 1


@pytest.mark.parametrize("signal_name", ["sigterm", "sigkill"])
def test_routes_and_counters_stay_in_the_pinned_maps_without_a_daemon(hosts, daemon, two, signal_name):
    daemon.cli("route", "add", "cli.example.com", two[1].text())
    for _ in range(3):
        ask(hosts)
    ask(hosts, "unknown.example.com")
    daemon.settle(connections=3, active=0, refused=1)
    number, stats = daemon.routes()[NAME]["id"], daemon.stats()
    listener = daemon.listeners()["tls"]["id"]
    if signal_name == "sigterm":
        assert daemon.term() == 0
    else:
        daemon.kill()
    assert {key["name"] for key, _ in daemon.dump("tw_names")} == {NAME, "cli.example.com"}
    assert {value["name"] for _, value in daemon.dump("tw_routes")} == {NAME, "cli.example.com"}
    assert two[0].text() in {value["text"] for _, value in daemon.dump("tw_backends")}
    assert daemon.lookup("tw_route_stats", number)["relay"]["connections"] == 3
    assert daemon.pinned_refusals(number=listener)["unknown_name"] == 1
    daemon.start()
    assert daemon.stats() == stats
    ask(hosts)
    daemon.settle(connections=4)


def test_established_connections_end_with_the_daemon_by_a_reset(hosts, daemon):
    with hosts.client.connect(ROUTER4) as client:
        client.send(hello(NAME))
        assert conn_tag(client) == "file"
        client.read(len(hello(NAME)))
        assert daemon.term() == 0
        assert client.ending() == ("rst", b"")
    assert daemon.lookup("tw_route_stats", 1)["relay"]["active"] == 0


def test_active_counts_are_right_again_after_kill_9(hosts, daemon):
    with hosts.client.connect(ROUTER4) as client:
        client.send(hello(NAME))
        assert conn_tag(client) == "file"
        daemon.settle(active=1)
        daemon.kill()
        assert client.ending()[0] in ("rst", "fin")
    daemon.start()
    daemon.settle(active=0, waiting=0)
    assert ask(hosts) == "file"


def all_paths(stats):
    """The counters of the paths together: a connection may have changed from one to another."""
    return {word: stats["relay"][word] + stats["socket"][word] for word in stats["relay"]}


def test_live_counters_move_while_a_connection_is_open(hosts, daemon):
    data = hello(NAME)
    number = daemon.routes()[NAME]["id"]
    with hosts.client.connect(ROUTER4) as client:
        client.send(data)
        client.read(8 + len(data))
        client.send(b"x" * 50000)
        client.read(50000)
        eventually(lambda: all_paths(daemon.lookup("tw_route_stats", number)) == {
            "connections": 1, "active": 1, "bytes_to_backend": len(data) + 50000,
            "bytes_to_client": 8 + len(data) + 50000})
        shown = daemon.connections()
        assert len(shown) == 1
        assert (shown[0]["sni"], shown[0]["route"], shown[0]["backend"], shown[0]["path"],
                shown[0]["state"], shown[0]["listener"]) == \
            (NAME, NAME, f"{server4(2)}:9400", "socket", "open", "tls")
        assert shown[0]["bytes_to_backend"] == len(data) + 50000


# --- starting wrongly ------------------------------------------------------------------------

def failed_start(daemon, argv=()):
    """The one line that says why (exit 1)."""
    daemon.start(wait=False, argv=argv)
    assert daemon.process.wait() == 1
    lines = [line for line in daemon.process.output().splitlines() if line]
    assert not re.search(r"\bready\b", "\n".join(lines))
    return lines


def test_a_second_daemon_of_the_same_instance_is_refused_and_harms_nothing(hosts, run, daemon, two):
    second = run.prepared([route("x.example.com", two[1].text())])
    own, second.instance = second.instance, daemon.instance
    lines = failed_start(second)
    second.instance = own
    assert len(lines) == 1 and daemon.instance in lines[0], lines
    assert ask(hosts) == "file"
    assert list(daemon.routes()) == [NAME]


def test_two_instances_do_not_meet(hosts, run, daemon, two):
    second = run([route("x.example.com", two[1].text())], [{"name": "other", "port": 444}])
    assert list(second.routes()) == ["x.example.com"]
    second.cli("down")
    assert ask(hosts) == "file"
    assert os.path.isdir(daemon.pins) and not os.path.exists(second.pins)


def test_without_root_the_daemon_says_so(run, two):
    daemon = run.prepared([route(NAME, two[0].text())])
    os.chmod(daemon.file, 0o644)
    assert "root" in " ".join(failed_start(daemon, NOBODY))
    assert not os.path.exists(daemon.pins)


def test_without_bpffs_the_daemon_says_how_to_mount_it(run, two):
    bare = ("unshare", "--mount", "--", "sh", "-c", 'umount /sys/fs/bpf && exec "$@"', "sh")
    lines = failed_start(run.prepared([route(NAME, two[0].text())]), bare)
    assert len(lines) == 1 and "mount" in lines[0] and "/sys/fs/bpf" in lines[0], lines


def test_pinned_maps_of_another_layout_stop_the_daemon_until_reset(hosts, run, two):
    daemon = run.prepared([route(NAME, two[0].text())])
    os.mkdir(daemon.pins)
    hosts.router.run(BPFTOOL, "map", "create", f"{daemon.pins}/tw_routes", "type", "hash", "key", "4",
                     "value", "8", "entries", "16", "name", "tw_routes", "flags", "1")
    lines = failed_start(daemon)
    assert len(lines) == 1 and "--reset" in lines[0] and "tw_routes" in lines[0], lines
    daemon.args = ("--reset",)
    daemon.start()
    assert ask(hosts) == "file"


def test_a_port_in_use_is_named(hosts, run, two):
    with hosts.router.listen("0.0.0.0", 443):
        lines = failed_start(run.prepared([route(NAME, two[0].text())]))
    assert len(lines) == 1 and "443" in lines[0] and "use" in lines[0], lines


def test_a_port_in_use_at_reload_changes_nothing(hosts, daemon, two):
    with hosts.router.listen("0.0.0.0", 8443):
        more = [{"name": "tls", "port": 443}, {"name": "more", "port": 8443}]
        daemon.hangup(configuration([route("x.example.com", two[1].text())], more), r"8443.*use.*stays as it was")
        assert ask(hosts) == "file"
        assert list(daemon.listeners()) == ["tls"]
    daemon.hangup(wait_for=r"\breloaded\b")
    eventually(lambda: sorted(daemon.listeners()) == ["more", "tls"])
    assert ask(hosts, "x.example.com") == "cli"


def test_a_bad_route_is_left_out_alone_at_start_with_its_place(hosts, run, two):
    daemon = run.prepared(f"""listeners:
  - port: 443
routes:
  - hostnames: [{NAME}]
    backends: ["{two[0].text()}"]
  - hostnames: [bad.example.com]
    backends: ["{two[0].text()}:70000"]
""")
    daemon.start()
    assert re.search(rf"{re.escape(daemon.file)}:7:\d+: .*routes\[1\]", daemon.process.output())
    assert (ask(hosts), ask(hosts, "bad.example.com")) == ("file", "rst")


# --- bad configurations ----------------------------------------------------------------------

GOOD = f"listeners: [{{name: tls, port: 443}}]\nroutes:\n- {{hostnames: [{NAME}], backends: [\"BACKEND\"]}}\n"
BAD = {
    "wrong_type": "listeners: 7\n",
    "unknown_key": "listeners: [{name: tls, prot: 443}]\n",
    "duplicate_listener": "listeners: [{name: a, port: 443}, {name: a, port: 444}]\n",
    "bad_port": "listeners: [{name: tls, port: 70000}]\n",
    "bad_address": "listeners: [{name: tls, port: 443, address: 10.0.0.256}]\n",
    "bad_backend_port": "routes: [{hostnames: [a.example.com], backends: [\"10.0.0.1:0\"]}]\n",
    "bad_weight": "routes: [{hostnames: [a.example.com], backends: [{address: \"10.0.0.1:1\", weight: -1}]}]\n",
    "wildcard_in_the_middle": "routes: [{hostnames: [\"a.*.example.com\"], backends: [\"10.0.0.1:1\"]}]\n",
    "ip_as_hostname": "routes: [{hostnames: [10.0.0.1], backends: [\"10.0.0.1:1\"]}]\n",
    "duplicate_name": "routes: [{hostnames: [a.example.com, A.example.com.], backends: [\"10.0.0.1:1\"]},"
                      " {name: b, hostnames: [a.example.com], backends: [\"10.0.0.1:1\"]}]\n",
    "backend_is_our_listener": "routes: [{hostnames: [a.example.com], backends: [\"127.0.0.1:443\"]}]\n",
    "unknown_listener": "routes: [{hostnames: [a.example.com], listeners: [x], backends: [\"10.0.0.1:1\"]}]\n",
    "empty": "",
    "not_yaml": "listeners: [{\n",
    "not_text": "\x01\x02listeners:\n",
    "a_list": "- a\n- b\n",
    "exploding_anchors": "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefghijk", "bcdefghijkl")),
}


def whole(case):
    """The bad part in an otherwise good file."""
    text = BAD[case]
    if text.startswith("routes:"):
        return "listeners: [{name: tls, port: 443}]\n" + text
    if text.startswith("listeners:") and text.endswith("]\n"):
        return text + f"routes: [{{hostnames: [{NAME}], backends: [\"10.0.0.1:1\"]}}]\n"
    return text


@pytest.mark.parametrize("case", BAD)
def test_check_and_apply_name_the_place_and_change_nothing(hosts, daemon, tmp_path, case):
    bad = tmp_path / "bad.yaml"
    bad.write_text(whole(case), encoding="utf-8")
    before = daemon.routes(), daemon.listeners()
    for command in ("check", "apply"):
        done = daemon.cli(command, "-f", bad, check=False)
        assert done.returncode == 1, (command, done.stdout, done.stderr)
        place = r"(:\d+:\d+)?" if case == "empty" else r":\d+:\d+"
        assert re.search(rf"{re.escape(str(bad))}{place}: \S", done.stderr), done.stderr
        said = json.loads(daemon.cli("-j", command, "-f", bad, check=False).stdout)
        assert said["error"]
    assert (daemon.routes(), daemon.listeners()) == before
    after = daemon.process.mark()
    daemon.hangup(whole(case), r"stays as it was")
    assert daemon.file in daemon.process.output(after)
    assert (daemon.routes(), daemon.listeners()) == before
    assert ask(hosts) == "file"


def test_several_errors_are_reported_at_once(daemon):
    text = ("listeners: [{name: tls, port: 443}]\nroutes:\n"
            "- {hostnames: [a.*.b], backends: [\"10.0.0.1:1\"]}\n- {hostnames: [a.b], backends: [\"10.0.0.1\"]}\n"
            "- {hostnames: [c.d], servers: [\"10.0.0.1:1\"]}\n")
    done = daemon.cli("check", "-f", "-", input=text, check=False)
    assert done.returncode == 1
    for line, word in ((3, "routes[0]"), (4, "routes[1]"), (5, "routes[2]")):
        assert any(f":{line}:" in said and word in said for said in done.stderr.splitlines()), done.stderr


def test_apply_is_a_transaction_and_partial_takes_the_good_routes(hosts, daemon, two):
    text = GOOD.replace(NAME, "new.example.com").replace("BACKEND", two[1].text()) + \
        "- {hostnames: [x.*.y], backends: [\"10.0.0.1:1\"]}\n"
    done = daemon.cli("apply", "-f", "-", input=text, check=False)
    assert done.returncode == 1 and "routes[1]" in done.stderr
    assert (ask(hosts), ask(hosts, "new.example.com")) == ("file", "rst")
    done = daemon.cli("apply", "--partial", "-f", "-", input=text, check=False)
    assert "routes[1]" in done.stderr
    assert (ask(hosts), ask(hosts, "new.example.com")) == ("rst", "cli")


def test_dry_run_tells_the_changes_and_makes_none(hosts, daemon, two):
    text = GOOD.replace(NAME, "new.example.com").replace("BACKEND", two[1].text())
    before = daemon.routes()
    said = daemon.json("apply", "--dry-run", "-f", "-", input=text)
    assert said["flows_affected"] == 0
    changes = {(c["action"], c["object"], c["name"]) for c in said["changes"]}
    assert {("add", "route", "new.example.com"), ("remove", "route", NAME)} <= changes
    assert daemon.routes() == before
    assert ask(hosts) == "file"
    assert daemon.json("apply", "-f", "-", input=text)["changes"] == said["changes"]
    assert daemon.json("apply", "-f", "-", input=text)["changes"] == []


def test_a_file_that_cannot_be_read_is_named(daemon, tmp_path):
    for command in ("check", "apply"):
        done = daemon.cli(command, "-f", tmp_path / "none.yaml", check=False)
        assert done.returncode == 1 and "none.yaml" in done.stderr
    os.remove(daemon.file)
    daemon.hangup(wait_for=r"stays as it was")
    assert list(daemon.routes()) == [NAME]


def test_50_mb_of_yaml_are_refused_unread(daemon, tmp_path):
    huge = tmp_path / "huge.yaml"
    with open(huge, "w", encoding="ascii") as file:
        file.write("# " + "x" * (50 << 20))
    rss = daemon.process.rss_bytes()
    for command in ("check", "apply"):
        done = daemon.cli(command, "-f", huge, check=False, timeout=20)
        assert done.returncode == 1 and "huge.yaml" in done.stderr
    assert daemon.process.rss_bytes() - rss < 32 << 20


def test_a_wrong_call_exits_2_and_a_failed_one_1(daemon):
    for args in ((), ("route",), ("route", "frobnicate"), ("route", "add"), ("stats", "--no-such"),
                 ("frobnicate", "show")):
        done = daemon.cli(*args, check=False)
        assert done.returncode == 2 and done.stderr and not done.stdout, args
    for args in (("route", "add", "a..b", "10.0.0.1:1"), ("route", "add", "a.b", "10.0.0.1"),
                 ("route", "add", NAME, "10.0.0.1:1"), ("conn", "kill", "ffffffffffff")):
        done = daemon.cli(*args, check=False)
        assert done.returncode == 1 and done.stderr, (args, done)
    for args in (("--help",), ("route", "--help"), ("route", "add", "--help"), ("doctor", "--help")):
        done = daemon.cli(*args)
        assert done.stdout.startswith(("usage", "thruway")), args


# --- the control socket ----------------------------------------------------------------------

def control(daemon):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(15)
    sock.connect(f"{daemon.run_dir}/control.sock")
    return sock


@pytest.mark.parametrize("garbage", [b"", b"\0" * 1000, b"{", b"[]", b"7", b'{"op": 7}', b'{"op": "x"}',
                                     b'{"op": "route.add"}', b'{"op": "route.add", "name": 5, "backends": {}}',
                                     b'{"op": "route.add", "name": "a.b", "backends": ["x", 1, null]}',
                                     b'{"op": "apply", "files": [[]]}', b'{"op": "conn.kill", "id": "zz"}',
                                     b"[" * 100000, os.urandom(4096)],
                         ids=lambda g: repr(g[:24]) if g.isascii() else "random")
def test_the_control_socket_answers_garbage_with_an_error_and_lives(hosts, daemon, garbage):
    with control(daemon) as sock:
        try:
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: sock.recv(65536), b""))
        except ConnectionError:
            answer = b""
        assert not answer or "error" in json.loads(answer)
    assert ask(hosts) == "file"
    assert list(daemon.routes()) == [NAME]


def test_clients_that_hold_the_control_socket_open_do_not_lock_others_out(daemon):
    held = [control(daemon) for _ in range(40)]
    for sock in held:
        sock.sendall(b'{"op": ')
    assert list(daemon.routes()) == [NAME]
    for sock in held:
        sock.close()


def test_no_local_user_but_root_gets_in(daemon):
    done = daemon.cli("route", "show", argv=NOBODY, check=False)
    assert done.returncode == 1 and "root" in done.stderr
    assert os.stat(f"{daemon.run_dir}/control.sock").st_mode & 0o777 == 0o600


# --- the end ---------------------------------------------------------------------------------

def test_down_removes_everything_with_and_without_a_daemon(hosts, daemon):
    daemon.cli("down")
    assert daemon.process.wait() == 0
    assert not os.path.exists(daemon.pins)
    assert not os.path.exists(f"{daemon.run_dir}/control.sock")
    daemon.start()
    assert ask(hosts) == "file"
    daemon.kill()
    assert os.path.isdir(daemon.pins)
    daemon.cli("down")
    assert not os.path.exists(daemon.pins)
    assert daemon.cli("route", "show", check=False).returncode == 1


def test_doctor_tells_the_path_that_would_be_used_and_its_exit_code(daemon):
    done = daemon.cli("doctor", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "relay" in done.stdout
    assert isinstance(daemon.json("doctor"), dict)


def test_conn_show_of_an_unknown_id_fails(daemon):
    assert daemon.cli("conn", "show").returncode == 0
    done = daemon.cli("conn", "show", "fffff", check=False)
    assert done.returncode == 1 and "fffff" in done.stderr


# --- what others have pinned, and what is damaged ------------------------------------------------

def damage(daemon):
    """A backend under the id that no backend has."""
    size = 160
    subprocess.run([BPFTOOL, "map", "update", "pinned", f"{daemon.pins}/tw_backends", "key", *["0"] * 4,
                    "value", *["0"] * size], check=True, timeout=60)


def test_a_damaged_map_is_named_and_reset_alone_removes_it(hosts, daemon):
    daemon.term()
    damage(daemon)
    daemon.start(wait=False)
    assert daemon.process.wait() == 1
    with open(daemon.log, encoding="utf-8") as log:
        last = log.read().splitlines()[-1]
    assert f"{daemon.pins}/tw_backends" in last and "--reset" in last
    daemon.args = ("--reset",)
    daemon.start()
    assert ask(hosts) == "file"


def test_down_leaves_what_others_pinned_and_the_log_says_so(run):
    daemon = run([])
    foreign = f"{daemon.pins}/foreign"
    subprocess.run([BPFTOOL, "map", "create", foreign, "type", "array", "key", "4", "value", "4",
                    "entries", "1", "name", "foreign"], check=True, timeout=60)
    daemon.cli("down")
    daemon.process.wait()
    assert os.listdir(daemon.pins) == ["foreign"]
    with open(daemon.log, encoding="utf-8") as log:
        assert "holds other pins: foreign; left" in log.read()
    assert "foreign" in daemon.cli("down").stderr


def test_a_host_whose_self_test_fails_is_served_by_the_relay_and_says_so_once(hosts, run, echo):
    backend = echo(2, "one")
    hosts.router.run("ip", "link", "set", "lo", "down")
    try:
        daemon = run([route(NAME, backend.text())])
        with open(daemon.log, encoding="utf-8") as log:
            lines = [line for line in log if "self-test" in line]
        assert len(lines) == 1 and "loopback" in lines[0] and "relay" in lines[0]
        assert daemon.json("status")["paths"] == ["relay"]
        with hosts.client.connect(ROUTER4) as client:
            client.send(hello(NAME))
            client.read(8 + len(hello(NAME)))
            client.send(b"again")
            assert client.read(5) == b"again"
            assert [c["path"] for c in daemon.connections()] == ["relay"]
    finally:
        hosts.router.run("ip", "link", "set", "lo", "up")


def test_paths_relay_turns_the_socket_path_off(hosts, run, echo):
    backend = echo(2, "one")
    daemon = run([route(NAME, backend.text())], paths=["relay"])
    assert daemon.json("status")["paths"] == ["relay"]
    with hosts.client.connect(ROUTER4) as client:
        client.send(hello(NAME))
        client.read(8 + len(hello(NAME)))
        for _ in range(10):
            client.send(b"again")
            assert client.read(5) == b"again"
        assert [c["path"] for c in daemon.connections()] == ["relay"]
    daemon.hangup({"listeners": [{"name": "tls", "port": 443}], "routes": [route(NAME, backend.text())]},
                  wait_for="restart is needed")
