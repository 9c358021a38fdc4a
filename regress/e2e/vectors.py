# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Texts that more than one language reads: regress/vectors/README."""

import re
from collections import namedtuple

from places import SOURCE

Vector = namedtuple("Vector", "text canonical rest")


def vectors(name):
    """The cases of a file; canonical is None where the text is refused."""
    lines = (SOURCE / "regress" / "vectors" / name).read_bytes().splitlines()
    cases = [vector(line) for line in lines
             if line and not line.startswith(b"#")]
    assert cases
    return cases


def vector(line):
    given, *more = line.split(b"\t")
    canonical, *rest = more or [b""]
    text = unescape(given)
    if canonical == b"!":
        return Vector(text, None, rest)
    return Vector(text, unescape(canonical) if canonical else text, rest)


def unescape(column):
    data = re.sub(rb"\\(x([0-9a-f]{2})|\\|e)", byte, column)
    return data.decode("utf-8", "surrogateescape")


def byte(match):
    if match[2]:
        return bytes([int(match[2], 16)])
    return {b"\\": b"\\", b"e": b""}[match[1]]


def taken(name):
    return [case for case in vectors(name) if case.canonical is not None]
