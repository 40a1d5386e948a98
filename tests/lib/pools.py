# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Backends for pools of warm sockets, and what the daemon's pools hold."""
import socket
import struct
import threading

from hosts import eventually
from thruway import route

PORT = 9300
WARM = 4  # TW_PAIR_WARM


class Quiet:
    """Backends that say nothing before the client does: each connection's first bytes are answered with a tag,
    the rest is echoed. FIN is answered with FIN."""

    def __init__(self, host, address, tag):
        self.address, self.tag = address, tag
        self.socks = set()
        self.with_rst = False  # how connections end
        self.listener = host.listen(address, PORT)
        self.listener.sock.settimeout(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def text(self):
        return f"[{self.address}]:{PORT}" if ":" in self.address else f"{self.address}:{PORT}"

    def _accept(self):
        while True:
            try:
                sock = self.listener.sock.accept()[0]
            except OSError:
                return
            sock.settimeout(None)
            self.socks.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        is_first = True
        try:
            while data := sock.recv(65536):
                if is_first:
                    sock.sendall(self.tag.encode())
                is_first = False
                sock.sendall(data)
            if not self.with_rst:
                sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.socks.discard(sock)
        sock.close()

    def drop_all(self, with_rst=False):
        """End every connection that is open now."""
        self.with_rst = with_rst
        ended = list(self.socks)
        for sock in ended:
            try:
                if with_rst:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # wakes its thread, which closes it
            except OSError:
                pass
        eventually(lambda: not self.socks & set(ended), what="connections ended")
        self.with_rst = False

    def close(self):
        try:
            self.listener.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop_all()


def pooled(names, *backends, pool=4, **more):
    made = route(names, **more)
    made["backends"] = [{"address": b.text(), "pool": pool} for b in backends]
    return made


def path(daemon):
    return daemon.stats()["socket_path"]


def n_warm(daemon):
    """Sockets that the kernel may hand out now."""
    return sum(value["state"] == WARM for _, value in daemon.dump("tw_pairs"))


def warm(daemon, backend, n):
    """Wait until n connections to the backend stand."""
    eventually(lambda: len(backend.socks) >= n, what=f"{n} warm sockets")
    eventually(lambda: n_warm(daemon) >= n)
