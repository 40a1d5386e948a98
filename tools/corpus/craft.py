#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Makes the crafted part of the corpus: craft.py FOLDER.

One file for each rule of include/thruway/hello.h, with the answer that the rule demands. The same
bytes come out each time. Numbers are from RFC 8446, 6066 and 7301.
"""
import argparse
import struct
import sys

from manifest import Manifest

NAME = b"app.example.com"
EVIL = b"evil.example.net"
RANDOM = bytes(range(32))
SESSION = bytes(range(100, 132))
CIPHERS = bytes.fromhex("130113021303c02bc02fc02cc030009c009d002f0035")
HELLO_MAX, RECORD_MAX = 16384, 16384


def vec8(data):
    return struct.pack("!B", len(data)) + data


def vec16(data, lie=0):
    return struct.pack("!H", len(data) + lie) + data


def ext(kind, data=b"", lie=0):
    return struct.pack("!H", kind) + vec16(data, lie)


def sni(name, kind=0, list_lie=0, name_lie=0, more=b"", ext_lie=0):
    entry = struct.pack("!B", kind) + vec16(name, name_lie) + more
    return ext(0, vec16(entry, list_lie), ext_lie)


def alpn(*protocols, list_lie=0, more=b"", ext_lie=0):
    return ext(16, vec16(b"".join(vec8(p) for p in protocols) + more, list_lie), ext_lie)


VERSIONS = ext(43, vec8(bytes.fromhex("03040303")))
GROUPS = ext(10, vec16(bytes.fromhex("001d00170018")))
SIGNATURES = ext(13, vec16(bytes.fromhex("040308040401050308050501")))
KEY_SHARE = ext(51, vec16(bytes.fromhex("001d") + vec16(bytes(range(32)))))
REST = VERSIONS + GROUPS + SIGNATURES + KEY_SHARE


def body(extensions, version=b"\x03\x03", session=SESSION, ciphers=CIPHERS, compression=b"\0", lie=0,
         session_lie=0, cipher_lie=0, compression_lie=0, trailing=b""):
    """A ClientHello; extensions None leaves the block out, `lie` is added to the block's length."""
    out = version + RANDOM + struct.pack("!B", len(session) + session_lie) + session
    out += vec16(ciphers, cipher_lie) + struct.pack("!B", len(compression) + compression_lie) + compression
    if extensions is not None:
        out += vec16(extensions, lie)
    return out + trailing


def message(content, kind=1, lie=0):
    return struct.pack("!B", kind) + (len(content) + lie).to_bytes(3, "big") + content


def record(content, kind=22, version=b"\x03\x01", lie=0):
    return struct.pack("!B", kind) + version + vec16(content, lie)


def records(content, *sizes, version=b"\x03\x01"):
    """Cut into records of these sizes, the last of which repeats."""
    out, sizes = b"", list(sizes)
    while content:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        out, content = out + record(content[:size], version=version), content[size:]
    return out


def hello(extensions, **bend):
    return record(message(body(extensions, **bend)))


def sized(size, *extensions):
    """A ClientHello's message whose body has this many bytes (by padding, RFC 7685)."""
    plain = body(b"".join(extensions) + ext(21))
    return message(body(b"".join(extensions) + ext(21, bytes(size - len(plain)))))


