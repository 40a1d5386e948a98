# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The command line tool against a scripted daemon: calls, what it asks, what it prints, how it ends.

What the real daemon makes of the requests is the other files' business.
"""
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
THRUWAY = f"{BUILD}/thruway"
MAX = 32 << 20

COUNTS = {"connections": 12, "active": 2, "bytes_to_backend": 1536, "bytes_to_client": 5 << 20,
          "connect_failures": 1, "refused": 3}
TIMEOUTS = {"hello_ms": 10000, "connect_ms": 5000, "idle_ms": 3600000, "half_closed_ms": 0}
ROUTE = {"id": 1, "name": "app.example.com", "owner": "file", "hostnames": ["app.example.com", "b.example.com"],
         "listeners": ["tls"], "alpn": ["h2"], "balance": "weighted", "tries": 3, "refuse": False,
         "timeouts": TIMEOUTS, "stats": COUNTS,
         "backends": [{"id": 1, "address": "10.0.0.5:8443", "weight": 3, "drained": False, "invalid": False},
                      {"id": 2, "address": "[2001:db8::5]:8443", "weight": 1, "drained": True, "invalid": False}]}
BACKEND = {"id": 1, "address": "10.0.0.5:8443", "drained": True, "routes": ["app.example.com"], "stats": COUNTS}
LISTENER = {"id": 1, "name": "tls", "address": "*:443", "hostname": None, "on_refuse": "reset",
            "timeouts": TIMEOUTS, "no_sni": [], "unknown_name": ["10.0.0.9:22"], "not_tls": [],
            "stats": {"accepted": 40, "waiting": 1, "refused": {"no_sni": 2, "not_tls": 0}}}
CONN = {"id": "1000000000001", "client": "192.0.2.1:50000", "local": "198.51.100.1:443", "listener": "tls",
        "sni": "app.example.com", "alpn": ["h2"], "route": "app.example.com", "backend": "10.0.0.5:8443",
        "path": "relay", "state": "open", "bytes_to_backend": 517, "bytes_to_client": 4096, "age_ms": 65000,
        "idle_ms": 350, "tries": 1}
STATS = {"listeners": [], "totals": {**COUNTS, "accepted": 40, "waiting": 1, "refusals": {"no_sni": 3}},
         "routes": [{"name": "app.example.com", "owner": "file", **COUNTS}],
         "backends": [{"address": "10.0.0.5:8443", **COUNTS}]}
STATUS = {"version": "0.1.0", "pid": 1, "instance": "x", "uptime_s": 90, "config": "/etc/thruway/thruway.yaml",
          "workers": 2, "connections": 7, "pipes": 3, "bytes": 2048, "paths": ["relay"], "max_connections": 1000}
EXPLAIN = {"bind": "*:443", "listener": "tls", "name": "x.example.com", "matched": "*.example.com",
           "match": "wildcard", "route": "app.example.com", "reason": "ok", "reason_text": "",
           "backend": "10.0.0.5:8443", "backends": [{"address": "10.0.0.5:8443", "weight": 3, "share": 75.0,
                                                     "drained": False}],
           "balance": "weighted", "timeouts": TIMEOUTS, "on_refuse": "reset",
           "tried": ["x.example.com", "*.example.com"]}
OBJECTS = [{"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
            "metadata": {"name": name, "generation": 1, **({"namespace": namespace} if namespace else {})},
            "status": {}}
           for kind, namespace, name in (("GatewayClass", "", "ours"), ("Gateway", "default", "edge"),
                                         ("TLSRoute", "apps", "app"), ("TLSRoute", "default", "app"))]
PROBLEM = {"file": "a.yaml", "line": 3, "column": 7, "severity": "error", "text": "routes[0]: 'x' is no name"}

ANSWERS = {
    "route.add": {"route": ROUTE}, "route.del": {"deleted": 1}, "route.show": {"routes": [ROUTE]},
    "route.explain": {"explain": [EXPLAIN]}, "listener.show": {"listeners": [LISTENER]},
    "backend.show": {"backends": [BACKEND]}, "backend.drain": {"backend": BACKEND},
    "backend.undrain": {"backend": BACKEND}, "conn.show": {"connections": [CONN]}, "conn.kill": {"killed": 2},
    "stats": {"stats": STATS}, "status": {"status": STATUS}, "down": {"down": True},
    "apply": {"changes": [{"action": "add", "object": "route", "name": "new"},
                          {"action": "change", "object": "listener", "name": "tls"},
                          {"action": "remove", "object": "backend", "name": "10.0.0.1:1"}], "flows_affected": 0},
}


class Daemon:
    """Answers each request by its op; raw bytes where a test wants no JSON."""

    def __init__(self, instance):
        self.instance, self.dir = instance, f"/run/{instance}"
        self.requests, self.answers = [], dict(ANSWERS)
        os.mkdir(self.dir, 0o700)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(f"{self.dir}/control.sock")
        self.sock.listen(16)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.sock.accept()
            except OSError:
                return
            with peer:
                request = b"".join(iter(lambda: peer.recv(1 << 20), b""))
                if not request:
                    continue
                request = json.loads(request)
                self.requests.append(request)
                answer = self.answers[request["op"]]
                peer.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.thread.join(10)
        shutil.rmtree(self.dir)

    def call(self, *args, **kwargs):
        return call("--instance", self.instance, *args, **kwargs)

    def asked(self, *args, **kwargs):
        """The one request that a call makes."""
        self.requests.clear()
        done = self.call(*args, **kwargs)
        assert done.returncode == 0, done.stderr
        assert len(self.requests) == 1
        return self.requests[0]


def call(*args, stdin="", **kwargs):
    return subprocess.run([THRUWAY, *map(str, args)], input=stdin, capture_output=True, text=True, timeout=60,
                          check=False, **kwargs)


@pytest.fixture(name="daemon")
def fixture_daemon():
    daemon = Daemon(f"twx-cli-{os.getpid()}")
    yield daemon
    daemon.close()


# --- calls -----------------------------------------------------------------------------------

COMMANDS = [("route", "add"), ("route", "del"), ("route", "show"), ("route", "explain"), ("listener", "show"),
            ("backend", "show"), ("backend", "drain"), ("backend", "undrain"), ("conn", "show"), ("conn", "kill"),
            ("stats",), ("apply",), ("check",), ("status",), ("doctor",), ("down",)]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_without_a_daemon(words):
    done = call(*words, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: thruway {' '.join(words)}" in done.stdout and "--instance" in done.stdout


def test_the_overview_names_every_command():
    overview = call("-h").stdout
    for words in COMMANDS:
        assert re.search(rf"^  {' '.join(words)} ", overview, re.M), words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_man_page_has_every_command_and_option(words):
    with open(f"{ROOT}/docs/thruway.1.scd", encoding="utf-8") as file:
        page = file.read().replace("\\", "").replace("*", "").replace("_", "")
    assert " ".join(words) in page
    for option in re.findall(r"--[a-z-]+", call(*words, "--help").stdout):
        assert option in page, option


def test_the_version_is_one_line():
    done = call("-V")
    assert done.returncode == 0 and re.fullmatch(r"thruway \d+\.\d+\.\d+\n", done.stdout)


WRONG = {
    "": "OBJECT and VERB are missing",
    "rout show": "did you mean 'route'?",
    "route showw": "did you mean 'show'?",
    "route": "VERB is missing",
    "route add": "NAME is missing",
    "route add a.example": "BACKEND is missing",
    "route add a.example 10.0.0.1:1 --refuse": "leave one of them out",
    "route add a.example 10.0.0.1:1 --balance weightedd": "did you mean 'weighted'?",
    "route add a.example 10.0.0.1:1 --tries 9": "from 1 to 8",
    "route add a.example 10.0.0.1:1 --tries -1": "from 1 to 8",
    "route add a.example 10.0.0.1:1 --tries 99999999999999999999": "from 1 to 8",
    "route add a.example 10.0.0.1:1 --tries": "--tries needs a value",
    "route show a b": "'b' is one word too many",
    "route show --blance x": "did you mean '--balance'?",
    "route show --balance source": "route show takes no option --balance",
    "route show -x": "there is no option -x",
    "route show --json=1": "--json takes no value",
    "route explain a --port 0": "from 1 to 65535",
    "route explain a --port 443x": "from 1 to 65535",
    "route explain a --src 10.0.0.300": "not an IPv4 or IPv6 address",
    "conn kill": "which connections?",
    "conn kill --all --route a": "leave the others out",
    "conn kill --client nobody": "not an IPv4 or IPv6 address",
    "apply": "-f is missing",
    "check": "-f is missing",
    "apply -f a -f b": "--file is given twice",
    "stats 5": "SECONDS is for --watch",
    "stats --watch 0": "from 1 to 3600",
    "status -o yml": "did you mean 'yaml'?",
    "status -o": "-o needs a value",
    "status gatewy/edge": "did you mean 'gateway'?",
    "status service/app": "not gatewayclass, gateway or tlsroute",
    "status gateway/": "names no Gateway",
    "route show -n default": "route show takes no option --namespace",
    "status --instance ../x": "is not a name",
    "status --instance": "--instance needs a value",
    "backend drain": "ADDRESS is missing",
}


@pytest.mark.parametrize("words", WRONG, ids=lambda w: w or "nothing")
def test_a_wrong_call_exits_2_with_a_reason_and_a_usage_line(words):
    done = call(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert WRONG[words] in done.stderr and "usage: thruway" in done.stderr


def test_a_wrong_call_with_j_tells_it_in_json_too():
    done = call("-j", "route", "showw")
    assert done.returncode == 2 and "did you mean" in json.loads(done.stdout)["error"]
    done = call("-j", "status", "-o", "yaml")
    assert done.returncode == 2 and "--output for yaml" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("words", [
    "-j", "-j foo", "foo -j", "status --foo -j", "status --foo --json", "status -x -j", "status --foo -p",
    "status --foo -o json", "status --foo --output=json", "status -ojson foo", "status -o json -o yaml", "route show -o json",
    "apply -j", "route add a --tries 9 x --json", "status -j --instance ../x", "conn kill -j --client"])
def test_a_wrong_call_that_asks_for_json_anywhere_gets_all_of_the_error(words):
    done = call(*words.split())
    assert done.returncode == 2 and "usage: thruway" in done.stderr
    said = json.loads(done.stdout)
    assert said.keys() == {"error", "problems"} and said["error"] and said["problems"] == []
    assert f"thruway: {said['error']}\n" in done.stderr
    assert (done.stdout.count("\n") > 1) == ("-p" in words.split())


@pytest.mark.parametrize("words", ["status --foo -- -j", "status --foo -n -j", "status --foo -o yaml", "status --foo -nj"])
def test_what_is_no_option_asks_for_no_json(words):
    done = call(*words.split())
    assert (done.returncode, done.stdout) == (2, "") and "--foo" in done.stderr


def test_arguments_that_are_not_utf8_are_refused():
    for words in ((b"route", b"add", b"\xff\xfe", b"10.0.0.1:1"), (b"conn", b"show", b"--route", b"\xff")):
        done = subprocess.run([THRUWAY, *words, "-j"], capture_output=True, check=False)
        assert done.returncode == 2 and b"is not UTF-8" in done.stderr
        assert "is not UTF-8" in json.loads(done.stdout)["error"]
    done = call("-j", "-é")
    assert done.returncode == 2 and "there is no option" in json.loads(done.stdout)["error"]


# --- what is asked ---------------------------------------------------------------------------

REQUESTS = {
    "route add a.example 10.0.0.1:1,weight=2 [::1]:2 --balance source --tries 2 --listener tls --alpn h2":
        {"op": "route.add", "name": "a.example", "backends": ["10.0.0.1:1,weight=2", "[::1]:2"], "balance": "source",
         "tries": 2, "listener": "tls", "alpn": "h2"},
    "route add --refuse a.example": {"op": "route.add", "name": "a.example", "backends": [], "refuse": True},
    "route del a.example --listener tls": {"op": "route.del", "name": "a.example", "listener": "tls"},
    "route show": {"op": "route.show"},
    "--balance=source route add --tries=2 -- a.example 10.0.0.1:1":
        {"op": "route.add", "name": "a.example", "backends": ["10.0.0.1:1"], "balance": "source", "tries": 2},
    "route explain a.example --port 443 --alpn h2,http/1.1 --src 192.0.2.1":
        {"op": "route.explain", "name": "a.example", "port": 443, "alpn": ["h2", "http/1.1"], "src": "192.0.2.1"},
    "route explain": {"op": "route.explain"},
    "listener show tls": {"op": "listener.show", "name": "tls"},
    "backend show 10.0.0.1:1": {"op": "backend.show", "address": "10.0.0.1:1"},
    "backend drain 10.0.0.1:1": {"op": "backend.drain", "address": "10.0.0.1:1"},
    "backend undrain 10.0.0.1:1": {"op": "backend.undrain", "address": "10.0.0.1:1"},
    "conn show 1f --route r --client 192.0.2.1 --listener l --backend 10.0.0.1:1":
        {"op": "conn.show", "id": "1f", "route": "r", "client": "192.0.2.1", "listener": "l", "backend": "10.0.0.1:1"},
    "conn kill 1f": {"op": "conn.kill", "id": "1f"},
    "conn kill --all": {"op": "conn.kill", "all": True},
    "stats": {"op": "stats"},
    "status": {"op": "status"},
    "status -n apps": {"op": "status", "namespace": "apps"},
}


@pytest.mark.parametrize("words", REQUESTS)
def test_a_call_asks_what_the_protocol_says(daemon, words):
    assert daemon.asked(*words.split()) == REQUESTS[words]
    assert daemon.asked("-j", *words.split()) == REQUESTS[words]


@pytest.mark.parametrize("words, kind, name", [
    ("gateway", "Gateway", None), ("gtw/edge", "Gateway", "edge"), ("TLSRoutes/app", "TLSRoute", "app"),
    ("GatewayClass/ours", "GatewayClass", "ours"), ("gc", "GatewayClass", None)])
def test_status_takes_a_kind_as_kubectl_does(daemon, words, kind, name):
    daemon.answers["status"] = {"status": STATUS, "objects": OBJECTS}
    asked = daemon.asked("status", words, "--namespace", "default")
    assert asked == {"op": "status", "kind": kind, "namespace": "default", **({"name": name} if name else {})}


def test_apply_sends_the_text_of_a_file_and_of_stdin(daemon, tmp_path):
    (tmp_path / "a.yaml").write_text("text: é\n", encoding="utf-8")
    assert daemon.asked("apply", "-f", tmp_path / "a.yaml") == {
        "op": "apply", "dry_run": False, "partial": False,
        "files": [{"name": str(tmp_path / "a.yaml"), "text": "text: é\n"}]}
    asked = daemon.asked("apply", "-f", "-", "--dry-run", "--partial", stdin="x: 1\n")
    assert (asked["dry_run"], asked["partial"], asked["files"][0]["text"]) == (True, True, "x: 1\n")


def test_apply_sends_a_directorys_configurations_in_name_order(daemon, tmp_path):
    for name in ("c.json", "a.yaml", "b.yml", "README.md"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    texts = [f["text"] for f in daemon.asked("apply", "-f", tmp_path)["files"]]
    assert texts == ["a.yaml", "b.yml", "c.json"]


@pytest.mark.parametrize("text", [b"a: \xff\n", b"a: \0\n", b"# " + b"x" * MAX], ids=["latin1", "nul", "too big"])
def test_apply_refuses_what_cannot_be_a_configuration_before_it_asks(daemon, tmp_path, text):
    (tmp_path / "bad.yaml").write_bytes(text)
    done = daemon.call("apply", "-f", tmp_path / "bad.yaml")
    assert done.returncode == 1 and "bad.yaml" in done.stderr
    assert not daemon.requests


# --- what is printed -------------------------------------------------------------------------

JSON = {"route show": [ROUTE], "route explain a": [EXPLAIN], "listener show": [LISTENER], "backend show": [BACKEND],
        "conn show": [CONN], "stats": STATS,
        "status": {"apiVersion": "v1", "kind": "List", "items": [], **STATUS}, "route add a b:1": ROUTE, "route del a": {"deleted": 1},
        "conn kill 1": {"killed": 2}, "backend drain x": BACKEND, "apply -f -": ANSWERS["apply"]}


@pytest.mark.parametrize("words", JSON)
def test_j_prints_one_line_of_json_and_p_the_same_prettily(daemon, words):
    short, pretty = daemon.call("-j", *words.split()), daemon.call("-p", *words.split())
    assert json.loads(short.stdout) == json.loads(pretty.stdout) == JSON[words]
    assert short.stdout.count("\n") == 1 < pretty.stdout.count("\n")
    assert short.stderr == pretty.stderr == ""


# Each of them something else to YAML, if it stood there without quotes, or no YAML at all.
TEXTS = ["", " ", "true", "No", "y", "null", "~", "443", "0x1F", "0o17", "010", "1_000", "1:30", "1.5", "1e3", ".inf", "nan",
         "-1", "+1", "2026-01-02", "2026-01-02T03:04:05Z", "<<", "=", "- a", "a: b", "a #b", "#a", "a:", "? a", "*a",
         "&a", "!a", "|", ">", "%a", "@a", "`a`", "[a]", "{a: b}", "a,b", "'", '"', "\\", "---", "...", " a", "a ", "a\nb",
         "a\n", "\ta", "\x1b[31m", "\u202eé", "\u2028", "\ufeff", "\U0001f600", "x" * 300 + " y", "no routes; left out"]


def test_status_as_yaml_is_the_list_that_j_prints(daemon):
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")
    odd = {"kind": "Odd", "texts": TEXTS, "keys": {text: 1 for text in TEXTS}, "empty": [[], {}, [[]]],
           "others": [0, -5, 1 << 53, 1.5, True, False, None]}
    daemon.answers["status"] = {"status": STATUS, "objects": [*OBJECTS, odd]}
    shown, listed = (daemon.call("status", "gateway", "-o", form) for form in ("yaml", "json"))
    assert shown.returncode == 0 and shown.stderr == "" and shown.stdout.isascii() and "\x1b" not in shown.stdout
    assert yaml.safe_load(shown.stdout) == json.loads(listed.stdout) == json.loads(
        daemon.call("-j", "status", "gateway").stdout)
    assert listed.stdout.count("\n") == 1
    assert shown.stdout.startswith("apiVersion: v1\nkind: List\nitems:\n- apiVersion: gateway.networking.k8s.io/v1\n"
                                   "  kind: GatewayClass\n")
    assert yaml.safe_load(daemon.call("status", "-o", "yaml").stdout)["uptime_s"] == 90
    assert daemon.call("status", "-o", "table").stdout == daemon.call("status").stdout


def test_status_of_nothing_is_a_failure(daemon):
    daemon.answers["status"] = {"status": STATUS, "objects": []}
    done = daemon.call("status", "tlsroute/app", "-n", "apps", "-o", "yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "thruway: no object of ours is tlsroute/app in namespace apps\n"
    assert "tlsroute/app" in json.loads(daemon.call("-j", "status", "tlsroute/app").stdout)["error"]


EMPTY = {"route show": ("route.show", "routes", "no routes"),
         "listener show": ("listener.show", "listeners", "no listeners"),
         "backend show": ("backend.show", "backends", "no backends"),
         "conn show": ("conn.show", "connections", "no connections"),
         "route explain a": ("route.explain", "explain", "no listeners")}


@pytest.mark.parametrize("words", EMPTY)
def test_nothing_is_a_word_on_stderr_and_an_empty_list_in_json(daemon, words):
    op, key, said = EMPTY[words]
    daemon.answers[op] = {key: []}
    done = daemon.call(*words.split())
    assert (done.returncode, done.stdout, done.stderr) == (0, "", said + "\n")
    assert daemon.call("-j", *words.split()).stdout == "[]\n"


TEXT = {
    "route show": ["app.example.com", "app.example.com,b.example.com [h2]", "10.0.0.5:8443 weight 3",
                   "[2001:db8::5]:8443 drained", "1.5 KiB", "5.0 MiB"],
    "route show app.example.com": ["hello 10s, connect 5s, idle 1h", "weighted", "drained", "2 active, 12 in all"],
    "route explain x.example.com": ["*.example.com (wildcard)", "next goes to  10.0.0.5:8443", "75.0%",
                                    "x.example.com,*.example.com"],
    "listener show": ["*:443", "(all)", "reset", "40"],
    "listener show tls": ["unknown to    10.0.0.9:22", "2 no_sni", "40 accepted, 1 waiting"],
    "backend show": ["10.0.0.5:8443  drained     0  app.example.com"],
    "conn show": ["1000000000001", "192.0.2.1:50000", "relay", "517 B", "4.0 KiB", "1m05s", "350ms"],
    "stats": ["40 accepted, 1 waiting, 2 active, 12 in all", "no_sni         3", "app.example.com"],
    "status": ["thruwayd 0.1.0, instance x, pid 1, up 1m30s", "7 open of at most 1000"],
    "apply -f -": ["+ route new", "~ listener tls", "- backend 10.0.0.1:1"],
}


@pytest.mark.parametrize("words", TEXT)
def test_text_has_aligned_columns_and_units(daemon, words):
    done = daemon.call(*words.split())
    assert done.returncode == 0
    for part in TEXT[words]:
        assert part in done.stdout
    assert "\x1b" not in done.stdout
    table = [line for line in done.stdout.splitlines() if line.isupper() or "app.example.com  " in line]
    if words in ("backend show", "conn show"):
        head, row = done.stdout.splitlines()
        assert row.index("app.example.com") == head.index("ROUTE" if words == "backend show" else "SERVER"), table


def test_names_from_the_network_never_reach_the_terminal_raw(daemon):
    evil = "\x1b]0;owned\x07\n\u202eevil\\"
    daemon.answers["conn.show"] = {"connections": [{**CONN, "sni": evil, "route": evil}]}
    done = daemon.call("conn", "show")
    assert "\\x1b]0;owned\\x07\\x0a\\xe2\\x80\\xaeevil\\x5c" in done.stdout
    assert "\x1b" not in done.stdout and len(done.stdout.splitlines()) == 2


def on_terminal(daemon, *args, **env):
    """What a call writes to a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen([THRUWAY, "--instance", daemon.instance, *args], stdout=slave, stderr=slave,
                          env={"TERM": "xterm", **env}) as process:
        process.wait(30)
        os.close(slave)
        text = os.read(master, 65536).decode()
        os.close(master)
    return text


