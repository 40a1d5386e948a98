# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A client and a backend, both of the test, whose connection the router serves."""
from clienthello import hello
from hosts import ROUTER4, eventually

NAME = "app.example.com"


class Pair:
    """The backend has read the hello. The client is of the client host if none is given."""

    def __init__(self, listener, daemon, client=None):
        self.daemon, self.hello = daemon, hello(NAME)
        self.client = (client or daemon.hosts.client.connect(ROUTER4)).send(self.hello)
        self.backend = listener.accept()
        assert self.backend.read(len(self.hello)) == self.hello

    def ends(self, first):
        """Client and backend; `first` says which of them comes first."""
        return (self.client, self.backend) if first == "client" else (self.backend, self.client)

    def shown(self):
        port = self.client.sock.getsockname()[1]
        return next(c for c in self.daemon.connections() if c["client"].endswith(f":{port}"))

    def close(self):
        self.client.close()
        self.backend.close()


class Joined(Pair):
    """The kernel has joined it."""

    def __init__(self, listener, daemon, client=None):
        super().__init__(listener, daemon, client)
        self.backend.send(b"flight")
        assert self.client.read(6) == b"flight"
        self.client.send(b"finished")
        assert self.backend.read(8) == b"finished"
        eventually(lambda: self.shown()["path"] == "socket", what="joined")
