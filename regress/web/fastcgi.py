# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""A client of FastCGI, as a web server is one."""

import socket
import struct

from places import PATIENCE

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
RESPONDER = struct.pack("!HB5x", 1, 0)


def record(kind, content=b""):
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def length(text):
    return bytes([len(text)]) if len(text) < 128 else \
        struct.pack("!I", len(text) | 1 << 31)


def pair(name, value):
    return length(name) + length(value) + name + value


def take(file):
    """The kind of a record, and what it holds."""
    _, kind, _, size, padding = struct.unpack("!BBHHBx", file.read(8))
    content = file.read(size)
    file.read(padding)
    return kind, content


def ask(address, params):
    """What the program behind it prints, whose environment is these pairs in
    this order."""
    content = b"".join(pair(name.encode(), value.encode())
                       for name, value in params)
    with socket.create_connection(address, PATIENCE) as server, \
            server.makefile("rb") as file:
        server.sendall(record(BEGIN, RESPONDER) + record(PARAMS, content) +
                       record(PARAMS) + record(STDIN))
        output, kind = b"", None
        while kind != END:
            kind, content = take(file)
            output += content if kind == STDOUT else b""
    return output.decode()