def test_colour_is_for_terminals_alone_and_no_color_switches_it_off(daemon):
    assert "\x1b[1m" in on_terminal(daemon, "route", "show")
    assert "\x1b" not in on_terminal(daemon, "route", "show", NO_COLOR="1")
    assert "\x1b" not in on_terminal(daemon, "route", "show", TERM="dumb")
    assert "\x1b" not in daemon.call("route", "show").stdout


def test_a_full_disk_under_stdout_is_a_failure(daemon):
    with open("/dev/full", "w", encoding="ascii") as full:
        for args in (("route", "show"), ("-j", "route", "show"), ("--help",)):
            done = subprocess.run([THRUWAY, "--instance", daemon.instance, *args], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
            assert done.returncode == 1 and "stdout" in done.stderr


def test_watch_with_j_prints_an_object_a_line_with_rates_until_interrupted(daemon):
    with subprocess.Popen([THRUWAY, "--instance", daemon.instance, "-j", "stats", "--watch"], stdout=subprocess.PIPE,
                          text=True) as process:
        first = json.loads(process.stdout.readline())
        daemon.answers["stats"] = {"stats": {**STATS, "totals": {**STATS["totals"], "connections": 1012}}}
        second = json.loads(process.stdout.readline())
        process.send_signal(2)
        process.stdout.read()
        assert process.wait(10) == 0
    assert first["rates"]["connections_per_s"] == 0
    assert 100 < second["rates"]["connections_per_s"] <= 1100
    assert second["totals"]["connections"] == 1012 and second["rates"]["interval_ms"] >= 900


# --- failures --------------------------------------------------------------------------------

def test_without_a_daemon_the_message_names_the_socket_and_the_remedy():
    done = call("route", "show", "--instance", "twx-none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ('thruway: no daemon answers at /run/twx-none/control.sock; '
                           'start it with "thruwayd --instance twx-none -c FILE"\n')


def test_a_socket_that_nobody_serves_is_no_daemon(daemon):
    os.unlink(f"{daemon.dir}/control.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(f"{daemon.dir}/control.sock")
    assert "no daemon answers" in daemon.call("status").stderr


def test_an_error_is_words_on_stderr_or_json_on_stdout_with_its_problems(daemon):
    daemon.answers["apply"] = {"error": "1 problem, nothing was changed", "problems": [PROBLEM]}
    done = daemon.call("apply", "-f", "-", stdin="x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ("a.yaml:3:7: error: routes[0]: 'x' is no name\n"
                           "thruway: 1 problem, nothing was changed\n")
    done = daemon.call("apply", "-f", "-", "-j", stdin="x")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == daemon.answers["apply"]


def test_problems_in_a_good_answer_are_words_on_stderr(daemon):
    daemon.answers["apply"] = {**ANSWERS["apply"], "problems": [{**PROBLEM, "severity": "warning"}]}
    done = daemon.call("apply", "--partial", "-f", "-", stdin="x")
    assert done.returncode == 0 and "a.yaml:3:7: warning: routes[0]" in done.stderr


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"\0\xff", b'{"error": 5'], ids=repr)
def test_an_answer_that_is_no_answer_is_a_failure(daemon, answer):
    daemon.answers["status"] = answer
    done = daemon.call("status")
    assert done.returncode == 1 and "without a whole answer" in done.stderr


