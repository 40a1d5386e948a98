#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Saves the ClientHellos of real clients: capture.py [--only WORD] [--build DIR] FOLDER.

Listens on loopback, starts each client that the machine has, reads its first flight up to the
ClientHello's last byte (without taking it), saves it, and answers as a server with a certificate of
its own, so that a client that connects again resumes. Clients that are missing are named and left
out. DIR holds what has to be built first (see README.md): go-hello, rustls/debug/hello-rustls, and
venv/bin/python with curl_cffi, pyOpenSSL and tlslite-ng.

Rewrites FOLDER/manifest.tsv's lines of the files that it saves: file, answer, name, alpn. The name
is what the client was told to ask for, not what was read, and the two must agree.
"""
import argparse
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

from manifest import Manifest

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT_SECONDS = 60
HELLO_MAX = 98328
NAME = "app.example.com"
# 253 bytes: the longest name there is
LONG = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 49, "example.com"])


class Incomplete(Exception):
    pass


def take(data, n):
    if len(data) < n:
        raise Incomplete
    return data[:n], data[n:]


def hello_end(stream):
    """Offset behind the ClientHello's last byte, and its body. Raises Incomplete."""
    rest, handshake = stream, b""
    while True:
        head, rest = take(rest, 5)
        if head[0] != 22:
            raise ValueError("not a handshake record")
        body, rest = take(rest, struct.unpack("!H", head[3:])[0])
        handshake += body
        if len(handshake) >= 4:
            size = 4 + int.from_bytes(handshake[1:4], "big")
            if len(handshake) >= size:
                return len(stream) - len(rest), handshake[4:size]


def hello_fields(body):
    """(name, [protocols]) of a well-formed ClientHello; name None if there is none."""
    name, protocols = None, []
    rest = body[34:]
    rest = rest[1 + rest[0]:]
    rest = rest[2 + struct.unpack("!H", rest[:2])[0]:]
    rest = rest[1 + rest[0]:][2:]
    while rest:
        kind, size = struct.unpack("!HH", rest[:4])
        data, rest = rest[4:4 + size], rest[4 + size:]
        if kind == 0:
            name = data[5:].decode()
        elif kind == 16:
            data = data[2:]
            while data:
                protocols.append(data[1:1 + data[0]].decode("latin-1"))
                data = data[1 + data[0]:]
    return name, protocols


class Listener:
    """A TLS server on loopback that keeps the ClientHello of everybody who connects."""

    def __init__(self, certificate):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.context.load_cert_chain(certificate)
        self.hellos = []
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.lock = threading.Condition()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        conn.settimeout(10)
        with conn:
            try:
                stream = self.peek_hello(conn)
                with self.lock:
                    self.hellos.append(stream)
                    self.lock.notify_all()
                with self.context.wrap_socket(conn, server_side=True) as tls:
                    tls.recv(65536)
                    tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
            except (OSError, ValueError):
                pass

    @staticmethod
    def peek_hello(conn):
        low = 1
        while True:
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, low)
            stream = conn.recv(HELLO_MAX, socket.MSG_PEEK)
            if len(stream) < low:
                raise ValueError("closed")
            try:
                return stream[:hello_end(stream)[0]]
            except Incomplete:
                low = len(stream) + 1

    def close(self):
        self.socket.close()


