# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""ClientHellos of any shape, right and wrong, as bytes.

A hello is made in three steps that can each be bent: extensions -> handshake message -> records.
hello() does all three for the usual case. What is made here is routed, not answered: the key
shares are random bytes.
"""
import os
import struct

SERVER_NAME, ALPN, KEY_SHARE, PADDING, VERSIONS = 0, 16, 51, 21, 43
RECORD_MAX = 16384
X25519, X25519MLKEM768 = 0x001D, 0x11EC
KEY_BYTES = {X25519: 32, X25519MLKEM768: 1216}


def vec8(data):
    return struct.pack("!B", len(data)) + data


def vec16(data):
    return struct.pack("!H", len(data)) + data


def extension(kind, data):
    return struct.pack("!H", kind) + vec16(data)


def server_name(name):
    """The SNI extension for one host name."""
    raw = name if isinstance(name, bytes) else name.encode()
    return extension(SERVER_NAME, vec16(b"\0" + vec16(raw)))


def alpn(protocols):
    raw = [p if isinstance(p, bytes) else p.encode() for p in protocols]
    return extension(ALPN, vec16(b"".join(vec8(p) for p in raw)))


def key_share(*groups):
    shares = b"".join(struct.pack("!H", g) + vec16(os.urandom(KEY_BYTES[g])) for g in groups)
    return extension(KEY_SHARE, vec16(shares))


def message(extensions, version=0x0303, trailing=b""):
    """The handshake message; extensions=None leaves the block out (TLS 1.0 style)."""
    body = struct.pack("!H", version) + os.urandom(32) + vec8(os.urandom(32))
    body += vec16(bytes.fromhex("130113021303c02bc02fc02cc030009c009d002f0035")) + vec8(b"\0")
    if extensions is not None:
        body += vec16(b"".join(extensions))
    body += trailing
    return b"\x01" + struct.pack("!I", len(body))[1:] + body


def records(handshake, piece=RECORD_MAX, version=0x0301):
    """The handshake message cut into records of at most `piece` bytes."""
    return b"".join(b"\x16" + struct.pack("!H", version) + vec16(handshake[i:i + piece])
                    for i in range(0, len(handshake), piece))


def hello(name, protocols=(), size=0, post_quantum=False, name_last=False, piece=RECORD_MAX):
    """A TLS 1.3 hello. name=None: no SNI. size: pad the message to that many bytes."""
    sni = [] if name is None else [server_name(name)]
    rest = [extension(0x1A1A, b""), extension(23, b""),
            extension(10, vec16(struct.pack("!HH", X25519MLKEM768, X25519))),
            extension(13, vec16(bytes.fromhex("0403080404010503080505010806"))),
            extension(VERSIONS, vec8(bytes.fromhex("03040303")))]
    if protocols:
        rest.append(alpn(protocols))
    rest.append(key_share(*((X25519MLKEM768, X25519) if post_quantum else (X25519,))))
    exts = rest + sni if name_last else sni + rest
    short = size - len(message(exts))
    if short >= 4:
        pad = extension(PADDING, bytes(short - 4))
        exts = [pad] + exts if name_last else exts + [pad]
    return records(message(exts), piece)


def malformed():
    """(what is wrong, bytes): hellos whose lengths or names lie. None may ever be routed."""
    name = b"app.example.com"
    good = [server_name(name), key_share(X25519)]
    two_names = extension(SERVER_NAME, vec16(b"\0" + vec16(name) + b"\0" + vec16(b"other.example.com")))
    long_list = extension(SERVER_NAME, struct.pack("!H", 200) + b"\0" + vec16(name))
    return [
        ("name behind the extensions block",
         records(message([key_share(X25519)], trailing=server_name(name)))),
        ("bytes behind the extensions block", records(message(good, trailing=b"\0\0"))),
        ("two names in one list", records(message([two_names]))),
        ("two server name extensions", records(message([server_name(name), server_name(name)]))),
        ("name list longer than its extension", records(message([long_list]))),
        ("extension longer than its block",
         records(message([struct.pack("!HH", SERVER_NAME, 4000) + vec16(b"\0" + vec16(name))]))),
        ("empty name", records(message([server_name(b"")]))),
        ("NUL in the name", records(message([server_name(b"app.example.com\0.evil.example")]))),
        ("name of 254 bytes", records(message([server_name(b".".join([b"a" * 63] * 3 + [b"a" * 62]))]))),
    ]
