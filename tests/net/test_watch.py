# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""thruwayd --watch: a changed configuration is taken over, a bad one is told once and left."""
import json
import os
import re
import shutil

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


def test_standard_input_cannot_be_watched(hosts):
    done = hosts.router.run(THRUWAYD, "-c", "-", "--watch", check=False)
    assert done.returncode == 2 and "standard input cannot be watched" in done.stderr