def names():
    """Which names are names. Yields (file, stream, answer, name, protocols)."""
    longest = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    yield "longest", sni(longest.encode()), longest
    yield "longest-with-dot", sni(longest.encode() + b"."), longest
    labels = ".".join(["x"] * 127)
    yield "labels-127", sni(labels.encode()), labels
    yield "labels-127-with-dot", sni(labels.encode() + b"."), labels
    yield "label-63", sni(b"a" * 63 + b".example"), "a" * 63 + ".example"
    yield "one-byte", sni(b"a"), "a"
    yield "one-label", sni(b"localhost"), "localhost"
    yield "one-label-with-dot", sni(b"localhost."), "localhost"
    yield "trailing-dot", sni(NAME + b"."), NAME.decode()
    yield "upper-case", sni(b"APP.Example.COM"), NAME.decode()
    yield "upper-case-with-dot", sni(b"APP.EXAMPLE.COM."), NAME.decode()
    yield "underscore", sni(b"_my_service.example.com"), "_my_service.example.com"
    yield "hyphen", sni(b"-a-.b--c.example"), "-a-.b--c.example"
    yield "digits", sni(b"0123456789.example"), "0123456789.example"
    yield "punycode", sni(b"xn--bcher-kva.example"), "xn--bcher-kva.example"
    yield "ipv4-literal", sni(b"192.0.2.1"), "192.0.2.1"
    yield "254-bytes", sni(longest.encode() + b"d"), None
    yield "254-bytes-in-short-labels", sni(labels.encode() + b"x"), None
    yield "255-bytes", sni(labels.encode() + b".x"), None
    yield "300-bytes", sni(b".".join([b"a" * 59] * 5)), None
    yield "65000-bytes-claimed", sni(NAME, name_lie=65000), None
    yield "label-64", sni(b"a" * 64 + b".example"), None
    yield "empty", sni(b""), None
    yield "dot-alone", sni(b"."), None
    yield "two-dots-at-the-end", sni(NAME + b".."), None
    yield "dot-first", sni(b"." + NAME), None
    yield "empty-label", sni(b"app..example.com"), None
    yield "ipv6-literal", sni(b"2001:db8::1"), None
    yield "ipv6-literal-in-brackets", sni(b"[2001:db8::1]"), None
    yield "with-port", sni(NAME + b":443"), None
    yield "wildcard", sni(b"*.example.com"), None
    yield "nul-inside", sni(NAME + b"\0." + EVIL), None
    yield "nul-at-the-end", sni(NAME + b"\0"), None
    yield "space", sni(b"app example.com"), None
    yield "newline", sni(NAME + b"\n"), None
    yield "slash", sni(b"../example.com"), None
    yield "utf-8", sni("b\u00fccher.example".encode()), None
    yield "byte-255", sni(b"\xff" * 10), None


def server_names():
    """The server_name extension, and where it stands."""
    two = struct.pack("!B", 0) + vec16(EVIL)
    yield "two-names", sni(NAME, more=two), "malformed"
    yield "same-name-twice", sni(NAME, more=struct.pack("!B", 0) + vec16(NAME)), "malformed"
    yield "second-of-another-type", sni(NAME, more=b"\x01" + vec16(b"x")), "malformed"
    yield "only-another-type", sni(NAME, kind=1), "malformed"
    yield "type-255", sni(NAME, kind=255), "malformed"
    yield "another-type-first", ext(0, vec16(b"\x01" + vec16(b"x") + b"\0" + vec16(NAME))), "malformed"
    yield "extension-twice", sni(NAME) + sni(EVIL), "malformed"
    yield "extension-twice-alike", sni(NAME) + REST + sni(NAME), "malformed"
    yield "extension-empty", ext(0), "malformed"
    yield "extension-of-1-byte", ext(0, b"\0"), "malformed"
    yield "list-empty", ext(0, vec16(b"")), "malformed"
    yield "list-of-a-type-alone", ext(0, vec16(b"\0")), "malformed"
    yield "list-without-the-name", ext(0, vec16(b"\0\0\0")), "malformed"
    for lie in (-1, 1, -5, 256):
        yield f"list-length-{lie:+}", sni(NAME, list_lie=lie), "malformed"
        yield f"name-length-{lie:+}", sni(NAME, name_lie=lie), "malformed"
        yield f"extension-length-{lie:+}", sni(NAME, ext_lie=lie), "malformed"
    yield "name-and-list-length-1-too-long", sni(NAME, name_lie=1, list_lie=1), "malformed"
    yield "name-and-list-length-1-too-short", sni(NAME, name_lie=-1, list_lie=-1), "malformed"
    yield "bytes-behind-the-list", ext(0, vec16(b"\0" + vec16(NAME)) + b"\0"), "malformed"
    yield "bytes-behind-the-name", sni(NAME, more=b"\0"), "malformed"
    # What would be read otherwise would look right.
    yield "extension-inside-the-list", sni(NAME, more=ext(23)), "malformed"
    yield "extension-inside-the-extension", ext(0, vec16(b"\0" + vec16(NAME)) + ext(23)), "malformed"
    swallowed = ext(0x6161, ext(23, bytes(0x2D2D - 4)))
    yield "name-length-swallows-letters", sni(NAME, name_lie=4) + swallowed, "malformed"
    yield ("all-lengths-swallow-what-follows", sni(NAME, name_lie=4, list_lie=4, ext_lie=4) + ext(23),
           "malformed")