def clients(build, work):
    """(label, wanted name, count of connections, argv, stdin); PORT stands for the port."""
    openssl = ["openssl", "s_client", "-connect", "127.0.0.1:PORT"]
    for label, name, more in (
            ("tls13", NAME, []),
            ("tls12", NAME, ["-tls1_2"]),
            ("tls11", NAME, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]),
            ("tls10", NAME, ["-tls1", "-cipher", "ALL:@SECLEVEL=0"]),
            ("alpn", NAME, ["-alpn", "h2,http/1.1"]),
            ("alpn-many", NAME, ["-alpn", ",".join(f"protocol-number-{n}" for n in range(40))]),
            ("upper-case-dot", "App.Example.COM.", []),
            ("longest-name", LONG, []),
            ("ocsp", NAME, ["-status", "-nextprotoneg", "h2", "-tls1_2"]),
            ("small-fragments", NAME, ["-max_send_frag", "512", "-alpn", "h2," + "x" * 200]),
            ("groups", NAME, ["-groups", "P-521:P-384:X448:X25519:ffdhe8192"]),
            ("srp-psk", NAME, ["-psk", "0123456789abcdef", "-psk_identity", "somebody"])):
        yield f"openssl-{label}", name, 1, openssl + ["-servername", name] + more, b""
    yield "openssl-no-sni", None, 1, openssl + ["-noservername"], b""
    for version in ("-tls1_2", "-tls1_3"):
        session = os.path.join(work, "session" + version)
        yield (None, NAME, 1, openssl + ["-servername", NAME, version, "-sess_out", session,
                                         "-ign_eof"], b"GET / HTTP/1.0\r\n\r\n")
        yield (f"openssl-resumed{version.replace('-tls1_', '-tls1')}", NAME, 1,
               openssl + ["-servername", NAME, version, "-sess_in", session], b"")

    gnutls = ["gnutls-cli", "--insecure", "--no-ca-verification", "-p", "PORT", "127.0.0.1"]
    for label, name, more in (
            ("default", NAME, []),
            ("alpn", NAME, ["--alpn=h2", "--alpn=http/1.1"]),
            ("tls12", NAME, ["--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2"]),
            ("tls10", NAME, ["--priority=NORMAL:-VERS-ALL:+VERS-TLS1.0:%COMPAT"]),
            ("longest-name", LONG, [])):
        yield f"gnutls-{label}", name, 1, gnutls + [f"--sni-hostname={name}"] + more, b""
    yield "gnutls-no-sni", None, 1, gnutls, b""
    yield ("gnutls-resumed", NAME, 2, gnutls + [f"--sni-hostname={NAME}", "--resume", "--waitresumption"],
           b"GET / HTTP/1.0\r\n\r\n")

    nss = ["tstclnt", "-h", "127.0.0.1", "-p", "PORT", "-D", "-o", "-Q", "-a", NAME]
    yield "nss-default", NAME, 1, nss, b""
    yield "nss-tls12", NAME, 1, nss + ["-V", "tls1.2:tls1.2"], b""
    yield "nss-tls13-ech-grease", NAME, 1, nss + ["-V", "tls1.3:tls1.3", "-i", "64"], b""

    curl = ["curl", "-sk", "--resolve", f"{NAME}:PORT:127.0.0.1"]
    yield "curl-h2", NAME, 1, curl + [f"https://{NAME}:PORT/"], b""
    yield "curl-http1", NAME, 1, curl + ["--http1.1", f"https://{NAME}:PORT/"], b""
    yield "curl-no-alpn", NAME, 1, curl + ["--no-alpn", f"https://{NAME}:PORT/"], b""
    yield "curl-ip", None, 1, ["curl", "-sk", "https://127.0.0.1:PORT/"], b""
    yield ("curl-longest-name", LONG, 1,
           ["curl", "-sk", "--connect-to", "::127.0.0.1:PORT", f"https://{LONG}:PORT/"], b"")
    yield "wget", "localhost", 1, ["wget", "-q", "-t1", "-O/dev/null", "--no-check-certificate",
                                   "https://localhost:PORT/"], b""

    python = """if 1:
        import socket, ssl, sys
        context = ssl._create_unverified_context()
        if len(sys.argv) > 3:
            context.set_alpn_protocols(sys.argv[3].split(","))
        context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))),
                            server_hostname=sys.argv[2] or None)"""
    yield "python-default", NAME, 1, ["/usr/bin/python3", "-c", python, "PORT", NAME], b""
    yield "python-alpn", NAME, 1, ["/usr/bin/python3", "-c", python, "PORT", NAME, "h2,http/1.1"], b""
    yield "python-no-sni", None, 1, ["/usr/bin/python3", "-c", python, "PORT", ""], b""
    yield ("python-idn", "xn--bcher-kva.example", 1,
           ["/usr/bin/python3", "-c", python, "PORT", "b\u00fccher.example"], b"")

    node = """const [port, servername, alpn] = process.argv.slice(1);
        require("tls").connect({port, host: "127.0.0.1", servername, rejectUnauthorized: false,
            ALPNProtocols: alpn && alpn.split(",")}).on("secureConnect", function() { this.end(); })
            .on("error", () => {})"""
    yield "node-default", NAME, 1, ["node", "-e", node, "PORT", NAME], b""
    yield "node-alpn", NAME, 1, ["node", "-e", node, "PORT", NAME, "h2,http/1.1"], b""
    fetch = "process.env.NODE_TLS_REJECT_UNAUTHORIZED = 0; fetch(process.argv[1]).catch(() => {})"
    yield "node-fetch", "localhost", 1, ["node", "-e", fetch, "https://localhost:PORT/"], b""

    hosts = os.path.join(work, "hosts")
    with open(hosts, "w", encoding="ascii") as file:
        file.write(f"127.0.0.1 {NAME}\n")
    for version in ("1.1", "2"):
        yield (f"java-http{version}", NAME, 1, ["java", f"-Djdk.net.hosts.file={hosts}",
                                                f"{HERE}/clients/Hello.java", "PORT", NAME, version], b"")

    go = [os.path.join(build, "go-hello"), "PORT"]
    yield "go-default", NAME, 1, go + [NAME], b""
    yield "go-alpn", NAME, 1, go + [NAME, "h2,http/1.1"], b""
    yield "go-resumed", NAME, 2, go + [NAME, "h2,http/1.1", "2"], b""
    yield "go-longest-name", LONG, 1, go + [LONG], b""
    rustls = [os.path.join(build, "rustls/debug/hello-rustls"), "PORT"]
    yield "rustls-default", NAME, 1, rustls + [NAME], b""
    yield "rustls-alpn", NAME, 1, rustls + [NAME, "h2,http/1.1"], b""

    venv = os.path.join(build, "venv/bin/python")
    pyopenssl = """if 1:
        import socket, sys
        from OpenSSL import SSL
        tls = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD),
                             socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
        tls.set_tlsext_host_name(sys.argv[2].encode())
        tls.set_connect_state()
        tls.do_handshake()"""
    yield "pyopenssl-default", NAME, 1, [venv, "-c", pyopenssl, "PORT", NAME], b""
    tlslite = """if 1:
        import socket, sys
        from tlslite.api import TLSConnection
        tls = TLSConnection(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))
        tls.handshakeClientCert(serverName=sys.argv[2], alpn=[b"http/1.1"])"""
    yield "tlslite-default", NAME, 1, [venv, "-c", tlslite, "PORT", NAME], b""
    boring = """if 1:
        import sys
        from curl_cffi import requests, CurlOpt
        requests.get(f"https://{sys.argv[2]}:{sys.argv[1]}/", impersonate=sys.argv[3], verify=False,
                     curl_options={CurlOpt.RESOLVE: [f"{sys.argv[2]}:{sys.argv[1]}:127.0.0.1"]})"""
    for browser in ("chrome99", "chrome110", "chrome124", "chrome131", "chrome136", "safari153",
                    "safari170", "safari180_ios", "firefox133", "edge101", "tor145"):
        yield f"boringssl-as-{browser}", NAME, 1, [venv, "-c", boring, "PORT", NAME, browser], b""

    yield ("chromium-headless", NAME, 1,
           ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--ignore-certificate-errors", f"--user-data-dir={work}/chromium", "--dump-dom",
            f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND", f"https://{NAME}:PORT/"], b"")

    profile = os.path.join(work, "firefox")
    os.mkdir(profile)
    with open(os.path.join(profile, "user.js"), "w", encoding="ascii") as file:
        for key, value in (("network.dns.localDomains", f'"{NAME}"'),
                           ("network.proxy.type", "0"), ("app.update.enabled", "false"),
                           ("toolkit.telemetry.enabled", "false"),
                           ("network.captive-portal-service.enabled", "false"),
                           ("network.connectivity-service.enabled", "false")):
            file.write(f'user_pref("{key}", {value});\n')
    yield ("firefox-headless", NAME, 1,
           ["firefox-esr", "--headless", "--no-remote", "--profile", profile, "--screenshot",
            f"{work}/page.png", f"https://{NAME}:PORT/"], b"")


def run(listener, name, count, argv, text):
    """The last of the client's `count` hellos, or None."""
    listener.hellos.clear()
    argv = [word.replace("PORT", str(listener.port)) for word in argv]
    log = os.environ.get("CAPTURE_LOG", os.devnull)
    with tempfile.TemporaryFile() as given, open(log, "ab") as out:
        given.write(text)
        given.seek(0)
        client = subprocess.Popen(argv, stdin=given, stdout=out, stderr=out, start_new_session=True)
    with listener.lock:
        listener.lock.wait_for(lambda: len([h for h in listener.hellos if asks(h, name)]) >= count,
                               timeout=CLIENT_SECONDS / 2)
    try:
        client.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(client.pid, 9)
        client.wait()
    mine = [h for h in listener.hellos if asks(h, name)]
    return mine[count - 1] if len(mine) >= count else None


def asks(stream, name):
    # A client may leave the trailing dot out, as RFC 6066 wants it, and lower the case.
    seen = hello_fields(hello_end(stream)[1])[0]
    return (seen or "").lower().rstrip(".") == (name or "").lower().rstrip(".")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder")
    parser.add_argument("--only", default="", help="only clients whose label begins so")
    parser.add_argument("--build", default="build/corpus")
    args = parser.parse_args()
    manifest = Manifest(args.folder)
    missing = 0
    with tempfile.TemporaryDirectory() as work:
        certificate = os.path.join(work, "certificate.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        f"/CN={NAME}", "-keyout", certificate, "-out", certificate + ".crt"],
                       check=True, stderr=subprocess.DEVNULL)
        with open(certificate, "ab") as key, open(certificate + ".crt", "rb") as crt:
            key.write(crt.read())
        listener = Listener(certificate)
        for label, name, count, argv, text in clients(args.build, work):
            if not (label or args.only).startswith(args.only):
                continue
            if not shutil.which(argv[0]):
                print(f"{label}: {argv[0]} is not installed")
                missing += 1
                continue
            hello = run(listener, name, count, argv, text)
            if not label:
                continue
            if not hello:
                print(f"{label}: no hello came")
                missing += 1
                continue
            protocols = hello_fields(hello_end(hello)[1])[1]
            clean = (name or "").lower().rstrip(".")
            manifest.put(f"{label}.bin", hello, "found" if name else "no_sni", clean, protocols)
            print(f"{label}: {len(hello)} bytes")
        listener.close()
    manifest.save()
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