def test_down_without_a_daemon_removes_nothing_and_says_so():
    done = call("down", "--instance", "twx-none")
    assert done.returncode == 0 and "nothing is pinned" in done.stderr


def test_down_without_a_daemon_removes_what_a_former_one_pinned():
    instance = f"twx-pins-{os.getpid()}"
    pins = f"/sys/fs/bpf/{instance}"
    os.mkdir(pins)
    try:
        subprocess.run([shutil.which("bpftool") or "/usr/sbin/bpftool", "map", "create", f"{pins}/tw_binds", "type",
                        "hash", "key", "4", "value", "4", "entries", "1", "name", "tw_binds"], check=True)
        done = call("down", "--instance", instance)
        assert done.returncode == 0 and "a former one had pinned is removed" in done.stderr
        assert not os.path.exists(pins)
    finally:
        shutil.rmtree(pins, ignore_errors=True)


def as_nobody(*args):
    """As a user who may do nothing; the tool is opened before, since it may lie in root's home."""
    tool = os.open(THRUWAY, os.O_RDONLY)
    try:
        return subprocess.run([f"/proc/self/fd/{tool}", *args], capture_output=True, text=True, user=65534,
                              group=65534, extra_groups=[], pass_fds=[tool], check=False)
    finally:
        os.close(tool)