def blocks():
    """The block of extensions and all that is around it. Yields (file, ClientHello, answer)."""
    good = sni(NAME) + REST
    yield "name-behind-the-block", body(REST, trailing=sni(EVIL)), "malformed"
    yield "name-behind-a-block-with-a-name", body(good, trailing=sni(EVIL)), "malformed"
    yield "name-behind-an-empty-block", body(b"", trailing=sni(EVIL)), "malformed"
    yield "block-shorter-by-the-name", body(REST + sni(EVIL), lie=-len(sni(EVIL))), "malformed"
    for lie in (-4, -1, 1, 4, 1000):
        yield f"block-length-{lie:+}", body(good, lie=lie), "malformed"
    for n in range(1, 4):
        yield f"trailing-bytes-{n}", body(good, trailing=bytes(n)), "malformed"
        yield f"block-of-{n}-bytes", body(bytes(n)), "malformed"
        yield f"block-ends-in-{n}-bytes", body(good + bytes(n)), "malformed"
    yield "name-in-an-extension-longer-than-the-block", body(REST + sni(NAME, ext_lie=1)), "malformed"
    yield "extension-beyond-the-block", body(good + ext(23, b"", lie=1)), "malformed"
    yield "extension-of-65535-bytes", body(good + ext(23, b"", lie=65535)), "malformed"
    yield "extension-beyond-the-block-first", body(ext(23, b"", lie=2000) + good), "malformed"
    yield "half-a-block-length", body(None, trailing=b"\0"), "malformed"
    yield "session-id-33", body(good, session=bytes(33)), "malformed"
    yield "session-id-255", body(good, session_lie=255 - len(SESSION)), "malformed"
    yield "session-id-length+1", body(good, session=SESSION[:31], session_lie=1), "malformed"
    yield "session-id-beyond-the-hello", body(None, session=b"", ciphers=b"\0\x2f", session_lie=32), "malformed"
    yield "ciphers-none", body(good, ciphers=b""), "malformed"
    yield "ciphers-odd", body(good, ciphers=CIPHERS + b"\0"), "malformed"
    yield "ciphers-beyond-the-hello", body(good, cipher_lie=60000), "malformed"
    yield "ciphers-to-the-end", body(good, cipher_lie=len(good) + 4), "malformed"
    yield "compression-none", body(good, compression=b""), "malformed"
    yield "compression-beyond-the-hello", body(None, compression_lie=200), "malformed"
    yield "version-2", body(good, version=b"\x02\x00"), "malformed"
    yield "version-4", body(good, version=b"\x04\x00"), "malformed"
    yield "too-short", RANDOM[:10], "malformed"
    yield "nothing", b"", "malformed"
    yield "without-extensions", body(None), "no_sni"
    yield "shortest", body(None, session=b"", ciphers=b"\0\x2f"), "no_sni"
    yield "shorter-than-the-shortest", body(None, session=b"", ciphers=b"")[:40], "malformed"
    yield "block-empty", body(b""), "no_sni"
    yield "no-name", body(REST), "no_sni"
    yield "no-name-in-sslv3", body(None, version=b"\x03\x00"), "no_sni"
    for version in range(5):
        yield f"legacy-version-3-{version}", body(good, version=bytes([3, version])), "found"
    yield "session-id-none", body(good, session=b""), "found"
    yield "compression-255", body(good, compression=bytes(255)), "found"
    yield "ciphers-8000", body(good, ciphers=CIPHERS[:2] * 4000), "found"
    yield "name-alone", body(sni(NAME)), "found"
    yield "name-last", body(REST + sni(NAME)), "found"
    yield "name-empty-and-last", body(REST + sni(b"")), "malformed"
    yield "name-between", body(VERSIONS + sni(NAME) + REST), "found"
    yield "name-last-behind-an-empty-extension", body(REST + ext(23) + sni(NAME)), "found"
    yield "empty-extension-last", body(good + ext(23)), "found"
    grease = [0x0A0A + 0x1010 * n for n in range(16)]
    yield "grease", body(ext(grease[3]) + good + ext(grease[11], b"\0"), ciphers=b"\x1a\x1a" + CIPHERS), "found"
    yield "grease-everywhere", body(b"".join(ext(g, bytes(g % 7)) for g in grease) + good), "found"
    yield "unknown-extensions-2000", body(b"".join(ext(20000 + n) for n in range(2000)) + good), "found"
    yield "unknown-extension-long", body(ext(64000, bytes(12000)) + good), "found"
    yield "looks-like-a-name-inside-padding", body(ext(21, sni(EVIL) * 4) + good), "found"
    yield "looks-like-a-name-inside-the-session", body(good, session=sni(EVIL)), "found"
    yield "pre-shared-key-last", body(good + ext(45, b"\x01\x01") + ext(41, bytes(120))), "found"
    yield "early-data", body(good + ext(42) + ext(45, b"\x01\x01") + ext(41, bytes(120))), "found"
    outer = ext(0xFE0D, b"\0\0\x01\0\x01\x07" + vec16(bytes(32)) + vec16(bytes(208)))
    yield "ech-outer", body(outer + good), "found"
    yield "ech-outer-last", body(good + outer), "found"
    yield "ech-without-a-name", body(outer + REST), "no_sni"


