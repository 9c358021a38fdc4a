# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""The corpus of header sections, and which domains its sender may use."""

import re
import unicodedata
from pathlib import Path

DIRECTORY = Path(__file__).parent.parent / "from"
ALLOWED = {"ok.example", "ok2.example", "bücher.example",
           "xn--bcher-kva.example"}
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)")
PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}


def unescape(text):
    def byte(match):
        code = match[1]
        return bytes.fromhex(code[1:].decode()) if len(code) == 3 \
            else PLAIN[code]
    return ESCAPE.sub(byte, text)


def escape(section):
    """As the corpus has it, for people to read and to add to it."""
    codes = {plain: b"\\" + code for code, plain in PLAIN.items()}
    return "".join(codes.get(byte, byte).decode() if byte.isascii() and
                   (byte in codes or byte >= b" " and byte != b"\x7f")
                   else "\\x%02x" % byte[0]
                   for byte in map(bytes, zip(section)))


def load(name):
    """Pairs of what is expected and the header section."""
    for line in (DIRECTORY / name).read_bytes().splitlines():
        if line and not line.startswith(b"#"):
            expected, section = line.split(b"\t")
            yield expected.decode(), unescape(section)


def from_values(section):
    """The From fields' values, with their folds."""
    found, inside = [], False
    for line in section.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if inside:
                found[-1] += b"\n" + line
            continue
        name, colon, rest = line.partition(b":")
        inside = bool(colon) and name.rstrip().lower() == b"from"
        if inside:
            found.append(rest)
    return found


def domains(address):
    """What stands behind each @, as far as a domain may go."""
    return re.findall(r'@([^<>(),:;"@\\]*)', re.sub(r"\s", "", address))


def is_allowed(domain):
    """Also where each byte of UTF-8 is taken for a character."""
    try:
        domain = domain.encode("latin-1").decode()
    except UnicodeError:
        pass
    return unicodedata.normalize("NFKC", domain).casefold() in ALLOWED


def is_foreign(address):
    """Whether mail from the address would be somebody else's. Half a
    character behind an @ is nobody's domain."""
    return any(domain and not is_allowed(domain) and
               (domain.isascii() or "." in domain) and
               "\ufffd" not in domain
               for domain in domains(address))


def authors(address):
    """Addresses as we write them: in lower case, with A-labels, and without
    what some readers leave at the end of a domain. Several where one holds
    several in full."""
    parts = address.split(",")
    if not all("@" in part for part in parts):
        parts = [address]
    for part in parts:
        local, _, domain = part.strip().lstrip("<").rpartition("@")
        domain = re.match(r"[^<>(),:;\"@\\\s]*", domain.strip())[0]
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            pass
        yield ("%s@%s" % (local, domain)).lower()