def test_another_user_is_told_to_be_root(daemon):
    done = as_nobody("--instance", daemon.instance, "status")
    assert done.returncode == 1 and "run this as root" in done.stderr


# --- check and doctor ------------------------------------------------------------------------

GOOD = "listeners: [{name: tls, port: 443}]\nroutes:\n- {hostnames: [a.example], backends: [\"10.0.0.1:1\"]}\n"


def test_check_needs_neither_daemon_nor_root(tmp_path):
    assert call("check", "-f", "-", stdin=GOOD).stdout == "ok: 1 listener, 1 route\n"
    assert json.loads(call("-j", "check", "-f", "-", stdin=GOOD).stdout) == {
        "listeners": 1, "routes": 1, "skipped": 0, "problems": []}
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    assert call("check", "-f", tmp_path).stdout == "ok: 1 listener, 1 route\n"
    other = GOOD + "---\n{apiVersion: v1, kind: Secret}\n---\n{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Pod}]}\n"
    assert call("check", "-f", "-", stdin=other).stdout == "ok: 1 listener, 1 route; 2 objects of other kinds skipped\n"


def test_check_tells_every_error_with_its_place():
    bad = GOOD.replace("10.0.0.1:1", "10.0.0.1").replace("port: 443", "port: 70000")
    done = call("check", "-f", "-", stdin=bad)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(re.findall(r"^\S+:\d+:\d+: error: ", done.stderr, re.M)) == 2, done.stderr
    said = json.loads(call("-j", "check", "-f", "-", stdin=bad).stdout)
    assert [p["line"] for p in said["problems"]] == [1, 3] and said["error"]


