# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fixtures of the three-host tests. Every namespace, process, pin and file made here is removed,
also after a failure; what a killed run left is removed by the next one."""
import os
import resource
import signal
import socket
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib"))

# pylint: disable=wrong-import-position
import real  # noqa: E402
from hosts import Hosts, server4, server6  # noqa: E402
from pairs import NAME, Joined  # noqa: E402
from pools import Quiet  # noqa: E402
from raw import Echo  # noqa: E402
from thruway import THRUWAY, THRUWAYD, Thruwayd, configuration, route  # noqa: E402


def pytest_configure(config):
    """Fail at once, with the reason, where nothing could pass."""
    del config
    if os.geteuid() != 0:
        pytest.exit("these tests make network namespaces and load BPF: run them as root", 1)
    for program in (THRUWAYD, THRUWAY):
        if not os.path.exists(program):
            pytest.exit(f"{program} does not exist: run make, or set BUILD", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft != hard else (soft, hard))
    # SIGTERM ends the run like ^C, through every fixture's clean-up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session", name="hosts")
def _hosts():
    made = Hosts()
    yield made
    made.close()


@pytest.fixture(scope="session", name="web")
def _web(hosts, tmp_path_factory):
    """Real HTTPS backends on the server host: common name -> "address:port"."""
    folder = tmp_path_factory.mktemp("web")
    nginx = real.Nginx(hosts.server, folder, {
        "app.example.com": [server4(2), server6(2)],
        "wild.example.com": [server4(3)],
        "deep.example.com": [server4(4)],
        "default.example.com": [server4(5)],
    })
    yield {"app": f"{server4(2)}:8443", "app6": f"[{server6(2)}]:8443", "wild": f"{server4(3)}:8443",
           "deep": f"{server4(4)}:8443", "default": f"{server4(5)}:8443"}
    nginx.close()


@pytest.fixture(name="run")
def _run(hosts, tmp_path):
    """run(routes, listeners=None, **top) -> a daemon that is ready; run.prepared(...) -> not started."""
    made = []

    class Run:
        folder = tmp_path

        @staticmethod
        def prepared(routes, listeners=None, args=(), **top):
            config = routes if isinstance(routes, str) else configuration(routes, listeners, **top)
            made.append(Thruwayd(hosts, tmp_path, config, args))
            return made[-1]

        def __call__(self, *args, **kwargs):
            return self.prepared(*args, **kwargs).start()

    yield Run()
    for daemon in made:
        daemon.close()


@pytest.fixture(name="echo")
def _echo(hosts):
    """echo(n, tag) -> an echoing backend on the server's address n."""
    made = []

    def start(n, tag="", port=9000, ipv6=False):
        made.append(Echo(hosts.server, (server6 if ipv6 else server4)(n), port, tag))
        return made[-1]

    yield start
    for backend in made:
        backend.close()


@pytest.fixture(name="quiet")
def _quiet(hosts):
    """quiet(n, tag) -> a backend on the server's address n that lets the client speak first."""
    made = []

    def start(n, tag, ipv6=False):
        made.append(Quiet(hosts.server, (server6 if ipv6 else server4)(n), tag))
        return made[-1]

    yield start
    for backend in made:
        backend.close()


@pytest.fixture(name="listener")
def _listener(hosts):
    """A backend whose connections the test takes one by one."""
    with hosts.server.listen(server4(2), 9500) as listener:
        yield listener


@pytest.fixture(name="small_buffers")
def _small_buffers(hosts, listener):
    """What is sent moves on in small steps: the rest waits in the kernel, in front of the send queue."""
    before = hosts.router.run("sysctl", "-n", "net.ipv4.tcp_wmem").stdout.strip()
    hosts.router.run("sysctl", "-qw", "net.ipv4.tcp_wmem=4096 16384 65536")
    listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    yield
    hosts.router.run("sysctl", "-qw", f"net.ipv4.tcp_wmem={before}")


@pytest.fixture(name="daemon")
def _daemon(run, listener):
    """A daemon in front of it."""
    return run([route(NAME, listener.text())])


@pytest.fixture(name="pair")
def _pair(daemon, listener):
    """A connection through that, joined in the kernel."""
    made = Joined(listener, daemon)
    yield made
    made.close()
