# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A hello may come in any pieces, of segments and of records, and at any length up to 16 KiB; the
backend gets the very bytes that the client sent."""
import clienthello
import pytest
import real
from clienthello import hello
from hosts import ROUTER4, ROUTER6
from raw import conn_tag
from thruway import route

NAME = "app.example.com"

SHAPES = {
    "one_segment": (hello(NAME), 0),
    "one_byte_segments": (hello(NAME), 1),
    "one_byte_records": (hello(NAME, piece=1), 0),
    "one_byte_records_in_odd_segments": (hello(NAME, piece=1), 7),
    "post_quantum": (hello(NAME, ["h2", "http/1.1"], post_quantum=True), 0),
    "post_quantum_name_last": (hello(NAME, ["h2"], post_quantum=True, name_last=True), 0),
    "post_quantum_in_two_records": (hello(NAME, post_quantum=True, name_last=True, piece=1000), 0),
    "post_quantum_one_byte_segments": (hello(NAME, post_quantum=True, name_last=True), 1),
    "four_kib": (hello(NAME, size=4096, name_last=True), 1400),
    "sixteen_kib_less_a_little": (hello(NAME, size=16000, name_last=True), 1400),
    "hello_split_in_its_record_header": (hello(NAME), 3),
}


@pytest.fixture(name="router")
def _router(run, echo):
    run([route(NAME, echo(2, "echo").text())])


@pytest.mark.usefixtures("router")
@pytest.mark.parametrize("shape", SHAPES)
def test_a_hello_of_any_shape_is_routed_and_arrives_unchanged(hosts, shape):
    data, piece = SHAPES[shape]
    for address in (ROUTER4, ROUTER6):
        with hosts.client.connect(address) as client:
            client.send(data, piece)
            assert conn_tag(client) == "echo"
            assert client.read(len(data)) == data
            client.send(b"more").fin()
            assert client.read_eof() == b"more"


def pieces(size):
    return lambda flight: [flight[i:i + size] for i in range(0, len(flight), size)]


def in_records(size):
    return lambda flight: [clienthello.records(flight[5:], size)]


@pytest.mark.parametrize("reshape", [pieces(1), pieces(100), in_records(1), in_records(64)],
                         ids=["one_byte_segments", "hundred_byte_segments", "one_byte_records",
                              "small_records"])
def test_a_real_handshake_in_pieces_completes(hosts, run, web, reshape):
    run([route(NAME, web["app"])])
    with hosts.client.connect(ROUTER4) as client:
        answer = real.python(client, NAME, reshape)
    assert (answer.certificate, answer.body) == (NAME, f"hello from {NAME}\n")


def test_a_real_handshake_with_a_hello_of_several_segments_completes(hosts, run, web):
    run([route(NAME, web["app"])])
    offers = ",".join([f"protocol-number-{i}" for i in range(300)] + ["http/1.1"])
    answer = real.openssl(hosts.client, NAME, ROUTER4, "-alpn", offers)
    assert answer.certificate == NAME
    assert f"hello from {NAME}" in answer.body


@pytest.mark.usefixtures("router")
def test_bytes_behind_the_hello_come_along_in_order(hosts):
    behind = bytes(range(256)) * 64
    with hosts.client.connect(ROUTER4) as client:
        data = hello(NAME)
        client.send(data + behind)
        assert conn_tag(client) == "echo"
        assert client.read(len(data + behind)) == data + behind


@pytest.mark.usefixtures("router")
def test_a_pause_inside_the_hello_does_no_harm(hosts):
    data = hello(NAME, post_quantum=True, name_last=True)
    with hosts.client.connect(ROUTER4) as client:
        client.send(data[:700])
        assert client.is_quiet(0.3)
        client.send(data[700:])
        assert conn_tag(client) == "echo"
        assert client.read(len(data)) == data