def test_doctor_tries_the_real_program_and_leaves_no_pins():
    done = call("-j", "doctor", "--instance", "twx-none")
    said = json.loads(done.stdout)
    checks = {c["check"]: c for c in said["checks"]}
    assert checks["self_test"]["verdict"] == "ok" and checks["daemon"]["verdict"] == "warn"
    assert (done.returncode == 0) == said["ok"] == all(c["verdict"] != "fail" for c in said["checks"])
    assert all(c["remedy"] for c in said["checks"] if c["verdict"] == "fail")
    assert not [name for name in os.listdir("/sys/fs/bpf") if name.startswith("doctor-")]


def test_doctor_sees_a_daemon_and_prints_a_line_a_check(daemon):
    done = daemon.call("doctor")
    assert "thruwayd 0.1.0 runs as pid 1" in done.stdout
    assert "socket and relay; the packet path is not in this version" in done.stdout
    for step in ("sockets", "join", "kick", "slow", "fin", "leave", "inq", "rst"):
        assert re.search(rf"^ok +socket_{step} ", done.stdout, re.MULTILINE)
    assert re.match(r"(ok|warn|fail) +kernel ", done.stdout)


def test_doctor_without_root_fails_and_says_why():
    done = as_nobody("doctor")
    assert done.returncode == 1 and re.search(r"^fail  rights .*not root", done.stdout, re.M)


