# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is compared: each contender takes a hello for NAME on a port of the router to the server.

To add one, write its configuration and command and put it into all_contenders(). Each is set up as its own
manual would for throughput: as many workers as there are cores, no access log, a long listen queue.
"""
import os
import resource
import shutil
import subprocess

import hosts
from hosts import Failure, Program

NAME = "app.example.com"
SERVER_PORT = 8443
CORES = os.cpu_count()
FILES = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])  # that each program may open


class Contender:
    """A router. key: for files and the command line; is_peer: one of those to be beaten."""
    binary = None
    is_local = False  # client and server are on the router's host

    def __init__(self, key, label, port, is_peer=False):
        self.key, self.label, self.port, self.is_peer = key, label, port, is_peer
        self.program = None

    address = hosts.ROUTER_OUT

    def start(self, net, folder):
        if not shutil.which(self.binary):
            raise Failure(f"{self.binary} is not there; `make deps` and `make` provide it")
        path = os.path.join(folder, f"{self.key}.conf")
        with open(path, "w") as config:
            config.write(self.config(folder))
        self.program = Program(net.router, self.command(path), os.path.join(folder, f"{self.key}.log"))
        self.program.wait_listening(self.port)

    def stop(self):
        if self.program:
            self.program.stop()

    def session(self):
        """The session id of its processes; 0 = it has none."""
        return self.program.process.pid if self.program else 0

    def tail(self):
        return self.program.tail() if self.program else ""

    def config(self, folder):
        raise NotImplementedError

    def command(self, path):
        raise NotImplementedError


class Forwarding(Contender):
    """No router: the kernel forwards packets, the client dials the server itself."""
    address = hosts.SERVER

    def start(self, net, folder):
        pass


class Loopback(Forwarding):
    """No router, and no network: client and server are on one host."""
    address, is_local = hosts.LOCAL, True


class Nginx(Contender):
    binary = "/usr/sbin/nginx"
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def __init__(self, *args, buffer=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.buffer = f"proxy_buffer_size {buffer};" if buffer else ""

    def config(self, folder):
        return f"""load_module {self.module};
worker_processes auto;
daemon off;
pid {folder}/{self.key}.pid;
error_log stderr;
events {{ worker_connections {FILES}; }}
stream {{
    map $ssl_preread_server_name $backend {{ {NAME} app; }}
    upstream app {{ server {hosts.SERVER}:{SERVER_PORT}; }}
    server {{
        listen {self.address}:{self.port} reuseport backlog=4096;
        ssl_preread on;
        proxy_pass $backend;
        {self.buffer}
    }}
}}
"""

    def command(self, path):
        return [self.binary, "-e", "stderr", "-c", path]


class Haproxy(Contender):
    """pipe: splice always, through pipes of so many bytes; else as splice-auto sees fit."""
    binary = "/usr/sbin/haproxy"

    def __init__(self, *args, pipe=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.pipe = f"tune.pipesize {pipe}" if pipe else ""
        self.splice = "option splice-request\n    option splice-response" if pipe else "option splice-auto"

    def config(self, folder):
        return f"""global
    nbthread {CORES}
    maxconn {FILES // 3}
    {self.pipe}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    {self.splice}
frontend tls
    bind {self.address}:{self.port} backlog 4096
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    use_backend app if {{ req.ssl_sni -i {NAME} }}
backend app
    server app {hosts.SERVER}:{SERVER_PORT}
"""

    def command(self, path):
        return [self.binary, "-db", "-f", path]


class Sniproxy(Contender):
    binary = "/usr/sbin/sniproxy"

    def config(self, folder):
        name = NAME.replace(".", "\\.")
        return f"""user root
pidfile {folder}/{self.key}.pid
error_log {{
    filename {folder}/{self.key}.error
    priority notice
}}
listen {self.address}:{self.port} {{
    proto tls
    table names
}}
table names {{
    ^{name}$ {hosts.SERVER}:{SERVER_PORT}
}}
"""

    def command(self, path):
        return [self.binary, "-f", "-n", str(FILES), "-c", path]


class Thruway(Contender):
    def __init__(self, *args, path, pool=0, local=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.path, self.pool, self.local = path, pool, local or "off"
        if local:
            self.address, self.is_local = hosts.LOCAL, True
        build = os.environ.get("BUILD", os.path.join(os.path.dirname(__file__), "../../build"))
        self.binary, self.cli = (os.path.abspath(f"{build}/{name}") for name in ("thruwayd", "thruway"))
        self.instance = f"{hosts.PREFIX}{os.getpid()}-{self.key}"

    def config(self, folder):
        paths = "relay" if self.path == "relay" else f"{self.path}, relay"
        return f"""paths: [{paths}]
listeners:
  - name: tls
    address: {self.address}
    port: {self.port}
    local: {self.local}
routes:
  - hostnames: [{NAME}]
    backends:
      - address: {hosts.LOCAL if self.is_local else hosts.SERVER}:{SERVER_PORT}
        pool: {self.pool}
"""

    def command(self, path):
        return [self.binary, "-c", path, "--instance", self.instance]

    def stop(self):
        """Ends the daemon and takes its pinned maps away."""
        if self.program and self.program.process.poll() is None:
            try:
                subprocess.run([self.cli, "--instance", self.instance, "down"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=10, check=False)
            except (OSError, subprocess.TimeoutExpired):
                pass  # what it would have done is done below
        super().stop()
        shutil.rmtree(f"/sys/fs/bpf/{self.instance}", ignore_errors=True)


def all_contenders():
    return [
        Forwarding("none", "plain IP forwarding", SERVER_PORT),
        Nginx("nginx", "nginx stream", 8001, is_peer=True),
        Nginx("nginx-64k", "nginx stream, 64k buffers", 8002, is_peer=True, buffer="64k"),
        Haproxy("haproxy", "HAProxy, splice-auto", 8003, is_peer=True),
        Haproxy("haproxy-1m", "HAProxy, splice, 1M pipes", 8004, is_peer=True, pipe=1 << 20),
        Sniproxy("sniproxy", "sniproxy", 8005),
        Thruway("relay", "thruway, relay path", 8010, path="relay"),
        Thruway("socket", "thruway, socket path", 8011, path="socket"),
        Thruway("pool", "thruway, socket path, pool", 8012, path="socket", pool=128),
        Loopback("loopback", "one host, no router", SERVER_PORT),
        Thruway("local", "one host, local: direct", 8015, path="socket", local="direct"),
    ]