def protocols():
    """ALPN. Yields (file, extensions, answer, protocols)."""
    good = sni(NAME)
    yield "h2-and-http1", good + alpn(b"h2", b"http/1.1"), [b"h2", b"http/1.1"]
    yield "before-the-name", alpn(b"h2") + good, [b"h2"]
    yield "one-byte", good + alpn(b"x"), [b"x"]
    yield "any-bytes", good + alpn(b"\0\xff\n"), [b"\0\xff\n"]
    yield "255-bytes", good + alpn(b"p" * 255), [b"p" * 255]
    yield "255-bytes-and-more", good + alpn(b"p" * 255, b"h2") + REST, [b"p" * 255]
    yield "second-finds-no-room", good + alpn(b"h2", b"p" * 253, b"x") + REST, [b"h2"]
    yield "256-bytes-exactly", good + alpn(b"h2", b"p" * 252), [b"h2", b"p" * 252]
    yield "many", good + alpn(*[b"protocol-%d" % n for n in range(200)]), [b"protocol-%d" % n for n in range(200)]
    yield "60000-bytes-too-many", good + alpn(b"h2", more=b"\x01x", list_lie=60000), None
    yield "twice", good + alpn(b"h2") + alpn(b"http/1.1"), None
    yield "extension-empty", good + ext(16), None
    yield "list-empty", good + ext(16, vec16(b"")), None
    yield "list-of-one-byte", good + ext(16, vec16(b"\0")), None
    yield "protocol-empty", good + alpn(b"h2", b"", b"x"), None
    yield "protocol-empty-alone", good + alpn(b"", b""), None
    yield "protocol-beyond-the-list", good + alpn(b"h2", more=b"\x05h") + REST, None
    yield "protocol-length-at-the-end", good + alpn(b"h2", more=b"\x01") + REST, None
    for lie in (-1, 1):
        yield f"list-length-{lie:+}", good + alpn(b"h2", list_lie=lie), None
        yield f"extension-length-{lie:+}", good + alpn(b"h2", ext_lie=lie) + REST, None
    yield "swallows-the-name", alpn(b"h2", more=b"\x14", list_lie=len(good), ext_lie=len(good)) + good, None


