# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Joined connections that leave the kernel's path for the relay, each for its reason: no byte is lost, moved or kept
waiting."""
import hashlib
import os
import random
import signal
import socket
import threading
import time

import pytest
from hosts import eventually
from pairs import NAME, Joined
from stream import MIB, blast, digest, least
from thruway import route

BIG = os.urandom(1 << 20)


@pytest.mark.parametrize("sender", ["client", "backend"])
def test_a_stalled_reader_stops_its_sender_and_costs_little_memory(daemon, listener, sender):
    def stall():
        pair = Joined(listener, daemon)
        from_, to = pair.ends(sender)
        sent, whole, cost = blast(from_.sock, 2 << 30)
        assert sent < 100 * MIB, "the sender's window was never closed"
        assert pair.shown()["left"] == "backlog"
        from_.fin()
        assert digest(to.sock) == (sent, whole)
        eventually(lambda: pair.shown()["path"] == "relay")
        pair.close()
        return cost

    assert least(stall, 64 * MIB) < 64 * MIB
    assert list(daemon.ejected()) == ["backlog"]


@pytest.mark.usefixtures("small_buffers")
def test_a_queue_that_fills_and_empties_20_times_never_sticks(pair):
    """Too little to be bulk, or too much to wait: the connection stays where it is."""
    data, filled = random.Random(9).randbytes(MIB // 2), 0
    for _ in range(20):
        pair.client.send(data)
        eventually(lambda: pair.client.unsent() == 0)
        filled += pair.daemon.stats()["socket_path"]["backlog_bytes"] > 0
        assert pair.backend.read(len(data)) == data
    assert filled == 20 and pair.shown()["path"] == "socket"


def test_the_limit_over_all_connections_is_kept(run, listener):
    daemon = run([route(NAME, listener.text())], redirect_per_connection="1GiB", redirect_total="1GiB")
    daemon.hangup({"listeners": [{"name": "tls", "port": 443}], "redirect_per_connection": "4MiB",
                   "redirect_total": "4MiB", "routes": [route(NAME, listener.text())]}, wait_for="reload|load")
    pairs = [Joined(listener, daemon) for _ in range(4)]
    for pair in pairs:
        pair.client.sock.settimeout(0.5)
        try:
            for _ in range(3):  # beyond what TCP itself takes, below the limit of one
                pair.client.sock.sendall(BIG)
        except TimeoutError:
            pass
    eventually(lambda: daemon.ejected().get("total", 0) > 0)
    assert "backlog" not in daemon.ejected()
    for pair in pairs:
        pair.close()


def test_bulk_goes_to_splice_for_good(pair):
    total, block = 600 * MIB, random.Random(4).randbytes(MIB)

    def send():
        for _ in range(total // MIB):
            pair.client.send(block)
        pair.client.fin()

    threading.Thread(target=send, daemon=True).start()
    whole = hashlib.sha256()
    for _ in range(total // MIB):
        whole.update(block)
    assert digest(pair.backend.sock) == (total, whole.hexdigest())
    assert pair.shown()["left"] in ("bulk", "backlog") and pair.shown()["path"] == "relay"
    pair.backend.send(b"back")
    assert pair.client.read(4) == b"back"
    assert pair.shown()["path"] == "relay", "a connection that left never returns"


def test_urgent_data_does_not_stall_the_stream(pair):
    pair.client.send(b"abc")
    pair.client.sock.send(b"U", socket.MSG_OOB)
    pair.client.send(b"def" + BIG).fin()
    assert pair.backend.read_eof() == b"abcUdef" + BIG
    assert pair.daemon.ejected() == {"urgent": 1}


def test_those_that_are_told_to_leave_and_end_in_the_same_round_are_over(daemon, listener):
    """Urgent data and FIN, behind the backend's FIN, wait for the daemon together."""
    pairs = [Joined(listener, daemon) for _ in range(8)]
    for pair in pairs:
        pair.backend.fin()
        assert pair.client.read_eof() == b""
    eventually(lambda: {c["state"] for c in daemon.connections()} == {"half-closed"})
    os.kill(daemon.pid, signal.SIGSTOP)
    for pair in pairs:
        pair.client.sock.send(b"U", socket.MSG_OOB)
        pair.client.fin()
    time.sleep(0.2)  # the kernel has passed the bytes on
    os.kill(daemon.pid, signal.SIGCONT)
    for pair in pairs:
        assert pair.backend.read_eof() == b"U"
        pair.close()
    daemon.settle(active=0)


