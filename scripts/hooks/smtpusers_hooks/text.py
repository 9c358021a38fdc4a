# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Text that may be anything, and what is said about it."""

import re
import sys
import syslog

from provision.alabels import alabels
from provision.failure import Failure

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN = re.compile(r"(?:%s\.)+(?![0-9]+$)%s" % (LABEL, LABEL))
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text):
    """The text with everything that is not plainly visible escaped: nobody
    forges a line of the log."""
    return "".join(map(visible_character, text))


def visible_character(c):
    if c in ESCAPES:
        return ESCAPES[c]
    if c.isprintable():
        return c
    code = ord(c)
    if 0xdc80 <= code <= 0xdcff:
        return "\\x%02x" % (code - 0xdc00)
    if code < 0x100:
        return "\\x%02x" % code
    return "\\u%04x" % code


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def decode(data):
    return data.decode("utf-8", "surrogateescape")


def fold(text):
    """Lower case for ASCII alone: no other letter folds into a name."""
    return text.lower() if text.isascii() else text


def domain_key(domain):
    """The same for what a panel writes now so and now so: lower-case A-labels.
    What cannot have them stays, and is no domain."""
    try:
        key = alabels(domain)
    except Failure:
        return domain
    return key.lower().removesuffix(".")


def looks_like_domain(key):
    """Whether it could be one at all."""
    return len(key) <= 253 and DOMAIN.fullmatch(key) is not None


class Log:
    """Lines on standard error, or in syslog where nobody reads that."""

    def __init__(self, to_syslog=False):
        self.to_syslog = to_syslog
        if to_syslog:
            syslog.openlog("smtpusers-hook", syslog.LOG_PID,
                           syslog.LOG_DAEMON)

    def __call__(self, text):
        if self.to_syslog:
            syslog.syslog(syslog.LOG_WARNING, text)
            return
        line = "smtpusers-hook: %s\n" % text
        sys.stderr.write(line.encode("utf-8", "backslashreplace").decode())
        sys.stderr.flush()