# --- completion ------------------------------------------------------------------------------

def complete(daemon, line):
    """What bash offers for the line, by the completion file."""
    script = f"""
        source /usr/share/bash-completion/bash_completion
        source {ROOT}/docs/thruway.bash-completion
        COMP_LINE=$1 COMP_POINT=${{#1}}
        read -ra COMP_WORDS <<< "${{1//:/ : }}"
        [[ $1 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _thruway 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    line = line.replace("thruway", f"{THRUWAY} --instance {daemon.instance}", 1)
    done = subprocess.run(["bash", "-c", script, "bash", line], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.split()


def test_completion_offers_objects_verbs_options_and_live_names(daemon):
    assert {"route", "stats", "doctor"} <= set(complete(daemon, "thruway "))
    assert complete(daemon, "thruway ro") == ["route"]
    assert complete(daemon, "thruway route ") == ["add", "del", "show", "explain"]
    assert complete(daemon, "thruway route show ") == ["app.example.com"]
    assert complete(daemon, "thruway route show app.example.com ") == []
    assert complete(daemon, "thruway route add x.example 10.0.0.1") == []
    assert complete(daemon, "thruway route add x 10.0.0.5:8") == ["8443"]
    assert complete(daemon, "thruway route add x --bal") == ["--balance"]
    assert complete(daemon, "thruway route add x --balance le") == ["least_conn"]
    assert complete(daemon, "thruway conn kill --listener ") == ["tls"]
    assert complete(daemon, "thruway backend drain 1") == ["10.0.0.5:8443"]
    daemon.answers["status"] = {"status": STATUS, "objects": OBJECTS}
    assert set(complete(daemon, "thruway status g")) == {"gateway", "gatewayclass", "gateway/edge", "gatewayclass/ours"}
    assert set(complete(daemon, "thruway status tlsroute/")) == {"tlsroute/app"}
    assert complete(daemon, "thruway status -n d") == ["default"]
    assert complete(daemon, "thruway status --output y") == ["yaml"]


def test_completion_of_explain_offers_server_names_and_no_wildcards(daemon):
    daemon.answers["route.show"] = {"routes": [
        {**ROUTE, "name": "default/keep", "hostnames": ["*.example.com", "a.example.com"]},
        {**ROUTE, "name": "default/kept", "hostnames": ["*", "a.example.com", "b.example.com"]}]}
    assert complete(daemon, "thruway route explain ") == ["a.example.com", "b.example.com"]
    assert complete(daemon, "thruway route explain b") == ["b.example.com"]
    assert complete(daemon, "thruway route show ") == ["default/keep", "default/kept"]


def test_completion_of_status_offers_each_name_once_for_a_kind_as_kubectl_takes_it(daemon):
    daemon.answers["status"] = {"status": STATUS, "objects": [*OBJECTS, {
        "kind": "TLSRoute", "metadata": {"name": "other", "namespace": "apps"}}]}
    for kind in ("tlsroute", "TLSRoutes", "tlsroutes.gateway.networking.k8s.io"):
        assert complete(daemon, f"thruway status {kind} ") == ["app", "other"]
        assert complete(daemon, f"thruway status -n default {kind} ") == ["app"]
        assert complete(daemon, f"thruway status {kind}/") == [f"{kind}/app", f"{kind}/other"]
    assert complete(daemon, "thruway status gtw e") == ["edge"]
    assert complete(daemon, "thruway status -n apps gc/") == ["gc/ours"]
    assert complete(daemon, "thruway status tlsroute/app ") == complete(daemon, "thruway status pod ") == []
    assert complete(daemon, "thruway status tlsroute app ") == []
    assert complete(daemon, "thruway status -n ") == ["default", "apps"]


def test_completion_of_files_is_the_shells_and_without_a_daemon_is_quiet(daemon):
    assert complete(daemon, f"thruway apply -f {ROOT}/LICEN")[0].endswith("LICENSE")
    done = call("completion-words", "--instance", "twx-none", "route", "show", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