def streams():
    """Records and what is no TLS at all. Yields (file, stream, answer)."""
    good = message(body(sni(NAME) + alpn(b"h2") + REST))
    yield "records-of-1-byte", records(good, 1), "found"
    yield "records-of-2-bytes", records(good, 2), "found"
    yield "records-of-7-bytes", records(good, 7), "found"
    yield "records-1-then-rest", records(good, 1, RECORD_MAX), "found"
    yield "records-4-then-rest", records(good, 4, RECORD_MAX), "found"
    yield "records-last-of-1-byte", records(good, len(good) - 1, 1), "found"
    yield "record-minor-version-0", records(good, RECORD_MAX, version=b"\x03\x00"), "found"
    yield "record-minor-version-255", records(good, RECORD_MAX, version=b"\x03\xff"), "found"
    yield "record-versions-mixed", records(good[:50], 50) + records(good[50:], 99, version=b"\x03\x03"), "found"
    yield "early-data-behind", record(good) + record(bytes(40), kind=23), "found"
    yield "anything-behind", record(good) + b"\0\xff" * 20, "found"
    yield "second-hello-behind", record(good) + hello(sni(EVIL)), "found"
    yield "biggest", records(sized(HELLO_MAX, sni(NAME), REST), RECORD_MAX), "found"
    yield "biggest-name-last", records(message(body(ext(21, bytes(
        HELLO_MAX - len(body(ext(21) + sni(NAME))))) + sni(NAME))), RECORD_MAX), "found"
    yield "one-too-big", records(sized(HELLO_MAX + 1, sni(NAME), REST), RECORD_MAX)[:200], "too_big"
    yield "64-kib", record(message(body(sni(NAME)), lie=65536)), "too_big"
    yield "16-mib", record(b"\x01\xff\xff\xff" + body(sni(NAME))), "too_big"
    yield "too-big-in-records-of-1-byte", records(b"\x01\x01\x00\x00", 1), "too_big"
    yield "record-of-0-bytes-first", record(b"") + record(good), "malformed"
    yield "record-of-0-bytes-between", record(good[:50]) + record(b"") + record(good[50:]), "malformed"
    yield "record-of-16385-bytes", record(good, lie=RECORD_MAX + 1 - len(good)), "malformed"
    yield "record-of-16388-bytes-with-the-biggest", record(sized(HELLO_MAX, sni(NAME), REST))[:200], "malformed"
    yield "record-of-65535-bytes", record(good, lie=65535 - len(good)), "malformed"
    yield "record-of-another-type-between", record(good[:50]) + record(b"\x01", kind=20), "malformed"
    yield "alert-between", record(good[:50]) + record(b"\x02\x28", kind=21), "malformed"
    yield "record-of-another-version-between", record(good[:50]) + record(good[50:], version=b"\x02\x01"), "malformed"
    yield "second-message-in-the-record", record(good + message(b"\0" * 4, kind=20)), "malformed"
    yield "second-hello-in-the-record", record(good + message(body(sni(EVIL)))), "malformed"
    yield "byte-behind-in-the-record", record(good + b"\0"), "malformed"
    yield "byte-behind-in-the-second-record", record(good[:50]) + record(good[50:] + b"\0"), "malformed"
    yield "name-behind-the-message", record(message(body(REST)) + sni(EVIL)), "malformed"
    yield "message-length-1-too-short", record(message(body(sni(NAME) + REST), lie=-1)), "malformed"
    yield "message-length-1-too-long", record(message(body(sni(NAME) + REST), lie=1)), "malformed"
    yield "server-hello", record(message(body(REST), kind=2)), "malformed"
    yield "hello-request", record(message(b"", kind=0)), "malformed"
    yield "empty-hello", record(message(b"")), "malformed"
    yield "cut-in-the-record-header", record(good)[:3], "more"
    yield "cut-in-the-message-header", record(good)[:7], "more"
    yield "cut-in-the-name", record(good)[:record(good).index(b"example")], "more"
    yield "cut-before-the-last-byte", record(good)[:-1], "more"
    yield "cut-between-records", record(good[:60]), "more"
    yield "empty", b"", "more"
    yield "http", b"GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n", "not_tls"
    yield "http2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "not_tls"
    yield "ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "not_tls"
    yield "proxy-header-v1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n" + record(good), "not_tls"
    yield "proxy-header-v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + record(good), "not_tls"
    sslv2 = b"\x01\x03\x01" + struct.pack("!HHH", 6, 0, 16) + bytes(6) + bytes(16)
    yield "sslv2-hello", struct.pack("!H", 0x8000 | len(sslv2)) + sslv2, "not_tls"
    yield "alert-first", record(b"\x01\0", kind=21), "not_tls"
    yield "application-data-first", record(good, kind=23), "not_tls"
    yield "change-cipher-spec-first", record(b"\x01", kind=20) + record(good), "not_tls"
    yield "dtls", b"\x16\xfe\xfd" + bytes(8) + vec16(good), "not_tls"
    yield "record-version-2", record(good, version=b"\x02\x00"), "not_tls"
    yield "record-version-4", record(good, version=b"\x04\x00"), "not_tls"
    yield "one-wrong-byte", b"\0", "not_tls"
    yield "second-byte-wrong", b"\x16\x16", "not_tls"
    yield "zeros", bytes(64), "not_tls"


def craft(manifest):
    name = NAME.decode()
    for file, extension, wanted in names():
        manifest.put(f"name-{file}.bin", hello(extension + REST), "found" if wanted else "malformed", wanted or "")
    for file, extension, answer in server_names():
        manifest.put(f"sni-{file}.bin", hello(extension + REST), answer)
    for file, content, answer in blocks():
        manifest.put(f"hello-{file}.bin", record(message(content)), answer, name if answer == "found" else "")
    for file, extensions, kept in protocols():
        manifest.put(f"alpn-{file}.bin", hello(extensions), "found" if kept else "malformed",
                     name if kept else "", kept or [])
    for file, stream, answer in streams():
        manifest.put(f"stream-{file}.bin", stream, answer, name if answer == "found" else "",
                     [b"h2"] if answer == "found" and not file.startswith("biggest") else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder")
    manifest = Manifest(parser.parse_args().folder)
    craft(manifest)
    manifest.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
