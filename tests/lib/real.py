# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Real TLS: certificates, nginx and openssl s_server as backends; curl, openssl, gnutls-cli and
Python's ssl as clients. A backend proves itself by its own certificate and by its body."""
import collections
import re
import ssl
import subprocess

from hosts import eventually
from raw import PATIENCE

# certificate: the subject's common name as the client saw it; body: what the server said
Answer = collections.namedtuple("Answer", "certificate body text")


def certificate(folder, common_name):
    """A self-signed certificate and its key; (certificate file, key file)."""
    crt, key = f"{folder}/{common_name}.crt", f"{folder}/{common_name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", f"/CN={common_name}", "-out", crt, "-keyout", key],
                   check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return crt, key


class Nginx:
    """One nginx on a host that is several backends: {common name: [addresses]}, port 8443."""

    def __init__(self, host, folder, names, port=8443):
        blocks = []
        for name, addresses in names.items():
            crt, key = certificate(folder, name)
            listens = "".join(f"listen {f'[{a}]' if ':' in a else a}:{port} ssl;" for a in addresses)
            blocks.append(f"""server {{ {listens} server_name {name};
                ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {crt}; ssl_certificate_key {key}; default_type text/plain;
                location / {{ return 200 "hello from {name}\\n"; }} }}""")
        config = f"{folder}/nginx-{port}.conf"
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"""daemon off; master_process off; pid {folder}/nginx-{port}.pid;
                error_log stderr; events {{ worker_connections 4096; }}
                http {{ access_log off; {self.temporary(folder)} {"".join(blocks)} }}""")
        self.process = host.start("nginx", "-c", config, "-e", "stderr", log=f"{folder}/nginx-{port}.log")
        first = next(iter(names.values()))[0]
        wait_for_port(host, first, port)

    @staticmethod
    def temporary(folder):
        return " ".join(f"{kind}_temp_path {folder}/{kind};"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))

    def close(self):
        self.process.stop()


def wait_for_port(host, address, port):
    def opened():
        try:
            host.connect(address, port).close()
            return True
        except OSError:
            return False
    eventually(opened, 15, f"a listener on {address}:{port}")


def s_server(host, folder, common_name, address, port, *options):
    """openssl s_server -www as a backend."""
    crt, key = certificate(folder, common_name)
    server = host.start("openssl", "s_server", "-accept", f"{address}:{port}", "-cert", crt, "-key", key,
                        "-www", *options, log=f"{folder}/s_server-{port}.log")
    wait_for_port(host, address, port)
    return server


def common_name(subject):
    return re.search(r"CN\s*=\s*([^,\s/`']+)", subject).group(1)


def curl(host, name, address, port=443, *options):
    """As a user calls it; raises AssertionError when curl fails."""
    where = f"[{address}]" if ":" in address else address
    url = f"https://{name}/" if port == 443 else f"https://{name}:{port}/"
    done = host.run("curl", "--resolve", f"{name}:{port}:{where}", url, "--insecure", "-v", "-sS",
                    "--max-time", "15", *options, check=False)
    assert done.returncode == 0, f"curl ended with {done.returncode}: {done.stderr}"
    subject = re.search(r"^\*\s+subject: (.*)$", done.stderr, re.M).group(1)
    return Answer(common_name(subject), done.stdout, done.stderr)


def openssl(host, name, address, *options, port=443):
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    done = host.run("openssl", "s_client", "-connect", where, "-servername", name, "-ign_eof", *options,
                    input=f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n", check=False, timeout=30)
    found = re.search(r"^subject=(.*)$", done.stdout, re.M)
    assert found, f"openssl s_client saw no certificate: {done.stdout}{done.stderr}"
    return Answer(common_name(found.group(1)), done.stdout, done.stdout + done.stderr)


def gnutls(host, name, address, *options, port=443):
    done = host.run("gnutls-cli", "--insecure", "--port", port, "--sni-hostname", name, *options,
                    address, input=f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n", check=False, timeout=30)
    found = re.search(r"subject `([^']*)'", done.stdout)
    assert found, f"gnutls-cli saw no certificate: {done.stdout}{done.stderr}"
    return Answer(common_name(found.group(1)), done.stdout, done.stdout + done.stderr)


def client_context(version=None, protocols=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = version
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def subject_of(der):
    done = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der,
                          stdout=subprocess.PIPE, check=True)
    return common_name(done.stdout.decode())


def python(conn, name, reshape=None, **options):
    """A request over a raw.Conn with Python's ssl; reshape(hello) -> a list of sends replaces the
    way that the first flight is cut into segments and records."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(**options).wrap_bio(inward, outward, server_hostname=name)

    def step(call, *args):
        nonlocal reshape
        while True:
            try:
                return call(*args)
            except ssl.SSLWantReadError:
                flight = outward.read()
                if flight and reshape:
                    for piece in reshape(flight):
                        conn.send(piece)
                    reshape = None
                elif flight:
                    conn.send(flight)
                got = conn.sock.recv(65536)
                assert got, "the server closed during the handshake"
                inward.write(got)

    conn.sock.settimeout(PATIENCE)
    step(tls.do_handshake)
    tls.write(f"GET / HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
    body = b""
    while b"\n" not in body.partition(b"\r\n\r\n")[2]:
        try:
            body += step(tls.read, 65536)
        except ssl.SSLZeroReturnError:
            break
        if out := outward.read():
            conn.send(out)
    text = body.decode(errors="replace")
    return Answer(subject_of(tls.getpeercert(binary_form=True)), text.partition("\r\n\r\n")[2], text)
