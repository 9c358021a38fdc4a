# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Text: what comes out of Redis may be anything."""

import json
import sys
import time

from .failure import EX_USAGE, Failure

SHOWN = 20

ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text):
    """The text with everything that is not plainly visible escaped: a field
    must not move the cursor, forge a line or turn the reading direction."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(visible_character, text))


def visible_character(c):
    if c in ESCAPES:
        return ESCAPES[c]
    if c.isprintable():
        return c
    code = ord(c)
    if 0xdc80 <= code <= 0xdcff:
        return "\\x%02x" % (code - 0xdc00)
    if code < 0x80:
        return "\\x%02x" % code
    if code < 0x10000:
        return "\\u%04x" % code
    return "\\U%08x" % code


def printable(text):
    """As visible, for words in which that is done with what was strange."""
    return "".join(c if c.isprintable() else visible_character(c)
                   for c in text)


def time_text(when=None):
    """Seconds of the epoch, or now, as records have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def decode(data):
    return data.decode("utf-8", "surrogateescape")


def print_json(value, indent=2):
    print(json.dumps(clean(value), indent=indent))


def clean(value):
    """Bytes that are no UTF-8 become U+FFFD: JSON has no place for them."""
    if isinstance(value, str):
        return encode(value).decode("utf-8", "replace")
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return value


def columns(rows):
    """The rows as lines with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths))
        yield "  ".join(cells).rstrip()


def list_rows(label, values, shown=visible):
    for value in values:
        yield label, shown(value)
        label = ""


def shorten(values):
    if len(values) <= SHOWN:
        return values
    return values[:SHOWN] + [
        "... and %d more (--json has all)" % (len(values) - SHOWN)]


def confirm(args, question):
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise Failure(EX_USAGE, "no terminal to ask for confirmation: use "
                      "--yes")
    print(question + " [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure(1, "nothing was changed")
