# Copyright (c) 2026 The smtpusers authors
# See LICENSE.

"""Text that may be anything, and what is said about it."""

import re
import sys
import syslog

from provision.alabels import alabels
from provision.failure import Failure
from provision.text import decode, encode, visible

__all__ = ["Log", "decode", "domain_key", "encode", "looks_like_domain",
           "visible"]

# Labels in front of the last two may have underscores, as hosts do have them.
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
HOST_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
DOMAIN = re.compile(r"(?:%s\.)*%s\.(?![0-9]+$)%s" % (HOST_LABEL, LABEL, LABEL))


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
