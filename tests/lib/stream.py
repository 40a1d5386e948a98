# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Long streams by their hash, and what one costs the host that nobody reads."""
import hashlib
import random

MIB = 1 << 20


def digest(sock, pause=lambda got: None):
    """Read to FIN: (bytes, hash)."""
    whole, got = hashlib.sha256(), 0
    while data := sock.recv(1 << 17):
        whole.update(data)
        got += len(data)
        pause(got)
    return got, whole.hexdigest()


def available():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))


def blast(sock, most):
    """Send until nothing more is taken for 2 s: (bytes, hash, how far MemAvailable fell)."""
    whole, sent, before = hashlib.sha256(), 0, available()
    low, block = before, random.Random(1).randbytes(MIB)
    patience = sock.gettimeout()
    sock.settimeout(2)
    while sent < most:
        try:
            n = sock.send(block)
        except TimeoutError:
            break
        whole.update(block[:n])
        sent += n
        low = min(low, available())
    sock.settimeout(patience)
    return sent, whole.hexdigest(), before - low
