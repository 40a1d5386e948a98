# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Scripted TCP: clients and servers that do exactly what a test says, and small backends.

What a backend says is not TLS: the router must not care what follows a ClientHello.
"""
import fcntl
import select
import selectors
import socket
import struct
import termios
import threading

PATIENCE = 20  # seconds until a read or write that does not come fails its test
TAG_BYTES = 8


class Conn:
    """One end of a connection."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data, piece=0):
        """Send all; with `piece`, that many bytes a segment."""
        if not piece:
            self.sock.sendall(data)
            return self
        for i in range(0, len(data), piece):
            self.sock.sendall(data[i:i + piece])
        return self

    def read(self, n):
        """Exactly n bytes."""
        data = bytearray()
        while len(data) < n:
            got = self.sock.recv(n - len(data))
            assert got, f"EOF after {len(data)} of {n} bytes"
            data += got
        return bytes(data)

    def read_eof(self):
        """Everything until FIN. RST raises ConnectionResetError."""
        data = bytearray()
        while got := self.sock.recv(1 << 18):
            data += got
        return bytes(data)

    def ending(self):
        """("fin" | "rst", the bytes before it)."""
        data = bytearray()
        try:
            while got := self.sock.recv(1 << 18):
                data += got
            return "fin", bytes(data)
        except ConnectionResetError:
            return "rst", bytes(data)

    def is_quiet(self, seconds):
        """Neither byte nor end comes within that time; what came is not taken."""
        watch = select.poll()
        watch.register(self.sock, select.POLLIN)
        return not watch.poll(seconds * 1000)

    def send_with_fin(self, data):
        """The data and FIN in one segment (if it fits in one)."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        self.sock.sendall(data)
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def rst(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def unsent(self):
        """Bytes that the peer's host has not acknowledged yet."""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]

    def close(self):
        self.sock.close()


def backend_of(host, address, hello, port=443, source=None):
    """The tag of the Echo that serves this hello; "rst" or "fin" for a refusal without a byte."""
    try:
        with host.connect(address, port, source) as conn:
            conn.send(hello)
            got = conn.sock.recv(TAG_BYTES)
            return conn_tag(conn, got) if got else "fin"
    except ConnectionResetError:
        return "rst"


def conn_tag(conn, got=b""):
    """The tag that an Echo says first."""
    return (got + conn.read(TAG_BYTES - len(got))).decode().strip()


class Listener:
    """A listening socket whose connections the test takes one by one."""

    def __init__(self, sock):
        self.sock = sock
        self.address, self.port = sock.getsockname()[:2]
        sock.settimeout(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def text(self):
        """As in a configuration file."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def accept(self):
        return Conn(self.sock.accept()[0])

    def close(self):
        self.sock.close()


class Echo:
    """A backend that says its tag (8 bytes) and then every byte that it hears, hello included.

    One thread serves all connections; FIN is answered with FIN after the last byte.
    """

    def __init__(self, host, address, port=8443, tag=""):
        self.tag = (tag or address).encode()[-TAG_BYTES:].rjust(TAG_BYTES)
        self.address, self.port = address, port
        self.accepted = 0
        self._listener = host.listen(address, port)
        self._listener.sock.settimeout(0)
        self._wake, self._stop = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def text(self):
        """As in a configuration file."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def _accept(self, selector):
        while True:
            try:
                sock = self._listener.sock.accept()[0]
            except (BlockingIOError, ConnectionError):
                return
            self.accepted += 1
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(sock, selectors.EVENT_READ)
            try:
                sock.sendall(self.tag)
            except OSError:
                pass  # the reading side sees what happened

    @staticmethod
    def _echo(selector, sock):
        try:
            data = sock.recv(65536)
            if data:
                sock.sendall(data)
                return
        except OSError:
            pass
        selector.unregister(sock)
        sock.close()

    def _serve(self):
        with selectors.EpollSelector() as selector:
            selector.register(self._listener.sock, selectors.EVENT_READ)
            selector.register(self._stop, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stop:
                        for other in list(selector.get_map().values()):
                            other.fileobj.close()
                        return
                    if key.fileobj is self._listener.sock:
                        self._accept(selector)
                    else:
                        self._echo(selector, key.fileobj)

    def close(self):
        self._wake.close()
        self._thread.join()