def test_bytes_move_both_ways_over_hundreds_of_stalls(run, listener):
    """Limits so low that connections leave in the midst of it."""
    daemon = run([route(NAME, listener.text())], redirect_per_connection="128KiB")
    chance, stalls, results, threads = random.Random(5), [], [], []

    def write(sock, seed, out):
        rnd, whole, sent = random.Random(seed), hashlib.sha256(), 0
        block, total = rnd.randbytes(MIB), rnd.randint(4 * MIB, 24 * MIB)
        while sent < total:
            n = min(total - sent, rnd.randint(1, 1 << 18))
            start = rnd.randint(0, MIB - n)
            whole.update(block[start:start + n])
            sock.sendall(block[start:start + n])
            sent += n
        sock.shutdown(socket.SHUT_WR)
        out["sent"] = (sent, whole.hexdigest())

    def read(sock, seed, out):
        rnd = random.Random(seed)

        def stall(_):
            if rnd.random() < 0.2:
                stalls.append(1)
                time.sleep(rnd.random() * 0.05)

        out["got"] = digest(sock, stall)

    pairs = [Joined(listener, daemon) for _ in range(10)]
    for pair in pairs:
        for one, other in ((pair.client.sock, pair.backend.sock), (pair.backend.sock, pair.client.sock)):
            one.settimeout(60)
            results.append({})
            threads.append(threading.Thread(target=write, args=(one, chance.random(), results[-1]), daemon=True))
            threads.append(threading.Thread(target=read, args=(other, chance.random(), results[-1]), daemon=True))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert all(result.get("sent") == result["got"] for result in results)
    assert len(stalls) > 200 and daemon.ejected()["backlog"] > 0
    daemon.settle(active=0)
    for pair in pairs:
        pair.close()


@pytest.mark.parametrize("stalled", ["backend", "client"])
def test_what_a_stalled_reader_sends_itself_goes_on(pair, stalled):
    """One direction drains for as long as the reader stalls; the reader may wait for what comes the other way."""
    to, from_ = pair.ends(stalled)
    sent, whole, _ = blast(from_.sock, 2 << 30)
    assert pair.shown()["left"] == "backlog"
    for number in range(5):
        to.send(b"%d" % number)
        assert from_.read(1) == b"%d" % number
    from_.fin()
    assert digest(to.sock) == (sent, whole)
    to.send(b"after it")
    assert from_.read(8) == b"after it"


@pytest.mark.parametrize("turn", range(3))
def test_an_echo_of_bulk_comes_back_whole(pair, turn):
    """Both directions leave at about the same moment, while the echo is blocked in send."""
    data = random.Random(turn).randbytes(MIB) * 48

    def echo():
        while got := pair.backend.sock.recv(1 << 16):
            pair.backend.send(got)
        pair.backend.fin()

    for work in (echo, lambda: pair.client.send(data).fin()):
        threading.Thread(target=work, daemon=True).start()
    assert digest(pair.client.sock) == (len(data), hashlib.sha256(data).hexdigest())


def test_bulk_leaves_also_when_the_daemon_has_no_descriptor_left(pair):
    pair.daemon.leave_descriptors(0)
    data = BIG * 64
    threading.Thread(target=lambda: pair.client.send(data).fin(), daemon=True).start()
    assert digest(pair.backend.sock) == (len(data), hashlib.sha256(data).hexdigest())
    pair.daemon.leave_descriptors(100)
    assert pair.shown()["left"] in ("bulk", "backlog")
