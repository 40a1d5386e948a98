# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The corpus' table of contents: for each file what the reader must answer about it.

manifest.tsv, one file a line: path, answer (found, more or a refusal's word), name, ALPN list.
The ALPN list is what must be kept of it: whole protocols up to 256 bytes, in hexadecimal.
"""
import os

ALPN_BYTES = 256


def alpn_kept(protocols):
    kept = b""
    for protocol in protocols:
        raw = protocol if isinstance(protocol, bytes) else protocol.encode("latin-1")
        if len(kept) + 1 + len(raw) > ALPN_BYTES:
            break
        kept += bytes([len(raw)]) + raw
    return kept


class Manifest:
    def __init__(self, folder):
        self.folder = folder
        self.path = os.path.join(folder, "manifest.tsv")
        self.lines = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="ascii") as file:
                for line in file:
                    fields = line.rstrip("\n").split("\t")
                    if not line.startswith("#"):
                        self.lines[fields[0]] = fields

    def put(self, name, data, answer, server_name="", protocols=()):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        kept = alpn_kept(protocols) if answer in ("found", "no_sni") else b""
        self.lines[name] = [name, answer, server_name, kept.hex()]

    def save(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("# file\tanswer\tname\talpn\n")
            for name in sorted(self.lines):
                file.write("\t".join(self.lines[name]) + "\n")
