# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""thruwayd --watch: a changed configuration is taken over, a bad one is told once and left."""
import json
import os
import re
import shutil
import subprocess
import time

import pytest
from hosts import eventually
from thruway import THRUWAYD, Thruwayd, configuration, route


class Watching(Thruwayd):
    """A daemon that watches its file, or a directory that a test has put there."""

    def routed(self):
        return sorted(self.routes())

    def lines(self, what):
        with open(self.log, encoding="utf-8") as log:
            return len(re.findall(what, log.read()))

    def becomes(self, *names):
        eventually(lambda: self.routed() == sorted(names), what=f"routes {names}")


@pytest.fixture(name="daemon")
def _daemon(hosts, tmp_path):
    with Watching(hosts, tmp_path, config("a.example.com"), ["--watch"]) as daemon:
        yield daemon


def config(*names):
    return configuration([route(name, "10.0.0.1:1") for name in names])


def write(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def test_a_file_is_followed_in_place_and_renamed_over(daemon):
    daemon.start()
    daemon.write(config("b.example.com"))
    daemon.becomes("b.example.com")
    write(f"{daemon.file}.new", config("c.example.com"))
    os.rename(f"{daemon.file}.new", daemon.file)
    daemon.becomes("c.example.com")
    eventually(lambda: daemon.lines("reloaded") == 2)


def test_an_error_keeps_what_runs_and_is_told_once(daemon):
    daemon.start()
    daemon.write("routes: [")
    eventually(lambda: daemon.lines("the running configuration stays") == 1)
    os.unlink(daemon.file)
    eventually(lambda: daemon.lines("the running configuration stays") == 2)
    assert daemon.routed() == ["a.example.com"]
    daemon.write(config("b.example.com"))
    daemon.becomes("b.example.com")
    eventually(lambda: daemon.lines("reloaded") == 1)
    assert daemon.lines("the running configuration stays") == 2


def test_a_directory_of_a_kubernetes_volume_is_followed(daemon):
    """As kubelet writes it: files are links through ..data, which is renamed over."""
    os.unlink(daemon.file)
    os.mkdir(daemon.file)
    for number, name in enumerate(("a", "b", "c")):
        version = f"{daemon.file}/..{number}"
        os.mkdir(version)
        write(f"{version}/routes.yaml", config(f"{name}.example.com"))
        os.symlink(f"..{number}", f"{daemon.file}/..data_tmp")
        os.rename(f"{daemon.file}/..data_tmp", f"{daemon.file}/..data")
        if number:
            shutil.rmtree(f"{daemon.file}/..{number - 1}")
        else:
            os.symlink("..data/routes.yaml", f"{daemon.file}/routes.yaml")
            daemon.start()
        daemon.becomes(f"{name}.example.com")


def test_a_directory_that_is_replaced_is_followed(daemon):
    os.unlink(daemon.file)
    os.mkdir(daemon.file)
    write(f"{daemon.file}/a.yaml", config("a.example.com"))
    daemon.start()
    write(f"{daemon.file}/b.yaml", {"routes": [route("b.example.com", "10.0.0.1:1")]})
    daemon.becomes("a.example.com", "b.example.com")
    os.rename(daemon.file, f"{daemon.file}.old")
    eventually(lambda: daemon.lines("the running configuration stays") == 1)
    os.mkdir(f"{daemon.file}.new")
    write(f"{daemon.file}.new/c.yaml", config("c.example.com"))
    os.rename(f"{daemon.file}.new", daemon.file)
    daemon.becomes("c.example.com")


def test_a_pipe_in_the_files_place_is_refused_without_waiting_for_its_writer(daemon):
    daemon.start()
    os.unlink(daemon.file)
    os.mkfifo(daemon.file)
    eventually(lambda: daemon.lines("neither a file nor a directory; the running configuration stays") == 1)
    daemon.hangup(wait_for="neither a file nor a directory")
    assert daemon.routed() == ["a.example.com"]
    os.unlink(daemon.file)
    daemon.write(config("b.example.com"))
    daemon.becomes("b.example.com")


def test_mounts_are_followed(daemon):
    os.unlink(daemon.file)
    os.mkdir(daemon.file)
    write(f"{daemon.file}/a.yaml", config("a.example.com"))
    daemon.start()
    subprocess.run(["mount", "-t", "tmpfs", "none", daemon.file], check=True)
    try:
        eventually(lambda: daemon.lines("the running configuration stays") == 1)
        write(f"{daemon.file}/b.yaml", config("b.example.com"))
        daemon.becomes("b.example.com")
        write(f"{daemon.file}.source", config("c.example.com"))
        subprocess.run(["mount", "--bind", f"{daemon.file}.source", f"{daemon.file}/b.yaml"], check=True)
        try:
            daemon.becomes("c.example.com")
            write(f"{daemon.file}.source", config("d.example.com"))
            daemon.becomes("d.example.com")
        finally:
            subprocess.run(["umount", f"{daemon.file}/b.yaml"], check=True)
        daemon.becomes("b.example.com")
    finally:
        subprocess.run(["umount", daemon.file], check=True)
    daemon.becomes("a.example.com")


def test_a_port_that_somebody_else_had_is_tried_again(hosts, daemon):
    daemon.start()
    with hosts.router.listen("0.0.0.0", 8443):
        daemon.write({"listeners": [{"name": "tls", "port": 8443}], "routes": [route("b.example.com", "10.0.0.1:1")]})
        eventually(lambda: daemon.lines("8443.*the running configuration stays") == 1)
        assert daemon.routed() == ["a.example.com"]
        reload = daemon.json("status")["reload"]
        assert "8443" in reload["why"] and reload["failed_unix_ms"] > reload["in_force_unix_ms"]
        assert re.search(r"reload +failed .* ago: .*8443", daemon.cli("status").stdout)
    daemon.becomes("b.example.com")
    reload = daemon.json("status")["reload"]
    assert (reload["why"], reload["failed_unix_ms"]) == (None, 0)
    assert "failed" not in daemon.cli("status").stdout
    assert daemon.lines("8443.*the running configuration stays") == 1


def test_what_is_applied_is_not_lost_to_a_change_that_is_tried_again(hosts, daemon):
    daemon.start()
    with hosts.router.listen("0.0.0.0", 8443):
        daemon.write({"listeners": [{"name": "tls", "port": 8443}], "routes": [route("b.example.com", "10.0.0.1:1")]})
        eventually(lambda: daemon.lines("8443.*the running configuration stays") == 1)
        write(f"{daemon.folder}/applied.yaml", config("c.example.com"))
        daemon.cli("apply", "-f", f"{daemon.folder}/applied.yaml")
    # Nothing tells that nothing happens: until after the retry, 5 s after the failure.
    failed = time.monotonic()
    eventually(lambda: daemon.lines("reloaded") or time.monotonic() > failed + 6)
    assert daemon.routed() == ["c.example.com"]
    daemon.hangup(wait_for="reloaded")
    assert daemon.routed() == ["b.example.com"]


def test_a_file_that_cannot_be_read_is_tried_again_and_each_reason_is_told_once(hosts, daemon):
    """Reading this one is an I/O error until it is set, and setting it is no change of the file."""
    secret = "net/ipv6/conf/lo/stable_secret"
    os.unlink(daemon.file)
    os.mkdir(daemon.file)
    write(f"{daemon.file}/a.yaml", config("a.example.com"))
    daemon.start()
    os.symlink(f"/proc/sys/{secret}", f"{daemon.file}/b.yaml")
    eventually(lambda: daemon.lines("the running configuration stays") == 1)
    assert daemon.json("status")["reload"]["why"] == f"{daemon.file}/b.yaml: cannot be read: Input/output error"
    hosts.router.run("sysctl", "-w", f"{secret.replace('/', '.')}=2001:db8::1")
    eventually(lambda: daemon.lines("the running configuration stays") == 2, seconds=20)
    assert daemon.lines("Input/output error") == 1
    reload = daemon.json("status")["reload"]
    assert reload["why"].startswith(f"{daemon.file}/b.yaml:1:1: ") and "2001" in daemon.cli("status").stdout


def test_status_and_doctor_say_what_is_wrong_with_the_configuration(daemon):
    daemon.start()
    assert "reload" not in daemon.cli("status").stdout
    assert re.search("^ok +reload +the configuration is in force$", daemon.cli("doctor", check=False).stdout, re.M)
    daemon.write(configuration([{**route(name, "10.0.0.1:1"), "balance": "none"} for name in ("a", "b")]))
    eventually(lambda: daemon.lines("the running configuration stays") == 1)
    reload = daemon.json("status")["reload"]
    assert re.match(rf"{daemon.file}:\d+:\d+: .*balance.* \(the first of 2 errors\)$", reload["why"]), reload
    lines = [line for line in daemon.cli("status").stdout.splitlines() if "reload" in line]
    assert len(lines) == 1, lines
    assert re.search(r"failed \d\S* ago: .*balance.*; the configuration of \d\S* ago is in force$", lines[0]), lines
    assert re.search("^warn +reload +failed: .*balance", daemon.cli("doctor", check=False).stdout, re.M)
    assert daemon.lines("the first of") == 0


def test_status_and_doctor_say_that_something_was_left_out(daemon):
    daemon.write(configuration([route("a.example.com", "10.0.0.1:1"), {**route("b.example.com"), "balance": "none"}]))
    daemon.start()
    assert re.search(r"left out +what has errors \(\d\)", daemon.cli("status").stdout)
    doctor = daemon.cli("doctor", check=False).stdout
    assert re.search(r"^warn +reload +what has errors \(\d\) is left out$", doctor, re.M), doctor


def test_the_access_log_is_opened_anew_also_while_the_file_is_away(daemon):
    log = f"{daemon.folder}/access.log"
    daemon.write({**config("a.example.com"), "access_log": log}).start()
    os.rename(daemon.file, f"{daemon.file}.away")
    eventually(lambda: daemon.lines("the running configuration stays") == 1)
    os.unlink(log)
    daemon.hangup(wait_for="the running configuration stays")
    assert os.path.exists(log)


def test_the_default_file_may_be_missing_but_not_out_of_reach(hosts, daemon):
    daemon.process = hosts.router.start(
        "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /etc && mkdir /etc/thruway && exec "$@"', "sh", THRUWAYD,
        "--instance", daemon.instance, log=daemon.log)
    daemon.process.wait_for("ready")
    file = f"/proc/{daemon.pid}/root/etc/thruway/thruway.yaml"
    assert daemon.lines("no listeners until") == 1
    write(file, config("a.example.com"))
    daemon.hangup(wait_for="reloaded ")
    assert daemon.routed() == ["a.example.com"]
    os.rename(file, f"{file}.away")
    os.symlink("thruway.yaml", file)
    daemon.hangup(wait_for="reload: .*; the running configuration stays")
    assert daemon.routed() == ["a.example.com"]
    os.unlink(file)
    daemon.hangup(wait_for="reloaded ")
    assert not daemon.routed()


def test_standard_input_is_not_read_again_where_it_could_wait(hosts, tmp_path):
    pipe = f"{tmp_path}/pipe"
    os.mkfifo(pipe)
    with Thruwayd(hosts, tmp_path, "") as daemon:
        daemon.file = "-"
        daemon.start(wait=False, argv=("sh", "-c", f'exec "$@" <{pipe}', "sh"))
        write(pipe, config("a.example.com"))
        daemon.process.wait_for("ready")
        with open(pipe, "wb"):
            daemon.hangup(wait_for="standard input is read only once; the running configuration stays")
            assert list(daemon.routes()) == ["a.example.com"]


def test_one_configuration_is_read(hosts):
    done = hosts.router.run(THRUWAYD, "-c", "a", "-c", "b", check=False)
    assert done.returncode == 2 and "-c stands twice" in done.stderr


def test_standard_input_cannot_be_watched(hosts):
    done = hosts.router.run(THRUWAYD, "-c", "-", "--watch", check=False)
    assert done.returncode == 2 and "standard input cannot be watched" in done.stderr
